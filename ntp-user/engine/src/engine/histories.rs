//! What was measured before a restart: given out, and taken up again by sources that are asked anew. Invariant: what
//! is taken up speaks of the clock as it runs now.

use std::net::IpAddr;

use rand::Rng;

use super::Engine;
use crate::history::History;
use crate::sample::ClockChange;
use crate::seams::{Now, SourceId};
use crate::seconds;

/// Difference of the clock from where it should have come that shows no step, seconds: what reading both clocks may take.
const NO_STEP_S: f64 = 1e-5;
/// Difference of two frequencies that is none, seconds a second: far below what the kernel resolves.
const NO_CHANGE: f64 = 1e-13;
/// Oldest last sample that is worth to be taken up, seconds.
const OLDEST_S: f64 = 3600.0;

impl<R: Rng> Engine<R> {
    /// What was measured of each source, as of `now`.
    #[must_use]
    pub fn histories(&self, now: Now) -> Vec<History> {
        // A reference clock is soon measured again.
        let is_worth_it = |source: &&crate::source::Source| {
            source.clock().is_none() && source.series().last().is_some()
        };
        let measured = self.sources.values().filter(is_worth_it);
        let history = |source: &crate::source::Source| History {
            source: source.address().ip(),
            clock: now,
            frequency: self.discipline.in_force(),
            samples: source.series().samples().copied().collect(),
        };
        measured.map(history).collect()
    }

    /// Has sources take up what was measured of them before, when they are made; to be called before
    /// [`Engine::start`]. What is too old, or about a clock that was set or steered since, is left out; `frequency` is
    /// the correction that the clock has in force, seconds a second.
    pub fn remember(&mut self, histories: Vec<History>, frequency: f64, now: Now) {
        for history in histories {
            let last = history.samples.last();
            let age_s = last.map_or(f64::INFINITY, |last| seconds::of(now.time.since(last.time)));
            let runs_on = seconds::of(now.strayed_since(&history.clock)).abs() < NO_STEP_S
                && (frequency - history.frequency).abs() < NO_CHANGE;
            let source = history.source;
            if runs_on && (0.0..OLDEST_S).contains(&age_s) {
                let samples = history.samples.len();
                tracing::info!(%source, samples, "Loaded {samples} samples of {source}");
                self.remembered.insert(source, history);
            } else {
                let reason = if runs_on { "is too old" } else { "is of another clock" };
                tracing::info!(%source, "What was measured of {source} before {reason}");
            }
        }
    }

    /// A source that was just made takes up what was measured of it.
    pub(super) fn recall(&mut self, id: SourceId, address: IpAddr) {
        let Some(history) = self.remembered.remove(&address) else { return };
        let Some(source) = self.sources.get_mut(&id) else { return };
        let in_force = self.discipline.in_force();
        for sample in history.samples {
            source.recall(sample, in_force);
            self.bank.remember(id, &sample);
        }
    }

    /// The clock was changed.
    pub(super) fn move_remembered(&mut self, change: &ClockChange) {
        for history in self.remembered.values_mut() {
            history.samples.iter_mut().for_each(|sample| sample.move_onto(change));
        }
    }
}
