//! The samples of one source, kept on the clock as it is now, and the line through the latest of them.

use std::collections::VecDeque;

use ntp_common::time::NtpTimestamp;
use ntp_common::wire::LeapIndicator;

use crate::conf::SourceOptions;
use crate::estimate::{Estimate, KnownFrequency, SKEW_DEVIATIONS, error_growth};
use crate::filter::DelayFilter;
use crate::regress::{self, Line, Point, Prior};
use crate::sample::{ClockChange, Sample};
use crate::seconds;

/// Most samples kept of a source.
pub(crate) const MOST_SAMPLES: usize = 64;

/// Samples in a row that contradict the line through those before, from which on they are right and not it.
const SUSPECTS: usize = 3;
/// Standard deviations that bound an estimate.
const ESTIMATE_DEVIATIONS: f64 = 4.0;
/// Least standard deviation of the frequency after such a break, seconds a second.
const BREAK_DEVIATION: f64 = 2e-6;

/// What became of a new sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// It is one of the samples.
    Used,
    /// It and the suspects before it have taken the place of the samples.
    Broke,
    /// It can't be right if the samples before are: another look is needed.
    Suspected,
}

/// Bounds of a source's error.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::struct_field_names, reason = "all end in their unit")]
pub(crate) struct Bounds {
    /// Round-trip delay to the reference clock, seconds.
    pub(crate) root_delay_s: f64,
    /// Dispersion to the reference clock, seconds.
    pub(crate) root_dispersion_s: f64,
    /// The offset that the error is of, seconds.
    pub(crate) offset_s: f64,
}

impl Bounds {
    /// Largest error against the reference clock, seconds. RFC 5905 section 11.1.
    pub(crate) fn distance_s(&self) -> f64 {
        self.root_delay_s / 2.0 + self.root_dispersion_s
    }
}

/// How a source's clock and ours run apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Apart {
    /// How much the offset grows, seconds a second of our clock as it runs now.
    pub(crate) slope: f64,
    /// Bound of its error.
    pub(crate) skew: f64,
    /// What our clock may do that was never seen of it, seconds a second.
    pub(crate) unseen: f64,
}

/// What options say of how many samples are kept, and of the path.
#[derive(Clone, Copy, Debug)]
struct Limits {
    fewest: usize,
    most: usize,
    /// The shortest delay, if it is known beforehand, seconds.
    shortest_s: Option<f64>,
    /// What of a delay above the shortest is added to the offset.
    asymmetry: f64,
    /// Least standard deviation that is expected of samples before they tell, seconds.
    noise_s: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { fewest: 0, most: MOST_SAMPLES, shortest_s: None, asymmetry: 0.0, noise_s: 0.0 }
    }
}

/// A number of samples that an option gives, as far as they are kept at all.
fn limit(samples: u32) -> usize {
    usize::try_from(samples).unwrap_or(MOST_SAMPLES).min(MOST_SAMPLES)
}

/// The samples of one source.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    samples: VecDeque<Sample>,
    /// The latest samples, as far as they contradict the others.
    suspects: Vec<Sample>,
    known: KnownFrequency,
    precision_s: f64,
    limits: Limits,
    /// Fitted to the samples, with x in seconds from the last one.
    line: Option<Line>,
}

impl Series {
    /// A series without samples; `precision_s` is the least deviation that can be seen.
    pub(crate) fn new(known: KnownFrequency, precision_s: f64) -> Self {
        let (samples, suspects, limits) = (VecDeque::new(), Vec::new(), Limits::default());
        Self { samples, suspects, known, precision_s, limits, line: None }
    }

    /// Follows options of the source.
    pub(crate) fn configure(&mut self, options: &SourceOptions) {
        let most = options.maxsamples.filter(|&most| most > 0).map_or(MOST_SAMPLES, limit);
        self.limits = Limits {
            fewest: options.minsamples.map_or(0, limit).min(most),
            most,
            shortest_s: Some(options.mindelay_s).filter(|&delay_s| delay_s > 0.0),
            asymmetry: options.asymmetry.unwrap_or(0.0),
            noise_s: self.limits.noise_s,
        };
    }

