//! Served time never goes backward: where an estimate falls behind what was served, served time runs slower until the
//! estimate has caught up. Forward it goes at once.

use ntp_common::snapshot::RefSnapshot;
use ntp_common::time::NtpTimestamp;

use crate::seams::Now;
use crate::seconds;

/// Time in which served time and the estimate come together, seconds: until the next snapshot.
const CATCHING_UP_S: f64 = 1.0;
/// Most by which served time runs slower meanwhile, seconds a second.
const MOST_SLOWER: f64 = 0.1;
/// Served time that is ahead of the estimate by more than this is put back: nobody is helped by minutes of wrong time.
const MOST_AHEAD_S: f64 = 1.0;

/// What times are rounded by, seconds: as much is no error worth telling.
const ROUNDING_S: f64 = 1e-9;

/// What was served last, on the engine's time: a leap second that it has yet to take is in no snapshot here.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Monotone {
    last: Option<RefSnapshot>,
}

/// Served time at an instant, and how it goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Continued {
    pub(super) time: NtpTimestamp,
    /// Seconds to a second of the monotonic clock.
    pub(super) rate: f64,
    /// What it is ahead of the estimate, seconds; 0 and more.
    pub(super) ahead_s: f64,
    /// It is put back: what is in force has to be withdrawn first.
    pub(super) put_back: bool,
}

impl Monotone {
    /// Continues what was served with an estimate of true time at `now` that runs at `rate`.
    pub(super) fn continued(&self, now: &Now, estimate: NtpTimestamp, rate: f64) -> Continued {
        let anew = Continued { time: estimate, rate, ahead_s: 0.0, put_back: false };
        let Some(last) = self.last.filter(|last| last.is_valid_at(now.mono)) else { return anew };
        let time = last.time_at(now.mono);
        let ahead_s = seconds::of(time.since(estimate));
        if ahead_s <= 0.0 {
            return anew;
        }
        if ahead_s > MOST_AHEAD_S {
            tracing::warn!(ahead_s, "Time that is served was put back by {ahead_s:.6} seconds");
            return Continued { put_back: true, ..anew };
        }
        let slower = (ahead_s / CATCHING_UP_S).min(MOST_SLOWER);
        let told_s = if ahead_s > ROUNDING_S { ahead_s } else { 0.0 };
        Continued { time, rate: rate * (1.0 - slower), ahead_s: told_s, put_back: false }
    }

    /// Takes note of what is served from now on.
    pub(super) fn served(&mut self, snapshot: &RefSnapshot) {
        self.last = (snapshot.stratum() > 0).then_some(*snapshot);
    }

    /// The engine's time leaps by `step` seconds, and served time with it.
    pub(super) fn leap(&mut self, step: i8) {
        if let Some(last) = &mut self.last {
            last.base_ntp = last.base_ntp.wrapping_add((i64::from(step) << 32).cast_unsigned());
        }
    }

    /// Nothing is served any more.
    pub(super) fn withdrawn(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntp_common::snapshot::{NOMINAL_MULTIPLIER, head};
    use ntp_common::time::{MonoNs, NtpShort};
    use ntp_common::wire::LeapIndicator;

    const TIME: NtpTimestamp = NtpTimestamp::from_bits(4_000_000_000 << 32);

    fn serving(stratum: u8) -> Monotone {
        let mut monotone = Monotone::default();
        monotone.served(&RefSnapshot {
            base_ntp: TIME.to_bits(),
            multiplier: NOMINAL_MULTIPLIER,
            valid_until_ns: 10_000_000_000,
            head: head(LeapIndicator::Normal, stratum, -25, NtpShort::from_bits(0)),
            ..RefSnapshot::INVALID
        });
        monotone
    }

    /// An estimate that is ahead of what is served, three seconds after the snapshot.
    fn continued(monotone: &Monotone, ahead_s: f64) -> (Continued, f64) {
        let now = Now { mono: MonoNs(3_000_000_000), time: TIME, rate: 1.0 };
        let estimate = TIME + seconds::duration(3.0 + ahead_s);
        let continued = monotone.continued(&now, estimate, 1.0);
        (continued, seconds::of(continued.time.since(TIME)) - 3.0)
    }

    #[test]
    fn served_time_waits_for_an_estimate_that_fell_behind() {
        let (now, moved_s) = continued(&serving(2), -1e-3);
        assert!(moved_s.abs() < 1e-9, "{moved_s}");
        assert!((now.rate - 0.999).abs() < 1e-9 && (now.ahead_s - 1e-3).abs() < 1e-9, "{now:?}");
        assert!((continued(&serving(2), -0.5).0.rate - 0.9).abs() < 1e-9);
    }

    #[test]
    fn served_time_goes_forward_at_once() {
        let (now, moved_s) = continued(&serving(2), 1e-3);
        assert!((moved_s - 1e-3).abs() < 1e-9, "{moved_s}");
        assert!(now.rate.to_bits() == 1f64.to_bits() && now.ahead_s.to_bits() == 0, "{now:?}");
    }

    #[test]
    fn served_time_is_put_back_by_much_or_when_nothing_was_served() {
        assert!(continued(&serving(2), -5.0).0.put_back);
        for nothing in [serving(0), Monotone::default()] {
            let (now, moved_s) = continued(&nothing, -5.0);
            assert!(!now.put_back && (moved_s + 5.0).abs() < 1e-9, "{now:?}");
        }
    }
}
