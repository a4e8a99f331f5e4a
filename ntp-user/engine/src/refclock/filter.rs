//! Readings between two polls become one sample: the mean of those nearest to their median.

use std::collections::VecDeque;

use ntp_common::time::NtpTimestamp;
use ntp_common::wire::LeapIndicator;

use super::Cooked;
use crate::sample::ClockChange;
use crate::seconds;

/// The part of the readings that counts.
const NEAREST: f64 = 0.6;
/// Standard deviations from the median within which that part of normally distributed readings lies.
const NEAREST_DEVIATIONS: f64 = 0.8416;
/// Fewer readings tell nothing of how much they scatter.
const FEWEST: usize = 3;

/// A reading that waits for the poll.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Waiting {
    time: NtpTimestamp,
    offset_s: f64,
    dispersion_s: f64,
    stratum: u8,
    leap: LeapIndicator,
}

/// What readings come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Filtered {
    pub(super) time: NtpTimestamp,
    pub(super) offset_s: f64,
    /// Bound of the error of reading both clocks, seconds.
    pub(super) dispersion_s: f64,
    /// Standard deviation of the offset, as far as the readings tell, seconds; 0: they don't.
    pub(super) deviation_s: f64,
    pub(super) stratum: u8,
    pub(super) leap: LeapIndicator,
}

/// Collects the latest readings.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    most: usize,
    readings: VecDeque<Waiting>,
}

impl Filter {
    /// A filter that keeps so many readings.
    pub(super) fn new(most: u32) -> Self {
        Self { most: usize::try_from(most).unwrap_or(1).max(1), readings: VecDeque::new() }
    }

    /// How many it keeps.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// How many it has.
    pub(super) fn len(&self) -> usize {
        self.readings.len()
    }

    /// Takes a reading.
    pub(super) fn add(&mut self, cooked: &Cooked) {
        if self.readings.len() == self.most {
            self.readings.pop_front();
        }
        self.readings.push_back(Waiting {
            time: cooked.reading.at,
            offset_s: seconds::of(cooked.offset),
            dispersion_s: cooked.reading.dispersion_s,
            stratum: cooked.stratum,
            leap: cooked.reading.leap,
        });
    }

    /// Forgets the readings from before `time`.
    pub(super) fn forget_before(&mut self, time: NtpTimestamp) {
        self.readings.retain(|reading| seconds::of(reading.time.since(time)) >= 0.0);
    }

    /// Forgets all readings.
    pub(super) fn clear(&mut self) {
        self.readings.clear();
    }

    /// Moves the readings onto the clock as it is since `change`.
    pub(super) fn move_onto(&mut self, change: &ClockChange) {
        for reading in &mut self.readings {
            let moved_s = change.moved_s(reading.time);
            reading.time = reading.time + seconds::duration(moved_s);
            reading.offset_s -= moved_s;
        }
    }

    /// What the readings come to, which are used up by that; `None` when there are none.
    pub(super) fn take(&mut self) -> Option<Filtered> {
        let mut readings: Vec<Waiting> = self.readings.drain(..).collect();
        let last = *readings.last()?;
        readings.sort_by(|a, b| a.offset_s.total_cmp(&b.offset_s));
        let median_s = median(&readings);
        let away_s = |reading: &Waiting| (reading.offset_s - median_s).abs();
        readings.sort_by(|a, b| away_s(a).total_cmp(&away_s(b)));
        let all = readings.len();
        readings.truncate(nearest(all));
        let count = float(readings.len());
        let mean =
            |value: &dyn Fn(&Waiting) -> f64| readings.iter().map(value).sum::<f64>() / count;
        let before_s = mean(&|reading| seconds::of(last.time.since(reading.time)));
        let scatter_s = readings.last().map_or(0.0, away_s) / NEAREST_DEVIATIONS;
        Some(Filtered {
            time: last.time - seconds::duration(before_s),
            offset_s: mean(&|reading| reading.offset_s),
            dispersion_s: mean(&|reading| reading.dispersion_s),
            deviation_s: if all < FEWEST { 0.0 } else { scatter_s / count.sqrt() },
            stratum: last.stratum,
            leap: last.leap,
        })
    }
}

/// How many of so many readings count: one at least.
fn nearest(all: usize) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "below the number of readings"
    )]
    let nearest = (NEAREST * float(all)).round() as usize;
    nearest.max(1)
}

/// The middle of sorted readings; there is at least one.
fn median(sorted: &[Waiting]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle].offset_s
    } else {
        f64::midpoint(sorted[middle - 1].offset_s, sorted[middle].offset_s)
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most some thousands")]
pub(super) fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seams::Reading;

    fn at(second: u64) -> NtpTimestamp {
        NtpTimestamp::from_bits((4_000_000_000 + second) << 32)
    }

    fn cooked(second: u64, offset_s: f64) -> Cooked {
        let offset = seconds::duration(offset_s);
        let reading = Reading {
            at: at(second),
            offset,
            is_pulse: false,
            dispersion_s: 1e-6,
            leap: LeapIndicator::Normal,
        };
        Cooked { reading, offset, stratum: 0, number: 0 }
    }

    fn filtered(offsets_s: &[f64]) -> Option<Filtered> {
        let mut filter = Filter::new(64);
        (0..).zip(offsets_s).for_each(|(second, &offset_s)| filter.add(&cooked(second, offset_s)));
        filter.take()
    }

    #[test]
    fn sample_is_the_mean_of_the_readings_nearest_to_the_median() {
        // Of five, three count.
        let found = filtered(&[1e-3, 0.5, 3e-3, -0.5, 2e-3]).unwrap();
        assert!((found.offset_s - 2e-3).abs() < 1e-9, "{found:?}");
        // Seconds 0, 2 and 4.
        assert!(seconds::of(found.time.since(at(2))).abs() < 1e-6, "{found:?}");
        assert!((found.dispersion_s - 1e-6).abs() < 1e-12);
        assert_eq!(filtered(&[]), None);
        assert!((filtered(&[0.25]).unwrap().offset_s - 0.25).abs() < 1e-9);
    }

    #[test]
    fn scatter_of_the_readings_is_that_of_normal_ones() {
        // Quantiles of the standard normal distribution from 5 % to 95 %, as milliseconds.
        let quantiles = [-1.645, -1.036, -0.674, -0.385, -0.126, 0.126, 0.385, 0.674, 1.036, 1.645];
        let found = filtered(&quantiles.map(|quantile| quantile * 1e-3)).unwrap();
        let expected_s = 1e-3 / 6f64.sqrt();
        assert!((found.deviation_s / expected_s - 1.0).abs() < 0.25, "{found:?}");
        assert!(filtered(&[0.0, 1.0]).unwrap().deviation_s.abs() < 1e-12);
    }

    #[test]
    fn oldest_readings_are_dropped_when_there_are_too_many() {
        let mut filter = Filter::new(3);
        (0..10).for_each(|second| filter.add(&cooked(second, f64::from(u32::from(second < 7)))));
        assert!(filter.take().unwrap().offset_s.abs() < 1e-9);
        assert_eq!(filter.take(), None, "they are used up");
    }

    #[test]
    fn readings_follow_a_step_of_the_clock() {
        let mut filter = Filter::new(3);
        filter.add(&cooked(0, 0.5));
        filter.move_onto(&ClockChange { at: at(10), step_s: 0.5, rate: 1e-5 });
        let found = filter.take().unwrap();
        assert!((found.offset_s - 1e-4).abs() < 1e-8, "{found:?}");
    }
}
