//! How well a clock was kept.

use crate::trace::Trace;

/// An offset below this is good, seconds.
const GOOD_S: f64 = 1e-3;

/// The figures of one simulation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Root mean square of the steered clock's error after settling, seconds.
    pub rms_s: f64,
    /// 99th percentile of its magnitude, seconds.
    pub p99_s: f64,
    /// Largest magnitude, seconds.
    pub max_s: f64,
    /// Root mean square of the error of its frequency, seconds a second.
    pub frequency_rms: f64,
    /// Root mean square of the error of what is served, seconds.
    pub served_rms_s: f64,
    /// Time from which the error stays below 1 ms, seconds since the start; infinite when it does not.
    pub good_since_s: f64,
    /// Requests that were sent.
    pub packets: f64,
}

impl Figures {
    /// The figures of a trace; what was before `settling_s` counts for `good_since_s` alone.
    #[must_use]
    pub fn of(trace: &Trace, settling_s: f64, packets: u64) -> Self {
        let settled: Trace = trace.iter().filter(|m| m.at_s >= settling_s).copied().collect();
        let mut magnitudes: Vec<f64> = settled.iter().map(|moment| moment.clock_s.abs()).collect();
        magnitudes.sort_by(f64::total_cmp);
        let last_bad = trace.iter().rposition(|moment| moment.clock_s.abs() >= GOOD_S);
        let good_since = last_bad.map_or(0, |index| index + 1);
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let packets = packets as f64;
        Self {
            rms_s: rms(settled.iter().map(|moment| moment.clock_s)),
            p99_s: magnitudes.get(magnitudes.len() * 99 / 100).copied().unwrap_or(f64::NAN),
            max_s: magnitudes.last().copied().unwrap_or(f64::NAN),
            frequency_rms: rms(settled.iter().map(|moment| moment.frequency)),
            served_rms_s: rms(settled.iter().filter_map(|moment| moment.served_s)),
            good_since_s: trace.get(good_since).map_or(f64::INFINITY, |moment| moment.at_s),
            packets,
        }
    }

    /// Each figure's median over several simulations.
    #[must_use]
    pub fn medians(all: &[Self]) -> Self {
        let median = |figure: fn(&Self) -> f64| {
            let mut values: Vec<f64> = all.iter().map(figure).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        Self {
            rms_s: median(|f| f.rms_s),
            p99_s: median(|f| f.p99_s),
            max_s: median(|f| f.max_s),
            frequency_rms: median(|f| f.frequency_rms),
            served_rms_s: median(|f| f.served_rms_s),
            good_since_s: median(|f| f.good_since_s),
            packets: median(|f| f.packets),
        }
    }
}

fn rms(values: impl Iterator<Item = f64>) -> f64 {
    let (count, squares) =
        values.fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value * value));
    f64::sqrt(squares / count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Moment;

    #[test]
    fn figures_are_those_of_the_settled_part() {
        let trace: Trace = (0..200u32)
            .map(|second| Moment {
                at_s: f64::from(second),
                clock_s: if second < 50 { 2e-3 } else { -3e-4 },
                served_s: Some(1e-4),
                frequency: 2e-9,
            })
            .collect();
        let figures = Figures::of(&trace, 100.0, 7);
        for (found, expected) in [
            (figures.rms_s, 3e-4),
            (figures.p99_s, 3e-4),
            (figures.max_s, 3e-4),
            (figures.served_rms_s, 1e-4),
            (figures.frequency_rms, 2e-9),
            (figures.good_since_s, 50.0),
            (figures.packets, 7.0),
        ] {
            assert!((found / expected - 1.0).abs() < 1e-9, "{figures:?}");
        }
    }

    #[test]
    fn a_clock_that_never_becomes_good_has_no_time_since_when() {
        let moment = Moment { at_s: 0.0, clock_s: 1.0, served_s: None, frequency: 0.0 };
        assert!(Figures::of(&vec![moment], 0.0, 1).good_since_s.is_infinite());
    }
}
