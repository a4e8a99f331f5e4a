//! Readings of the kernel's clocks, through libc.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use ntp_common::time::{MonoNs, NANOS_PER_SECOND, NtpTimestamp};

/// Differences that the precision is taken from.
const PRECISION_READINGS: usize = 100;

/// Finest precision that is claimed, log2 seconds: a nanosecond is what the kernel's clock resolves.
const FINEST_PRECISION_LOG2: i8 = -30;

/// A reading of `CLOCK_REALTIME`, or a timestamp that the kernel took of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixTime {
    /// Seconds since the Unix epoch.
    pub seconds: i64,
    /// Nanoseconds of the second, below 1,000,000,000.
    pub nanos: u32,
}

impl UnixTime {
    /// Reads `CLOCK_REALTIME`.
    #[must_use]
    pub fn now() -> Self {
        Self::read(ClockId::CLOCK_REALTIME)
    }

    /// The time that the kernel gives as seconds and nanoseconds; `None` when there is none.
    #[must_use]
    pub fn from_kernel(seconds: i64, nanos: i64) -> Option<Self> {
        let nanos =
            u32::try_from(nanos).ok().filter(|&nanos| u64::from(nanos) < NANOS_PER_SECOND)?;
        (seconds != 0 || nanos != 0).then_some(Self { seconds, nanos })
    }

    /// The same as an NTP timestamp.
    #[must_use]
    pub const fn to_ntp(self) -> NtpTimestamp {
        NtpTimestamp::from_unix(self.seconds, self.nanos)
    }

    /// Nanoseconds from `earlier` to `self`; saturates.
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> i64 {
        let seconds = self.seconds.saturating_sub(earlier.seconds);
        let nanos = self.nanos as i64 - earlier.nanos as i64;
        seconds.saturating_mul(NANOS_PER_SECOND.cast_signed()).saturating_add(nanos)
    }

    /// The time so many nanoseconds later; saturates.
    #[must_use]
    pub fn plus(self, nanos: i64) -> Self {
        let second = NANOS_PER_SECOND.cast_signed();
        let nanos = nanos.saturating_add(self.nanos.into());
        Self {
            seconds: self.seconds.saturating_add(nanos.div_euclid(second)),
            nanos: u32::try_from(nanos.rem_euclid(second)).unwrap_or_default(),
        }
    }

    fn read(clock: ClockId) -> Self {
        // The clocks that are read here exist on every kernel.
        match clock_gettime(clock) {
            Ok(time) => Self {
                seconds: time.tv_sec(),
                nanos: u32::try_from(time.tv_nsec()).unwrap_or_default(),
            },
            Err(error) => unreachable!("clock_gettime: {error}"),
        }
    }
}

/// Reads `CLOCK_MONOTONIC`.
#[must_use]
pub fn monotonic() -> MonoNs {
    let time = UnixTime::read(ClockId::CLOCK_MONOTONIC);
    MonoNs(
        time.seconds
            .cast_unsigned()
            .saturating_mul(NANOS_PER_SECOND)
            .saturating_add(time.nanos.into()),
    )
}

/// How long the machine has slept since it was started, or a little less: what `CLOCK_BOOTTIME` is ahead of
/// `CLOCK_MONOTONIC`. Zero where there is no such clock.
#[must_use]
pub fn slept() -> Duration {
    let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).ok();
    // Read after it: an interruption in between makes the difference smaller.
    let awake = monotonic();
    let boot = boot.map_or(Duration::ZERO, Duration::from);
    boot.saturating_sub(Duration::from_nanos(awake.0))
}

/// Readings of `CLOCK_MONOTONIC` and `CLOCK_REALTIME` for the same instant: one between two of the other.
/// Of three tries the one that took least counts, in case one was interrupted; the first that surely was not is
/// enough.
#[must_use]
pub fn bracketed() -> (MonoNs, UnixTime) {
    beside_monotonic(ClockId::CLOCK_REALTIME)
}

