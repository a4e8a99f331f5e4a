//! Tests of a measurement's delay against those before it: whatever waited in a queue for long is left out.

use std::collections::VecDeque;

use super::reply::Rejection;
use crate::conf::SourceOptions;
use crate::estimate::SKEW_DEVIATIONS;
use crate::sample::Sample;
use crate::seconds;
use crate::series::Series;

/// Samples from which on they tell what delays are usual.
const FEWEST_SAMPLES: usize = 6;
/// Delays that a quantile is found among.
const MOST_DELAYS: usize = 512;

/// Delays of a source, for the option `maxdelayquant`.
#[derive(Clone, Debug, Default)]
pub(super) struct Delays(VecDeque<f64>);

impl Delays {
    /// Takes note of a delay, seconds.
    pub(super) fn add(&mut self, delay_s: f64) {
        if self.0.len() == MOST_DELAYS {
            self.0.pop_front();
        }
        self.0.push_back(delay_s);
    }

    /// The delay that is not exceeded with this probability, seconds; nothing while few are known.
    fn quantile_s(&self, probability: f64) -> Option<f64> {
        let mut sorted: Vec<f64> = self.0.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of a small number"
        )]
        let index = (probability * sorted.len() as f64).ceil() as usize;
        let index = index.saturating_sub(1);
        sorted.get(index).copied().filter(|_| sorted.len() >= FEWEST_SAMPLES)
    }
}

/// Tests a sample that is not one of `series` yet.
///
/// # Errors
/// The test that it fails.
pub(super) fn check(
    sample: &Sample,
    options: &SourceOptions,
    series: &Series,
    delays: &Delays,
) -> Result<(), Rejection> {
    if sample.delay_s - sample.dispersion_s > options.maxdelay_s {
        return Err(Rejection::Delay);
    }
    let quantile = options.maxdelayquant > 0.0;
    if quantile && delays.quantile_s(options.maxdelayquant).is_some_and(|s| sample.delay_s > s) {
        return Err(Rejection::DelayQuantile);
    }
    let Some(usual) = Usual::of(series, sample, options).filter(|_| series.len() >= FEWEST_SAMPLES)
    else {
        return Ok(());
    };
    if options.maxdelayratio >= 1.0
        && sample.delay_s > usual.shortest_s * options.maxdelayratio + usual.drift_s
    {
        return Err(Rejection::DelayRatio);
    }
    if !quantile && usual.is_spike(sample, options.maxdelaydevratio) {
        return Err(Rejection::DelayDeviation);
    }
    Ok(())
}

/// What is expected of the next sample.
#[expect(clippy::struct_field_names, reason = "all end in their unit")]
struct Usual {
    shortest_s: f64,
    offset_s: f64,
    deviation_s: f64,
    /// What clocks and paths may have changed by since the last sample, seconds.
    drift_s: f64,
}

impl Usual {
    fn of(series: &Series, sample: &Sample, options: &SourceOptions) -> Option<Self> {
        let (line, last) = (series.line()?, series.last()?);
        let age_s = seconds::of(sample.time.since(last.time)).max(0.0);
        let known_s = Some(options.mindelay_s).filter(|&known_s| known_s > 0.0);
        Some(Self {
            shortest_s: known_s.or_else(|| series.shortest_delay_s())?,
            offset_s: series.estimate(sample.time)?.offset_s,
            deviation_s: line.noise,
            drift_s: age_s * (SKEW_DEVIATIONS * line.slope_deviation + series.unseen()),
        })
    }

