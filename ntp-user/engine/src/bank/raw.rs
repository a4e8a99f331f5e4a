//! Our clock as it would run without corrections: the time axis of the estimator.

use ntp_common::time::NtpTimestamp;

use crate::sample::ClockChange;
use crate::seconds;

/// Where the steered clock and the raw one were at the last change of the former.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RawClock {
    steered: NtpTimestamp,
    position_s: f64,
    /// What steering the frequency has added to the clock so far, seconds. Steps move both clocks.
    correction_s: f64,
    in_force: f64,
}

impl RawClock {
    /// Begins at `time`, with the frequency correction `in_force`.
    pub(super) fn new(time: NtpTimestamp, in_force: f64) -> Self {
        Self { steered: time, position_s: 0.0, correction_s: 0.0, in_force }
    }

    /// The raw clock's reading at `time`, seconds since its beginning.
    pub(super) fn position_s(&self, time: NtpTimestamp) -> f64 {
        self.position_s + self.raw_elapsed_s(time)
    }

    /// What the steered clock is ahead of the raw one at `time`, seconds.
    pub(super) fn correction_s(&self, time: NtpTimestamp) -> f64 {
        self.correction_s + self.in_force * self.raw_elapsed_s(time)
    }

    /// The steered clock's reading when the raw one reads `position_s`.
    pub(super) fn time_at(&self, position_s: f64) -> NtpTimestamp {
        let elapsed_s = (position_s - self.position_s) * (1.0 + self.in_force);
        self.steered + seconds::duration(elapsed_s)
    }

    /// The correction in force.
    pub(super) fn in_force(&self) -> f64 {
        self.in_force
    }

    /// The steered clock was changed.
    pub(super) fn change(&mut self, change: &ClockChange, in_force: f64) {
        *self = Self {
            steered: change.at + seconds::duration(change.step_s),
            position_s: self.position_s(change.at),
            correction_s: self.correction_s(change.at),
            in_force,
        };
    }

    fn raw_elapsed_s(&self, time: NtpTimestamp) -> f64 {
        seconds::of(time.since(self.steered)) / (1.0 + self.in_force)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_clock_runs_on_whatever_is_done_to_the_steered_one() {
        let start = NtpTimestamp::from_bits(4_000_000_000 << 32);
        let at = |seconds: f64| start + seconds::duration(seconds);
        let mut raw = RawClock::new(start, 0.0);
        raw.change(&ClockChange { at: at(10.0), step_s: 0.0, rate: 0.1 }, 0.1);
        // 22 s of the steered clock are 20 of the raw one.
        raw.change(&ClockChange { at: at(32.0), step_s: -7.0, rate: -1.0 / 11.0 }, 0.0);
        assert!((raw.position_s(at(25.0)) - 30.0).abs() < 1e-9, "{raw:?}");
        assert!((raw.position_s(at(35.0)) - 40.0).abs() < 1e-9);
        assert!((raw.correction_s(at(35.0)) - 2.0).abs() < 1e-9, "the step is in both");
        assert_eq!(raw.time_at(40.0), at(35.0));
    }
}
