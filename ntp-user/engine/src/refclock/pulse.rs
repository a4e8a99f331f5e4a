//! Which second a pulse belongs to: the one that lies nearest to where it is known to be, if that is known well
//! enough.

use ntp_common::time::NtpDuration;

use crate::seconds;

/// How far from a pulse the time that completes it may be, in periods, error included: half would do if nothing
/// was ever wrong with its bounds.
const NEAREST: f64 = 0.4;

/// Pulses that come in a fixed rhythm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Signal {
    rate: u32,
    width_s: f64,
}

impl Signal {
    /// So many pulses a second, at least 1. Where both ends of a pulse are reported, `width_s` is between them, else
    /// 0.
    pub(super) fn new(rate: u32, width_s: f64) -> Self {
        Self { rate: rate.max(1), width_s }
    }

    /// The offset that a pulse shows, which shows `raw` but for whole periods, where `known` is known of it with an
    /// error of at most `error_s` seconds. `None` when that leaves it open.
    pub(super) fn complete(
        &self,
        raw: NtpDuration,
        known: NtpDuration,
        error_s: f64,
    ) -> Option<NtpDuration> {
        let away = i128::from((known - raw).to_bits()) * i128::from(self.rate);
        let periods = (away + (1 << 31)).div_euclid(1 << 32);
        let whole = (periods << 32) / i128::from(self.rate);
        let offset = raw + NtpDuration::from_bits(i64::try_from(whole).ok()?);
        let left_s = seconds::of(known - offset).abs();
        (left_s + error_s <= self.tolerance_s()).then_some(offset)
    }

    /// How far off what completes a pulse may be, seconds: with both ends of it reported, the other end must not be
    /// taken for the one that counts.
    fn tolerance_s(&self) -> f64 {
        let period_s = 1.0 / f64::from(self.rate);
        let to_other_end_s = self.width_s.min(period_s - self.width_s);
        if self.width_s > 0.0 { to_other_end_s.max(0.0) / 2.0 } else { NEAREST * period_s }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(rate: u32, width_s: f64, raw_s: f64, known_s: f64, error_s: f64) -> Option<f64> {
        let signal = Signal::new(rate, width_s);
        let (raw, known) = (seconds::duration(raw_s), seconds::duration(known_s));
        signal.complete(raw, known, error_s).map(seconds::of)
    }

    #[track_caller]
    fn check(found: Option<f64>, expected: Option<f64>) {
        let same = match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() < 1e-8,
            (found, expected) => found == expected,
        };
        assert!(same, "{found:?} instead of {expected:?}");
    }

    #[test]
    fn pulse_belongs_to_the_nearest_second() {
        check(complete(1, 0.0, -0.25, 5.6, 0.01), Some(5.75));
        check(complete(1, 0.0, -0.25, -7.3, 0.01), Some(-7.25));
        check(complete(1, 0.0, 1e-6, 0.0, 1e-3), Some(1e-6));
        check(complete(1, 0.0, 1e-6, 60_000.0, 0.1), Some(60_000.000_001));
    }

    #[test]
    fn doubtful_second_is_no_second() {
        check(complete(1, 0.0, 0.0, 0.39, 0.0), Some(0.0));
        check(complete(1, 0.0, 0.0, 0.41, 0.0), None);
        check(complete(1, 0.0, 0.0, 0.1, 0.31), None);
        check(complete(1, 0.0, 0.0, 0.5, 0.0), None);
    }

    #[test]
    fn fast_pulses_divide_the_second() {
        check(complete(5, 0.0, 0.0, 0.61, 0.01), Some(0.6));
        check(complete(5, 0.0, -0.05, -0.2, 0.01), Some(-0.25));
        check(complete(5, 0.0, 0.0, 0.69, 0.0), None);
        // The period of three a second is no whole number of units of time.
        check(complete(3, 0.0, 0.0, 2.0 / 3.0, 0.01), Some(2.0 / 3.0));
    }

    #[test]
    fn the_other_end_of_a_pulse_is_left_out() {
        // A pulse of 0.2 s: its end shows 0.2 s less.
        check(complete(1, 0.2, -0.2, 0.001, 0.001), None);
        check(complete(1, 0.2, 0.0, 0.001, 0.001), Some(0.0));
        check(complete(1, 0.2, 0.0, 0.11, 0.0), None);
        check(complete(1, 0.5, 0.0, 0.24, 0.0), Some(0.0));
    }
}
