//! The state as text in the `OpenMetrics` format, which Prometheus reads. Names and labels are an interface:
//! dashboards and alerts go by them.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::state::State;
use super::{clock, commands, serving, sources};
use crate::features;

/// What all names begin with.
const PREFIX: &str = "ntp_xdp";

/// Labels of one value.
pub(super) type Labels<'a> = Vec<(&'static str, String)>;

/// Writes the state.
///
/// # Errors
/// When the text can't be written.
pub fn render(state: State) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(state));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for State {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        page.gauges(
            ("build_info", "Version of the daemon", None),
            [(vec![("version", features::VERSION.to_owned())], 1.0)],
        )?;
        clock::write(&mut page, &self.tracking, self.is_live)?;
        sources::write(&mut page, &self.sources)?;
        serving::write(&mut page, self)?;
        commands::write(&mut page, &self.commands)
    }
}

/// Name, what it says, and unit of a metric.
pub(super) type Metric = (&'static str, &'static str, Option<Unit>);

/// Writes metrics.
pub(super) struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    pub(super) fn gauges<'a>(
        &mut self,
        (name, help, unit): Metric,
        values: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) -> fmt::Result {
        let kind = MetricType::Gauge;
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    pub(super) fn gauge(&mut self, (name, help, unit): Metric, value: f64) -> fmt::Result {
        let kind = MetricType::Gauge;
        let metric = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        ConstGauge::new(value).encode(metric)
    }

    pub(super) fn counters<'a>(
        &mut self,
        (name, help, unit): Metric,
        values: impl IntoIterator<Item = (Labels<'a>, u64)>,
    ) -> fmt::Result {
        let kind = MetricType::Counter;
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (labels, value) in values {
            ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    pub(super) fn counter(&mut self, (name, help, unit): Metric, value: u64) -> fmt::Result {
        let kind = MetricType::Counter;
        let metric = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        ConstCounter::new(value).encode(metric)
    }

    /// A histogram: counts by upper bound, each without those below; the last bound is [`f64::INFINITY`].
    pub(super) fn histogram(
        &mut self,
        (name, help, unit): Metric,
        sum: f64,
        buckets: &[(f64, u64)],
    ) -> fmt::Result {
        let kind = MetricType::Histogram;
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        let count = buckets.iter().map(|&(_, count)| count).sum();
        metric.encode_histogram::<NoLabelSet>(sum, count, buckets, None)
    }
}

/// Seconds, as a unit.
pub(super) const SECONDS: Option<Unit> = Some(Unit::Seconds);

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::metrics::{CommandCounts, Interface};
    use crate::serving::service::{BOUNDS, Service};
    use ntp_common::counters::{COUNTER_COUNT, Reason};
    use ntp_common::counters::{Family, answered_index};
    use ntp_common::time::NtpTimestamp;
    use ntp_common::wire::LeapIndicator;
    use ntp_common::wire::ReferenceId;
    use ntp_engine::report::Tracking;

    /// A state with something of everything.
    pub(crate) fn state() -> State {
        let tracking = Tracking {
            clock: None,
            reference_id: ReferenceId(0xc000_0201),
            address: Some("192.0.2.1".parse().unwrap()),
            stratum: 3,
            leap: LeapIndicator::Insert,
            reference_timestamp: NtpTimestamp::from_bits(0),
            remaining_correction_s: 1e-6,
            last_offset_s: -2e-6,
            rms_offset_s: 3e-6,
            frequency_ppm: -12.5,
            residual_frequency_ppm: 0.001,
            skew_ppm: 0.05,
            root_delay_s: 0.02,
            root_dispersion_s: 0.001,
            update_interval_s: 64.0,
            updates: 17,
            too_far_off: true,
        };
        let mut xdp = [0; COUNTER_COUNT];
        xdp[answered_index(Family::V4, 4)] = 1_000_000;
        xdp[Reason::AccessDenied as usize] = 7;
        xdp[Reason::RateLimited as usize] = 8;
        let mut times = [0; BOUNDS + 1];
        (times[0], times[2], times[BOUNDS]) = (5, 3, 1);
        State {
            tracking,
            sources: Vec::new(),
            is_live: true,
            snapshot_age_s: Some(0.25),
            interfaces: vec![Interface {
                name: "eth0".to_owned(),
                mode: "native",
                arrivals: Some([90, 5, 4, 1]),
            }],
            xdp: Some(xdp),
            user: [0; COUNTER_COUNT],
            service: Service { times, sum_ns: 5_000_000, ..Service::default() },
            client_slots: 16_384,
            clients: Some(12),
            commands: CommandCounts { done: 9, limited: 2, ..CommandCounts::default() },
        }
    }

    fn check(text: &str, line: &str) {
        assert!(text.lines().any(|it| it == line), "no line `{line}` in\n{text}");
    }

    #[test]
    fn values_stand_beside_their_names_and_labels() {
        let text = render(state()).unwrap();
        check(&text, "ntp_xdp_synchronised 1.0");
        check(&text, "ntp_xdp_stratum 3.0");
        check(&text, "ntp_xdp_clock_too_far_off 1.0");
        check(&text, "ntp_xdp_leap_indicator 1.0");
        check(&text, "ntp_xdp_clock_last_offset_seconds -0.000002");
        check(&text, "ntp_xdp_clock_frequency_ppm -12.5");
        check(&text, "ntp_xdp_clock_updates_total 17");
        check(
            &text,
            "ntp_xdp_requests_answered_total{path=\"xdp\",family=\"ipv4\",version=\"4\"} 1000000",
        );
        check(&text, "ntp_xdp_packets_unanswered_total{path=\"xdp\",reason=\"access_denied\"} 7");
        check(&text, "ntp_xdp_interface_info{interface=\"eth0\",mode=\"native\"} 1.0");
        let arrivals = |result: &str, count: u64| {
            let labels = format!("interface=\"eth0\",result=\"{result}\"");
            format!("ntp_xdp_hardware_receive_timestamps_total{{{labels}}} {count}")
        };
        check(&text, &arrivals("used", 90));
        check(&text, &arrivals("clock_unknown", 1));
        check(&text, "ntp_xdp_snapshot_age_seconds 0.25");
        check(&text, "ntp_xdp_clients 12.0");
        check(&text, "ntp_xdp_requests_limited_total{path=\"xdp\",outcome=\"dropped\"} 8");
        check(&text, "ntp_xdp_commands_total{outcome=\"limited\"} 2");
        let bucket = |bound: &str, count: u64| {
            format!("ntp_xdp_user_service_seconds_bucket{{le=\"{bound}\"}} {count}")
        };
        check(&text, &bucket("0.000001024", 5));
        check(&text, &bucket("0.000004096", 8));
        check(&text, &bucket("+Inf", 9));
        check(&text, "ntp_xdp_user_service_seconds_sum 0.005");
        check(&text, "ntp_xdp_user_service_seconds_count 9");
    }

    #[test]
    fn without_xdp_there_is_one_path() {
        let text = render(State { xdp: None, snapshot_age_s: None, ..state() }).unwrap();
        assert!(!text.contains("path=\"xdp\""));
        assert!(!text.contains("snapshot_age"));
        let mut interfaces = state().interfaces;
        interfaces[0].arrivals = None;
        let text = render(State { interfaces, ..state() }).unwrap();
        assert!(!text.contains("hardware_receive_timestamps"), "nobody asked for them");
        let text = render(State { xdp: None, snapshot_age_s: None, ..state() }).unwrap();
        assert!(text.contains("path=\"user\""));
    }

    #[test]
    fn every_name_is_described_once() {
        let text = render(state()).unwrap();
        let mut names: Vec<&str> = text.lines().filter(|it| it.starts_with("# TYPE ")).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{text}");
    }
}