    /// Takes note of how fast the bound of an error grows besides what the frequency's error makes of it, seconds a second.
    pub(crate) fn set_unseen(&mut self, unseen: f64) {
        self.known.unseen = unseen;
    }

    /// Expects samples to deviate by so much, seconds, whatever their delays say.
    pub(crate) fn expect_noise(&mut self, noise_s: f64) {
        self.limits.noise_s = noise_s;
    }

    /// Forgets all samples.
    pub(crate) fn clear(&mut self, known: KnownFrequency) {
        *self = Self { limits: self.limits, ..Self::new(known, self.precision_s) };
    }

    /// Takes a sample, and lets go of those that are no longer on one line with it. `in_force` is the
    /// frequency correction of the clock, as in all that follows; `expected` is what all sources say together,
    /// if this one is right.
    pub(crate) fn add(
        &mut self,
        sample: Sample,
        in_force: f64,
        expected: Option<&Estimate>,
    ) -> Added {
        let line = self.estimate(sample.time);
        let refutes = |estimate: &Estimate| self.contradicts(&sample, estimate);
        if line.as_ref().is_some_and(refutes) && expected.is_none_or(refutes) {
            self.suspects.push(sample);
            if self.suspects.len() < SUSPECTS {
                return Added::Suspected;
            }
            self.break_with_the_past(in_force);
            self.fit(in_force);
            return Added::Broke;
        }
        self.suspects.clear();
        self.samples.push_back(sample);
        let surplus = self.samples.len().saturating_sub(self.limits.most);
        self.samples.drain(..surplus);
        let (points, prior) = self.points(in_force);
        let spare = self.samples.len().saturating_sub(self.limits.fewest);
        self.samples.drain(..regress::straight_since(&points, &prior).min(spare));
        self.fit(in_force);
        Added::Used
    }

    /// Whether a sample and an estimate by those before cannot both be right: half of a delay bounds the error
    /// of each. Either clock was set, or a frequency has changed by much.
    fn contradicts(&self, sample: &Sample, estimate: &Estimate) -> bool {
        let shortest_s = self.samples.iter().map(|s| s.delay_s).fold(f64::INFINITY, f64::min);
        let bound_s = f64::midpoint(sample.delay_s, shortest_s)
            + 2.0 * sample.dispersion_s
            + ESTIMATE_DEVIATIONS * estimate.offset_deviation_s;
        (sample.offset_s - estimate.offset_s).abs() > bound_s
    }

    /// Puts the suspects in the place of the samples. What was known of the frequency is kept, with doubts.
    fn break_with_the_past(&mut self, in_force: f64) {
        if let (Some(line), Some(last)) = (self.line, self.last()) {
            self.known = KnownFrequency {
                correction: (1.0 + in_force) * (1.0 + line.slope) - 1.0,
                deviation: line.slope_deviation.max(BREAK_DEVIATION),
                at: last.time,
                unseen: self.known.unseen,
            };
        }
        self.samples = std::mem::take(&mut self.suspects).into();
    }

    /// Moves the samples onto the clock as it is since `change`.
    pub(crate) fn move_onto(&mut self, change: &ClockChange, in_force: f64) {
        for sample in self.samples.iter_mut().chain(&mut self.suspects) {
            sample.move_onto(change);
        }
        self.known.at = self.known.at + seconds::duration(change.moved_s(self.known.at));
        self.fit(in_force);
    }

    /// True time leaps by `by_s`, and the source with it.
    pub(crate) fn leap_by(&mut self, by_s: f64) {
        for sample in self.samples.iter_mut().chain(&mut self.suspects) {
            sample.offset_s += by_s;
        }
        if let Some(line) = &mut self.line {
            line.shift(by_s);
        }
    }

    fn fit(&mut self, in_force: f64) {
        let (points, prior) = self.points(in_force);
        self.line = (!points.is_empty()).then(|| regress::fit(&points, &prior));
    }

