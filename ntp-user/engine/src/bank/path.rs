//! What is known of the path to a source: its shortest delay, and how much longer it usually takes.

use std::collections::VecDeque;

use super::straying::Straying;
use super::tilt::{Means, Tilt};

/// Delays that are kept.
const MOST_DELAYS: usize = 256;
/// Fewer delays tell nothing of a path.
pub(super) const FEWEST_DELAYS: usize = 4;
/// A sample from a path of which so many delays are known can be a surprise.
const WELL_KNOWN: usize = 8;
/// A path has become longer when the newest delays are all beyond so many scales, are so many at least, span so
/// much time, seconds, and there are so many altogether.
const SHIFT_SCALES: f64 = 6.0;
const SHIFT_DELAYS: usize = 6;
const SHIFT_SPAN_S: f64 = 1200.0;
const SHIFT_KNOWN: usize = 12;

/// What is known of a path beforehand.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct KnownPath {
    /// The shortest delay, seconds.
    pub(crate) shortest_s: Option<f64>,
    /// What of a delay above the shortest is added to the offset: -0.5 when only requests wait, 0.5 when only
    /// replies do.
    pub(crate) asymmetry: Option<f64>,
}

/// A path.
#[derive(Clone, Debug)]
pub(super) struct Path {
    precision_s: f64,
    known: KnownPath,
    /// When, on the raw clock, and how long.
    delays: VecDeque<(f64, f64)>,
    least_s: f64,
    scale_s: f64,
    /// Since when the path is as it is.
    shifted_at_s: f64,
    samples: usize,
    tilt: Tilt,
    pub(super) straying: Straying,
    /// Outliers in a row, and when the first of them was made, on the raw clock.
    pub(super) outliers: u32,
    pub(super) outliers_since_s: f64,
    /// When the last sample was made that was none, on the raw clock.
    pub(super) last_good_s: f64,
    /// Samples in a row with which the source was a falseticker.
    pub(super) rejections: u32,
}

impl Path {
    /// A path that nothing is known of.
    pub(super) fn new(precision_s: f64) -> Self {
        Self {
            precision_s,
            known: KnownPath::default(),
            delays: VecDeque::new(),
            least_s: 0.0,
            scale_s: 0.0,
            shifted_at_s: f64::NEG_INFINITY,
            samples: 0,
            tilt: Tilt::default(),
            straying: Straying::default(),
            outliers: 0,
            outliers_since_s: f64::INFINITY,
            last_good_s: f64::INFINITY,
            rejections: 0,
        }
    }

    /// Takes the delay of a sample made at `at_s`.
    pub(super) fn add(&mut self, delay_s: f64, at_s: f64) {
        self.samples += 1;
        if self.delays.len() == MOST_DELAYS {
            self.delays.pop_front();
        }
        self.delays.push_back((at_s, delay_s));
        self.drop_before_shift();
        let mut sorted: Vec<f64> = self.delays.iter().map(|&(_, delay_s)| delay_s).collect();
        sorted.sort_by(f64::total_cmp);
        let seen_s = sorted.first().copied().unwrap_or(delay_s);
        self.least_s = self.known.shortest_s.map_or(seen_s, |known_s| known_s.min(seen_s));
        let scale_s = if sorted.len() < FEWEST_DELAYS {
            delay_s / 2.0
        } else {
            (median(&sorted) - self.least_s) / median_of_excess(count(sorted.len()))
        };
        self.scale_s = scale_s.max(self.precision_s);
    }

    /// Drops the delays from before the path became longer, if it did.
    fn drop_before_shift(&mut self) {
        let known = self.delays.len();
        if known < SHIFT_KNOWN || self.scale_s <= 0.0 {
            return;
        }
        let least_s = self.delays.iter().map(|d| d.1).fold(f64::INFINITY, f64::min);
        let longer = |&&(_, delay_s): &&(f64, f64)| delay_s > least_s + SHIFT_SCALES * self.scale_s;
        let new = self.delays.iter().rev().take_while(longer).count();
        let Some(&(since_s, _)) = self.delays.get(known - new) else { return };
        if new >= SHIFT_DELAYS && self.last_s() - since_s >= SHIFT_SPAN_S {
            self.delays.drain(..known - new);
            self.shifted_at_s = since_s;
        }
    }

    /// One more outlier in a row.
    pub(super) fn add_outlier(&mut self, at_s: f64) {
        if self.outliers == 0 {
            self.outliers_since_s = at_s;
        }
        self.outliers += 1;
    }

    /// Whether it has had a sample since `since_s` that was no outlier, on the raw clock.
    pub(super) fn is_good_since(&self, since_s: f64) -> bool {
        self.last_good_s.is_finite() && self.last_good_s > since_s
    }

    /// Takes note of what is known beforehand.
    pub(super) fn know(&mut self, known: KnownPath) {
        self.known = known;
    }

    /// Whether the shortest delay is known beforehand, and no sample has contradicted that.
    pub(super) fn knows_shortest(&self) -> bool {
        self.known.shortest_s.is_some_and(|known_s| known_s <= self.least_s)
    }

    /// The asymmetry that is known beforehand.
    pub(super) fn asymmetry(&self) -> Option<f64> {
        self.known.asymmetry
    }

