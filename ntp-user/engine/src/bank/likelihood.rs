//! What a sample says of the offset, given what is known of its path.
//!
//! The error of a sample is half of what the request waited minus half of what the reply did, and their sum shows
//! in the delay. When both wait exponentially long, the error given the delay is uniform between plus and minus half
//! of what the delay is above the shortest one.

use super::model::Observation;
use super::path::{FEWEST_DELAYS, Path, count};
use super::tilt::MOST_SCALES;
use super::window::Record;

/// What the shortest delay seen is above the shortest possible, in scales over the root of the number of
/// delays.
const LEAST_EXCESS: f64 = 1.1;
/// Standard deviation of half of that, in the same unit: more than the 0.325 that exponential waits have, since what
/// one sample is off by in this the others are, too.
const SOFTNESS: f64 = 0.5;
/// Standard deviation of the error by asymmetry of a path, as a part of its delay. It can't be more than half: a
/// prior that leaves no room for that much lets sources that disagree drag the clock along.
const BIAS: f64 = 0.2;

/// How much more that is while so few delays are known that their scale is uncertain: this over their number.
const FEW: f64 = 4.0;

/// Width of the density of outliers of a sample that is known by its deviation, in deviations.
const OUTLIER_DEVIATIONS: f64 = 200.0;

/// What a sample says. `bias` is the slot of its source's bias.
pub(super) fn observation(
    record: &Record,
    path: Option<&Path>,
    bias: Option<usize>,
    precision_s: f64,
) -> Observation {
    let delay_s = record.delay_s;
    let vague = Observation {
        offset_s: record.offset_s,
        half_width_s: delay_s / 2.0 + precision_s,
        softness_s: precision_s,
        tilt: 0.0,
        delay_s,
        bias,
        bias_deviation_s: BIAS * delay_s,
    };
    if let Some(deviation_s) = record.deviation_s {
        return Observation {
            half_width_s: precision_s,
            softness_s: deviation_s.max(precision_s),
            delay_s: delay_s + OUTLIER_DEVIATIONS * deviation_s,
            ..vague
        };
    }
    let Some(path) = path.filter(|path| path.known() >= FEWEST_DELAYS) else { return vague };
    let (tilt, scale_s) = path.tilt().unwrap_or((0.0, path.scale_s()));
    let known = count(path.known());
    let unit_s = scale_s / known.sqrt() * (1.0 + FEW / known);
    // Nothing is above the shortest delay possible that is known beforehand.
    let excess_s = if path.knows_shortest() { 0.0 } else { LEAST_EXCESS * unit_s };
    let before_shift = record.at_s < path.shifted_at_s();
    let least_s = if before_shift { record.least_delay_s } else { path.least_s() };
    let half_s = f64::midpoint(delay_s - least_s, excess_s).max(excess_s / 2.0).min(delay_s / 2.0);
    let softness_s = (SOFTNESS * unit_s + precision_s).hypot(path.straying.noise_s());
    // A spike may be in either direction: what is usual says nothing of it.
    let usual = 2.0 * half_s < MOST_SCALES * path.scale_s();
    if let Some(asymmetry) = path.asymmetry() {
        // What waited in the direction that is known is no error any more.
        let left_s = (half_s * (1.0 - 2.0 * asymmetry.abs())).max(excess_s / 2.0);
        return Observation {
            offset_s: record.offset_s + asymmetry * (delay_s - least_s).max(0.0),
            half_width_s: left_s + precision_s,
            softness_s,
            ..vague
        };
    }
    Observation {
        half_width_s: half_s + precision_s,
        softness_s,
        tilt: if usual { tilt } else { 0.0 },
        ..vague
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bank::KnownPath;
    use crate::seams::SourceId;

    const PRECISION_S: f64 = 1e-8;

    fn record(delay_s: f64) -> Record {
        Record {
            source: SourceId(0),
            at_s: 1000.0,
            offset_s: 0.5,
            delay_s,
            least_delay_s: 1e-3,
            bound_s: 1e-3,
            deviation_s: None,
            broke: false,
        }
    }

    fn path(delays: u32) -> Path {
        let mut path = Path::new(PRECISION_S);
        for delay in 0..delays {
            path.add(1e-3 + 1e-5 * f64::from(delay % 20), f64::from(delay));
        }
        path
    }

    #[test]
    fn new_path_bounds_errors_by_half_of_the_delay() {
        for known in [0, 3] {
            let seen = observation(&record(2e-3), Some(&path(known)), None, PRECISION_S);
            assert!((seen.half_width_s - 1e-3).abs() < 1e-7, "{known}: {seen:?}");
        }
    }

    #[test]
    fn shortest_delay_that_is_known_bounds_errors_whatever_was_seen_of_the_path() {
        let half_width_s = |delays: u32, known_s: f64, delay_s: f64| {
            let mut path = Path::new(PRECISION_S);
            path.know(KnownPath { asymmetry: None, shortest_s: Some(known_s) });
            for delay in 0..delays {
                path.add(1e-3 + 1e-5 * f64::from(delay % 20), f64::from(delay));
            }
            observation(&record(delay_s), Some(&path), None, PRECISION_S).half_width_s
        };
        for delays in [5, 200] {
            // Half of what the delay is above the shortest, and nothing for not having seen it.
            for (known_s, delay_s, expected_s) in [(0.8e-3, 1.4e-3, 3e-4), (0.2e-3, 1e-3, 4e-4)] {
                let found_s = half_width_s(delays, known_s, delay_s);
                assert!((found_s / expected_s - 1.0).abs() < 1e-3, "{delays} {known_s}: {found_s}");
            }
            // Delays that are shorter than what is said contradict it.
            assert!(half_width_s(delays, 2e-3, 1.4e-3) > 2e-4, "{delays}");
        }
    }

    #[test]
    fn known_asymmetry_corrects_the_offset_by_what_waited() {
        let mut path = path(200);
        for (asymmetry, offset_s) in [(0.5, 0.5002), (-0.5, 0.4998), (0.0, 0.5)] {
            path.know(KnownPath { asymmetry: Some(asymmetry), shortest_s: None });
            let seen = observation(&record(1.4e-3), Some(&path), None, PRECISION_S);
            assert!((seen.offset_s - offset_s).abs() < 1e-9, "{asymmetry}: {seen:?}");
            assert_eq!(seen.half_width_s < 1e-5, asymmetry != 0.0, "{asymmetry}: {seen:?}");
        }
    }

    #[test]
    fn known_path_bounds_errors_by_half_of_what_is_above_its_shortest_delay() {
        let path = path(200);
        let seen = observation(&record(1.4e-3), Some(&path), Some(3), PRECISION_S);
        assert!((seen.half_width_s / 2e-4 - 1.0).abs() < 0.05, "{seen:?}");
        let shortest = observation(&record(1e-3), Some(&path), None, PRECISION_S);
        assert!(shortest.half_width_s < 1e-5 && shortest.softness_s < 5e-6, "{shortest:?}");
        assert_eq!((seen.bias, shortest.bias), (Some(3), None));
    }
}