    fn points(&self, in_force: f64) -> (Vec<Point>, Prior) {
        let filter = self.filter();
        let Some(last) = self.last() else {
            return (Vec::new(), self.prior(in_force, 0.0, &filter));
        };
        let points = self
            .samples
            .iter()
            .map(|sample| Point {
                x: seconds::of(sample.time.since(last.time)),
                y: sample.offset_s + self.limits.asymmetry * filter.excess_s(sample.delay_s),
                deviation: filter.relative_deviation(sample.delay_s),
            })
            .collect();
        let age_s = seconds::of(last.time.since(self.known.at)).max(0.0);
        (points, self.prior(in_force, age_s, &filter))
    }

    fn filter(&self) -> DelayFilter {
        let delays_s = self.samples.iter().map(|sample| sample.delay_s);
        DelayFilter::new(delays_s, self.limits.shortest_s, self.precision_s)
    }

    fn prior(&self, in_force: f64, age_s: f64, filter: &DelayFilter) -> Prior {
        let (slope, deviation) = self.known_slope(in_force, age_s);
        let noise_s = filter.expected_deviation_s().max(self.limits.noise_s);
        Prior { slope, deviation, noise_s }
    }

    /// What is known of the slope besides samples, and its standard deviation `age_s` after it was known.
    fn known_slope(&self, in_force: f64, age_s: f64) -> (f64, f64) {
        let slope = (1.0 + self.known.correction) / (1.0 + in_force) - 1.0;
        (slope, self.known.variance_after(age_s).sqrt())
    }