/// As [`bracketed`], with `CLOCK_MONOTONIC_RAW`.
#[must_use]
pub(crate) fn bracketed_raw() -> (MonoNs, UnixTime) {
    beside_monotonic(ClockId::CLOCK_MONOTONIC_RAW)
}

fn beside_monotonic(clock: ClockId) -> (MonoNs, UnixTime) {
    /// Two readings of a clock take some 50 ns, an interruption takes more than a microsecond.
    const UNINTERRUPTED_NS: u64 = 200;
    let mut best = (u64::MAX, MonoNs(0), UnixTime { seconds: 0, nanos: 0 });
    for _ in 0..3 {
        if best.0 <= UNINTERRUPTED_NS {
            break;
        }
        let before = monotonic();
        let real = UnixTime::read(clock);
        let taken = monotonic().since(before);
        if taken < best.0 {
            best = (taken, before.after(taken / 2), real);
        }
    }
    (best.1, best.2)
}

/// Precision of `CLOCK_REALTIME`, log2 seconds: the shortest time between two readings that differ.
/// RFC 5905 section 7.3.
#[must_use]
pub fn precision_log2() -> i8 {
    let mut shortest = NANOS_PER_SECOND.cast_signed();
    let mut last = UnixTime::now();
    for _ in 0..PRECISION_READINGS {
        let now = UnixTime::now();
        let elapsed = now.nanos_since(last);
        if elapsed > 0 {
            shortest = shortest.min(elapsed);
        }
        last = now;
    }
    #[expect(clippy::cast_precision_loss, reason = "at most a second")]
    let shortest_s = shortest as f64 * 1e-9;
    log2_of(shortest_s)
}

/// log2 of a precision up to a second, in seconds, to the nearest integer.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "at most a second")]
pub fn log2_of(seconds: f64) -> i8 {
    (seconds.log2().round() as i8).max(FINEST_PRECISION_LOG2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_is_the_nearest_power_of_two() {
        for (seconds, log2) in [(1e-9, -30), (29e-9, -25), (45e-9, -24), (1e-6, -20), (1.0, 0)] {
            assert_eq!(log2_of(seconds), log2, "{seconds} s");
        }
    }

    #[test]
    fn measured_precision_is_finer_than_a_millisecond() {
        assert!((FINEST_PRECISION_LOG2..-10).contains(&precision_log2()));
    }

    #[test]
    fn difference_of_times_carries_over_seconds() {
        let early = UnixTime { seconds: 5, nanos: 999_999_999 };
        let late = UnixTime { seconds: 6, nanos: 1 };
        assert_eq!(late.nanos_since(early), 2);
        assert_eq!(early.nanos_since(late), -2);
        assert_eq!((early.plus(2), late.plus(-2)), (late, early));
    }

    #[test]
    fn machine_has_not_slept_longer_than_it_is_up() {
        let (first, second) = (slept(), slept());
        assert!(second < first + Duration::from_secs(1), "{first:?} {second:?}");
    }

    #[test]
    fn kernel_timestamps_out_of_range_are_none() {
        assert_eq!(UnixTime::from_kernel(0, 0), None);
        assert_eq!(UnixTime::from_kernel(1, 1_000_000_000), None);
        assert_eq!(UnixTime::from_kernel(1, -1), None);
        assert_eq!(UnixTime::from_kernel(1, 2), Some(UnixTime { seconds: 1, nanos: 2 }));
    }

    #[test]
    fn bracketed_readings_lie_between_plain_ones() {
        let before = (monotonic(), UnixTime::now());
        let (mono, real) = bracketed();
        let after = (monotonic(), UnixTime::now());
        assert!(before.0 <= mono && mono <= after.0);
        assert!(real.nanos_since(before.1) >= 0 && after.1.nanos_since(real) >= 0);
    }
}
