//! One measurement of a source: its offset, and everything that bounds the error of it.

use ntp_common::time::NtpTimestamp;
use ntp_common::wire::{LeapIndicator, ReferenceId};

use crate::seams::Stamped;
use crate::seconds;

/// The four timestamps of an exchange. RFC 5905 section 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// When the request left, on our clock.
    pub(crate) t1: NtpTimestamp,
    /// When it arrived, on the server's clock.
    pub(crate) t2: NtpTimestamp,
    /// When the reply left, on the server's clock.
    pub(crate) t3: NtpTimestamp,
    /// When it arrived, on our clock.
    pub(crate) t4: NtpTimestamp,
}

impl Exchange {
    /// The offset, seconds: positive when our clock is behind the server's.
    pub(crate) fn offset_s(&self) -> f64 {
        f64::midpoint(seconds::of(self.t2.since(self.t1)), seconds::of(self.t3.since(self.t4)))
    }

    /// The round-trip delay without the time that the server took, seconds. Calculated of the fixed-point
    /// differences, so that a large offset costs no precision.
    pub(crate) fn delay_s(&self) -> f64 {
        seconds::of(self.t4.since(self.t1) - self.t3.since(self.t2))
    }

    /// The middle of the exchange, on our clock.
    pub(crate) fn middle(&self) -> NtpTimestamp {
        let elapsed = self.t4.since(self.t1).to_bits();
        self.t1 + ntp_common::time::NtpDuration::from_bits(elapsed / 2)
    }
}

/// A measurement of a source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// When it was made, on our clock.
    pub(crate) time: NtpTimestamp,
    /// Offset, seconds: positive when our clock is behind the source.
    pub(crate) offset_s: f64,
    /// Round-trip delay, seconds; at least the precision.
    pub(crate) delay_s: f64,
    /// Bound of the error of reading both clocks, seconds.
    pub(crate) dispersion_s: f64,
    /// Delay from the source to its reference clock, seconds.
    pub(crate) root_delay_s: f64,
    /// Dispersion from the source to its reference clock, seconds.
    pub(crate) root_dispersion_s: f64,
    /// The source's stratum.
    pub(crate) stratum: u8,
    /// Leap second that the source announces.
    pub(crate) leap: LeapIndicator,
    /// What the source follows.
    pub(crate) reference_id: ReferenceId,
}

impl Sample {
    /// Bound of the error against the reference clock when the sample was made, seconds: root distance.
    /// RFC 5905 section 11.1.
    pub(crate) fn distance_s(&self) -> f64 {
        f64::midpoint(self.root_delay_s, self.delay_s) + self.root_dispersion_s + self.dispersion_s
    }

    /// The sample as it would have been had the clock always been what it is since `change`.
    pub(crate) fn move_onto(&mut self, change: &ClockChange) {
        let moved_s = change.moved_s(self.time);
        self.time = self.time + seconds::duration(moved_s);
        self.offset_s -= moved_s;
    }
}

impl Stamped {
    /// Moves the time onto the clock as it is since `change`.
    pub(crate) fn move_onto(&mut self, change: &ClockChange) {
        self.at = self.at + seconds::duration(change.moved_s(self.at));
    }
}

/// A change of the clock: what a reading from before it would be on the clock as it is now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ClockChange {
    /// When it happened, on the clock as it was.
    pub(crate) at: NtpTimestamp,
    /// What was added to the clock, seconds.
    pub(crate) step_s: f64,
    /// How much faster the clock runs now, seconds a second of the clock as it was.
    pub(crate) rate: f64,
}

impl ClockChange {
    /// What is added to an earlier reading, seconds.
    pub(crate) fn moved_s(&self, reading: NtpTimestamp) -> f64 {
        self.step_s + self.rate * seconds::of(reading.since(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> NtpTimestamp {
        NtpTimestamp::from_bits(1000 << 32) + seconds::duration(seconds)
    }

    fn exchange(t1: f64, t2: f64, t3: f64, t4: f64) -> Exchange {
        Exchange { t1: at(t1), t2: at(t2), t3: at(t3), t4: at(t4) }
    }

    #[test]
    fn offset_is_positive_when_our_clock_is_behind() {
        let exchange = exchange(0.0, 5.01, 5.02, 0.03);
        assert!((exchange.offset_s() - 5.0).abs() < 1e-9);
        assert!((exchange.delay_s() - 0.02).abs() < 1e-9);
        assert!((seconds::of(exchange.middle().since(at(0.0))) - 0.015).abs() < 1e-9);
    }

    #[test]
    fn delay_keeps_its_precision_when_the_clock_is_decades_off() {
        let far = 1.7e9;
        let exchange = exchange(0.0, far + 1e-4, far + 1e-4, 2e-4);
        assert!((exchange.delay_s() - 2e-4).abs() < 1e-9, "{}", exchange.delay_s());
    }

    #[test]
    fn sample_follows_a_step_and_a_change_of_frequency() {
        let mut sample = Sample {
            time: at(0.0),
            offset_s: 0.5,
            delay_s: 0.01,
            dispersion_s: 0.0,
            root_delay_s: 0.0,
            root_dispersion_s: 0.0,
            stratum: 1,
            leap: LeapIndicator::Normal,
            reference_id: ReferenceId::NONE,
        };
        // 100 s later the clock is put forward by 0.5 s and made to run 10 ppm faster.
        sample.move_onto(&ClockChange { at: at(100.0), step_s: 0.5, rate: 1e-5 });
        assert!((seconds::of(sample.time.since(at(0.0))) - 0.499).abs() < 1e-9);
        assert!((sample.offset_s - 0.001).abs() < 1e-12);
    }
}
