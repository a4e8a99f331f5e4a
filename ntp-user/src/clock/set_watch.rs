//! Tells at once when somebody sets `CLOCK_REALTIME`, or the machine wakes up: what is served then is wrong.
//!
//! Simulators that stand in for the kernel don't know this kind of timer, nor `CLOCK_BOOTTIME`, by which they are told;
//! there the driver finds out by itself, when it reads the clock next.

use std::io;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::clock_gettime;

use crate::net::watched::Watched;

/// A time that does not come, seconds since the epoch: in the year 2200.
const NEVER_S: i64 = 7_258_118_400;

/// A timer that is cancelled when the clock is set.
#[derive(Debug)]
pub struct SetWatch(Option<Watched<TimerFd>>);

impl SetWatch {
    /// Begins to watch; to be called within the runtime.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new() -> io::Result<Self> {
        if clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).is_err() {
            return Ok(Self(None));
        }
        let timer = TimerFd::new(ClockId::CLOCK_REALTIME, TimerFlags::TFD_NONBLOCK)?;
        fcntl(&timer, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        arm(&timer)?;
        Ok(Self(Some(Watched::new(timer)?)))
    }

    /// Returns when the clock was set. May be dropped before that.
    ///
    /// # Errors
    /// When the timer can't be set or watched.
    pub async fn clock_set(&mut self) -> io::Result<()> {
        let Some(timer) = &mut self.0 else { return std::future::pending().await };
        timer.readable().await?;
        // Setting it anew takes back that it is readable.
        arm(timer.get()?)
    }
}

fn arm(timer: &TimerFd) -> io::Result<()> {
    let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
    match timer.set(Expiration::OneShot(TimeSpec::new(NEVER_S, 0)), flags) {
        // Once more, and the change is read of.
        Err(nix::errno::Errno::ECANCELED) => {
            Ok(timer.set(Expiration::OneShot(TimeSpec::new(NEVER_S, 0)), flags)?)
        }
        done => Ok(done?),
    }
}