    /// Its samples, the latest last.
    pub(crate) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter()
    }

    /// The latest sample.
    pub(crate) fn last(&self) -> Option<&Sample> {
        self.samples.back()
    }

    /// Samples in use.
    pub(crate) fn len(&self) -> usize {
        self.samples.len()
    }

    /// The shortest delay, seconds.
    pub(crate) fn shortest_delay_s(&self) -> Option<f64> {
        self.samples.iter().map(|sample| sample.delay_s).reduce(f64::min)
    }

    /// Time between the first and the last sample, seconds.
    pub(crate) fn span_s(&self) -> f64 {
        match (self.samples.front(), self.samples.back()) {
            (Some(first), Some(last)) => seconds::of(last.time.since(first.time)),
            (None, _) | (_, None) => 0.0,
        }
    }

    /// The line through the samples.
    pub(crate) fn line(&self) -> Option<&Line> {
        self.line.as_ref()
    }

    /// How the source's clock and ours run apart at `time`: as its samples say, or as is known of ours before the first.
    pub(crate) fn apart(&self, time: NtpTimestamp, in_force: f64) -> Apart {
        let (slope, deviation) = match &self.line {
            Some(line) => (line.slope, line.slope_deviation),
            None => self.known_slope(in_force, seconds::of(time.since(self.known.at)).max(0.0)),
        };
        Apart { slope, skew: SKEW_DEVIATIONS * deviation, unseen: self.known.unseen }
    }

    /// How fast the bound of an error grows besides what the frequency's error makes of it, seconds a second.
    pub(crate) fn unseen(&self) -> f64 {
        self.known.unseen
    }

    /// Leap second that the source announces.
    pub(crate) fn leap(&self) -> LeapIndicator {
        self.last().map_or(LeapIndicator::Unsynchronised, |sample| sample.leap)
    }

    /// The estimate carried on to `time`.
    pub(crate) fn estimate(&self, time: NtpTimestamp) -> Option<Estimate> {
        let (line, last) = (self.line?, self.last()?);
        let x = seconds::of(time.since(last.time));
        Some(Estimate {
            offset_s: line.at(x),
            offset_deviation_s: line.deviation_at(x),
            slope: line.slope,
            slope_deviation: line.slope_deviation,
        })
    }

    /// The bounds of the error at `time`: those of the sample whose bound is the least by then, and its offset, which
    /// has grown since as the line does: by milliseconds where the clock is slewed.
    pub(crate) fn bounds(&self, time: NtpTimestamp) -> Option<Bounds> {
        let line = self.line?;
        let rate = error_growth(self.unseen(), SKEW_DEVIATIONS * line.slope_deviation, self.len());
        let bounds = |sample: &Sample| Bounds {
            root_delay_s: sample.root_delay_s + sample.delay_s,
            offset_s: sample.offset_s + line.slope * seconds::of(time.since(sample.time)),
            root_dispersion_s: sample.root_dispersion_s
                + sample.dispersion_s
                + rate * seconds::of(time.since(sample.time)).max(0.0),
        };
        self.samples.iter().map(bounds).min_by(|a, b| a.distance_s().total_cmp(&b.distance_s()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntp_common::wire::ReferenceId;

    fn series(samples: u32) -> Series {
        let at = NtpTimestamp::from_bits(4_000_000_000 << 32);
        let known = KnownFrequency { correction: 0.0, deviation: 1e-7, at, unseen: 1e-6 };
        let mut series = Series::new(known, 1e-7);
        for index in 0..samples {
            assert_eq!(series.add(sample(index, 0.0), 0.0, None), Added::Used);
        }
        series
    }

    /// A sample 64 s after the one before, of a path of 1 ms.
    fn sample(index: u32, offset_s: f64) -> Sample {
        let noise_s = f64::from(index * 7 % 5) * 1e-6;
        Sample {
            time: NtpTimestamp::from_bits((4_000_000_000 + u64::from(index) * 64) << 32),
            offset_s: offset_s + noise_s,
            delay_s: 1e-3 + noise_s,
            dispersion_s: 1e-6,
            root_delay_s: 0.01,
            root_dispersion_s: 0.001,
            stratum: 2,
            leap: LeapIndicator::Normal,
            reference_id: ReferenceId::NONE,
        }
    }

    #[test]
    fn one_impossible_sample_is_held_back_and_forgotten() {
        let mut series = series(10);
        assert_eq!(series.add(sample(10, 0.5), 0.0, None), Added::Suspected);
        assert_eq!(series.len(), 10);
        assert_eq!(series.add(sample(11, 0.0), 0.0, None), Added::Used);
        assert!(series.suspects.is_empty());
        assert!(series.estimate(sample(11, 0.0).time).unwrap().offset_s.abs() < 1e-5);
    }

    #[test]
    fn three_impossible_samples_in_a_row_take_the_place_of_the_others() {
        let mut series = series(10);
        assert_eq!(series.add(sample(10, 0.5), 0.0, None), Added::Suspected);
        assert_eq!(series.add(sample(11, 0.5), 0.0, None), Added::Suspected);
        assert_eq!(series.add(sample(12, 0.5), 0.0, None), Added::Broke);
        assert_eq!(series.len(), 3);
        let estimate = series.estimate(sample(12, 0.0).time).unwrap();
        assert!((estimate.offset_s - 0.5).abs() < 1e-5, "{estimate:?}");
        assert!(estimate.slope.abs() < 1e-6, "{estimate:?}");
    }

    #[test]
    fn no_more_samples_are_kept_than_allowed() {
        assert!(series(3 * 64).len() <= MOST_SAMPLES);
    }

    #[test]
    fn estimate_follows_the_clock_through_a_step_and_a_change_of_frequency() {
        let mut series = series(10);
        let time = sample(9, 0.0).time;
        let before = series.estimate(time).unwrap();
        let change = ClockChange { at: time, step_s: 0.25, rate: 1e-5 };
        series.move_onto(&change, 1e-5);
        let after = series.estimate(time + seconds::duration(0.25)).unwrap();
        assert!((after.offset_s - before.offset_s + 0.25).abs() < 1e-6, "{after:?}");
        assert!((after.slope - before.slope + 1e-5).abs() < 1e-8, "{after:?}");
        let last = series.last().unwrap();
        assert_eq!(last.time, time + seconds::duration(0.25));
    }

    #[test]
    fn bounds_are_those_of_the_best_sample_and_grow() {
        let series = series(10);
        let at = |later_s: f64| sample(9, 0.0).time + seconds::duration(later_s);
        let now = series.bounds(at(0.0)).unwrap();
        assert!((now.root_delay_s - 0.011).abs() < 1e-5, "{now:?}");
        assert!((0.001..0.0015).contains(&now.root_dispersion_s), "{now:?}");
        let later = series.bounds(at(1000.0)).unwrap();
        assert!(later.root_dispersion_s > now.root_dispersion_s + 1000.0 * 0.9e-6);
    }
}
