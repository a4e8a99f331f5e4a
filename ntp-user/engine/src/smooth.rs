//! Smooths the time that is served (`smoothtime`): what clients see of corrections and leap seconds changes its rate
//! slowly and never jumps. The system clock is not touched.
//!
//! The offset of served time from estimated true time is done away with in three stages: its rate grows at the
//! largest wander, stays at the largest frequency, and goes back to nothing. Invariant: the curve follows from
//! the configuration and the time of a leap second alone when nothing else is smoothed, so that all servers with
//! the same configuration serve the same time.

use ntp_common::time::NtpTimestamp;

use crate::conf::SmoothTime;
use crate::report::Smoothing;
use crate::seconds;

/// Smoothing begins when the bound of the frequency's error is below this many seconds' largest wander.
const STABLE_S: f64 = 10_000.0;
/// What a straight line may be off the curve by when it is replaced by the next, seconds.
const STRAIGHT_S: f64 = 2e-9;
/// What other settings may take served time further away from true time before they bring it nearer, seconds.
const NEGLIGIBLE_S: f64 = 1e-4;
/// Shortest and longest time until then, seconds.
const INTERVAL_S: (f64, f64) = (0.01, 1.0);

/// A part of the curve in which the rate changes evenly.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Stage {
    length_s: f64,
    /// Change of the rate, seconds a second a second.
    wander: f64,
}

/// A point on the curve.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Point {
    /// What served time is ahead of true time, seconds.
    pub(crate) offset_s: f64,
    /// How much faster it runs, seconds a second.
    pub(crate) frequency: f64,
    /// How that changes, seconds a second a second.
    pub(crate) wander: f64,
}

/// How served time is smoothed.
#[derive(Clone, Debug)]
pub(crate) struct Smoother {
    max_frequency: f64,
    max_wander: f64,
    leap_only: bool,
    /// Settings that wait until served time has hardly to be moved any more.
    next: Option<SmoothTime>,
    active: bool,
    /// Where the curve begins, in true time.
    start: NtpTimestamp,
    from: Point,
    stages: [Stage; 3],
}

impl Smoother {
    /// A smoother that waits until the clock is stable.
    pub(crate) fn new(settings: SmoothTime, time: NtpTimestamp) -> Self {
        Self {
            max_frequency: settings.max_frequency_ppm * 1e-6,
            max_wander: settings.max_wander_ppm * 1e-6,
            leap_only: settings.leap_only,
            next: None,
            active: false,
            start: time,
            from: Point::default(),
            stages: [Stage::default(); 3],
        }
    }

    /// Goes by other settings from `time` on, or from when they do not take served time further away any more: a rate
    /// that they allow to change but slowly has to be gone before.
    pub(crate) fn configure(&mut self, settings: SmoothTime, time: NtpTimestamp) {
        self.next = Some(settings);
        self.take_over(time);
    }

    fn take_over(&mut self, time: NtpTimestamp) {
        let Some(settings) = self.next else { return };
        let was = self.at(time);
        let new = Self { active: self.active, ..Self::new(settings, time) };
        let further_s = was.frequency.powi(2) / (2.0 * new.max_wander);
        if was.frequency.abs() <= new.max_frequency && further_s <= NEGLIGIBLE_S {
            let is_moving = was != Point::default();
            *self = new;
            if is_moving {
                self.begin(time, was.offset_s, was.frequency);
            }
        }
    }

    /// Whether it has begun.
    pub(crate) fn is_active(&self) -> bool {
        self.active
    }

    /// Whether nothing but leap seconds is smoothed.
    pub(crate) fn is_leap_only(&self) -> bool {
        self.leap_only
    }

    /// Begins at `time`.
    pub(crate) fn activate(&mut self, time: NtpTimestamp) {
        if !self.active {
            self.active = true;
            self.start = time;
            let what = if self.leap_only { " (leap seconds only)" } else { "" };
            tracing::info!("Time smoothing activated{what}");
        }
    }

    /// Serves true time from now on.
    pub(crate) fn reset(&mut self, time: NtpTimestamp) {
        (self.start, self.from, self.stages) = (time, Point::default(), [Stage::default(); 3]);
    }

    /// The estimate of true time has changed from `before` to `after`, and of its rate by `rate`; the bound of
    /// the frequency's error is `skew` now. What is served goes on as it was, and comes to the estimate by and by.
    pub(crate) fn absorb(
        &mut self,
        before: NtpTimestamp,
        after: NtpTimestamp,
        rate: f64,
        skew: f64,
    ) {
        self.take_over(before);
        if !self.active {
            if self.leap_only || skew < STABLE_S * self.max_wander {
                self.activate(after);
            }
        } else if !self.leap_only {
            let was = self.at(before);
            let offset_s = was.offset_s - seconds::of(after.since(before));
            self.begin(after, offset_s, (1.0 + was.frequency) / (1.0 + rate) - 1.0);
        }
    }

