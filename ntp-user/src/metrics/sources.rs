//! Metrics of sources.

use std::fmt;

use ntp_engine::report::{SourceReport, SourceState, clock_name};

use super::page::{Labels, Metric, Page, SECONDS};

/// The states of a source by their names in metrics.
const STATES: [(SourceState, &str); 6] = [
    (SourceState::Selected, "selected"),
    (SourceState::Combined, "combined"),
    (SourceState::NotCombined, "not_combined"),
    (SourceState::Falseticker, "falseticker"),
    (SourceState::Jittery, "jittery"),
    (SourceState::Unusable, "unusable"),
];

fn labels_of(source: &SourceReport) -> Labels<'static> {
    let address = || source.address.map_or_else(String::new, |address| address.to_string());
    let address = source.clock.map_or_else(address, clock_name);
    let name = source.name.clone().unwrap_or_else(|| address.clone());
    vec![("source", address), ("name", name)]
}

/// One value of a source, if it is known.
type Value = fn(&SourceReport) -> Option<f64>;

/// The values that every source has.
const VALUES: [(Metric, Value); 9] = [
    (("source_stratum", "Stratum of the source, 0 unknown", None), |it| Some(it.stratum.into())),
    (("source_reachability", "Answered polls of the last eight", None), |it| {
        Some(it.reach.count_ones().into())
    }),
    (("source_poll_interval", "Interval of requests", SECONDS), |it| {
        Some(f64::from(it.poll_log2).exp2())
    }),
    (("source_sample_age", "Time since the last sample", SECONDS), |it| it.last_sample_s),
    (("source_offset", "Offset of the last sample", SECONDS), |it| {
        it.last_sample_s.map(|_| it.adjusted_offset_s)
    }),
    (("source_error", "Bound of that offset's error", SECONDS), |it| {
        it.last_sample_s.map(|_| it.error_s)
    }),
    (("source_deviation", "Standard deviation of samples", SECONDS), |it| {
        it.last_sample_s.map(|_| it.deviation_s)
    }),
    (("source_frequency_ppm", "Frequency against our clock", None), |it| {
        it.last_sample_s.map(|_| it.frequency_ppm)
    }),
    (("source_skew_ppm", "Estimated error of that frequency", None), |it| {
        it.last_sample_s.map(|_| it.skew_ppm)
    }),
];

/// Writes the state of every source.
pub(super) fn write(page: &mut Page<'_>, sources: &[SourceReport]) -> fmt::Result {
    let states = sources.iter().flat_map(|source| {
        STATES.iter().map(|&(state, name)| {
            let mut labels = labels_of(source);
            labels.push(("state", name.to_owned()));
            (labels, if source.state == state { 1.0 } else { 0.0 })
        })
    });
    page.gauges(("source_state", "1 for the state that the source is in", None), states)?;
    for (metric, value) in VALUES {
        let values = sources.iter().filter_map(|it| Some((labels_of(it), value(it)?)));
        page.gauges(metric, values)?;
    }
    page.counters(
        ("source_requests", "Requests sent to the source", None),
        sources.iter().map(|source| (labels_of(source), source.sent)),
    )?;
    let replies = sources.iter().flat_map(|source| {
        [("accepted", source.accepted), ("rejected", source.rejected)].map(|(result, count)| {
            let mut labels = labels_of(source);
            labels.push(("result", result.to_owned()));
            (labels, count)
        })
    });
    page.counters(("source_replies", "Packets from the source", None), replies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_name_of_its_own() {
        for (index, (state, name)) in STATES.iter().enumerate() {
            assert!(STATES[..index].iter().all(|(other, it)| other != state && it != name));
        }
    }
}
