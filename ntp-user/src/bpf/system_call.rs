//! The few calls of bpf(2) that aya has no way to make: programs of instructions that we put together, maps that nobody can
//! change any more, and links by their descriptors.
//! `linux/bpf.h`.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use aya::maps::MapFd;

/// Commands.
const BPF_MAP_UPDATE_ELEM: u32 = 2;
const BPF_PROG_LOAD: u32 = 5;
const BPF_OBJ_PIN: u32 = 6;
const BPF_OBJ_GET: u32 = 7;
const BPF_OBJ_GET_INFO_BY_FD: u32 = 15;
const BPF_MAP_FREEZE: u32 = 22;
const BPF_LINK_CREATE: u32 = 28;
const BPF_LINK_UPDATE: u32 = 29;

/// The kind of program, and what it is attached to.
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;

/// The program is for one interface, and runs on the CPU.
const BPF_F_XDP_DEV_BOUND_ONLY: u32 = 1 << 6;

/// Octets of the verifier's log that are asked for when it refuses.
const LOG_LEN: usize = 1 << 20;

/// An instruction, as the kernel takes it.
pub(super) type Instruction = [u8; 8];

#[derive(Default)]
#[repr(C)]
struct ProgramLoad {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_len: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_kind: u32,
    /// BTF, lines, attached functions: none.
    rest: [u64; 9],
}

#[derive(Default)]
#[repr(C)]
struct Element {
    map: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[derive(Default)]
#[repr(C)]
struct Object {
    path: u64,
    descriptor: u32,
    flags: u32,
}

#[derive(Default)]
#[repr(C)]
struct Info {
    descriptor: u32,
    len: u32,
    at: u64,
}

/// The beginning of `bpf_prog_info`.
#[derive(Default)]
#[repr(C)]
struct ProgramInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_len: u32,
    translated_len: u32,
    rest: [u64; 4],
}

/// `link_create` and `link_update` of the same size: a descriptor and three numbers.
#[repr(C)]
struct Link([u32; 4]);

const _: () = assert!(size_of::<ProgramLoad>() == 144 && size_of::<ProgramInfo>() == 56);

/// What a program is loaded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// Any interface.
    Any,
    /// The interface with this index, in this network namespace, alone. Of the kernel's own accord such a program must
    /// not grow: see [`super::stamped`].
    Interface(u32),
}

/// Loads an XDP program.
///
/// # Errors
/// What the kernel says, with the end of the verifier's log if it wrote one.
pub(super) fn load_program(
    instructions: &[Instruction],
    license: &CStr,
    name: [u8; 16],
    bound: For,
) -> io::Result<OwnedFd> {
    let (flags, interface) = match bound {
        For::Any => (0, 0),
        For::Interface(index) => (BPF_F_XDP_DEV_BOUND_ONLY, index),
    };
    let mut load = ProgramLoad {
        kind: BPF_PROG_TYPE_XDP,
        instruction_count: u32::try_from(instructions.len()).unwrap_or(u32::MAX),
        instructions: address(instructions.as_ptr()),
        license: address(license.as_ptr()),
        flags,
        name,
        interface,
        attach_kind: BPF_XDP,
        ..ProgramLoad::default()
    };
    // SAFETY: instructions and licence are as long as is said, or end with a zero, and live during the call.
    let first = unsafe { call(BPF_PROG_LOAD, &mut load) };
    let Err(error) = first else { return first.map(owned) };
    let mut log = vec![0; LOG_LEN];
    load.log_level = 1;
    load.log_len = u32::try_from(log.len()).unwrap_or_default();
    load.log = address(log.as_mut_ptr());
    // SAFETY: as above, and the log has the length that is said.
    match unsafe { call(BPF_PROG_LOAD, &mut load) } {
        Ok(descriptor) => Ok(owned(descriptor)),
        Err(_) => Err(match last_lines(&log) {
            Some(lines) => io::Error::new(error.kind(), format!("{error}: {lines}")),
            None => error,
        }),
    }
}

