//! Wakes the event loop at a deadline, to the nanosecond.
//!
//! tokio's own timers are not used: they are good for milliseconds, and setting one writes to the waker of
//! the event loop, which simulators that replace clocks and sockets do not have.

use std::io;
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use ntp_common::time::MonoNs;

use super::readings::monotonic;
use crate::net::watched::Watched;

/// A timer of the kernel.
#[derive(Debug)]
pub struct Alarm {
    timer: Watched<TimerFd>,
    set_for: Option<MonoNs>,
}

impl Alarm {
    /// Makes a timer; to be called within the runtime.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new() -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
        fcntl(&timer, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        Ok(Self { timer: Watched::new(timer)?, set_for: None })
    }

    /// Returns when the deadline has come. May be dropped before that.
    ///
    /// # Errors
    /// When the timer can't be set or watched.
    pub async fn wait_until(&mut self, deadline: MonoNs) -> io::Result<()> {
        if self.set_for != Some(deadline) {
            self.set(deadline)?;
            self.set_for = Some(deadline);
        }
        self.timer.readable().await?;
        self.set_for = None;
        Ok(())
    }

    fn set(&self, deadline: MonoNs) -> io::Result<()> {
        // Zero would switch the timer off.
        let wait = Duration::from_nanos(deadline.since(monotonic()).max(1));
        let expiration = Expiration::OneShot(TimeSpec::from_duration(wait));
        Ok(self.timer.get()?.set(expiration, TimerSetTimeFlags::empty())?)
    }
}
