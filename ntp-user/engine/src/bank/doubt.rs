//! What becomes of the estimate when samples contradict it: who is in doubt, and by how much.

use super::mixture::Outcome;
use super::model::Observation;
use super::window::Record;
use super::{Bank, LIKELY};

/// Outliers in a row from which on they are right and the estimate is not.
const OUTLIERS: u32 = 4;
/// Probability below which a sample is an outlier.
const UNLIKELY: f64 = 0.1;
/// Good samples after which the frequency is known by measurement.
const ESTABLISHED: usize = 8;
/// How many times as long as it went astray the clock must have been right before, or its rate is in doubt.
const DOUBTED_AGAIN: f64 = 16.0;

impl Bank {
    /// Takes note of whether a sample was an outlier, and doubts the estimate when too many in a row were.
    pub(super) fn judge(&mut self, record: &Record, seen: &Observation, outcome: Outcome) {
        let excluded = record.deviation_s.is_some() || seen.half_width_s < record.delay_s / 2.0;
        let Some(path) = self.paths.get_mut(&record.source) else { return };
        if outcome.inlier > LIKELY {
            path.outliers = 0;
            path.last_good_s = record.at_s;
            self.good = self.good.saturating_add(1);
        } else if outcome.inlier < UNLIKELY && excluded {
            path.add_outlier(record.at_s);
            if path.outliers >= OUTLIERS {
                self.doubt(record, seen);
            }
        }
    }

    /// Samples have contradicted the estimate for too long: it is uncertain by as much as they say. One
    /// source's word against that of others is its bias, if it can be one; else it is the time.
    pub(super) fn doubt(&mut self, record: &Record, seen: &Observation) {
        let Some(window) = &mut self.window else { return };
        let expected = window.mixture().expected(seen, record.at_s);
        let away_s = seen.offset_s - expected.mean;
        let doubting = self.paths.values().filter(|path| path.outliers >= OUTLIERS / 2).count();
        let own = self.paths.get(&record.source);
        let since_s =
            own.filter(|path| path.outliers > 0).map_or(record.at_s, |path| path.outliers_since_s);
        // Sources that have said nothing since say nothing against it.
        let contradicted = self.paths.values().any(|path| path.is_good_since(since_s));
        let alone = 2 * doubting <= self.paths.len() && contradicted;
        let bias = seen.bias.filter(|_| alone && away_s.abs() < record.bound_s);
        let good_s = own.map_or(record.at_s, |path| path.last_good_s);
        // A clock that goes astray once may have been stepped; one that soon does again runs at another rate.
        let astray_s = record.at_s - good_s;
        let again = record.at_s - self.doubted_s < DOUBTED_AGAIN * astray_s;
        let unknown_rate = if (self.good < ESTABLISHED || again) && bias.is_none() && astray_s > 0.0
        {
            away_s / astray_s
        } else {
            0.0
        };
        if bias.is_none() {
            self.doubted_s = record.at_s;
        }
        window.doubt(bias, away_s, unknown_rate);
        for path in self.paths.values_mut() {
            if bias.is_none() {
                path.outliers = 0;
            }
        }
        if let Some(path) = self.paths.get_mut(&record.source) {
            path.outliers = 0;
        }
    }
}
