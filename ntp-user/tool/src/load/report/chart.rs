//! A histogram as bars of characters.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use crate::units::{show_ns, whole};

/// Longest bar, characters.
const WIDTH: f64 = 50.0;
/// Bars from a power of two to the next.
const PER_OCTAVE: i32 = 2;

/// A line for each range of values that occurred, from the lowest to the highest.
pub(super) fn bars(histogram: &Histogram<u64>) -> String {
    let counts = counts(histogram);
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or_default();
    let mut text = String::new();
    for (from, count) in counts {
        let share = count as f64 / histogram.len() as f64 * 100.0;
        let len = usize::try_from(whole(count as f64 / most as f64 * WIDTH)).unwrap_or_default();
        let _ = writeln!(text, "  {:>9}  {share:>7.3} %  {}", show_ns(from), "#".repeat(len));
    }
    text
}

/// The lower bound of a bar, as many bars from 1 ns.
pub(super) fn bound(index: i32) -> f64 {
    2f64.powf(f64::from(index) / f64::from(PER_OCTAVE))
}

/// Lower bounds, nanoseconds, and how often a value was from there to the next.
pub(super) fn counts(histogram: &Histogram<u64>) -> Vec<(f64, u64)> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let (mut index, mut last) = (0, 0);
    let mut counts = Vec::new();
    while last < histogram.len() {
        let upper = whole(bound(index + 1)).saturating_sub(1).max(1);
        let below =
            histogram.iter_recorded().take_while(|value| value.value_iterated_to() <= upper);
        let below: u64 = below.map(|value| value.count_at_value()).sum();
        if below > last || !counts.is_empty() {
            counts.push((bound(index), below - last));
        }
        last = below;
        index += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::outcome::histogram;

    #[test]
    fn every_value_is_in_one_bar() {
        let mut values = histogram();
        for ns in [1, 700, 1_000, 1_400, 1_500, 90_000] {
            values.saturating_record(ns);
        }
        let counts = counts(&values);
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 6);
        assert!(counts.first().is_some_and(|(from, count)| *from <= 1.0 && *count == 1));
        assert!(bars(&values).lines().all(|line| line.contains('%')));
        assert_eq!(bars(&histogram()), "");
    }
}
