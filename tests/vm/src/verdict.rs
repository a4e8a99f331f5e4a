//! What the probe told, held against the scenario's bounds.

use std::collections::BTreeMap;

use crate::guest::Told;
use crate::line::Line;
use crate::scenario::Scenario;

/// What became of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every figure is within its bounds.
    Passed,
    /// What is wrong, a sentence each.
    Failed(Vec<String>),
    /// It can't be judged, and why.
    Skipped(String),
}

/// An outcome with what it was found by.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What became of it.
    pub outcome: Outcome,
    /// All that was measured.
    pub figures: BTreeMap<String, f64>,
    /// The daemon's log.
    pub log: Vec<String>,
    /// What became of a first guest that did not boot, if there was one.
    pub first_try: Option<String>,
}

impl Verdict {
    /// Judges what was told.
    #[must_use]
    pub fn new(scenario: &Scenario, told: Told) -> Self {
        let Told { lines, first_try } = told;
        let mut faults = Vec::new();
        let mut figures = BTreeMap::new();
        let mut log = Vec::new();
        for line in lines {
            match line {
                Line::Figure { name, value } => {
                    figures.insert(name, value);
                }
                Line::Error(error) => faults.push(error),
                Line::Log(text) => log.push(text),
                Line::Begin | Line::End => {}
            }
        }
        faults.extend(scenario.bounds.iter().filter_map(|bound| bound.fault(&figures)));
        let outcome = if faults.is_empty() { Outcome::Passed } else { Outcome::Failed(faults) };
        Self { outcome, figures, log, first_try }
    }

    /// Of a scenario that could not be played to its end.
    #[must_use]
    pub fn failed(fault: String) -> Self {
        Self::without_figures(Outcome::Failed(vec![fault]))
    }

    /// Of a scenario that can't be played here.
    #[must_use]
    pub fn skipped(why: String) -> Self {
        Self::without_figures(Outcome::Skipped(why))
    }

    fn without_figures(outcome: Outcome) -> Self {
        Self { outcome, figures: BTreeMap::new(), log: Vec::new(), first_try: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Bound;

    const SCENARIO: Scenario = Scenario {
        name: "test",
        sentence: "",
        starts: "2026-01-01",
        uses_xdp: false,
        uses_devices: false,
        is_patient: false,
        bounds: &[Bound { figure: "offset_ms", least: -1.0, most: 1.0, why: "it is said so" }],
    };

    fn outcome(lines: &[Line]) -> Outcome {
        Verdict::new(&SCENARIO, Told { lines: lines.to_vec(), first_try: None }).outcome
    }

    fn offset(value: f64) -> Line {
        Line::Figure { name: "offset_ms".to_owned(), value }
    }

    #[test]
    fn figure_passes_within_its_bounds_only() {
        for good in [-1.0, 0.0, 1.0] {
            assert_eq!(outcome(&[offset(good)]), Outcome::Passed, "{good}");
        }
        for bad in [-1.001, 1.001, f64::NAN, f64::INFINITY] {
            assert!(matches!(outcome(&[offset(bad)]), Outcome::Failed(_)), "{bad}");
        }
    }

    #[test]
    fn figure_that_was_not_told_is_a_fault() {
        assert!(matches!(outcome(&[Line::End]), Outcome::Failed(_)));
    }

    #[test]
    fn error_is_a_fault_whatever_the_figures_are() {
        let lines = [offset(0.0), Line::Error("no reply".to_owned())];
        assert_eq!(outcome(&lines), Outcome::Failed(vec!["no reply".to_owned()]));
    }
}
