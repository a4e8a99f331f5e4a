//! The report as one page with its charts in it, which opens without a network.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use super::chart::{bound, counts};
use super::svg::{Axis, Line, bars, chart, escape, marks};
use super::{QUANTILES, Report, show_at};
use crate::load::outcome::Outcome;
use crate::units::{show_ns, show_rate};

/// What the page looks like. Colours of lines stay apart for the colour-blind (Okabe and Ito, 2008).
const STYLE: &str = include_str!("style.css");

/// Quantiles of a curve: 1 in so many is above.
const CURVE: [f64; 13] = [1.0, 1.5, 2.0, 4.0, 10.0, 30.0, 1e2, 3e2, 1e3, 3e3, 1e4, 3e4, 1e5];

impl Report {
    /// The report as a page.
    #[must_use]
    pub fn html(&self) -> String {
        let title = escape(&format!("Load test of {}", self.server));
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n\
             <p class=\"about\">{}, {} clients{}<br>{}</p>\n",
            escape(self.generator),
            self.clients,
            self.sampled(),
            escape(&self.conditions.line())
        );
        self.figures(&mut page);
        if self.steps.len() > 1 {
            page.push_str(&self.by_rate());
        }
        if let Some(step) = self.main_step() {
            page.push_str(&curves(step));
            page.push_str(&distributions(step));
        }
        self.html_table(&mut page);
        if let Some(step) = self.main_step() {
            kinds(&mut page, step);
        }
        page.push_str(
            "<p class=\"about\">A request's latency counts from when it was due, so that a sender that was held up hides \
             nothing. The offset error is the prober's; where its clock is not the server's, it is the difference from \
             the median offset.</p>\n</body></html>\n",
        );
        page
    }

    /// The figures that count, large.
    fn figures(&self, page: &mut String) {
        let Some(step) = self.main_step() else {
            let percent = self.limit.map_or(0.0, |(loss, _)| loss * 100.0);
            let _ = writeln!(
                page,
                "<p><b>Limit: none.</b> More than {percent} % were lost at every rate.</p>"
            );
            return;
        };
        let rate = show_rate(step.answered_rate());
        let what = match self.limit {
            Some((loss, _)) => {
                format!("answers/s: the limit at no more than {} % lost", loss * 100.0)
            }
            None => format!("answers/s of {} requests/s", show_rate(step.sent_rate())),
        };
        let mut cards = vec![
            (rate, what),
            (format!("{:.3} %", step.loss() * 100.0), "lost".to_owned()),
            (show_at(&step.latency, 0.5), "median latency".to_owned()),
            (show_at(&step.latency, 0.99), "latency, p99".to_owned()),
        ];
        if let Some(probe) = &step.probe {
            let what = if probe.same_clock { "offset error, p99" } else { "offset's spread, p99" };
            cards.push((show_at(&probe.error, 0.99), what.to_owned()));
        }
        page.push_str("<div class=\"figures\">\n");
        for (value, name) in &cards {
            let (value, name) = (escape(value), escape(name));
            let _ = writeln!(page, "<div><b>{value}</b><span>{name}</span></div>");
        }
        page.push_str("</div>\n");
    }

    fn html_table(&self, page: &mut String) {
        page.push_str(
            "<table><tr><th>asked/s<th>sent/s<th>answered/s<th>lost<th colspan=\"6\">latency<th>offset error<th></tr>\n\
             <tr><th><th><th><th>",
        );
        for (name, _) in QUANTILES {
            let _ = write!(page, "<th>{name}");
        }
        page.push_str("<th>p99<th></tr>\n");
        for (index, step) in self.steps.iter().enumerate() {
            let is_limit = self.limit.is_some_and(|(_, found)| found == Some(index));
            let class = if is_limit { " class=\"limit\"" } else { "" };
            let asked = step.step.rate.map_or("max".to_owned(), show_rate);
            let (sent, answered) = (show_rate(step.sent_rate()), show_rate(step.answered_rate()));
            let loss = step.loss() * 100.0;
            let _ = write!(page, "<tr{class}><td>{asked}<td>{sent}<td>{answered}<td>{loss:.3} %");
            for (_, quantile) in QUANTILES {
                let _ = write!(page, "<td>{}", show_at(&step.latency, quantile));
            }
            let error =
                step.probe.as_ref().map_or("-".to_owned(), |probe| show_at(&probe.error, 0.99));
            let remark = match (is_limit, step.kept_rate()) {
                (true, _) => "limit",
                (false, true) => "",
                (false, false) => "sender too slow",
            };
            let _ = writeln!(page, "<td>{error}<td class=\"remark\">{remark}</tr>");
        }
        page.push_str("</table>\n");
    }

    /// Answers and latency by rate. Of a rate that was tried more than once, the try that lost least.
    fn by_rate(&self) -> String {
        let mut steps: Vec<&Outcome> =
            self.steps.iter().filter(|step| !step.latency.is_empty()).collect();
        let asked = |step: &Outcome| step.step.rate.unwrap_or_else(|| step.sent_rate());
        steps.sort_by(|one, other| {
            asked(one).total_cmp(&asked(other)).then(one.loss().total_cmp(&other.loss()))
        });
        steps.dedup_by(|other, one| asked(one).total_cmp(&asked(other)).is_eq());
        // A sender that fell behind may have sent less at a higher rate.
        steps.sort_by(|one, other| one.sent_rate().total_cmp(&other.sent_rate()));
        let line = |name: &str, value: &dyn Fn(&Outcome) -> f64| Line {
            name: name.to_owned(),
            points: steps.iter().map(|step| (step.sent_rate(), value(step))).collect(),
        };
        let at =
            |quantile: f64| move |step: &Outcome| step.latency.value_at_quantile(quantile) as f64;
        let due = |step: &Outcome| {
            (step.answered() + step.lost()) as f64 / step.seconds.max(f64::MIN_POSITIVE)
        };
        let answers = [line("answers due", &due), line("answered", &Outcome::answered_rate)];
        let latency = [line("p50", &at(0.5)), line("p99", &at(0.99)), line("p99.9", &at(0.999))];
        let requests = |lines: &[Line]| {
            let x = bounds(lines, |point| point.0);
            Axis { title: "requests/s", marks: marks(x.0, x.1, show_rate) }
        };
        let (rates, times) = (bounds(&answers, |point| point.1), bounds(&latency, |point| point.1));
        let rates = Axis { title: "answers/s", marks: marks(rates.0, rates.1, show_rate) };
        let times = Axis { title: "latency", marks: marks(times.0, times.1, show_ns) };
        chart("Answers by rate", &requests(&answers), &rates, &answers)
            + &chart("Latency by rate", &requests(&latency), &times, &latency)
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
    if lines.is_empty() {
        return String::new();
    }
    let y = bounds(&lines, |point| point.1);
    let labels = [
        (1.0, "0 %"),
        (10.0, "90 %"),
        (1e2, "99 %"),
        (1e3, "99.9 %"),
        (1e4, "99.99 %"),
        (1e5, "99.999 %"),
    ];
    chart(
        &format!("Quantiles at {} requests/s", show_rate(step.sent_rate())),
        &Axis {
            title: "quantile",
            marks: labels.map(|(at, label)| (at, label.to_owned())).to_vec(),
        },
        &Axis { title: "time", marks: marks(y.0, y.1, show_ns) },
        &lines,
    )
}

