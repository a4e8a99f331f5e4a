//! Clocks that can be steered: the kernel's ([`system`]), and one that merely follows when the kernel's must
//! not be touched ([`follow`]). Timestamps of the kernel are converted to whichever of them is in use.
//!
//! Only plain libc calls are made here, so that simulators can stand in for the kernel.

pub mod alarm;
pub(crate) mod beside;
pub mod follow;
pub(crate) mod phc;
pub(crate) mod priority;
pub mod readings;
pub(crate) mod reference;
pub mod set_watch;
pub mod system;

use std::time::Duration;

use ntp_common::time::{NtpDuration, NtpTimestamp};
use ntp_engine::seams::{Clock, ClockError, ClockStatus, Now};

use follow::{FollowClock, FollowTime};
use readings::{UnixTime, bracketed, slept};
use system::SystemClock;

/// The clock that the daemon steers.
#[derive(Debug)]
pub enum DaemonClock {
    /// The kernel's.
    System(SystemClock),
    /// One of its own, beside the kernel's.
    Follow(FollowClock),
}

/// Reads the steered clock, from wherever packets are timestamped.
#[derive(Clone, Debug)]
pub enum TimeBase {
    /// The steered clock is the kernel's.
    Kernel,
    /// The steered clock is computed from the kernel's.
    Followed(FollowTime),
}

impl DaemonClock {
    /// What reads the same clock elsewhere.
    #[must_use]
    pub fn time_base(&self) -> TimeBase {
        match self {
            Self::System(_) => TimeBase::Kernel,
            Self::Follow(clock) => TimeBase::Followed(clock.time()),
        }
    }

    /// Goes on where a run of the daemon left off, on the same boot: the kernel's clock has done so by itself.
    pub fn go_on(&mut self, from: &Now, frequency: f64) {
        match self {
            Self::System(_) => {}
            Self::Follow(clock) => clock.go_on(from, frequency),
        }
    }
}

impl TimeBase {
    /// The time now.
    #[must_use]
    pub fn now(&self) -> NtpTimestamp {
        match self {
            Self::Kernel => UnixTime::now().to_ntp(),
            Self::Followed(time) => time.now().time,
        }
    }

    /// The time on the steered clock when `CLOCK_REALTIME` was `stamp`, not long ago.
    #[must_use]
    pub fn when(&self, stamp: UnixTime) -> NtpTimestamp {
        match self {
            Self::Kernel => stamp.to_ntp(),
            Self::Followed(time) => {
                let (mono, real) = bracketed();
                time.before(mono, real.nanos_since(stamp))
            }
        }
    }
}

impl Clock for DaemonClock {
    fn now(&self) -> Now {
        match self {
            Self::System(clock) => clock.now(),
            Self::Follow(clock) => clock.now(),
        }
    }

    fn step(&mut self, by: NtpDuration) -> Result<(), ClockError> {
        match self {
            Self::System(clock) => clock.step(by),
            Self::Follow(clock) => clock.step(by),
        }
    }

    fn set_frequency(&mut self, frequency: f64) -> Result<f64, ClockError> {
        match self {
            Self::System(clock) => clock.set_frequency(frequency),
            Self::Follow(clock) => clock.set_frequency(frequency),
        }
    }

    fn frequency(&self) -> f64 {
        match self {
            Self::System(clock) => clock.frequency(),
            Self::Follow(clock) => clock.frequency(),
        }
    }

    fn slept(&self) -> Duration {
        slept()
    }

    fn set_status(&mut self, status: &ClockStatus) -> Result<(), ClockError> {
        match self {
            Self::System(clock) => clock.set_status(status),
            Self::Follow(clock) => clock.set_status(status),
        }
    }
}
