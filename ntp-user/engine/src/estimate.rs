//! What passes between those who estimate and those who steer: the wall that lets either be replaced.

use ntp_common::time::NtpTimestamp;

/// Standard deviations that bound a frequency's error.
pub(crate) const SKEW_DEVIATIONS: f64 = 2.0;

/// Growth of the variance of what is known of a clock's frequency, (s/s)^2 a second: 0.2 ppm in an hour,
/// 1 ppm in a day, as rooms get warmer and colder.
const FREQUENCY_WANDER: f64 = 1e-17;

/// What deviations that were found from few samples are to be multiplied by to bound an error: with so few
/// the noise of the samples is hardly known, and chance makes it seem small.
fn caution(samples: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let samples = samples.max(1) as f64;
    1.0 + FEW_SAMPLES / samples
}

/// Largest growth of an error that is told out of caution, seconds a second: four deviations of a frequency that
/// nothing is known of. Hardly a crystal is off by a tenth of it.
const MOST_CAUTIOUS: f64 = 2e-3;

/// Bound of the growth of an error, seconds a second, where `skew` bounds the error of a frequency that was found from
/// so many samples. `unseen` is what a clock may do that was never seen of it (`maxclockerror`).
///
/// Caution knows an end: within a minute it would make the bounds of an honest source that was heard once so wide that
/// it has no vote any more, and leave the choice to a liar that was heard four times.
pub(crate) fn error_growth(unseen: f64, skew: f64, samples: usize) -> f64 {
    unseen + (caution(samples) * skew).min(MOST_CAUTIOUS).max(skew)
}

/// Samples whose deviations are to be doubled.
const FEW_SAMPLES: f64 = 32.0;

/// What measurements say of our clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    /// Offset, seconds: positive when our clock is behind.
    pub(crate) offset_s: f64,
    /// Its standard deviation, seconds.
    pub(crate) offset_deviation_s: f64,
    /// How much the offset grows, seconds a second of our clock as it runs now.
    pub(crate) slope: f64,
    /// Its standard deviation.
    pub(crate) slope_deviation: f64,
}

/// What is known of the clock's frequency besides measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct KnownFrequency {
    /// The correction that makes the clock run true, seconds a second.
    pub(crate) correction: f64,
    /// Its standard deviation when it was known.
    pub(crate) deviation: f64,
    /// When it was known, on the steered clock.
    pub(crate) at: NtpTimestamp,
    /// How fast the bound of an error grows while nothing is measured, besides what the frequency's error makes of it,
    /// seconds a second: what the clock may do that was never seen of it.
    pub(crate) unseen: f64,
}

impl KnownFrequency {
    /// The variance `age_s` after it was known.
    pub(crate) fn variance_after(&self, age_s: f64) -> f64 {
        self.deviation.powi(2) + FREQUENCY_WANDER * age_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_samples_make_errors_grow_faster_but_not_without_limit() {
        let ppm = |skew_ppm: f64, samples| error_growth(1e-6, skew_ppm * 1e-6, samples) * 1e6;
        for (skew_ppm, samples, expected_ppm) in
            [(1.0, 1000, 2.032), (1.0, 1, 34.0), (1000.0, 1, 2001.0), (50_000.0, 1, 50_001.0)]
        {
            assert!((ppm(skew_ppm, samples) / expected_ppm - 1.0).abs() < 1e-9, "{skew_ppm}");
        }
        assert!((error_growth(5e-6, 0.0, 1) - 5e-6).abs() < 1e-15);
    }
}
