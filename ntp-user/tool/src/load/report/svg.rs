//! Charts as SVG, written by hand: nothing to load, nothing to run.

use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 40.0;
/// Colours that stay apart for the colour-blind (Okabe and Ito, 2008).
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// A logarithmic axis: what it says, and its marks with their labels.
pub(super) struct Axis {
    pub(super) title: &'static str,
    pub(super) marks: Vec<(f64, String)>,
}

/// A line with its name.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// A chart of lines.
pub(super) fn chart(title: &str, x: &Axis, y: &Axis, lines: &[Line]) -> String {
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\">\n<text x=\"{LEFT}\" y=\"18\" \
         class=\"title\">{0}</text>\n",
        escape(title)
    );
    let across = |value: f64| LEFT + x.part(value) * (WIDTH - LEFT - RIGHT);
    let up = |value: f64| HEIGHT - BOTTOM - y.part(value) * (HEIGHT - TOP - BOTTOM);
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for (value, label) in &x.marks {
        let at = across(*value);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{bottom}\" class=\"grid\"/><text x=\"{at:.1}\" \
             y=\"{}\" class=\"x\">{}</text>",
            bottom + 14.0,
            escape(label)
        );
    }
    for (value, label) in &y.marks {
        let at = up(*value);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\" class=\"grid\"/><text x=\"{}\" \
             y=\"{:.1}\" class=\"y\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            escape(label)
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{right}\" y=\"{}\" class=\"y\">{}</text><text x=\"{right}\" y=\"18\" class=\"y\">{}</text>",
        HEIGHT - 8.0,
        escape(x.title),
        escape(y.title)
    );
    for (index, (line, colour)) in lines.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let points: Vec<String> =
            line.points.iter().map(|(a, b)| format!("{:.1},{:.1}", across(*a), up(*b))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/><text x=\"{}\" \
             y=\"{}\" fill=\"{colour}\">{}</text>",
            points.join(" "),
            LEFT + 10.0,
            TOP + 14.0 * (index as f64 + 1.0),
            escape(&line.name)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

impl Axis {
    /// Where a value is between the first mark, 0, and the last, 1.
    fn part(&self, value: f64) -> f64 {
        let ends = self.marks.first().zip(self.marks.last());
        let Some(((from, _), (to, _))) = ends else { return 0.0 };
        let way = |value: f64| value.max(1e-9).ln();
        let span = way(*to) - way(*from);
        if span <= 0.0 { 0.0 } else { ((way(value) - way(*from)) / span).clamp(0.0, 1.0) }
    }
}

/// Powers of ten from below `least` to above `most`, each with a label.
pub(super) fn powers(least: f64, most: f64, label: impl Fn(f64) -> String) -> Vec<(f64, String)> {
    let from = least.max(1e-9).log10().floor();
    let count = (most.max(least).max(1e-9).log10().ceil() - from).max(1.0);
    let mut marks = Vec::new();
    let mut step = 0.0;
    while step <= count {
        let value = 10f64.powf(from + step);
        marks.push((value, label(value)));
        step += 1.0;
    }
    marks
}

/// Text as it stands in a page.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axis_places_values_by_its_scale() {
        let marks = powers(3.0, 500.0, |value| value.to_string());
        let values: Vec<f64> = marks.iter().map(|(value, _)| value.round()).collect();
        assert_eq!(values, [1.0, 10.0, 100.0, 1000.0]);
        let axis = Axis { title: "", marks };
        assert!((axis.part(10.0) - 1.0 / 3.0).abs() < 1e-9);
        assert!((axis.part(1e9) - 1.0).abs() < 1e-9);
        assert!(axis.part(0.0).abs() < 1e-9);
    }

    #[test]
    fn names_cannot_break_the_page() {
        let axis = || Axis { title: "<t>", marks: vec![(1.0, "1".into()), (10.0, "10".into())] };
        let line = Line { name: "a<script>".to_owned(), points: vec![(0.0, 0.0), (1.0, 1.0)] };
        let svg = chart("\"x\" & y", &axis(), &axis(), &[line]);
        assert!(
            !svg.contains("<script>")
                && !svg.contains("<t>")
                && svg.contains("&quot;x&quot; &amp; y")
        );
    }
}
