//! Offset and frequency over time, as a picture (SVG).

use std::fmt::Write as _;

use crate::trace::{Moment, Trace};

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 260.0;
const MARGIN: f64 = 60.0;
/// Most points of a line.
const MOST_POINTS: usize = 2000;
/// Parts that the time axis is divided into, at most.
const PARTS: f64 = 10.0;

/// Draws a trace; what comes before `from_s` is left out, since it would hide the rest.
#[must_use]
pub fn svg(title: &str, trace: &Trace, from_s: f64) -> String {
    let shown: Trace = trace.iter().filter(|moment| moment.at_s >= from_s).copied().collect();
    let height = 2.0 * (HEIGHT + MARGIN) + 10.0;
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
            ("silver", "clock", &|moment| Some(moment.clock_s * 1e6)),
            ("crimson", "served", &|moment| moment.served_s.map(|served_s| served_s * 1e6)),
        ],
    );
    picture += &panel(
        &shown,
        "frequency, ppb",
        30.0 + HEIGHT + MARGIN,
        &[("steelblue", "clock", &|moment| Some(moment.frequency * 1e9))],
    );
    picture + "</svg>\n"
}

/// A colour, what is drawn in it, and its value.
type Line<'a> = (&'a str, &'a str, &'a dyn Fn(&Moment) -> Option<f64>);

/// A round number of which some make up a length: 1, 2 or 5 times a power of ten.
fn round_part(length: f64) -> f64 {
    let decade = 10f64.powf((length / PARTS).log10().floor());
    let fits = |factor: &f64| length / (factor * decade) <= PARTS;
    [1.0, 2.0, 5.0].into_iter().find(fits).unwrap_or(10.0) * decade
}

/// The time axis at the bottom of a panel, seconds.
fn time_axis(first_s: f64, last_s: f64, bottom: f64) -> String {
    let part_s = round_part(last_s - first_s);
    let mut axis = String::new();
    let mut at_s = (first_s / part_s).ceil() * part_s;
    while at_s <= last_s {
        let x = MARGIN + WIDTH * (at_s - first_s) / (last_s - first_s);
        let _ = writeln!(
            axis,
            "<path d=\"M{x:.1} {bottom:.1}v4\" stroke=\"black\"/><text x=\"{x:.1}\" y=\"{:.1}\" \
             text-anchor=\"middle\">{at_s} s</text>",
            bottom + 18.0
        );
        at_s += part_s;
    }
    axis
}

/// What is drawn in which colour.
fn legend(lines: &[Line<'_>], top: f64) -> String {
    let mut legend = String::new();
    let mut x = MARGIN + 120.0;
    for (colour, meaning, _) in lines {
        let _ = writeln!(
            legend,
            "<path d=\"M{x} {:.1}h20\" stroke=\"{colour}\" stroke-width=\"3\"/><text x=\"{}\" \
             y=\"{:.1}\">{meaning}</text>",
            top + 10.0,
            x + 26.0,
            top + 14.0
        );
        x += 100.0;
    }
    legend
}

fn panel(trace: &Trace, name: &str, top: f64, lines: &[Line<'_>]) -> String {
    let values = || trace.iter().flat_map(|m| lines.iter().filter_map(|(.., value)| value(m)));
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
    panel += &legend(lines, top);
    panel += &time_axis(first.at_s, first.at_s + span_s, top + HEIGHT);
    for (colour, _, value) in lines {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axis_is_divided_into_round_parts() {
        for (length, expected) in
            [(1.0, 0.1), (14_000.0, 2_000.0), (30_000.0, 5_000.0), (101.0, 20.0)]
        {
            assert!((round_part(length) / expected - 1.0).abs() < 1e-9, "{length}");
        }
    }

    #[test]
    fn picture_has_both_panels_their_lines_and_the_time() {
        let moment = |second: u32| Moment {
            at_s: f64::from(second),
            clock_s: 1e-6 * f64::from(second % 7),
            served_s: Some(0.0),
            frequency: 1e-9,
        };
        let trace: Trace = (0..3_000).map(moment).collect();
        let picture = svg("title", &trace, 1_000.0);
        for part in ["title", "offset, us", "frequency, ppb", ">served<", ">1400 s<", "</svg>"] {
            assert!(picture.contains(part), "{part} is missing");
        }
        assert_eq!(picture.matches("<polyline").count(), 3);
        assert!(!picture.contains(">800 s<") && !picture.contains("NaN"));
    }
}
