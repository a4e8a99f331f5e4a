//! Offset and frequency over time, as a picture (SVG).

use std::fmt::Write as _;

use crate::trace::{Moment, Trace};

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 260.0;
const MARGIN: f64 = 60.0;
/// Most points of a line.
const MOST_POINTS: usize = 2000;

/// Draws a trace; what comes before `from_s` is left out, since it would hide the rest.
#[must_use]
pub fn svg(title: &str, trace: &Trace, from_s: f64) -> String {
    let shown: Trace = trace.iter().filter(|moment| moment.at_s >= from_s).copied().collect();
    let height = 2.0 * (HEIGHT + MARGIN);
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" \
         fill=\"white\"/>\n<text x=\"{MARGIN}\" y=\"20\">{title}</text>\n",
        WIDTH + 2.0 * MARGIN
    );
    picture += &panel(
        &shown,
        "offset, us",
        30.0,
        &[
            ("silver", &|moment| Some(moment.clock_s * 1e6)),
            ("crimson", &|moment| moment.served_s.map(|served_s| served_s * 1e6)),
        ],
    );
    picture += &panel(
        &shown,
        "frequency, ppb",
        30.0 + HEIGHT + MARGIN,
        &[("steelblue", &|moment| Some(moment.frequency * 1e9))],
    );
    picture + "</svg>\n"
}

/// A colour and the value that is drawn in it.
type Line<'a> = (&'a str, &'a dyn Fn(&Moment) -> Option<f64>);

fn panel(trace: &Trace, name: &str, top: f64, lines: &[Line<'_>]) -> String {
    let values = || trace.iter().flat_map(|m| lines.iter().filter_map(|(_, value)| value(m)));
    let (low, high) = values().fold((0.0f64, 0.0f64), |(low, high), v| (low.min(v), high.max(v)));
    let (Some(first), Some(last)) = (trace.first(), trace.last()) else { return String::new() };
    let span_s = (last.at_s - first.at_s).max(1.0);
    let x = |moment: &Moment| MARGIN + WIDTH * (moment.at_s - first.at_s) / span_s;
    let y = |value: f64| top + HEIGHT * (high - value) / (high - low).max(1e-9);
    let mut panel = String::new();
    for value in [low, 0.0, high] {
        let _ = writeln!(
            panel,
            "<text x=\"2\" y=\"{:.1}\">{value:.1}</text><path d=\"M{MARGIN} {:.1}h{WIDTH}\" \
             stroke=\"gainsboro\"/>",
            y(value) + 4.0,
            y(value)
        );
    }
    let _ = writeln!(panel, "<text x=\"{}\" y=\"{}\">{name}</text>", MARGIN + 4.0, top + 14.0);
    for (colour, value) in lines {
        let step = trace.len().div_ceil(MOST_POINTS).max(1);
        let points = trace.iter().step_by(step).filter_map(|moment| {
            value(moment).map(|value| format!("{:.1},{:.1}", x(moment), y(value)))
        });
        let points: Vec<String> = points.collect();
        let _ = writeln!(
            panel,
            "<polyline fill=\"none\" stroke=\"{colour}\" points=\"{}\"/>",
            points.join(" ")
        );
    }
    panel
}
