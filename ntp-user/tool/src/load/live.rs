//! Has the kernel run a program on frames of its own making, and send what the program redirects:
//! `BPF_PROG_TEST_RUN` with `BPF_F_TEST_XDP_LIVE_FRAMES`, bpf(2), Linux 5.18.

use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::sys::signal::{
    SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction,
};
use nix::sys::time::{TimeSpec, TimeValLike as _};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::gettid;

/// `BPF_PROG_TEST_RUN` and its flag, linux/bpf.h.
const BPF_PROG_TEST_RUN: i32 = 10;
const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;

/// The signal that ends a call, and how soon it comes again: the call may not have begun.
const ENDING: Signal = Signal::SIGALRM;
const AGAIN: Duration = Duration::from_millis(10);

/// The arguments of `BPF_PROG_TEST_RUN`, linux/bpf.h.
#[repr(C)]
#[derive(Default)]
struct Arguments {
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

const _: () = assert!(size_of::<Arguments>() == 80);

/// Runs `program` `repeat` times on this CPU, on frames that begin as `frame`. What it redirects is sent after every
/// `batch` runs. A signal ends the runs early, which is no error.
pub(super) fn run(program: BorrowedFd<'_>, frame: &[u8], repeat: u32, batch: u32) -> Result<()> {
    let mut arguments = Arguments {
        program: program.as_raw_fd().cast_unsigned(),
        input_len: u32::try_from(frame.len()).map_err(Error::other)?,
        input: frame.as_ptr() as u64,
        repeat,
        flags: BPF_F_TEST_XDP_LIVE_FRAMES,
        batch_size: batch,
        ..Arguments::default()
    };
    // SAFETY: arguments and frame live until the call returns, and are as long as they say.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_TEST_RUN, &raw mut arguments, size_of::<Arguments>())
    };
    if result < 0 {
        let error = Error::last_os_error();
        if error.kind() != ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(())
}

/// Has the runs of this thread end when `CLOCK_MONOTONIC` is at `end_ns`, and at once from then on until the timer is
/// dropped.
pub(super) fn end_at(end_ns: u64) -> Result<Timer> {
    let action = SigAction::new(SigHandler::Handler(end), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(ENDING, &action) }?;
    let thread_id = gettid().as_raw();
    let notify = SigevNotify::SigevThreadId { signal: ENDING, thread_id, si_value: 0 };
    let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(notify))?;
    let end = TimeSpec::nanoseconds(end_ns.cast_signed());
    let expiration = Expiration::IntervalDelayed(end, TimeSpec::from_duration(AGAIN));
    timer.set(expiration, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
    Ok(timer)
}

/// That a signal was handled is all that is wanted of it.
extern "C" fn end(_: libc::c_int) {}