    /// True time leaps by `step_s` at `instant`, and what is served does not.
    pub(crate) fn smear(&mut self, instant: NtpTimestamp, step_s: f64) {
        let was = self.at(instant);
        let after = instant + seconds::duration(step_s);
        self.begin(after, was.offset_s - step_s, was.frequency);
    }

    /// True time leaps by `step_s`, and what is served leaps with it.
    pub(crate) fn leap_by(&mut self, step_s: f64) {
        self.start = self.start + seconds::duration(step_s);
    }

    fn begin(&mut self, start: NtpTimestamp, offset_s: f64, frequency: f64) {
        self.start = start;
        self.from = Point { offset_s, frequency, wander: 0.0 };
        self.stages = stages(offset_s, frequency, self.max_frequency, self.max_wander);
    }

    /// The curve at a time.
    pub(crate) fn at(&self, time: NtpTimestamp) -> Point {
        let mut point = self.from;
        let mut left_s = seconds::of(time.since(self.start)).max(0.0);
        for stage in self.stages {
            let length_s = stage.length_s.min(left_s);
            point.offset_s += length_s * (point.frequency + stage.wander * length_s / 2.0);
            point.frequency += length_s * stage.wander;
            left_s -= length_s;
            if left_s <= 0.0 {
                return Point { wander: if length_s > 0.0 { stage.wander } else { 0.0 }, ..point };
            }
        }
        // What is left is what rounding has left.
        Point::default()
    }

    /// For how long a straight line may take the curve's place, seconds.
    pub(crate) fn interval_s(&self) -> f64 {
        (2.0 * STRAIGHT_S / self.max_wander).sqrt().clamp(INTERVAL_S.0, INTERVAL_S.1)
    }

    /// The state for reports.
    pub(crate) fn report(&self, time: NtpTimestamp) -> Smoothing {
        let point = self.at(time);
        let since_s = if self.active { seconds::of(time.since(self.start)).max(0.0) } else { 0.0 };
        let length_s: f64 = self.stages.iter().map(|stage| stage.length_s).sum();
        Smoothing {
            is_active: self.active,
            leap_only: self.leap_only,
            offset_s: point.offset_s,
            frequency_ppm: point.frequency * 1e6,
            wander_ppm: point.wander * 1e6,
            last_update_s: since_s,
            remaining_s: (length_s - since_s).max(0.0),
        }
    }
}

