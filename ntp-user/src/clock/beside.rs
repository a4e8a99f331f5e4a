//! The clock of an interface beside `CLOCK_MONOTONIC`: what the XDP program is told, so that it can say how old the
//! hardware's timestamps are.
//!
//! The interface's clock is compared with the kernel's untouched counter, beside which it runs evenly; how the kernel's
//! clock is steered at the moment is known. So the relation is right from the first nanosecond of a slew on.

use std::collections::VecDeque;
use std::fs::File;

use ntp_common::arrival::{InterfaceClock, MAX_DRIFT};
use ntp_common::time::NANOS_PER_SECOND;

use super::phc::{Phc, PhcDevice};
use super::readings::{UnixTime, bracketed, bracketed_raw};
use super::system::steered_by;

/// How long a relation is good for, nanoseconds: it is read every second.
const LIFE_NS: u64 = 3 * NANOS_PER_SECOND;
/// Readings that the rate is taken from are as old at least and at most, nanoseconds: a microsecond of error makes
/// 2 ppm at first, and a quarter of one later.
const YOUNGEST_NS: u64 = NANOS_PER_SECOND / 2;
const OLDEST_NS: u64 = 4 * NANOS_PER_SECOND;
/// Readings that are kept are as far apart, nanoseconds: there is one with each snapshot, too.
const APART_NS: u64 = NANOS_PER_SECOND / 10;
/// What the clock may be off where it was expected, nanoseconds, beside the time that the reading took.
const SURPRISE_NS: f64 = 20_000.0;
/// What the rates of two counters may differ by: more is no rate but a step.
const MAX_DIFFERENCE: f64 = 1e-3;
/// What the system clock may move by beside the monotonic one while it is read, nanoseconds: more is a step.
const UNSTEPPED_NS: i64 = 1_000;

/// Both clocks, and the kernel's counter, at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Reading {
    /// The interface's clock, nanoseconds.
    stamp_ns: u64,
    /// `CLOCK_MONOTONIC`.
    mono_ns: u64,
    /// `CLOCK_MONOTONIC_RAW`.
    raw_ns: u64,
    /// How long it took, nanoseconds.
    taken_ns: i64,
    /// How the kernel's clock was steered, seconds a second.
    steered_by: f64,
}

/// The clock of an interface, and how it has run.
#[derive(Debug)]
pub(crate) struct Beside<D = File> {
    clock: Phc<D>,
    rate: Rate,
}

/// How an interface's clock runs beside the kernel's counter.
#[derive(Debug, Default)]
struct Rate {
    readings: VecDeque<Reading>,
    /// Nanoseconds of the counter to one of the interface's clock, less 1, as last seen.
    difference: Option<f64>,
}

impl<D: PhcDevice> Beside<D> {
    /// From now on.
    pub(crate) fn new(clock: Phc<D>) -> Self {
        Self { clock, rate: Rate::default() }
    }

    /// Reads the clocks. `None`: it can't be said yet, or not now.
    pub(crate) fn read(&mut self) -> Option<InterfaceClock> {
        let reading = self.reading()?;
        self.rate.relation(reading)
    }

    fn reading(&mut self) -> Option<Reading> {
        let before = bracketed();
        let read = self.clock.read().ok()?;
        let after = bracketed();
        let passed_ns = i64::try_from(after.0.since(before.0)).ok()?;
        if (after.1.nanos_since(before.1) - passed_ns).abs() > UNSTEPPED_NS {
            return None;
        }
        let ago_ns = u64::try_from(after.1.nanos_since(read.real)).ok()?;
        let mono_ns = after.0.0.checked_sub(ago_ns)?;
        let steered_by = steered_by().ok()?;
        let (mono, raw) = bracketed_raw();
        // At its own rate: the kernel's clock may be slewed by a tenth.
        let ago_ns = by_rate(mono.0.checked_sub(mono_ns)?, 1.0 / (1.0 + steered_by));
        let raw_ns = nanos(raw)?.checked_sub(ago_ns)?;
        let stamp_ns = nanos(read.phc)?;
        Some(Reading { stamp_ns, mono_ns, raw_ns, taken_ns: read.taken_ns, steered_by })
    }
}

