//! One estimate of several that agree. RFC 5905 section 11.2.3.

use crate::estimate::Estimate;

/// A source's estimate and its bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Weighted {
    pub(crate) estimate: Estimate,
    /// Root distance, seconds.
    pub(crate) distance_s: f64,
}

/// Combines: offsets with the reciprocal of the root distance as their weight, since what sources differ by
/// is mostly the asymmetry of their paths; frequencies with the reciprocal of their variance.
pub(crate) fn combine(sources: &[Weighted]) -> Option<Estimate> {
    let by_distance: f64 = sources.iter().map(|source| 1.0 / source.distance_s).sum();
    let by_slope: f64 = sources.iter().map(|source| source.estimate.slope_deviation.powi(-2)).sum();
    if sources.is_empty() || !by_distance.is_finite() || !by_slope.is_finite() {
        return sources.first().map(|source| source.estimate);
    }
    let (mut offset_s, mut variance, mut slope) = (0.0, 0.0, 0.0);
    for Weighted { estimate, distance_s } in sources {
        let weight = 1.0 / distance_s / by_distance;
        offset_s += weight * estimate.offset_s;
        variance += (weight * estimate.offset_deviation_s).powi(2);
        slope += estimate.slope * estimate.slope_deviation.powi(-2) / by_slope;
    }
    Some(Estimate {
        offset_s,
        offset_deviation_s: variance.sqrt(),
        slope,
        slope_deviation: by_slope.powf(-0.5),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(offset_s: f64, slope: f64, deviation: f64, distance_s: f64) -> Weighted {
        let estimate =
            Estimate { offset_s, offset_deviation_s: deviation, slope, slope_deviation: deviation };
        Weighted { estimate, distance_s }
    }

    #[test]
    fn one_source_is_taken_as_it_is() {
        let only = source(0.3, 1e-6, 1e-7, 0.01);
        assert_eq!(combine(&[only]), Some(only.estimate));
        assert_eq!(combine(&[]), None);
    }

    #[test]
    fn near_and_certain_sources_count_more() {
        let combined =
            combine(&[source(0.0, 0.0, 1e-6, 0.01), source(0.3, 9e-6, 2e-6, 0.02)]).unwrap();
        assert!((combined.offset_s - 0.1).abs() < 1e-12, "{combined:?}");
        assert!((combined.slope - 9e-6 / 5.0).abs() < 1e-15, "{combined:?}");
        assert!(combined.slope_deviation < 1e-6);
    }
}
