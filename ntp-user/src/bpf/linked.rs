//! A program of the XDP object, put together with its maps, and loaded.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;

use aya_obj::Object;
use aya_obj::generated::bpf_insn;

use super::maps::Maps;
use super::program::with_causes;
use super::system_call::{For, Instruction, load_program};

/// Why a program is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The object has not what belongs to it.
    #[error("the XDP object has no `{0}` as it should be: it does not belong to this daemon")]
    Missing(&'static str),
    /// The object can't be read or put together.
    #[error("the XDP object can't be used: {0}")]
    Unusable(String),
    /// The kernel does not take it.
    #[error("the kernel refuses the XDP program: {0}")]
    Refused(#[from] io::Error),
}

impl LinkError {
    pub(super) fn unusable(error: &dyn std::error::Error) -> Self {
        Self::Unusable(with_causes(error))
    }
}

/// A function of an object, and what is put in the place of its instructions, which are `r0 = constant` and the return.
pub(super) type Replaced = (&'static str, Vec<bpf_insn>);

/// A program as it is given to the kernel.
pub(super) struct Linked {
    name: &'static str,
    pub(super) instructions: Vec<Instruction>,
    license: CString,
}

impl Linked {
    /// Puts a program of `object` together, with other instructions in some functions.
    pub(super) fn new(
        object: &[u8],
        name: &'static str,
        maps: &Maps,
        replaced: &[Replaced],
    ) -> Result<Self, LinkError> {
        let mut object = Object::parse(object).map_err(|error| LinkError::unusable(&error))?;
        for (name, instructions) in replaced {
            let function = object.functions.values_mut().find(|function| function.name == *name);
            let missing = LinkError::Missing(name);
            let Some(function) = function else { return Err(missing) };
            replace(&mut function.instructions, instructions).ok_or(missing)?;
        }
        let sections = object.functions.keys().map(|&(section, _)| section).collect();
        let declared = std::mem::take(&mut object.maps);
        let known = declared
            .iter()
            .filter_map(|(name, map)| Some((name.as_str(), maps.descriptor(name)?, map)));
        object.relocate_maps(known, &sections).map_err(|error| LinkError::unusable(&error))?;
        object.relocate_calls(&sections).map_err(|error| LinkError::unusable(&error))?;
        let missing = LinkError::Missing(name);
        let Some(program) = object.programs.get(name) else { return Err(missing) };
        let Some(function) = object.functions.get(&program.function_key()) else {
            return Err(missing);
        };
        let instructions = function.instructions.iter().copied().map(octets).collect();
        Ok(Self { name, instructions, license: program.license.clone() })
    }

    /// Loads it.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn load(&self, bound: For) -> io::Result<OwnedFd> {
        let mut name = [0; 16];
        let len = self.name.len().min(name.len() - 1);
        name[..len].copy_from_slice(&self.name.as_bytes()[..len]);
        load_program(&self.instructions, &self.license, name, bound)
    }
}

/// The return of a function.
pub(super) const EXIT: bpf_insn = bpf_insn {
    code: 0x95,
    _bitfield_align_1: [],
    _bitfield_1: aya_obj::generated::__BindgenBitfieldUnit::new([0]),
    off: 0,
    imm: 0,
};

/// `r0 = value`.
pub(super) fn set(value: u32) -> bpf_insn {
    instruction([0xb7, 0, 0, 0], value)
}

/// An instruction off its code, registers and offset, and its constant.
pub(super) fn instruction([code, registers, offset @ ..]: [u8; 4], constant: u32) -> bpf_insn {
    bpf_insn {
        code,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(registers & 0xf, registers >> 4),
        off: i16::from_ne_bytes(offset),
        imm: constant.cast_signed(),
    }
}

/// An instruction as the kernel takes it.
pub(super) fn octets(instruction: bpf_insn) -> Instruction {
    let [low, high] = instruction.off.to_ne_bytes();
    let registers = instruction.dst_reg() | instruction.src_reg() << 4;
    let mut octets = [instruction.code, registers, low, high, 0, 0, 0, 0];
    octets[4..].copy_from_slice(&instruction.imm.to_ne_bytes());
    octets
}

/// Replaces the instructions of a function that has two, `r0 = constant` and the return; `None` if it has others.
fn replace(function: &mut Vec<bpf_insn>, instructions: &[bpf_insn]) -> Option<()> {
    let [first, last] = function.as_slice() else { return None };
    let is_constant = first.code == 0xb7 && first.dst_reg() == 0 && first.src_reg() == 0;
    (is_constant && last.code == EXIT.code).then(|| *function = instructions.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_that_is_not_as_expected_is_not_replaced() {
        let new = [set(7), EXIT];
        let mut good = vec![set(3), EXIT];
        assert!(replace(&mut good, &new).is_some());
        assert_eq!(good[0].imm, 7);
        for bad in [&[EXIT][..], &[EXIT, EXIT], &[set(0), set(0), EXIT]] {
            assert!(replace(&mut bad.to_vec(), &new).is_none());
        }
    }

    #[test]
    fn instructions_are_given_as_the_kernel_takes_them() {
        assert_eq!(octets(set(5)), [0xb7, 0, 0, 0, 5, 0, 0, 0]);
        let call = octets(instruction([0x85, 0x20, 0, 0], 0x0102));
        assert_eq!(call, [0x85, 0x20, 0, 0, 2, 1, 0, 0]);
    }
}