impl Rate {
    /// The relation at a reading. `None`: the interface's clock has not been read for long enough since it was stepped.
    fn relation(&mut self, reading: Reading) -> Option<InterfaceClock> {
        if self.is_surprised_by(&reading) {
            tracing::debug!("Clock of an interface was stepped");
            *self = Self::default();
        }
        let difference = self.readings.iter().find_map(|earlier| difference(earlier, &reading));
        let age_ns = |earlier: &Reading| reading.raw_ns.wrapping_sub(earlier.raw_ns);
        self.readings.retain(|earlier| age_ns(earlier) <= OLDEST_NS);
        if self.readings.back().is_none_or(|last| age_ns(last) >= APART_NS) {
            self.readings.push_back(reading);
        }
        let difference = difference.filter(|difference| difference.abs() < MAX_DIFFERENCE)?;
        self.difference = Some(difference);
        let rate = difference + reading.steered_by + difference * reading.steered_by;
        Some(InterfaceClock {
            base_stamp_ns: reading.stamp_ns,
            base_ns: reading.mono_ns,
            drift: drift(rate)?,
            valid_until_ns: reading.mono_ns + LIFE_NS,
        })
    }

    /// Whether the interface's clock is not where it had to be by the last reading.
    fn is_surprised_by(&self, reading: &Reading) -> bool {
        let Some(last) = self.readings.back() else { return false };
        let passed = |ns: u64, earlier_ns: u64| signed(ns.wrapping_sub(earlier_ns));
        let stamp_ns = passed(reading.stamp_ns, last.stamp_ns);
        let expected_ns = stamp_ns + stamp_ns * self.difference.unwrap_or_default();
        let off_ns = (passed(reading.raw_ns, last.raw_ns) - expected_ns).abs();
        let unknown_ns =
            if self.difference.is_none() { stamp_ns.abs() * MAX_DIFFERENCE } else { 0.0 };
        #[expect(clippy::cast_precision_loss, reason = "a time that is read to a nanosecond")]
        let taken_ns = (reading.taken_ns + last.taken_ns) as f64;
        off_ns > SURPRISE_NS + taken_ns + unknown_ns
    }
}

/// Nanoseconds of the counter to one of the interface's clock, less 1, if the readings are far enough apart.
fn difference(earlier: &Reading, later: &Reading) -> Option<f64> {
    let raw_ns = later.raw_ns.wrapping_sub(earlier.raw_ns);
    let stamp_ns = signed(later.stamp_ns.wrapping_sub(earlier.stamp_ns));
    let is_apart = (YOUNGEST_NS..=OLDEST_NS).contains(&raw_ns) && stamp_ns > 0.0;
    is_apart.then(|| (signed(raw_ns) - stamp_ns) / stamp_ns)
}

/// A rate less 1, in units of 2^-32.
#[expect(clippy::cast_possible_truncation, reason = "an eighth at most")]
fn drift(rate: f64) -> Option<i64> {
    let drift = (rate * 4_294_967_296.0).round() as i64;
    (-MAX_DRIFT..=MAX_DRIFT).contains(&drift).then_some(drift)
}

/// Nanoseconds since the epoch of a clock.
fn nanos(time: UnixTime) -> Option<u64> {
    let seconds = u64::try_from(time.seconds).ok()?;
    seconds.checked_mul(NANOS_PER_SECOND)?.checked_add(time.nanos.into())
}

