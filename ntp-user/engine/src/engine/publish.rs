//! What is served: the best estimate of true time, and what replies say of it, as a snapshot.

use std::time::Duration;

use ntp_common::snapshot::{MAX_LIFE_NS, NO_LEAP, NOMINAL_MULTIPLIER, RefSnapshot, head};
use ntp_common::time::{NANOS_PER_SECOND, NtpTimestamp};
use ntp_common::wire::LeapIndicator;
use rand::Rng;

use super::Engine;
use crate::reference::{Served, UNSYNCHRONISED};
use crate::seams::{Action, Now};
use crate::seconds;

/// Time after which a snapshot is followed by a newer one, seconds.
pub(super) const INTERVAL_S: f64 = 1.0;
/// How long a snapshot is answered from when no newer one comes, nanoseconds: the daemon is stuck then.
pub(super) const LIFE_NS: u64 = 10 * NANOS_PER_SECOND;
/// How far back the instant lies that a snapshot starts from, nanoseconds: a request may have been received
/// before the snapshot was published that it is answered from.
const BACK_DATING_NS: u64 = NANOS_PER_SECOND;

impl<R: Rng> Engine<R> {
    /// Publishes what is known now.
    pub(super) fn publish(&mut self, now: &Now, actions: &mut Vec<Action>) {
        self.publish_at = seconds::after(now.mono, self.publication_interval_s());
        let (snapshot, put_back) = self.snapshot(now);
        if put_back {
            self.withdraw(actions);
        }
        self.monotone.served(&snapshot);
        actions.push(Action::Publish(self.schedule_leap(snapshot)));
        if self.stated_remaining_s > 0.0 {
            self.set_status(now, actions);
        }
    }

    /// Withdraws what is served: it is about to be stepped.
    pub(super) fn withdraw(&mut self, actions: &mut Vec<Action>) {
        self.monotone.withdrawn();
        actions.push(Action::Invalidate);
    }

    /// Lets the snapshots from now on live for `life`: the last one outlives the engine.
    pub(super) fn outlive(&mut self, life: Duration) {
        let life_ns = u64::try_from(life.as_nanos()).unwrap_or(u64::MAX);
        self.snapshot_life_ns = life_ns.min(MAX_LIFE_NS);
    }

    /// The best estimate of true time.
    pub(super) fn true_time(&self, now: &Now) -> NtpTimestamp {
        now.time + seconds::duration(self.discipline.remaining_s(now.time))
    }

    /// What replies say.
    pub(super) fn served(&self, now: &Now) -> Served {
        if self.initial.is_some() {
            return UNSYNCHRONISED;
        }
        let served = self.reference.served(now.mono, self.true_time(now));
        let announces = served.leap == LeapIndicator::Normal && !self.smears();
        let due = self.leap.due().filter(|_| announces);
        let served = self.smoothed(served, now);
        Served { leap: due.map_or(served.leap, |due| due.leap.indicator()), ..served }
    }

    /// The snapshot, and whether it puts served time back.
    fn snapshot(&self, now: &Now) -> (RefSnapshot, bool) {
        let served = self.served(now);
        let smoothing = self.smoothing_at(now);
        let rate = now.rate * self.discipline.served_rate() * (1.0 + smoothing.frequency);
        let time = self.true_time(now) + seconds::duration(smoothing.offset_s);
        let continued = self.monotone.continued(now, time, rate);
        let rate = continued.rate;
        let back_ns = BACK_DATING_NS.min(now.mono.0);
        let base = continued.time - seconds::duration(back_s(back_ns) * rate);
        let root_delay = seconds::short(served.root_delay_s);
        let root_dispersion = seconds::short(served.root_dispersion_s + continued.ahead_s);
        let snapshot = RefSnapshot {
            base_ns: now.mono.0 - back_ns,
            base_ntp: base.to_bits(),
            multiplier: multiplier(rate),
            valid_until_ns: now.mono.after(self.snapshot_life_ns).0,
            head: head(served.leap, served.stratum, self.config.precision_log2, root_delay),
            // Of now, not of the base: a second's growth too much is on the safe side.
            root_dispersion: root_dispersion.to_bits(),
            dispersion_rate: fraction(served.dispersion_rate),
            reference_id: served.reference_id.0,
            min_poll: self.config.min_reply_poll_log2,
            fuzz_mask: fuzz_mask(self.config.precision_log2),
            reference_timestamp: served.reference_timestamp.to_bits(),
            leap_at_ns: NO_LEAP,
            leap_step: 0,
        };
        (snapshot, continued.put_back)
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most a second of nanoseconds")]
fn back_s(back_ns: u64) -> f64 {
    back_ns as f64 / NANOS_PER_SECOND as f64
}

/// The multiplier of a clock that runs at `rate` seconds to a second of the monotonic clock.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "the deviation is small, and its last bits are below 10^-16"
)]
fn multiplier(rate: f64) -> u64 {
    NOMINAL_MULTIPLIER.saturating_add_signed(((rate - 1.0) * NOMINAL_MULTIPLIER as f64) as i64)
}

/// A rate in units of 2^-32; saturates.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn fraction(rate: f64) -> u32 {
    (rate * f64::from(u32::MAX)).ceil() as u32
}

/// The bits of a timestamp's lowest octet that lie below the precision.
fn fuzz_mask(precision_log2: i8) -> u8 {
    let bits = (32 + i32::from(precision_log2)).clamp(0, 8).cast_unsigned();
    u8::try_from((1u32 << bits) - 1).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuzz_covers_what_is_below_the_precision() {
        let cases = [(-32, 0), (-30, 0b11), (-25, 0x7f), (-24, 0xff), (-20, 0xff), (-6, 0xff)];
        for (precision_log2, mask) in cases {
            assert_eq!(fuzz_mask(precision_log2), mask, "{precision_log2}");
        }
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "compared to 10^-15")]
    fn multiplier_is_the_nominal_one_times_the_rate() {
        assert_eq!(multiplier(1.0), NOMINAL_MULTIPLIER);
        for ppm in [-100_000.0, -0.001, 0.001, 83_333.0] {
            let rate: f64 = 1.0 + ppm * 1e-6;
            let error = multiplier(rate) as f64 / NOMINAL_MULTIPLIER as f64 - rate;
            assert!(error.abs() < 1e-15, "{ppm}: {error}");
        }
    }
}
