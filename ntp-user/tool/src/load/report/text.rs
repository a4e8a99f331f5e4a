//! The report for a terminal.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use super::{QUANTILES, Report, chart, show_at};
use crate::load::outcome::{Outcome, Probe};
use crate::units::{show_ns, show_rate};

impl Report {
    /// The report as lines.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "Load test of {} by {}, {} clients{}\n{}\n\n",
            self.server,
            self.generator,
            self.clients,
            self.sampled(),
            self.conditions.line()
        );
        self.table(&mut text);
        if let Some(step) = self.main_step() {
            details(&mut text, step);
        }
        if let Some((loss, found)) = self.limit {
            let percent = loss * 100.0;
            let _ = match found.and_then(|index| self.steps.get(index)) {
                Some(step) => {
                    let rate = show_rate(step.answered_rate());
                    writeln!(text, "\nLimit: {rate} answers/s with at most {percent} % lost")
                }
                None => {
                    writeln!(text, "\nLimit: none; more than {percent} % were lost at every rate")
                }
            };
        }
        text
    }

    fn table(&self, text: &mut String) {
        let titles =
            ["asked/s", "sent/s", "answered/s", "lost %", "p50", "p99", "p99.9", "error p99"];
        for title in titles {
            let _ = write!(text, "{title:>11}");
        }
        text.push('\n');
        for step in &self.steps {
            let at = |quantile: f64| show_at(&step.latency, quantile);
            let error =
                step.probe.as_ref().map_or("-".to_owned(), |probe| show_at(&probe.error, 0.99));
            let cells = [
                step.step.rate.map_or("max".to_owned(), show_rate),
                show_rate(step.sent_rate()),
                show_rate(step.answered_rate()),
                format!("{:.3}", step.loss() * 100.0),
                at(0.5),
                at(0.99),
                at(0.999),
                error,
            ];
            for cell in cells {
                let _ = write!(text, "{cell:>11}");
            }
            if !step.kept_rate() {
                text.push_str("  sender too slow");
            }
            text.push('\n');
        }
    }
}

fn details(text: &mut String, step: &Outcome) {
    let rate = show_rate(step.sent_rate());
    let _ = writeln!(text, "\nLatency at {rate} requests/s, from when a request was due");
    quantiles(text, &step.latency);
    text.push('\n');
    text.push_str(&chart::bars(&step.latency));
    if let Some(probe) = &step.probe {
        prober(text, probe);
    }
    if step.kinds.len() > 1 {
        text.push_str("\nRequests by kind\n");
        for (kind, count) in &step.kinds {
            let kissed =
                if count.kissed > 0 { format!(", {} kissed", count.kissed) } else { String::new() };
            let name = kind.name();
            let _ = writeln!(
                text,
                "  {name:<12} {} sent, {} answered{kissed}",
                count.sent, count.answered
            );
        }
    }
    let remarks = [
        (step.strange, "packets of the server answer no request of this run"),
        (step.failed, "requests could not be sent"),
        (step.stalls, "times the sender was held up and moved its schedule"),
    ];
    for (count, remark) in remarks.into_iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(text, "{count} {remark}");
    }
    if step.stalls > 0 {
        let _ = writeln!(text, "  for {} in all", show_ns(step.stalled_ns as f64));
    }
}

fn prober(text: &mut String, probe: &Probe) {
    let what = if probe.same_clock {
        "Offset error of the prober, which shares the server's clock"
    } else {
        "Offset of the prober, against its median: clocks differ, so its error is not known"
    };
    let _ = writeln!(text, "\n{what} ({} of {} answered)", probe.answered, probe.sent);
    quantiles(text, &probe.error);
    let _ = writeln!(text, "  median offset {}", show_ns(probe.median_offset_ns as f64));
    text.push_str("Round trip of the prober\n");
    quantiles(text, &probe.round_trip);
}

fn quantiles(text: &mut String, histogram: &Histogram<u64>) {
    for (name, quantile) in QUANTILES {
        let _ = write!(text, "  {name} {}", show_at(histogram, quantile));
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use crate::load::report::sample;

    #[test]
    fn report_tells_limit_loss_and_error() {
        let text = sample().text();
        for part in [
            "Load test of 127.0.0.1:123",
            "1k",
            "0.050",
            "Limit: 2k answers/s",
            "garbage",
            "50.0 us",
        ] {
            assert!(text.contains(part), "no {part} in:\n{text}");
        }
    }

    #[test]
    fn limit_that_was_not_found_is_told() {
        let mut report = sample();
        report.limit = Some((0.001, None));
        assert!(report.text().contains("Limit: none"));
    }
}