/// How many instructions the kernel has made of a program.
///
/// # Errors
/// It does not tell.
pub(super) fn translated_instructions(program: impl AsFd) -> io::Result<usize> {
    let mut told = ProgramInfo::default();
    let mut info = Info {
        descriptor: number(&program),
        len: u32::try_from(size_of::<ProgramInfo>()).unwrap_or_default(),
        at: address(&raw mut told),
    };
    // SAFETY: the information is as long as is said, consists of integers, and lives during the call.
    unsafe { call(BPF_OBJ_GET_INFO_BY_FD, &mut info) }?;
    Ok(usize::try_from(told.translated_len).unwrap_or(usize::MAX) / size_of::<Instruction>())
}

/// Writes the value of a map that has one.
///
/// # Errors
/// The value is not as long as the map's, or what the kernel says.
pub(super) fn set_only_value(map: &MapFd, value: &[u8]) -> io::Result<()> {
    let key = 0u32;
    let mut element = Element {
        map: number(map),
        key: address(&raw const key),
        value: address(value.as_ptr()),
        ..Element::default()
    };
    // SAFETY: the map was made with keys of four octets and values as long as `value`, and both live during the call.
    unsafe { call(BPF_MAP_UPDATE_ELEM, &mut element) }.map(drop)
}

/// Makes a map one that processes can't write any more.
///
/// # Errors
/// What the kernel says.
pub(super) fn freeze(map: &MapFd) -> io::Result<()> {
    let mut map = number(map);
    // SAFETY: the call takes a number only.
    unsafe { call(BPF_MAP_FREEZE, &mut map) }.map(drop)
}

/// Attaches a program to an interface in the mode of `flags` (`XDP_FLAGS_*`); it stays as long as the link.
///
/// # Errors
/// What the kernel says.
pub(super) fn create_link(program: impl AsFd, interface: u32, flags: u32) -> io::Result<OwnedFd> {
    let mut link = Link([number(&program), interface, BPF_XDP, flags]);
    // SAFETY: the call takes numbers only.
    unsafe { call(BPF_LINK_CREATE, &mut link) }.map(owned)
}

/// Puts a program in the place of a link's.
///
/// # Errors
/// What the kernel says; the former one stays.
pub(super) fn update_link(link: impl AsFd, program: impl AsFd) -> io::Result<()> {
    let mut link = Link([number(&link), number(&program), 0, 0]);
    // SAFETY: the call takes numbers only.
    unsafe { call(BPF_LINK_UPDATE, &mut link) }.map(drop)
}

/// Pins a link as a file of the BPF file system.
///
/// # Errors
/// What the kernel says.
pub(super) fn pin(link: impl AsFd, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut object =
        Object { path: address(path.as_ptr()), descriptor: number(&link), ..Object::default() };
    // SAFETY: the path ends with a zero and lives during the call.
    unsafe { call(BPF_OBJ_PIN, &mut object) }.map(drop)
}

/// Opens what is pinned as a file.
///
/// # Errors
/// What the kernel says.
pub(super) fn open_pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut object = Object { path: address(path.as_ptr()), ..Object::default() };
    // SAFETY: as above.
    unsafe { call(BPF_OBJ_GET, &mut object) }.map(owned)
}

/// Makes the call.
///
/// # Safety
/// What the attributes point at must be as the command demands, and live during the call.
unsafe fn call<T>(command: u32, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: the attributes are as long as is said; for the rest the caller answers.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    match i32::try_from(result) {
        Ok(result) if result >= 0 => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

fn owned(descriptor: i32) -> OwnedFd {
    // SAFETY: the kernel has just opened the descriptor for the caller, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

fn number(descriptor: &impl AsFd) -> u32 {
    descriptor.as_fd().as_raw_fd().cast_unsigned()
}

fn address<T>(pointer: *const T) -> u64 {
    pointer.addr() as u64
}

/// The end of the verifier's log but for its statistics, in one line.
fn last_lines(log: &[u8]) -> Option<String> {
    let text = log.split(|&octet| octet == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    let said = text.lines().map(str::trim);
    let mut last: Vec<&str> = said
        .filter(|line| !line.is_empty() && !line.starts_with("processed "))
        .rev()
        .take(2)
        .collect();
    last.reverse();
    (!last.is_empty()).then(|| last.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_the_verifiers_log_is_told_in_one_line() {
        let log =
            b"0: R1=ctx()\n0: (85) call 5\nhelper is not allowed\nprocessed 1 insns\n\0\0rest";
        assert_eq!(last_lines(log).unwrap(), "0: (85) call 5; helper is not allowed");
        assert_eq!(last_lines(b"\0"), None);
    }
}