    /// Whether a sample waited longer than by `ratio` deviations, and its offset shows no more than that: one that
    /// is off by more than its delay explains tells of a clock that was set.
    fn is_spike(&self, sample: &Sample, ratio: f64) -> bool {
        let most_s = ratio * self.deviation_s + self.drift_s;
        let longer_s = (sample.delay_s - self.shortest_s) / 2.0;
        let off_s = (sample.offset_s - self.offset_s).abs();
        longer_s > most_s && off_s <= longer_s + most_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::KnownFrequency;
    use ntp_common::time::NtpTimestamp;
    use ntp_common::wire::{LeapIndicator, ReferenceId};

    fn sample(index: u32, delay_s: f64, offset_s: f64) -> Sample {
        Sample {
            time: NtpTimestamp::from_bits((4_000_000_000 + u64::from(index) * 16) << 32),
            offset_s,
            delay_s,
            dispersion_s: 1e-7,
            root_delay_s: 0.0,
            root_dispersion_s: 0.0,
            stratum: 1,
            leap: LeapIndicator::Normal,
            reference_id: ReferenceId::NONE,
        }
    }

    /// Twenty samples of a path of 1 to 1.09 ms with errors of 20 us.
    fn world() -> (Series, Delays) {
        let at = NtpTimestamp::from_bits(4_000_000_000 << 32);
        let known = KnownFrequency { correction: 0.0, deviation: 1e-7, at, unseen: 1e-6 };
        let (mut series, mut seen) = (Series::new(known, 1e-7), Delays::default());
        for index in 0..20 {
            let sample = sample(
                index,
                1e-3 + 1e-5 * f64::from(index * 7 % 10),
                if index % 2 == 0 { 2e-5 } else { -2e-5 },
            );
            seen.add(sample.delay_s);
            series.add(sample, 0.0, None);
        }
        (series, seen)
    }

    fn outcome(options: &SourceOptions, delay_s: f64, offset_s: f64) -> Result<(), Rejection> {
        let (series, seen) = world();
        check(&sample(20, delay_s, offset_s), options, &series, &seen)
    }

    #[test]
    fn each_option_rejects_what_took_longer_than_it_allows() {
        let options = SourceOptions::default;
        let ratio = SourceOptions { maxdelayratio: 1.5, ..options() };
        let lax = SourceOptions { maxdelaydevratio: 1e6, ..options() };
        let known = SourceOptions { mindelay_s: 1e-4, ..ratio.clone() };
        let quantile = SourceOptions { maxdelayquant: 0.3, ..options() };
        let cases = [
            ("usual", options(), 1.1e-3, 0.0, Ok(())),
            (
                "maxdelay",
                SourceOptions { maxdelay_s: 1e-3, ..options() },
                1.1e-3,
                0.0,
                Err(Rejection::Delay),
            ),
            ("maxdelayratio", ratio.clone(), 1.7e-3, 0.0, Err(Rejection::DelayRatio)),
            ("maxdelayratio, within", ratio, 1.2e-3, 0.0, Ok(())),
            ("mindelay", known, 1.1e-3, 0.0, Err(Rejection::DelayRatio)),
            ("maxdelaydevratio", options(), 20e-3, 5e-3, Err(Rejection::DelayDeviation)),
            ("a clock that was set", options(), 20e-3, 0.1, Ok(())),
            ("maxdelaydevratio that allows it", lax, 20e-3, 5e-3, Ok(())),
            ("maxdelayquant", quantile.clone(), 1.05e-3, 0.0, Err(Rejection::DelayQuantile)),
            ("maxdelayquant, within", quantile, 1.01e-3, 0.0, Ok(())),
        ];
        for (name, options, delay_s, offset_s, expected) in cases {
            assert_eq!(outcome(&options, delay_s, offset_s), expected, "{name}");
        }
    }

    #[test]
    fn few_samples_tell_nothing_of_what_is_usual() {
        let (series, delays) = (
            Series::new(
                KnownFrequency {
                    correction: 0.0,
                    deviation: 1e-7,
                    at: NtpTimestamp::from_bits(4_000_000_000 << 32),
                    unseen: 1e-6,
                },
                1e-7,
            ),
            Delays::default(),
        );
        let options =
            SourceOptions { maxdelayratio: 1.1, maxdelayquant: 0.1, ..SourceOptions::default() };
        assert_eq!(check(&sample(0, 2.9, 0.0), &options, &series, &delays), Ok(()));
    }

    #[test]
    fn no_more_delays_are_kept_than_allowed() {
        let mut delays = Delays::default();
        (0..2000).for_each(|index| delays.add(f64::from(index)));
        assert_eq!(delays.0.len(), MOST_DELAYS);
    }
}
