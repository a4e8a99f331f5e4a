//! Runs programs in the kernel on frames of our own, without a network interface: `BPF_PROG_TEST_RUN`,
//! bpf(2).

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use aya::programs::{ProgramInfo, loaded_programs};

/// Longest frame that a run gives back.
const OUTPUT_LEN: usize = 2048;

/// `bpf(2)`: the command and the arguments of `BPF_PROG_TEST_RUN`, linux/bpf.h.
const BPF_PROG_TEST_RUN: i32 = 10;

#[repr(C)]
#[derive(Default)]
struct TestRunArguments {
    program: u32,
    result: u32,
    input_len: u32,
    output_len: u32,
    input: u64,
    output: u64,
    repeat: u32,
    duration_ns: u32,
    context_in_len: u32,
    context_out_len: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    /// The kernel refuses arguments with anything behind the last one.
    reserved: u32,
}

const _: () = assert!(size_of::<TestRunArguments>() == 80);

/// What a program made of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome<'a> {
    /// The program's return value.
    pub(crate) action: u32,
    /// The frame after the last run.
    pub(crate) frame: &'a [u8],
    /// Mean time of a run, nanoseconds.
    pub(crate) duration_ns: u32,
}

/// Runs programs, with memory for the frames that come back.
pub(crate) struct Runner {
    output: Box<[u8; OUTPUT_LEN]>,
}

impl Runner {
    pub(crate) fn new() -> Self {
        Self { output: Box::new([0; OUTPUT_LEN]) }
    }

    /// Runs `program` on `frame`, `repeat` times: each run begins with the frame as the one before left it.
    pub(crate) fn run(
        &mut self,
        program: BorrowedFd<'_>,
        frame: &[u8],
        repeat: u32,
    ) -> Result<Outcome<'_>> {
        let mut arguments = TestRunArguments {
            program: program.as_raw_fd().cast_unsigned(),
            input_len: u32::try_from(frame.len())?,
            output_len: u32::try_from(OUTPUT_LEN)?,
            input: frame.as_ptr() as u64,
            output: self.output.as_mut_ptr() as u64,
            repeat,
            ..TestRunArguments::default()
        };
        // SAFETY: the arguments and both frames live until the call returns, and are as long as they say.
        let result = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                BPF_PROG_TEST_RUN,
                &raw mut arguments,
                size_of::<TestRunArguments>(),
            )
        };
        ensure!(result == 0, "BPF_PROG_TEST_RUN: {}", std::io::Error::last_os_error());
        Ok(Outcome {
            action: arguments.result,
            frame: &self.output[..usize::try_from(arguments.output_len)?],
            duration_ns: arguments.duration_ns,
        })
    }
}

/// Where `cargo xtask build-ebpf` puts an object.
pub(crate) fn object_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bpf").join(name)
}

/// Reads an object.
pub(crate) fn read_object(name: &str) -> Result<Vec<u8>> {
    let path = object_path(name);
    fs::read(&path).with_context(|| {
        format!("{} is not there: `cargo xtask build-ebpf` makes it", path.display())
    })
}

/// What the kernel says of a loaded program.
pub(crate) fn info_of(program: impl AsFd) -> Result<ProgramInfo> {
    let id: u32 = field(program, "prog_id:")?;
    let info = loaded_programs().find_map(|info| info.ok().filter(|info| info.id() == id));
    info.context("the program is not there")
}

/// A field of what the kernel says of a descriptor.
pub(crate) fn field<T: FromStr>(descriptor: impl AsFd, name: &str) -> Result<T> {
    let descriptor = descriptor.as_fd().as_raw_fd();
    let account = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}"))?;
    let value = account.lines().find_map(|line| line.strip_prefix(name));
    value
        .and_then(|value| value.trim().parse().ok())
        .with_context(|| format!("no {name} {account}"))
}

/// `CLOCK_MONOTONIC`, nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes the reading to `time`, which lives.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    assert_eq!(result, 0, "CLOCK_MONOTONIC is always there");
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
