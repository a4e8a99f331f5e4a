//! The option `filter`: samples of several polls become one. Offsets in the middle count, those at both ends of
//! their order do not.

use ntp_common::time::NtpTimestamp;

use crate::sample::{ClockChange, Sample};
use crate::seconds;

/// Most polls that are waited for.
const MOST_POLLS: u32 = 256;

/// Collects samples.
#[derive(Clone, Debug)]
pub(super) struct MedianFilter {
    polls_wanted: u32,
    polls: u32,
    samples: Vec<Sample>,
}

impl MedianFilter {
    /// A filter that makes one sample of those of so many polls; none for one poll or less.
    pub(super) fn new(polls: u32) -> Option<Self> {
        let polls_wanted = polls.min(MOST_POLLS);
        (polls > 1).then_some(Self { polls_wanted, polls: 0, samples: Vec::new() })
    }

    /// Forgets what was collected.
    pub(super) fn clear(&mut self) {
        self.polls = 0;
        self.samples.clear();
    }

    /// Takes the sample of a poll, or that there was none, and gives what the last polls come to, if it was the
    /// last of them.
    pub(super) fn add(&mut self, sample: Option<Sample>) -> Option<Sample> {
        self.samples.extend(sample);
        self.polls += 1;
        if self.polls < self.polls_wanted || self.samples.is_empty() {
            return None;
        }
        self.polls = 0;
        let mut samples = std::mem::take(&mut self.samples);
        samples.sort_by(|a, b| a.offset_s.total_cmp(&b.offset_s));
        // The middle half, one at least.
        let cut = (samples.len() - 1) / 4;
        combine(&samples[cut..samples.len() - cut])
    }

    /// Moves what was collected onto the clock as it is since `change`.
    pub(super) fn move_onto(&mut self, change: &ClockChange) {
        self.samples.iter_mut().for_each(|sample| sample.move_onto(change));
    }
}

/// The mean of samples; bounds are the largest.
fn combine(samples: &[Sample]) -> Option<Sample> {
    let last = samples.iter().max_by_key(|sample| sample.time.since(samples[0].time))?;
    #[expect(clippy::cast_precision_loss, reason = "at most a few hundred")]
    let count = samples.len() as f64;
    let mean = |value: &dyn Fn(&Sample) -> f64| samples.iter().map(value).sum::<f64>() / count;
    let largest = |value: &dyn Fn(&Sample) -> f64| samples.iter().map(value).fold(0.0, f64::max);
    let before_s = mean(&|sample| seconds::of(last.time.since(sample.time)));
    let time: NtpTimestamp = last.time - seconds::duration(before_s);
    Some(Sample {
        time,
        offset_s: mean(&|sample| sample.offset_s),
        delay_s: mean(&|sample| sample.delay_s),
        dispersion_s: largest(&|sample| sample.dispersion_s),
        root_delay_s: largest(&|sample| sample.root_delay_s),
        root_dispersion_s: largest(&|sample| sample.root_dispersion_s),
        ..*last
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntp_common::wire::{LeapIndicator, ReferenceId};

    fn sample(second: u32, offset_s: f64) -> Sample {
        Sample {
            time: NtpTimestamp::from_bits((4_000_000_000 + u64::from(second)) << 32),
            offset_s,
            delay_s: 1e-3,
            dispersion_s: 1e-6,
            root_delay_s: 0.0,
            root_dispersion_s: 0.0,
            stratum: 1,
            leap: LeapIndicator::Normal,
            reference_id: ReferenceId::NONE,
        }
    }

    #[test]
    fn offsets_at_the_ends_do_not_count() {
        let mut filter = MedianFilter::new(5).unwrap();
        for (second, offset_s) in [(0, 1e-3), (1, 0.5), (2, 2e-3), (3, -0.5)] {
            assert_eq!(filter.add(Some(sample(second, offset_s))), None, "{second}");
        }
        let combined = filter.add(Some(sample(4, 3e-3))).unwrap();
        assert!((combined.offset_s - 2e-3).abs() < 1e-12, "{combined:?}");
        assert_eq!(combined.time, sample(2, 0.0).time);
        assert_eq!(filter.add(Some(sample(5, 0.0))), None, "begins anew");
    }

    #[test]
    fn polls_without_an_answer_count_but_do_not_make_a_sample() {
        let mut filter = MedianFilter::new(3).unwrap();
        assert!((0..5).all(|_| filter.add(None).is_none()));
        assert_eq!(filter.add(Some(sample(0, 0.25))).map(|s| s.offset_s), Some(0.25));
    }

    #[test]
    fn one_poll_needs_no_filter() {
        assert!(MedianFilter::new(0).is_none() && MedianFilter::new(1).is_none());
    }
}
