//! The report of a load test: for people on a terminal, for programs, and as a page that opens offline.

mod chart;
mod html;
mod save;
mod svg;
mod text;

use std::net::SocketAddr;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use super::outcome::{Outcome, Probe};
use crate::conditions::Conditions;
use crate::units::show_ns;

/// The quantiles that are shown.
pub(crate) const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)];

/// A load test and what came of it.
pub struct Report {
    /// Who was asked.
    pub server: SocketAddr,
    /// What sent.
    pub generator: &'static str,
    /// How many clients were played.
    pub clients: u64,
    /// The latency of one reply in so many was measured.
    pub latency_every: u32,
    /// On what machine.
    pub conditions: Conditions,
    /// Step by step.
    pub steps: Vec<Outcome>,
    /// Of a search for the limit: the share that may be lost, and the step that is the limit, if one is.
    pub limit: Option<(f64, Option<usize>)>,
}

impl Report {
    /// The step that the details are of: the limit where one was sought, and otherwise the last.
    #[must_use]
    pub fn main_step(&self) -> Option<&Outcome> {
        match self.limit {
            Some((_, found)) => self.steps.get(found?),
            None => self.steps.last(),
        }
    }

    /// Of which replies the latency is, if not of all.
    fn sampled(&self) -> String {
        match self.latency_every {
            0 | 1 => String::new(),
            every => format!(", latency of one reply in {every}"),
        }
    }

    /// The report for a program. Times are in nanoseconds, rates in requests a second, loss is a share.
    #[must_use]
    pub fn json(&self) -> Value {
        let steps: Vec<Value> = self.steps.iter().map(step).collect();
        let limit = self.limit.map(|(loss, found)| {
            let answered =
                found.and_then(|index| self.steps.get(index)).map(Outcome::answered_rate);
            json!({ "loss": loss, "step": found, "answered_per_second": answered })
        });
        json!({
            "server": self.server.to_string(), "generator": self.generator, "clients": self.clients,
            "latency_every": self.latency_every, "conditions": self.conditions.json(), "steps": steps, "limit": limit,
        })
    }
}

fn step(outcome: &Outcome) -> Value {
    let kinds: Map<String, Value> = outcome
        .kinds
        .iter()
        .map(|(kind, count)| {
            let count =
                json!({ "sent": count.sent, "answered": count.answered, "kissed": count.kissed });
            (kind.name().to_owned(), count)
        })
        .collect();
    json!({
        "asked_per_second": outcome.step.rate, "seconds": outcome.seconds,
        "sent": outcome.sent(), "answered": outcome.answered(), "lost": outcome.lost(),
        "loss": outcome.loss(), "kinds": kinds,
        "sent_per_second": outcome.sent_rate(), "answered_per_second": outcome.answered_rate(),
        "kept_rate": outcome.kept_rate(), "strange": outcome.strange, "failed": outcome.failed,
        "sender_processor_s": outcome.processor_s, "stalls": outcome.stalls, "stalled_ns": outcome.stalled_ns,
        "latency_ns": quantiles(&outcome.latency), "probe": outcome.probe.as_ref().map(probe),
    })
}

fn probe(probe: &Probe) -> Value {
    json!({
        "sent": probe.sent, "answered": probe.answered, "same_clock": probe.same_clock,
        "median_offset_ns": probe.median_offset_ns,
        "offset_error_ns": quantiles(&probe.error), "round_trip_ns": quantiles(&probe.round_trip),
    })
}

fn quantiles(histogram: &Histogram<u64>) -> Value {
    if histogram.is_empty() {
        return Value::Null;
    }
    let values = QUANTILES.map(|(name, quantile)| {
        (name.to_owned(), Value::from(histogram.value_at_quantile(quantile)))
    });
    Value::Object(values.into_iter().collect())
}

/// A quantile as people read it.
fn show_at(histogram: &Histogram<u64>, quantile: f64) -> String {
    if histogram.is_empty() {
        return "-".to_owned();
    }
    show_ns(histogram.value_at_quantile(quantile) as f64)
}

/// A report of made-up figures.
#[cfg(test)]
pub(crate) fn sample() -> Report {
    use super::mix::Kind;
    use super::outcome::{Count, Step};
    use std::time::Duration;

    let outcome = |rate: f64, answered: u64| {
        let step = Step { rate: Some(rate), duration: Duration::from_secs(1) };
        let mut outcome = Outcome::new(step);
        outcome.seconds = 1.0;
        let sent = crate::units::whole(rate);
        outcome.kinds = vec![
            (Kind::Plain, Count { sent, answered, kissed: 0 }),
            (Kind::Garbage, Count { sent: 10, answered: 0, kissed: 0 }),
        ];
        for ns in 1..=1000u64 {
            outcome.latency.saturating_record(ns * 100);
        }
        let measured: Vec<(i64, u64)> = (0..50).map(|n| (n * 100 - 2500, 20_000)).collect();
        outcome.probe = Some(Probe::of(&measured, 50, true, Duration::from_millis(20)));
        outcome
    };
    Report {
        server: ([127, 0, 0, 1], 123).into(),
        generator: "sockets",
        clients: 64,
        latency_every: 1,
        conditions: Conditions {
            kernel: "6.1".to_owned(),
            processor: "P <&>".to_owned(),
            cpus: vec![0, 1],
            clocksource: "tsc".to_owned(),
            governor: "unknown".to_owned(),
            distance_ns: None,
        },
        steps: vec![outcome(1000.0, 1000), outcome(2000.0, 1999), outcome(4000.0, 2500)],
        limit: Some((0.001, Some(1))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_figures_in_their_units() {
        let json = sample().json();
        assert_eq!(json["limit"]["step"], 1);
        let step = &json["steps"][1];
        assert_eq!(
            (&step["sent"], &step["answered"], &step["lost"]),
            (&2010.into(), &1999.into(), &1.into())
        );
        assert_eq!(step["kinds"]["garbage"]["sent"], 10);
        assert_eq!(step["latency_ns"]["p50"], 50_015);
        assert_eq!(step["probe"]["same_clock"], true);
        assert_eq!(json["conditions"]["clocksource"], "tsc");
    }

    #[test]
    fn reports_say_when_not_every_latency_was_measured() {
        let mut report = sample();
        assert!(![report.text(), report.html()].iter().any(|it| it.contains("one reply in")));
        report.latency_every = 64;
        for report in [report.text(), report.html()] {
            assert!(report.contains("64 clients, latency of one reply in 64"), "{report}");
        }
    }

    #[test]
    fn details_are_of_the_limit_where_one_was_sought() {
        let mut report = sample();
        assert_eq!(report.main_step().map(Outcome::answered), Some(1999));
        report.limit = Some((0.001, None));
        assert!(report.main_step().is_none());
        report.limit = None;
        assert_eq!(report.main_step().map(Outcome::answered), Some(2500));
    }
}
