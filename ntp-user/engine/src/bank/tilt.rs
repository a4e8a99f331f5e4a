//! Whether packets wait longer on the way there or on the way back. A reply that waited makes the offset seem
//! smaller than it is, a request that waited larger, so the errors of samples tell the two apart.

/// Samples that the means remember.
const MEMORY: f64 = 60.0;
/// Samples that waited longer than this many scales tell of spikes, not of the usual way.
pub(super) const MOST_SCALES: f64 = 12.0;
/// Least weight of the means.
const FEWEST: f64 = 6.0;
/// Samples of a symmetric path that are added before the means are compared.
const PSEUDO: f64 = 2.0;
/// Deviations that the logarithm of their ratio must be off from 0, the deviation times the root of the weight,
/// and the least deviation.
const SIGNIFICANT: f64 = 2.5;
const DEVIATION: f64 = 1.4;
const LEAST_DEVIATION: f64 = 0.2;
/// The smaller mean is taken to be at least this part of the other.
const LEAST_PART: f64 = 0.02;

/// Means of what the directions are delayed by, from samples of about the last hour.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tilt {
    there: f64,
    back: f64,
    weight: f64,
}

/// Two means that differ, seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Means {
    there_s: f64,
    back_s: f64,
}

impl Tilt {
    /// Learns of a sample with errors within `half_width_s` that was `error_s` off: the request waited for
    /// half of the sum, the reply for half of the difference.
    pub(super) fn learn(&mut self, half_width_s: f64, error_s: f64, scale_s: f64) {
        let most_s = 2.0 * half_width_s;
        if most_s >= MOST_SCALES * scale_s {
            return;
        }
        let keep = 1.0 - 1.0 / MEMORY;
        self.there = self.there * keep + (half_width_s + error_s).clamp(0.0, most_s);
        self.back = self.back * keep + (half_width_s - error_s).clamp(0.0, most_s);
        self.weight = self.weight * keep + 1.0;
    }

    /// The means, if they differ beyond doubt. `scale_s` is the mean that a symmetric path would have.
    pub(super) fn means(&self, scale_s: f64) -> Option<Means> {
        if self.weight < FEWEST {
            return None;
        }
        let prior_s = PSEUDO * scale_s;
        let ratio = ((self.there + prior_s) / (self.back + prior_s)).ln();
        let deviation = (DEVIATION / self.weight.sqrt()).max(LEAST_DEVIATION);
        (ratio.abs() > SIGNIFICANT * deviation).then(|| {
            let (there_s, back_s) = (self.there / self.weight, self.back / self.weight);
            Means {
                there_s: there_s.max(LEAST_PART * back_s),
                back_s: back_s.max(LEAST_PART * there_s),
            }
        })
    }
}

impl Means {
    /// Exponent of the density of errors, 1/s: `exp(-exponent e)`.
    pub(super) fn exponent(self) -> f64 {
        1.0 / self.there_s - 1.0 / self.back_s
    }

    /// The scale of errors, seconds.
    pub(super) fn scale_s(self) -> f64 {
        (self.there_s * self.back_s).sqrt()
    }

    /// Variance of samples, s^2, by the more exact direction.
    pub(super) fn variance(self) -> f64 {
        let (there, back) = (self.there_s.powi(2), self.back_s.powi(2));
        there * back / (there + back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(there_s: f64, back_s: f64, samples: usize) -> Option<Means> {
        let mut tilt = Tilt::default();
        for _ in 0..samples {
            tilt.learn(f64::midpoint(there_s, back_s), (there_s - back_s) / 2.0, 1e-3);
        }
        tilt.means(1e-3)
    }

    #[test]
    fn asymmetry_is_believed_when_it_is_large_and_many_samples_show_it() {
        assert_eq!(learnt(1e-3, 1e-3, 100), None);
        assert_eq!(learnt(1.2e-3, 0.9e-3, 100), None);
        assert_eq!(learnt(4e-3, 1e-4, 5), None);
        let means = learnt(4e-3, 1e-4, 60).unwrap();
        assert!(means.exponent() < -5e3, "{means:?}");
        assert!(means.scale_s() < 1e-3 && means.variance().sqrt() < 1.1e-4, "{means:?}");
        let mirrored = learnt(1e-4, 4e-3, 60).unwrap();
        assert!((mirrored.exponent() + means.exponent()).abs() < 1e-6);
    }

    #[test]
    fn spikes_teach_nothing() {
        assert_eq!(learnt(30e-3, 1e-4, 60), None);
    }
}
