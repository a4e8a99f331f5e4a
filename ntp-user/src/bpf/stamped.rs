//! Loads the program that reads receive timestamps of the hardware: bound to one interface, with the driver's call in
//! the place that the object leaves for it. Linux: Documentation/networking/xdp-rx-metadata.rst.
//!
//! Invariant: a bound program never has to grow while the kernel checks it. A program that outgrows its pages is moved,
//! and Linux (at least up to 6.18) goes on remembering where a bound one was: when the interface goes away, it follows
//! that memory and the kernel crashes. So the program is loaded with as many instructions to spare as it may gain,
//! which the verifier takes out first; and it is loaded unbound before, to see whether they were enough.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use aya::Btf;
use aya_obj::btf::BtfKind;
use aya_obj::generated::bpf_insn;
use ntp_common::maps::{SLOT_FUNCTION, STAMP_FUNCTION, STAMPED_PROGRAM};

use super::linked::{EXIT, LinkError, Linked, Replaced, instruction, octets, set};
use super::maps::Maps;
use super::program::with_causes;
use super::system_call::{For, Instruction, translated_instructions};

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
    /// The program can't be put together, or the kernel does not take it.
    #[error(transparent)]
    Unlinked(#[from] LinkError),
}

impl From<io::Error> for StampedError {
    fn from(error: io::Error) -> Self {
        LinkError::from(error).into()
    }
}

/// Whether this kernel has room for what it adds to the program.
///
/// # Errors
/// [`StampedError`].
pub(super) fn check(object: &[u8], maps: &Maps) -> Result<(), StampedError> {
    drivers_call()?;
    check_hardening()?;
    let trial = linked(object, maps, &[(SLOT_FUNCTION, vec![set(0), EXIT])])?;
    check_growth(&trial, &trial.load(For::Any)?)
}

/// Loads the program of `object` for the interface with this index, whose clock has this `slot`, once [`check`] has found
/// nothing. `maps` are those of the ordinary program.
///
/// # Errors
/// [`StampedError`].
pub(super) fn load(
    object: &[u8],
    maps: &Maps,
    interface: u32,
    slot: u32,
) -> Result<OwnedFd, StampedError> {
    // It may have been changed since the trial.
    check_hardening()?;
    let replaced =
        [(SLOT_FUNCTION, vec![set(slot), EXIT]), (STAMP_FUNCTION, vec![drivers_call()?, EXIT])];
    let linked = linked(object, maps, &replaced)?;
    let program = linked.load(For::Interface(interface))?;
    check_growth(&linked, &program)?;
    Ok(program)
}

/// Whether constants in programs are left as they are.
fn check_hardening() -> Result<(), StampedError> {
    if fs::read_to_string(HARDENING).is_ok_and(|level| level.trim() == "2") {
        return Err(StampedError::Hardened);
    }
    Ok(())
}

/// As [`load`], unbound: instead of what a driver says, every packet gets the same timestamp, or none. For tests.
///
/// # Errors
/// [`StampedError`].
pub(super) fn load_told(
    object: &[u8],
    maps: &Maps,
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
    Ok(linked(object, maps, &replaced)?.load(For::Any)?)
}

/// The call of the driver: `BPF_PSEUDO_KFUNC_CALL`.
fn drivers_call() -> Result<bpf_insn, StampedError> {
    let no_btf = |error: aya::BtfError| StampedError::NoBtf(with_causes(&error));
    let btf = Btf::from_sys_fs().map_err(no_btf)?;
    let id = btf.id_by_type_name_kind(DRIVERS_CALL, BtfKind::Func);
    let id = id.map_err(|_| StampedError::NoCall)?;
    Ok(instruction([0x85, 0x20, 0, 0], id))
}

/// Links the program with room to grow, and with other instructions in some functions.
fn linked(object: &[u8], maps: &Maps, replaced: &[Replaced]) -> Result<Linked, StampedError> {
    let mut linked = Linked::new(object, STAMPED_PROGRAM, maps, replaced)?;
    make_room(&mut linked.instructions);
    Ok(linked)
}

/// Whether the kernel had room for all that it added to a program.
fn check_growth(linked: &Linked, program: &OwnedFd) -> Result<(), StampedError> {
    let (before, after) = (linked.instructions.len(), translated_instructions(program)?);
    if after <= before { Ok(()) } else { Err(StampedError::Grown { before, after }) }
}

/// Puts instructions before a program that are never reached, as the verifier finds: it takes them out before it adds any.
fn make_room(instructions: &mut Vec<Instruction>) {
    // if r0 == 0 goto the first of the program
    let [low, high] = SPARE.to_ne_bytes();
    let over = instruction([0x15, 0, low, high], 0);
    let spare = std::iter::repeat_n(set(0), SPARE.unsigned_abs().into());
    let room = [set(0), over].into_iter().chain(spare).map(octets);
    instructions.splice(..0, room);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_jumped_over() {
        let mut all = vec![octets(set(5)), octets(EXIT)];
        make_room(&mut all);
        let spare = usize::from(SPARE.unsigned_abs());
        assert_eq!(all.len(), spare + 4);
        assert_eq!(all[0], [0xb7, 0, 0, 0, 0, 0, 0, 0]);
        let [low, high] = SPARE.to_ne_bytes();
        assert_eq!(all[1], [0x15, 0, low, high, 0, 0, 0, 0]);
        assert_eq!(all[spare + 2], [0xb7, 0, 0, 0, 5, 0, 0, 0]);
    }
}
