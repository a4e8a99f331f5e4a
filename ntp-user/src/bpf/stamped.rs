//! Loads the program that reads receive timestamps of the hardware: bound to one interface, with the driver's call in
//! the place that the object leaves for it. Linux: Documentation/networking/xdp-rx-metadata.rst.
//!
//! Invariant: a bound program never has to grow while the kernel checks it. A program that outgrows its pages is moved,
//! and Linux (at least up to 6.18) goes on remembering where a bound one was: when the interface goes away, it follows
//! that memory and the kernel crashes. So the program is loaded with as many instructions to spare as it may gain,
//! which the verifier takes out first; and it is loaded unbound before, to see whether they were enough.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use aya::Btf;
use aya::maps::Map;
use aya_obj::Object;
use aya_obj::btf::BtfKind;
use aya_obj::generated::bpf_insn;
use ntp_common::maps::{SLOT_FUNCTION, STAMP_FUNCTION, STAMPED_PROGRAM};

use super::program::with_causes;
use super::system_call::{For, Instruction, load_program, translated_instructions};

/// The kernel's function that asks the driver, since Linux 6.3.
const DRIVERS_CALL: &str = "bpf_xdp_metadata_rx_timestamp";

/// Instructions to spare. The kernel makes several of each call of an array and of each access to the context: some
/// hundreds in all.
const SPARE: i16 = 2048;

/// Whether constants in programs are hidden from who may guess at them, which moves programs.
const HARDENING: &str = "/proc/sys/net/core/bpf_jit_harden";

/// Why there is no such program.
#[derive(Debug, thiserror::Error)]
pub enum StampedError {
    /// An old kernel.
    #[error("this kernel has no call for it (Linux 6.3 and later have)")]
    NoCall,
    /// The kernel's functions are not known.
    #[error("the kernel does not tell of its functions: {0}")]
    NoBtf(String),
    /// The object has not what is to be replaced.
    #[error("the XDP object has no `{0}` as it should be")]
    Object(&'static str),
    /// The object can't be read or put together.
    #[error("the XDP object can't be used: {0}")]
    Unusable(String),
    /// The kernel would move the program.
    #[error("`net.core.bpf_jit_harden` is 2: a bound program would not be safe")]
    Hardened,
    /// The kernel would move the program.
    #[error("the kernel makes {after} instructions of {before}: a bound program would not be safe")]
    Grown {
        /// What it was given.
        before: usize,
        /// What it made of it.
        after: usize,
    },
    /// The kernel does not take it.
    #[error("the kernel refuses the program: {0}")]
    Refused(#[from] io::Error),
}

/// Loads the program of `object` for the interface with this index, whose clock has this `slot`; `maps` are those of the
/// ordinary program, by name.
///
/// # Errors
/// [`StampedError`].
pub(super) fn load<'a>(
    object: &[u8],
    maps: impl Iterator<Item = (&'a str, &'a Map)>,
    interface: u32,
    slot: u32,
) -> Result<OwnedFd, StampedError> {
    let call = drivers_call()?;
    if fs::read_to_string(HARDENING).is_ok_and(|level| level.trim() == "2") {
        return Err(StampedError::Hardened);
    }
    let maps = numbers(maps);
    let slot = (SLOT_FUNCTION, vec![set(slot), EXIT]);
    let trial = Linked::new(object, &maps, std::slice::from_ref(&slot))?;
    trial.check_growth(&trial.load(For::Any)?)?;
    let linked = Linked::new(object, &maps, &[slot, (STAMP_FUNCTION, vec![call, EXIT])])?;
    let program = linked.load(For::Interface(interface))?;
    linked.check_growth(&program)?;
    Ok(program)
}

/// As [`load`], unbound: instead of what a driver says, every packet gets the same timestamp, or none. For tests.
///
/// # Errors
/// [`StampedError`].
pub(super) fn load_told<'a>(
    object: &[u8],
    maps: impl Iterator<Item = (&'a str, &'a Map)>,
    slot: u32,
    stamp_ns: Option<u64>,
) -> Result<OwnedFd, StampedError> {
    let mut replaced = vec![(SLOT_FUNCTION, vec![set(slot), EXIT])];
    if let Some(stamp_ns) = stamp_ns {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of a word")]
        let [low, high] = [stamp_ns, stamp_ns >> 32].map(|half| half as u32);
        // r3 = stamp; *r2 = r3; r0 = 0
        let load = [instruction([0x18, 0x03, 0, 0], low), instruction([0; 4], high)];
        let store = [instruction([0x7b, 0x32, 0, 0], 0), set(0), EXIT];
        replaced.push((STAMP_FUNCTION, [&load[..], &store[..]].concat()));
    }
    let linked = Linked::new(object, &numbers(maps), &replaced)?;
    Ok(linked.load(For::Any)?)
}

/// The call of the driver: `BPF_PSEUDO_KFUNC_CALL`.
fn drivers_call() -> Result<bpf_insn, StampedError> {
    let no_btf = |error: aya::BtfError| StampedError::NoBtf(with_causes(&error));
    let btf = Btf::from_sys_fs().map_err(no_btf)?;
    let id = btf.id_by_type_name_kind(DRIVERS_CALL, BtfKind::Func);
    let id = id.map_err(|_| StampedError::NoCall)?;
    Ok(instruction([0x85, 0x20, 0, 0], id))
}

