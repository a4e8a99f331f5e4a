//! Charts as SVG, written by hand: nothing to load, nothing to run. Colours and type are the page's.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 58.0;
const BOTTOM: f64 = 48.0;
/// Colours of lines that the page's style has; more lines take them once more.
const COLOURS: usize = 4;
/// Octets of text to a name's place in the legend.
const LETTER: f64 = 7.0;

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

/// A chart of lines; points are marked where they are few.
pub(super) fn chart(title: &str, x: &Axis, y: &Axis, lines: &[Line]) -> String {
    let mut svg = begin(title);
    let up = |value: f64| bottom() - y.part(value) * (bottom() - TOP);
    across(&mut svg, x);
    for (value, label) in &y.marks {
        row(&mut svg, up(*value), label);
    }
    titles(&mut svg, x.title, y.title);
    let mut legend = LEFT;
    for (index, line) in lines.iter().enumerate() {
        let colour = index % COLOURS;
        let points: Vec<(f64, f64)> =
            line.points.iter().map(|&(a, b)| (x.place(a), up(b))).collect();
        let text: Vec<String> = points.iter().map(|(a, b)| format!("{a:.1},{b:.1}")).collect();
        let _ = writeln!(svg, "<polyline points=\"{}\" class=\"line c{colour}\"/>", text.join(" "));
        for (a, b) in points {
            let _ = writeln!(
                svg,
                "<circle cx=\"{a:.1}\" cy=\"{b:.1}\" r=\"2.5\" class=\"dot c{colour}\"/>"
            );
        }
        let _ = writeln!(
            svg,
            "<line x1=\"{legend:.0}\" y1=\"40\" x2=\"{:.0}\" y2=\"40\" class=\"line c{colour}\"/>\
             <text x=\"{:.0}\" y=\"44\">{}</text>",
            legend + 18.0,
            legend + 24.0,
            escape(&line.name)
        );
        legend += 44.0 + LETTER * line.name.len() as f64;
    }
    svg.push_str("</svg>\n");
    svg
}

/// A chart of bars, each from one value to the next along the axis; heights are shares of the highest, which stands at
/// `most` on the scale.
pub(super) fn bars(title: &str, x: &Axis, y_title: &str, bars: &[(f64, f64, f64)]) -> String {
    let mut svg = begin(title);
    let most = bars.iter().map(|(_, _, share)| *share).fold(f64::MIN_POSITIVE, f64::max);
    let up = |share: f64| bottom() - share / most * (bottom() - TOP);
    across(&mut svg, x);
    for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
        row(&mut svg, up(most * part), &format!("{:.1} %", most * part * 100.0));
    }
    titles(&mut svg, x.title, y_title);
    for (from, to, share) in bars {
        let (left, right, top) = (x.place(*from), x.place(*to), up(*share));
        let _ = writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" class=\"bar\"/>",
            left + 0.5,
            (right - left - 1.0).max(0.5),
            bottom() - top
        );
    }
    svg.push_str("</svg>\n");
    svg
}

const fn bottom() -> f64 {
    HEIGHT - BOTTOM
}

fn begin(title: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\">\n<text x=\"{LEFT}\" y=\"20\" \
         class=\"title\">{0}</text>\n",
        escape(title)
    )
}

/// The marks of the horizontal axis.
fn across(svg: &mut String, x: &Axis) {
    for (value, label) in &x.marks {
        let at = x.place(*value);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{}\" class=\"grid\"/><text x=\"{at:.1}\" y=\"{}\" \
             class=\"x\">{}</text>",
            bottom(),
            bottom() + 16.0,
            escape(label)
        );
    }
}

/// A mark of the vertical axis.
fn row(svg: &mut String, at: f64, label: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{}\" y2=\"{at:.1}\" class=\"grid\"/><text x=\"{}\" y=\"{:.1}\" \
         class=\"y\">{}</text>",
        WIDTH - RIGHT,
        LEFT - 8.0,
        at + 4.0,
        escape(label)
    );
}

fn titles(svg: &mut String, x: &str, y: &str) {
    let middle = f64::midpoint(TOP, bottom());
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" class=\"x axis\">{}</text><text x=\"16\" y=\"{middle}\" class=\"x axis\" \
         transform=\"rotate(-90 16 {middle})\">{}</text>",
        f64::midpoint(LEFT, WIDTH - RIGHT),
        HEIGHT - 10.0,
        escape(x),
        escape(y)
    );
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

    /// Where a value is on a horizontal axis.
    fn place(&self, value: f64) -> f64 {
        LEFT + self.part(value) * (WIDTH - LEFT - RIGHT)
    }
}

/// Round numbers from below `least` to above `most`, each with a label: powers of ten, and where those are few, twice and
/// five times such.
pub(super) fn marks(least: f64, most: f64, label: impl Fn(f64) -> String) -> Vec<(f64, String)> {
    let (least, most) = (least.max(1e-9), most.max(least).max(1e-9));
    let digits: &[f64] = if most / least <= 300.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let mut values = Vec::new();
    let mut power = 10f64.powf(least.log10().floor());
    while values.last().is_none_or(|last| *last < most) {
        values.extend(digits.iter().map(|digit| digit * power));
        power *= 10.0;
    }
    // From the last that is not above the least to the first that is not below the most.
    let begin = values.iter().rposition(|value| *value <= least).unwrap_or_default();
    let end = values.iter().position(|value| *value >= most).unwrap_or(values.len() - 1);
    let end = end.max(begin + 1).min(values.len() - 1);
    values[begin..=end].iter().map(|value| (*value, label(*value))).collect()
}

/// Text as it stands in a page.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(least: f64, most: f64) -> Vec<f64> {
        let marks = marks(least, most, |value| value.to_string());
        marks.iter().map(|(value, _)| value.round()).collect()
    }

    #[test]
    fn marks_are_round_and_enclose_what_they_are_for() {
        assert_eq!(values(3.0, 5000.0), [1.0, 10.0, 100.0, 1000.0, 10_000.0]);
        assert_eq!(values(30.0, 90.0), [20.0, 50.0, 100.0]);
        assert_eq!(values(20.0, 200.0), [20.0, 50.0, 100.0, 200.0]);
        assert_eq!(values(7.0, 7.0), [5.0, 10.0]);
        assert_eq!(values(0.0, 0.0).len(), 2);
    }

    #[test]
    fn axis_places_values_by_its_scale() {
        let marks = marks(1.0, 1000.0, |value| value.to_string());
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

    #[test]
    fn highest_bar_reaches_the_top() {
        let axis = Axis { title: "time", marks: marks(1.0, 100.0, |value| value.to_string()) };
        let svg = bars("t", &axis, "share", &[(1.0, 10.0, 0.25), (10.0, 100.0, 0.75)]);
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(svg.contains(&format!("y=\"{TOP:.1}\" width")), "{svg}");
    }
}
