//! Shows how far a run is: a bar on a terminal, and elsewhere a line for each step that has ended.

use std::io::{IsTerminal as _, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::outcome::{Outcome, Step};
use crate::units::{nanos, show_rate};

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(100);

/// A bar for the step that is being sent.
pub(super) struct Progress {
    bar: ProgressBar,
    has_lines: bool,
}

impl Progress {
    /// Shows nothing when it is not wanted.
    pub(super) fn new(is_wanted: bool) -> Self {
        let bar = ProgressBar::with_draw_target(
            Some(1),
            if is_wanted { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() },
        );
        if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:40}] {eta}") {
            bar.set_style(style);
        }
        Self { bar, has_lines: is_wanted && !stderr().is_terminal() }
    }

    /// Begins a step.
    pub(super) fn begin(&self, step: Step, number: usize, steps: Option<usize>) {
        let of = steps.map_or(String::new(), |steps| format!(" of {steps}"));
        let rate = step.rate.map_or("all it can".to_owned(), show_rate);
        self.bar.set_message(format!("step {number}{of}: {rate} requests/s"));
        self.bar.reset();
        self.bar.set_length(nanos(step.duration));
    }

    /// Says what became of a step.
    pub(super) fn end(&self, outcome: &Outcome) {
        let line = format!(
            "{:>8}/s asked, {:>8}/s sent, {:>8}/s answered, {:.3} % lost",
            outcome.step.rate.map_or("max".to_owned(), show_rate),
            show_rate(outcome.sent_rate()),
            show_rate(outcome.answered_rate()),
            outcome.loss() * 100.0
        );
        if self.has_lines {
            eprintln!("{line}");
        }
        self.bar.println(line);
    }

    /// Ends the bar.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Moves the bar until `is_done`.
    pub(super) fn watch(&self, is_done: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_done() {
            std::thread::sleep(TICK.min(Duration::from_millis(20)));
            self.bar.set_position(nanos(start.elapsed()));
        }
    }
}