/// A difference of two times.
#[expect(clippy::cast_precision_loss, reason = "days are exact to a nanosecond")]
fn signed(difference_ns: u64) -> f64 {
    difference_ns.cast_signed() as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "moments, and positive"
)]
fn by_rate(ns: u64, rate: f64) -> u64 {
    (signed(ns) * rate).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::phc::tests::Told;
    use ntp_common::time::MonoNs;

    /// An interface's clock that is 37 s ahead and runs 25 ppm fast, beside a kernel's clock that is steered.
    struct World {
        raw_ns: u64,
        mono_ns: f64,
        stamp_ns: f64,
        steered_by: f64,
    }

    impl World {
        fn new() -> Self {
            Self { raw_ns: 1_000_000, mono_ns: 5e9, stamp_ns: 1.78e18, steered_by: 0.0 }
        }

        fn pass(&mut self, ns: u64) {
            self.raw_ns += ns;
            self.mono_ns += signed(ns) * (1.0 + self.steered_by);
            self.stamp_ns += signed(ns) * (1.0 + 25e-6);
        }

        fn reading(&self) -> Reading {
            Reading {
                stamp_ns: by_rate(1, self.stamp_ns),
                mono_ns: by_rate(1, self.mono_ns),
                raw_ns: self.raw_ns,
                taken_ns: 500,
                steered_by: self.steered_by,
            }
        }

        /// How far off a relation is about now.
        fn error_ns(&self, relation: &InterfaceClock, age_ns: u64) -> f64 {
            let told = self.reading();
            let now = MonoNs(told.mono_ns + age_ns);
            signed(relation.age_ns(told.stamp_ns, now).unwrap()) - signed(age_ns)
        }
    }

    #[test]
    fn relation_needs_two_readings_and_then_holds_for_seconds() {
        let (mut world, mut rate) = (World::new(), Rate::default());
        assert_eq!(rate.relation(world.reading()), None);
        world.pass(NANOS_PER_SECOND / 4);
        assert_eq!(rate.relation(world.reading()), None, "too close");
        world.pass(NANOS_PER_SECOND * 3 / 4);
        let relation = rate.relation(world.reading()).unwrap();
        assert_eq!(relation.valid_until_ns, relation.base_ns + LIFE_NS);
        world.pass(2 * NANOS_PER_SECOND);
        // The stamps of this test are only told to 256 ns.
        assert!(world.error_ns(&relation, 1_000).abs() < 1_500.0);
    }

    #[test]
    fn relation_is_right_as_soon_as_the_kernels_clock_is_slewed() {
        let (mut world, mut rate) = (World::new(), Rate::default());
        for _ in 0..5 {
            rate.relation(world.reading());
            world.pass(NANOS_PER_SECOND);
        }
        world.steered_by = -0.083;
        world.pass(1_000);
        let relation = rate.relation(world.reading()).unwrap();
        world.pass(NANOS_PER_SECOND);
        assert!(world.error_ns(&relation, 1_000).abs() < 1_500.0, "{relation:?}");
    }

    #[test]
    fn step_of_the_interfaces_clock_begins_anew() {
        let (mut world, mut rate) = (World::new(), Rate::default());
        for _ in 0..3 {
            rate.relation(world.reading());
            world.pass(NANOS_PER_SECOND);
        }
        assert!(rate.relation(world.reading()).is_some());
        for step_ns in [300_000.0, -37e9] {
            world.stamp_ns += step_ns;
            world.pass(NANOS_PER_SECOND);
            assert_eq!(rate.relation(world.reading()), None, "{step_ns}");
            world.pass(NANOS_PER_SECOND);
            let relation = rate.relation(world.reading()).unwrap();
            assert!(world.error_ns(&relation, 1_000).abs() < 1_500.0, "{step_ns}");
        }
    }

    #[test]
    fn readings_do_not_pile_up() {
        let (mut world, mut rate) = (World::new(), Rate::default());
        for _ in 0..6_000 {
            rate.relation(world.reading());
            world.pass(NANOS_PER_SECOND / 1_000);
        }
        assert!(rate.readings.len() <= 41, "{}", rate.readings.len());
        assert!(rate.relation(world.reading()).is_some());
    }

    #[test]
    fn rates_that_no_clock_has_are_not_told() {
        assert_eq!(drift(0.0), Some(0));
        assert_eq!(drift(1e-6), Some(4_295));
        assert_eq!((drift(0.126), drift(-0.126)), (None, None));
    }

    #[test]
    fn clocks_are_read_at_one_instant() {
        // A clock that shows what the kernel's showed an hour ago: from when that is can't be told.
        let hour = UnixTime::now().plus(3_600_000_000_000);
        let future = Told::precise((hour.seconds, hour.nanos), (1, 0));
        assert_eq!(Beside::new(Phc::told(future)).reading(), None);
        let now = UnixTime::now();
        let told = Told::precise((now.seconds, now.nanos), (37, 5));
        let reading = Beside::new(Phc::told(told)).reading().unwrap();
        assert_eq!(reading.stamp_ns, 37_000_000_005);
        assert!(reading.mono_ns <= crate::clock::readings::monotonic().0, "{reading:?}");
    }
}