    /// Forgets what samples said of the directions.
    pub(super) fn forget_direction(&mut self) {
        self.tilt = Tilt::default();
    }

    /// Learns of the directions of what delays samples: one with errors within `half_width_s` was
    /// `error_s` off.
    pub(super) fn learn_direction(&mut self, half_width_s: f64, error_s: f64) {
        if self.delays.len() >= FEWEST_DELAYS {
            self.tilt.learn(half_width_s, error_s, self.scale_s);
        }
    }

    /// The shortest delay, seconds.
    pub(super) fn least_s(&self) -> f64 {
        self.least_s
    }

    /// Mean of what a direction's delay is above its shortest, seconds: its scale, as symmetric paths have it.
    pub(super) fn scale_s(&self) -> f64 {
        self.scale_s
    }

    /// Mean time between the samples whose delays are known, seconds.
    pub(super) fn interval_s(&self) -> f64 {
        let first_s = self.delays.front().map_or(0.0, |&(at_s, _)| at_s);
        let intervals = count(self.delays.len().saturating_sub(1).max(1));
        ((self.last_s() - first_s) / intervals).max(self.precision_s)
    }

    /// Samples so far.
    pub(super) fn samples(&self) -> usize {
        self.samples
    }

    /// Delays that are known.
    pub(super) fn known(&self) -> usize {
        self.delays.len()
    }

    /// Since when the path is as it is, on the raw clock.
    pub(super) fn shifted_at_s(&self) -> f64 {
        self.shifted_at_s
    }

    /// When the last sample was made, on the raw clock.
    pub(super) fn last_s(&self) -> f64 {
        self.delays.back().map_or(f64::NEG_INFINITY, |&(at_s, _)| at_s)
    }

    /// Whether a sample can be a surprise.
    pub(super) fn is_well_known(&self) -> bool {
        self.samples > WELL_KNOWN
    }

    /// The asymmetry, if there is any: exponent of the density of errors, 1/s, and its scale, seconds.
    pub(super) fn tilt(&self) -> Option<(f64, f64)> {
        let enough = self.delays.len() >= FEWEST_DELAYS && self.known.asymmetry.is_none();
        self.tilt
            .means(self.scale_s)
            .filter(|_| enough)
            .map(|means| (means.exponent(), means.scale_s().min(self.scale_s)))
    }

    /// Variance of samples, s^2.
    pub(super) fn noise_variance(&self) -> f64 {
        let tilted = self.tilt().and_then(|_| self.tilt.means(self.scale_s));
        let waits = tilted.map_or(self.scale_s * self.scale_s / 2.0, Means::variance);
        waits + self.straying.noise_s().powi(2)
    }
}

/// Expected median of the sum of two exponential variables with mean 1, above the least of `known`: it is
/// 1.678 above zero.
fn median_of_excess(known: f64) -> f64 {
    (1.678 - 1.25 / known.sqrt()).max(0.8)
}

/// The middle of sorted values; 0 for none.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted {
        [] => 0.0,
        values if values.len() % 2 == 1 => values[middle],
        values => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a small count")]
pub(super) fn count(known: usize) -> f64 {
    known as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Delays of 1 ms and more, some 0.1 ms longer or less.
    fn path(samples: u32, interval_s: f64) -> Path {
        let mut path = Path::new(1e-7);
        for sample in 0..samples {
            path.add(delay_s(sample), f64::from(sample) * interval_s);
        }
        path
    }

    fn delay_s(sample: u32) -> f64 {
        1e-3 + 1e-5 * f64::from(sample * 7 % 20)
    }

    #[test]
    fn scale_is_that_of_exponential_delays() {
        let mut path = Path::new(1e-7);
        // Quantiles of the sum of two exponential variables with mean 1 ms, from 2 % to 98 %.
        let quantiles = [0.215, 0.532, 0.824, 1.1, 1.376, 1.678, 2.022, 2.439, 2.994, 3.890, 5.834];
        for (index, quantile) in (0u8..).zip(quantiles) {
            path.add(5e-3 + quantile * 1e-3, f64::from(index));
        }
        assert!((path.scale_s() / 1e-3 - 1.0).abs() < 0.2, "{}", path.scale_s());
        assert!((path.least_s() - 5.215e-3).abs() < 1e-9);
    }

    #[test]
    fn old_delays_are_dropped_when_the_path_has_become_longer() {
        let mut path = path(40, 64.0);
        for sample in 40..59 {
            path.add(delay_s(sample) + 5e-3, f64::from(sample) * 64.0);
            assert!(path.least_s() < 2e-3, "{sample}: after less than 1,200 s");
        }
        path.add(delay_s(59) + 5e-3, 59.0 * 64.0);
        assert!(path.least_s() > 5.9e-3);
        assert!((path.shifted_at_s() - 40.0 * 64.0).abs() < 1e-9);
    }

    #[test]
    fn a_shorter_delay_counts_at_once() {
        let mut path = path(40, 64.0);
        path.add(0.5e-3, 3000.0);
        assert!((path.least_s() - 0.5e-3).abs() < 1e-12);
    }

    #[test]
    fn no_more_delays_are_kept_than_allowed() {
        assert_eq!(path(1000, 1.0).known(), MOST_DELAYS);
    }
}