/// The stages that bring an offset and a frequency to nothing.
///
/// With the direction `d` of the first stage, wander `w` and peak `d p`, the stages take `(p - d f) / w` and `p / w`
/// seconds, and served time gains `d (2 p^2 - f^2) / (2 w)`, which has to be minus the offset `o`. So
/// `p^2 = f^2 / 2 - d o w`; a peak beyond the limit is cut off, and its height kept for what is missing.
fn stages(offset_s: f64, frequency: f64, limit: f64, wander: f64) -> [Stage; 3] {
    // Both directions are possible for no offset, and rounding may leave none: the less wrong one is taken.
    let peak = |direction: f64| {
        let square = frequency * frequency / 2.0 - direction * offset_s * wander;
        let peak = square.max(0.0).sqrt();
        let short = (direction * frequency - peak).max(0.0);
        (direction, peak.max(direction * frequency), (-square).max(0.0) + short * short)
    };
    let (down, up) = (peak(-1.0), peak(1.0));
    let (direction, peak, _) = if down.2 < up.2 { down } else { up };
    let along = direction * frequency;
    let capped = peak.min(limit.max(along));
    let missing_s =
        -direction * offset_s - (2.0 * capped * capped - along * along) / (2.0 * wander);
    let middle_s = if capped < peak && capped > 0.0 { (missing_s / capped).max(0.0) } else { 0.0 };
    [
        Stage { length_s: (capped - along) / wander, wander: direction * wander },
        Stage { length_s: middle_s, wander: 0.0 },
        Stage { length_s: capped / wander, wander: -direction * wander },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIME: NtpTimestamp = NtpTimestamp::from_bits(4_000_000_000 << 32);

    fn smoother(leap_only: bool) -> Smoother {
        let settings =
            SmoothTime { max_frequency_ppm: 400.0, max_wander_ppm: 0.001_024, leap_only };
        let mut smoother = Smoother::new(settings, TIME);
        smoother.activate(TIME);
        smoother
    }

    fn after(time_s: f64) -> NtpTimestamp {
        TIME + seconds::duration(time_s)
    }

    #[test]
    fn second_is_smeared_over_62500_seconds_with_a_peak_of_32_ppm() {
        for step_s in [-1.0, 1.0] {
            let mut smoother = smoother(true);
            smoother.smear(after(-step_s), step_s);
            let sign = -step_s;
            for (time_s, offset_s, ppm, remaining_s) in [
                (0.0, 1.0, 0.0, 62_500.0),
                (15_625.0, 0.875, -16.0, 46_875.0),
                (31_250.0, 0.5, -32.0, 31_250.0),
                (46_875.0, 0.125, -16.0, 15_625.0),
                (62_500.0, 0.0, 0.0, 0.0),
                (80_000.0, 0.0, 0.0, 0.0),
            ] {
                let report = smoother.report(after(time_s));
                assert!((report.offset_s - sign * offset_s).abs() < 1e-9, "{time_s}: {report:?}");
                assert!((report.frequency_ppm - sign * ppm).abs() < 1e-6, "{time_s}: {report:?}");
                assert!((report.remaining_s - remaining_s).abs() < 1e-3, "{time_s}: {report:?}");
            }
        }
    }

    #[test]
    fn corrections_are_smoothed_unless_only_leap_seconds_are() {
        for leap_only in [false, true] {
            let mut smoother = smoother(leap_only);
            smoother.absorb(after(0.0), after(0.5), 1e-6, 0.0);
            let point = smoother.at(after(0.5));
            let (offset_s, frequency) = if leap_only { (0.0, 0.0) } else { (-0.5, -1e-6) };
            assert!((point.offset_s - offset_s).abs() < 1e-9, "{point:?}");
            assert!((point.frequency - frequency).abs() < 1e-11, "{point:?}");
        }
    }

    #[test]
    fn smoothing_waits_for_a_stable_frequency_or_to_be_told() {
        let settings =
            SmoothTime { max_frequency_ppm: 400.0, max_wander_ppm: 0.01, leap_only: false };
        let mut smoother = Smoother::new(settings, TIME);
        smoother.absorb(TIME, after(0.5), 0.0, 101e-6);
        assert!(!smoother.is_active());
        smoother.absorb(TIME, after(0.5), 0.0, 99e-6);
        assert!(smoother.is_active());
        assert_eq!(smoother.at(after(1.0)), Point::default(), "what came before is not smoothed");
        smoother.absorb(TIME, after(0.5), 0.0, 99e-6);
        smoother.reset(after(1.0));
        assert_eq!(smoother.at(after(2.0)), Point::default());
    }

    #[test]
    fn straight_line_stays_within_two_nanoseconds_of_the_curve() {
        for max_wander_ppm in [0.001_024, 1.0, 40.0] {
            let settings = SmoothTime { max_frequency_ppm: 400.0, max_wander_ppm, leap_only: true };
            let smoother = Smoother::new(settings, TIME);
            let off_s = max_wander_ppm * 1e-6 * smoother.interval_s().powi(2) / 2.0;
            assert!(off_s <= STRAIGHT_S * 1.001, "{max_wander_ppm}: {off_s}");
        }
    }

    proptest! {
        #[test]
        fn three_stages_end_with_nothing_within_their_limits(
            offset_s in -20.0f64..20.0,
            frequency in -6e-4f64..6e-4,
            limit in 1e-5f64..1e-3,
            wander in 1e-9f64..1e-6,
        ) {
            let stages = stages(offset_s, frequency, limit, wander);
            let mut smoother = smoother(false);
            smoother.from = Point { offset_s, frequency, wander: 0.0 };
            smoother.stages = stages;
            let mut end_s = 0.0;
            for stage in stages {
                prop_assert!(stage.length_s >= 0.0, "{:?}", stages);
                prop_assert!(stage.wander.abs() <= wander);
                end_s += stage.length_s;
                let point = smoother.at(after(end_s - 1e-6));
                prop_assert!(point.frequency.abs() <= limit.max(frequency.abs()) * 1.000_001);
            }
            let point = smoother.at(after(end_s - 1e-6));
            prop_assert!(point.offset_s.abs() < 1e-6, "{:?} {:?}", point, stages);
            prop_assert!(point.frequency.abs() < 1e-9, "{:?}", point);
        }
    }
}
