//! What the kernel says of its clock, and what others than the daemon may have done to it: `adjtimex(2)`.

use std::io;

use anyhow::{Context, Result};
use libc::timex;

use crate::truth::SECOND;

/// Microseconds in a tick of a clock that nobody steers.
const NOMINAL_TICK_US: i64 = 10_000;

/// The kernel's account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KernelClock {
    /// Microseconds a tick.
    pub(crate) tick_us: i64,
    /// By tick and frequency together.
    pub(crate) rate_ppm: f64,
    /// Bits of the state: `STA_*`.
    pub(crate) status: i32,
}

/// Asks the kernel.
pub(crate) fn read() -> Result<KernelClock> {
    adjust(&mut empty())
}

/// Adds to the clock, as `date` and its like do.
pub(crate) fn step(nanoseconds: i64) -> Result<()> {
    let mut timex = empty();
    timex.modes = libc::ADJ_SETOFFSET | libc::ADJ_NANO;
    timex.time.tv_sec = nanoseconds.div_euclid(SECOND);
    timex.time.tv_usec = nanoseconds.rem_euclid(SECOND);
    adjust(&mut timex).map(drop)
}

/// Leaves the clock as a program that was killed might: fast, and with its state unknown.
pub(crate) fn leave(tick_us: i64) -> Result<()> {
    let mut timex = empty();
    timex.modes = libc::ADJ_TICK | libc::ADJ_STATUS;
    timex.tick = tick_us;
    timex.status = libc::STA_UNSYNC;
    adjust(&mut timex).map(drop)
}

fn adjust(timex: &mut timex) -> Result<KernelClock> {
    // SAFETY: `timex` is valid for reads and writes during the call.
    let state = unsafe { libc::adjtimex(timex) };
    if state < 0 {
        return Err(io::Error::last_os_error()).context("adjtimex");
    }
    let ticks_ppm = (timex.tick - NOMINAL_TICK_US) * 100;
    #[expect(clippy::cast_precision_loss, reason = "at most 100,000 ppm")]
    let rate_ppm = ticks_ppm as f64 + timex.freq as f64 / 65_536.0;
    Ok(KernelClock { tick_us: timex.tick, rate_ppm, status: timex.status })
}

fn empty() -> timex {
    // SAFETY: zeros are a `timex`: it consists of integers.
    unsafe { std::mem::zeroed() }
}