/// The return of a function.
const EXIT: bpf_insn = bpf_insn {
    code: 0x95,
    _bitfield_align_1: [],
    _bitfield_1: aya_obj::generated::__BindgenBitfieldUnit::new([0]),
    off: 0,
    imm: 0,
};

/// `r0 = value`.
fn set(value: u32) -> bpf_insn {
    instruction([0xb7, 0, 0, 0], value)
}

/// An instruction off its code, registers and offset, and its constant.
fn instruction([code, registers, offset @ ..]: [u8; 4], constant: u32) -> bpf_insn {
    bpf_insn {
        code,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(registers & 0xf, registers >> 4),
        off: i16::from_ne_bytes(offset),
        imm: constant.cast_signed(),
    }
}

/// The program as it is given to the kernel.
struct Linked {
    instructions: Vec<Instruction>,
    license: CString,
}

impl Linked {
    /// Puts the program together, with other instructions in some functions.
    fn new(
        object: &[u8],
        maps: &[(&str, i32)],
        replaced: &[(&'static str, Vec<bpf_insn>)],
    ) -> Result<Self, StampedError> {
        let mut object = Object::parse(object).map_err(|error| unusable(&error))?;
        for (name, instructions) in replaced {
            let function = object.functions.values_mut().find(|function| function.name == *name);
            let missing = StampedError::Object(name);
            let Some(function) = function else { return Err(missing) };
            replace(&mut function.instructions, instructions).ok_or(missing)?;
        }
        let sections = object.functions.keys().map(|&(section, _)| section).collect();
        let declared = std::mem::take(&mut object.maps);
        let known = maps.iter().filter_map(|&(name, fd)| Some((name, fd, declared.get(name)?)));
        object.relocate_maps(known, &sections).map_err(|error| unusable(&error))?;
        object.relocate_calls(&sections).map_err(|error| unusable(&error))?;
        let missing = StampedError::Object(STAMPED_PROGRAM);
        let Some(program) = object.programs.get(STAMPED_PROGRAM) else { return Err(missing) };
        let Some(function) = object.functions.get(&program.function_key()) else {
            return Err(missing);
        };
        let instructions = with_room(&function.instructions);
        Ok(Self { instructions, license: program.license.clone() })
    }

    fn load(&self, bound: For) -> io::Result<OwnedFd> {
        let mut name = [0; 16];
        name[..STAMPED_PROGRAM.len()].copy_from_slice(STAMPED_PROGRAM.as_bytes());
        load_program(&self.instructions, &self.license, name, bound)
    }

    /// Whether the kernel had room for all that it added.
    fn check_growth(&self, program: &OwnedFd) -> Result<(), StampedError> {
        let (before, after) = (self.instructions.len(), translated_instructions(program)?);
        if after <= before { Ok(()) } else { Err(StampedError::Grown { before, after }) }
    }
}

fn unusable(error: &dyn std::error::Error) -> StampedError {
    StampedError::Unusable(with_causes(error))
}

/// Replaces the instructions of a function that has two, `r0 = constant` and the return; `None` if it has others.
fn replace(function: &mut Vec<bpf_insn>, instructions: &[bpf_insn]) -> Option<()> {
    let [first, last] = function.as_slice() else { return None };
    let is_constant = first.code == 0xb7 && first.dst_reg() == 0 && first.src_reg() == 0;
    (is_constant && last.code == EXIT.code).then(|| *function = instructions.to_vec())
}

/// The instructions, behind some that are never reached, as the verifier finds: it takes them out before it adds any.
fn with_room(instructions: &[bpf_insn]) -> Vec<Instruction> {
    // if r0 == 0 goto the first of the program
    let [low, high] = SPARE.to_ne_bytes();
    let over = instruction([0x15, 0, low, high], 0);
    let spare = std::iter::repeat_n(set(0), SPARE.unsigned_abs().into());
    let room = [set(0), over].into_iter().chain(spare);
    room.chain(instructions.iter().copied()).map(octets).collect()
}

fn octets(instruction: bpf_insn) -> Instruction {
    let [low, high] = instruction.off.to_ne_bytes();
    let registers = instruction.dst_reg() | instruction.src_reg() << 4;
    let mut octets = [instruction.code, registers, low, high, 0, 0, 0, 0];
    octets[4..].copy_from_slice(&instruction.imm.to_ne_bytes());
    octets
}

/// The descriptors of the program's maps, by name.
fn numbers<'a>(maps: impl Iterator<Item = (&'a str, &'a Map)>) -> Vec<(&'a str, i32)> {
    let mut numbers = Vec::new();
    for (name, map) in maps {
        if let Map::Array(data) | Map::PerCpuArray(data) = map {
            numbers.push((name, data.fd().as_fd().as_raw_fd()));
        }
    }
    numbers
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
    fn room_is_jumped_over() {
        let all = with_room(&[set(5), EXIT]);
        let spare = usize::from(SPARE.unsigned_abs());
        assert_eq!(all.len(), spare + 4);
        assert_eq!(all[0], [0xb7, 0, 0, 0, 0, 0, 0, 0]);
        let [low, high] = SPARE.to_ne_bytes();
        assert_eq!(all[1], [0x15, 0, low, high, 0, 0, 0, 0]);
        assert_eq!(all[spare + 2], [0xb7, 0, 0, 0, 5, 0, 0, 0]);
        let call = octets(instruction([0x85, 0x20, 0, 0], 0x0102));
        assert_eq!(call, [0x85, 0x20, 0, 0, 2, 1, 0, 0]);
    }
}
