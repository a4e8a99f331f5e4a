//! True time: the guest's raw counter, which nobody steers, made 200 ppm faster. Nanoseconds of Unix time.
//!
//! The system clock runs on the same counter, so that what this machine does to the emulator moves both alike.

use anyhow::Result;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};
use ntp_common::time::NtpTimestamp;

/// Nanoseconds in a second.
pub(crate) const SECOND: i64 = 1_000_000_000;

/// How much faster than the raw counter true time runs.
pub(crate) const RATE_PPM: i64 = 200;

/// How often two clocks are compared to find the least disturbed comparison.
const TRIES: usize = 16;

/// True time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Truth {
    raw_at_start: i64,
    utc_at_start: i64,
    leap_at: Option<i64>,
}

/// An instant of true time, which does not leap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(i64);

impl Truth {
    /// Time that is `utc` now.
    pub(crate) fn starting_at(utc: i64) -> Self {
        Self { raw_at_start: raw(), utc_at_start: utc, leap_at: None }
    }

    /// Time that the system clock is `ahead` nanoseconds behind now.
    pub(crate) fn ahead_of_system(ahead: i64) -> Self {
        let (raw_at_start, system) = read_together(raw, realtime);
        Self { raw_at_start, utc_at_start: system + ahead, leap_at: None }
    }

    /// As it would be with a second inserted before `midnight`.
    pub(crate) fn leaping_at(self, midnight: i64) -> Self {
        Self { leap_at: Some(midnight), ..self }
    }

    /// The raw counter at the start, and what true time was then: for others that are to keep it.
    pub(crate) fn start(&self) -> (i64, i64) {
        (self.raw_at_start, self.utc_at_start)
    }

    /// This instant.
    pub(crate) fn now(&self) -> Instant {
        let raw = raw() - self.raw_at_start;
        Instant(self.utc_at_start + raw + raw * RATE_PPM / 1_000_000)
    }

    /// What a clock that is right says at `instant`.
    pub(crate) fn utc(&self, instant: Instant) -> i64 {
        instant.0 - if self.is_past_leap(instant) { SECOND } else { 0 }
    }

    /// Whether the inserted second has ended: it is the one that a clock repeats.
    pub(crate) fn is_past_leap(&self, instant: Instant) -> bool {
        self.leap_at.is_some_and(|leap| instant.0 >= leap)
    }

    /// Seconds from `instant` until the leap.
    pub(crate) fn until_leap(&self, instant: Instant) -> f64 {
        self.leap_at.map_or(f64::INFINITY, |leap| seconds(leap - instant.0))
    }

    /// Seconds by which `timestamp` is outside the times from `sent` to `arrived`: what a server on the way
    /// between them may say.
    pub(crate) fn error(&self, timestamp: NtpTimestamp, sent: Instant, arrived: Instant) -> f64 {
        let outside = |earliest: i64, latest: i64| {
            let after = ntp(earliest).since(timestamp).to_nanos();
            let before = timestamp.since(ntp(latest)).to_nanos();
            after.max(before).max(0)
        };
        let error = match (self.is_past_leap(sent), self.is_past_leap(arrived), self.leap_at) {
            // Under way while the clock went back: either it was asked before that, or after.
            (false, true, Some(leap)) => {
                outside(sent.0, leap).min(outside(leap - SECOND, self.utc(arrived)))
            }
            _ => outside(self.utc(sent), self.utc(arrived)),
        };
        seconds(error)
    }

    /// The system clock less true time, nanoseconds.
    pub(crate) fn offset(&self) -> i64 {
        let (now, system) = read_together(|| self.now().0, realtime);
        system - self.utc(Instant(now))
    }
}

impl Instant {
    /// When a clock that is right and does not leap says `utc`.
    pub(crate) fn at(utc: i64) -> Self {
        Self(utc)
    }

    /// Seconds since an earlier instant.
    pub(crate) fn since(self, earlier: Self) -> f64 {
        seconds(self.0 - earlier.0)
    }
}

/// Nanoseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "53 bits: a nanosecond in 104 days")]
pub(crate) fn seconds(nanoseconds: i64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// Unix time as in packets.
pub(crate) fn ntp(unix: i64) -> NtpTimestamp {
    let nanoseconds = u32::try_from(unix.rem_euclid(SECOND)).unwrap_or_default();
    NtpTimestamp::from_unix(unix.div_euclid(SECOND), nanoseconds)
}

/// The system clock.
pub(crate) fn realtime() -> i64 {
    read(ClockId::CLOCK_REALTIME)
}

/// The system clock without its steps.
pub(crate) fn monotonic() -> i64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// Sets the system clock.
pub(crate) fn set_realtime(unix: i64) -> Result<()> {
    let time = TimeSpec::new(unix.div_euclid(SECOND), unix.rem_euclid(SECOND));
    Ok(clock_settime(ClockId::CLOCK_REALTIME, time)?)
}

/// How far the system clock is from the monotonic one: changed by steps alone.
pub(crate) fn steps_so_far() -> i64 {
    let (monotonic, system) = read_together(monotonic, realtime);
    system - monotonic
}

/// What two clocks say at the same time: of some tries the one that was disturbed least, as the machine may do something
/// else for milliseconds between one reading and the next.
fn read_together(mut first: impl FnMut() -> i64, mut second: impl FnMut() -> i64) -> (i64, i64) {
    let compare = |_| {
        let before = first();
        let between = second();
        let width = first() - before;
        (width, (before + width / 2, between))
    };
    let comparisons = (0..TRIES).map(compare);
    comparisons.min_by_key(|(width, _)| *width).map_or((0, 0), |(_, readings)| readings)
}

fn raw() -> i64 {
    read(ClockId::CLOCK_MONOTONIC_RAW)
}

fn read(clock: ClockId) -> i64 {
    // Linux has all of these clocks.
    clock_gettime(clock).map_or(0, |time| time.tv_sec() * SECOND + time.tv_nsec())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn machine_that_pauses_between_two_readings_is_asked_again() {
        let time = Cell::new(0);
        let reads = Cell::new(0);
        let clock = |ahead: i64| {
            let (time, reads) = (&time, &reads);
            move || {
                reads.set(reads.get() + 1);
                // Before the second clock is read, and before the first is again; not always.
                let pause = if [2, 6, 11].contains(&reads.get()) { 3_000_000 } else { 100 };
                time.set(time.get() + pause);
                time.get() + ahead
            }
        };
        let (first, second) = read_together(clock(0), clock(SECOND));
        assert_eq!(second - first, SECOND);
    }
}
