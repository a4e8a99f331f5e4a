//! A clock that is steered like the kernel's but is none: a line over `CLOCK_MONOTONIC`. With it the daemon
//! knows and serves the time without touching the machine's clock (`-x`).

use std::sync::{Arc, Mutex, PoisonError};

use ntp_common::time::{MonoNs, NtpDuration, NtpTimestamp};
use ntp_engine::seams::{Clock, ClockError, ClockStatus, Now};

use super::readings::{bracketed, monotonic};

/// Units of 2^-32 s in a nanosecond.
const NTP_UNITS_PER_NANOSECOND: f64 = 4_294_967_296e-9;

/// The steered clock, and the only one who steers it.
#[derive(Debug)]
pub struct FollowClock {
    time: FollowTime,
}

/// Reads the steered clock.
#[derive(Clone, Debug)]
pub struct FollowTime(Arc<Mutex<Line>>);

/// Time is `time` at `base` and advances by `1 + frequency` seconds a second.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    base: MonoNs,
    time: NtpTimestamp,
    frequency: f64,
}

impl Line {
    /// The time at `mono`.
    fn at(&self, mono: MonoNs) -> NtpTimestamp {
        let elapsed = i128::from(mono.0) - i128::from(self.base.0);
        let elapsed = i64::try_from(elapsed).unwrap_or(i64::MAX);
        self.time + NtpDuration::from_nanos(elapsed) + self.gain(elapsed)
    }

    /// What the frequency adds in so many nanoseconds. Only this, and not the elapsed time itself, is
    /// computed in floating point: at 53 bits that would lose nanoseconds within months.
    fn gain(&self, elapsed_ns: i64) -> NtpDuration {
        #[expect(clippy::cast_precision_loss, reason = "scaled by a frequency far below 1")]
        let gain = elapsed_ns as f64 * self.frequency * NTP_UNITS_PER_NANOSECOND;
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        NtpDuration::from_bits(gain as i64)
    }

    fn now_at(&self, mono: MonoNs) -> Now {
        Now { mono, time: self.at(mono), rate: 1.0 + self.frequency }
    }
}

impl FollowTime {
    /// The time now.
    #[must_use]
    pub fn now(&self) -> Now {
        let line = self.line();
        line.now_at(monotonic())
    }

    /// The time so many nanoseconds before `mono`.
    #[must_use]
    pub fn before(&self, mono: MonoNs, nanos: i64) -> NtpTimestamp {
        let age = nanos.clamp(0, i64::MAX).cast_unsigned();
        self.line().at(MonoNs(mono.0.saturating_sub(age)))
    }

    fn line(&self) -> Line {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, line: Line) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }
}

impl FollowClock {
    /// A clock that starts out as `CLOCK_REALTIME` is.
    #[must_use]
    pub fn start() -> Self {
        let (base, real) = bracketed();
        let line = Line { base, time: real.to_ntp(), frequency: 0.0 };
        Self { time: FollowTime(Arc::new(Mutex::new(line))) }
    }

    /// Goes on as a clock would have that was steered last when it read `from`.
    pub fn go_on(&mut self, from: &Now, frequency: f64) {
        self.time.replace(Line { base: from.mono, time: from.time, frequency });
    }

    /// What reads this clock elsewhere.
    #[must_use]
    pub fn time(&self) -> FollowTime {
        self.time.clone()
    }
}

impl Clock for FollowClock {
    fn now(&self) -> Now {
        self.time.now()
    }

    fn step(&mut self, by: NtpDuration) -> Result<(), ClockError> {
        let line = self.time.line();
        self.time.replace(Line { time: line.time + by, ..line });
        Ok(())
    }

    fn set_frequency(&mut self, frequency: f64) -> Result<f64, ClockError> {
        let line = self.time.line();
        let base = monotonic();
        self.time.replace(Line { base, time: line.at(base), frequency });
        Ok(frequency)
    }

    fn frequency(&self) -> f64 {
        self.time.line().frequency
    }

    fn set_status(&mut self, _status: &ClockStatus) -> Result<(), ClockError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn line(frequency: f64) -> Line {
        Line { base: MonoNs(SECOND), time: NtpTimestamp::from_unix(1_000_000, 0), frequency }
    }

    #[test]
    fn frequency_is_gained_on_top_of_the_monotonic_clock() {
        let line = line(100e-6);
        let elapsed = line.at(MonoNs(11 * SECOND)).since(line.time);
        assert_eq!(elapsed.to_nanos(), 10_001_000_000);
        let back = line.at(MonoNs(0)).since(line.time);
        assert_eq!(back.to_nanos(), -1_000_100_000);
    }

    #[test]
    fn line_is_exact_to_the_nanosecond_after_years() {
        let year_ns = 365 * 86_400 * SECOND;
        let elapsed = line(0.0).at(MonoNs(SECOND + 10 * year_ns + 1)).since(line(0.0).time);
        assert_eq!(elapsed.to_nanos(), (10 * year_ns + 1).cast_signed());
    }

    #[test]
    fn steering_neither_bends_time_back_nor_jumps() {
        let mut clock = FollowClock::start();
        let before = clock.now();
        clock.set_frequency(500e-6).unwrap();
        let after = clock.now();
        let elapsed = after.time.since(before.time).to_nanos();
        assert!((0..1_000_000_000).contains(&elapsed), "{elapsed}");
        assert_eq!((clock.frequency(), after.rate), (500e-6, 1.0005));
    }

    #[test]
    fn step_moves_the_clock_by_exactly_that_much() {
        let mut clock = FollowClock::start();
        let line = clock.time.line();
        clock.step(NtpDuration::from_nanos(-5_000_000_000)).unwrap();
        assert_eq!(clock.time.line().time.since(line.time).to_nanos(), -5_000_000_000);
    }

    #[test]
    fn clock_that_goes_on_where_another_left_off_reads_the_same() {
        let mut first = FollowClock::start();
        first.step(NtpDuration::from_nanos(7_000_000_000)).unwrap();
        first.set_frequency(-30e-6).unwrap();
        let left = first.now();
        let mut second = FollowClock::start();
        second.go_on(&left, first.frequency());
        let at = MonoNs(left.mono.0 + 3600 * SECOND);
        let apart = second.time.line().at(at).since(first.time.line().at(at)).to_nanos();
        assert!(apart.abs() <= 1, "{apart}");
        assert!((second.frequency() - first.frequency()).abs() < 1e-15);
    }

    #[test]
    fn kernel_stamps_are_moved_onto_the_followed_clock() {
        let mut clock = FollowClock::start();
        clock.step(NtpDuration::from_nanos(3_000_000_000)).unwrap();
        let base = super::super::TimeBase::Followed(clock.time());
        let stamp = super::super::UnixTime::now();
        let offset = base.when(stamp).since(stamp.to_ntp()).to_nanos();
        assert!((offset - 3_000_000_000).abs() < 1_000_000, "{offset}");
    }
}