/// How often a latency and an offset error were how large.
fn distributions(step: &Outcome) -> String {
    let error = step.probe.as_ref().map(|probe| ("Offset errors", &probe.error));
    let all = [Some(("Latencies", &step.latency)), error];
    let draw = |(title, histogram): (&str, &Histogram<u64>)| {
        let counts = counts(histogram);
        let (Some((least, _)), Some((most, _))) = (counts.first(), counts.last()) else {
            return String::new();
        };
        let width = bound(1);
        let axis = Axis { title: "time", marks: marks(*least, most * width, show_ns) };
        let share = |count: u64| count as f64 / histogram.len() as f64;
        let drawn: Vec<(f64, f64, f64)> =
            counts.iter().map(|(from, count)| (*from, from * width, share(*count))).collect();
        let title = format!("{title} at {} requests/s", show_rate(step.sent_rate()));
        bars(&title, &axis, "share", &drawn)
    };
    all.into_iter().flatten().map(draw).collect()
}

/// What was sent and answered of each kind, where there are several.
fn kinds(page: &mut String, step: &Outcome) {
    if step.kinds.len() < 2 {
        return;
    }
    page.push_str("<table><tr><th>kind<th>sent<th>answered<th>kissed<th></tr>\n");
    for (kind, count) in &step.kinds {
        let remark = if kind.expects_answer() { "" } else { "deserves no answer" };
        let _ = writeln!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{}<td class=\"remark\">{remark}</tr>",
            kind.name(),
            count.sent,
            count.answered,
            count.kissed
        );
    }
    page.push_str("</table>\n");
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

#[cfg(test)]
mod tests {
    use crate::load::report::sample;

    #[test]
    fn page_is_complete_and_loads_nothing() {
        let page = sample().html();
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
        // Answers and latency by rate, quantiles, and the distributions of latency and offset error.
        assert_eq!(page.matches("<svg").count(), 5);
        assert_eq!(page.matches("<tr class=\"limit\">").count(), 1);
        // Two heads and two other steps; a head and two kinds.
        assert_eq!(page.matches("<tr>").count(), 2 + 2 + 1 + 2);
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
