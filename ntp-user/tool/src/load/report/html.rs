//! The report as one page with its charts in it, which opens without a network.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use super::svg::{Axis, Line, chart, escape, powers};
use super::{QUANTILES, Report};
use crate::load::outcome::Outcome;
use crate::units::{show_ns, show_rate};

const STYLE: &str = "body{font:14px system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}\
table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}\
svg{width:100%;max-width:46em;display:block;margin:1em 0;background:#fafafa}svg text{font:11px system-ui,sans-serif;fill:#444}\
svg .title{font-weight:bold}svg .x{text-anchor:middle}svg .y{text-anchor:end}svg .grid{stroke:#e0e0e0}";

/// Quantiles of a curve: 1 in so many is above.
const CURVE: [f64; 13] = [1.0, 1.5, 2.0, 4.0, 10.0, 30.0, 1e2, 3e2, 1e3, 3e3, 1e4, 3e4, 1e5];

impl Report {
    /// The report as a page.
    #[must_use]
    pub fn html(&self) -> String {
        let title = escape(&format!("Load test of {}", self.server));
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
             <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n<p>{}, {} clients.<br>{}</p>\n",
            escape(self.generator),
            self.clients,
            escape(&self.conditions.line())
        );
        self.html_limit(&mut page);
        self.html_table(&mut page);
        if self.steps.len() > 1 {
            page.push_str(&self.by_rate());
        }
        if let Some(step) = self.main_step() {
            page.push_str(&curves(step));
        }
        page.push_str(
            "<p>A request's latency counts from when it was due. The offset error is the prober's; where its clock is \
             not the server's, it is the difference from the median offset.</p>\n</body></html>\n",
        );
        page
    }

    fn html_limit(&self, page: &mut String) {
        let Some((loss, found)) = self.limit else { return };
        let rate = found.and_then(|index| self.steps.get(index)).map(Outcome::answered_rate);
        let rate = rate.map_or("none".to_owned(), |rate| format!("{} answers/s", show_rate(rate)));
        let _ = writeln!(page, "<p><b>Limit: {rate}</b> with at most {} % lost.</p>", loss * 100.0);
    }

    fn html_table(&self, page: &mut String) {
        page.push_str("<table><tr><th>asked/s<th>sent/s<th>answered/s<th>lost %");
        for (name, _) in QUANTILES {
            let _ = write!(page, "<th>{name}");
        }
        page.push_str("<th>offset error p99</tr>\n");
        for step in &self.steps {
            let asked = step.step.rate.map_or("max".to_owned(), show_rate);
            let (sent, answered) = (show_rate(step.sent_rate()), show_rate(step.answered_rate()));
            let _ = write!(
                page,
                "<tr><td>{asked}<td>{sent}<td>{answered}<td>{:.3}",
                step.loss() * 100.0
            );
            for (_, quantile) in QUANTILES {
                let _ = write!(page, "<td>{}", show_at(&step.latency, quantile));
            }
            let error =
                step.probe.as_ref().map_or("-".to_owned(), |probe| show_at(&probe.error, 0.99));
            let _ = writeln!(page, "<td>{error}</tr>");
        }
        page.push_str("</table>\n");
    }

    /// Latency by rate.
    fn by_rate(&self) -> String {
        let mut steps: Vec<&Outcome> =
            self.steps.iter().filter(|step| !step.latency.is_empty()).collect();
        steps.sort_by(|one, other| one.sent_rate().total_cmp(&other.sent_rate()));
        let line = |name: &str, quantile: f64| Line {
            name: name.to_owned(),
            points: steps
                .iter()
                .map(|step| (step.sent_rate(), step.latency.value_at_quantile(quantile) as f64))
                .collect(),
        };
        let lines = [line("p99.9", 0.999), line("p99", 0.99), line("p50", 0.5)];
        let (x, y) = (bounds(&lines, |point| point.0), bounds(&lines, |point| point.1));
        chart(
            "Latency by rate",
            &Axis { title: "requests/s", marks: powers(x.0, x.1, show_rate) },
            &Axis { title: "latency", marks: powers(y.0, y.1, show_ns) },
            &lines,
        )
    }
}

/// Latency and offset error by quantile.
fn curves(step: &Outcome) -> String {
    let mut lines = vec![curve("latency", &step.latency)];
    if let Some(probe) = &step.probe {
        lines.push(curve("offset error", &probe.error));
        lines.push(curve("prober's round trip", &probe.round_trip));
    }
    lines.retain(|line| !line.points.is_empty());
    let y = bounds(&lines, |point| point.1);
    let marks = [
        (1.0, "0 %"),
        (10.0, "90 %"),
        (1e2, "99 %"),
        (1e3, "99.9 %"),
        (1e4, "99.99 %"),
        (1e5, "99.999 %"),
    ];
    let marks = marks.map(|(value, label)| (value, label.to_owned())).to_vec();
    chart(
        &format!("Quantiles at {} requests/s", show_rate(step.sent_rate())),
        &Axis { title: "quantile", marks },
        &Axis { title: "time", marks: powers(y.0, y.1, show_ns) },
        &lines,
    )
}

fn curve(name: &str, histogram: &Histogram<u64>) -> Line {
    let points = if histogram.is_empty() { &[][..] } else { &CURVE };
    // No more is known than there are values.
    let known = points.iter().filter(|one_in| **one_in <= histogram.len() as f64);
    let at = |one_in: &f64| (*one_in, histogram.value_at_quantile(1.0 - 1.0 / one_in) as f64);
    Line { name: name.to_owned(), points: known.map(at).collect() }
}

fn bounds(lines: &[Line], part: impl Fn(&(f64, f64)) -> f64) -> (f64, f64) {
    let values = lines.iter().flat_map(|line| &line.points).map(part);
    values.fold((f64::INFINITY, 1.0), |(least, most), value| (least.min(value), most.max(value)))
}

fn show_at(histogram: &Histogram<u64>, quantile: f64) -> String {
    if histogram.is_empty() {
        "-".to_owned()
    } else {
        show_ns(histogram.value_at_quantile(quantile) as f64)
    }
}

#[cfg(test)]
mod tests {
    use crate::load::report::sample;

    #[test]
    fn page_is_complete_and_loads_nothing() {
        let page = sample().html();
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
        assert_eq!(page.matches("<svg").count(), 2);
        assert_eq!(page.matches("<tr>").count(), 4);
        assert!(page.contains("P &lt;&amp;&gt;"), "what the machine is called is escaped");
        for outside in ["http:", "https:", "src=", "href=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn page_of_nothing_is_a_page() {
        let mut report = sample();
        report.steps.clear();
        report.limit = None;
        assert!(report.html().ends_with("</html>\n"));
    }
}
