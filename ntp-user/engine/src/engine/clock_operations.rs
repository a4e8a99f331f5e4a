//! What an operator may do to the clock while the daemon runs: step it, correct it by hand, and change the rules that
//! it is kept by.

use rand::Rng;

use super::Engine;
use crate::conf::{MakeStep, StepLimit};
use crate::seams::{Action, Now};

/// A change of the clock, or of the rules that it is kept by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClockOperation {
    /// Ends the slew in progress and steps the clock by what was left of it (`chronyc makestep`).
    Step,
    /// Offsets are stepped at the next updates (`chronyc makestep THRESHOLD LIMIT`).
    AllowSteps {
        /// Smallest offset that is stepped, seconds.
        threshold_s: f64,
        /// For how many updates; `None`: for ever.
        limit: Option<u32>,
    },
    /// Somebody knows that the clock runs faster by so much than is known, ppm (`chronyc dfreq`).
    Frequency(f64),
    /// Somebody knows that the clock is further ahead by so much than is known, seconds (`chronyc doffset`).
    Offset(f64),
    /// Largest estimated error of a frequency that is taken over, ppm (`chronyc maxupdateskew`).
    MaxUpdateSkew(f64),
    /// Added to the distance of sources that are not selected, seconds (`chronyc reselectdist`).
    ReselectDistance(f64),
    /// Selects the nearest source, whichever was selected before (`chronyc reselect`).
    Reselect,
}

impl<R: Rng> Engine<R> {
    /// Does what an operator asks for.
    pub fn operate_clock(&mut self, operation: ClockOperation, now: Now) -> Vec<Action> {
        let mut actions = Vec::new();
        match operation {
            ClockOperation::Step => {
                let orders = self.discipline.step_now(&now);
                if let Some(step) = orders.step {
                    actions.extend([Action::Invalidate, Action::Step(step)]);
                }
                actions.push(Action::SetFrequency(orders.frequency));
            }
            ClockOperation::AllowSteps { threshold_s, limit } => {
                let limit = limit.map_or(StepLimit::Unlimited, StepLimit::Updates);
                self.discipline.allow_steps(MakeStep { threshold_s, limit });
            }
            ClockOperation::Frequency(ppm) => {
                let frequency = self.discipline.correct_frequency(ppm * 1e-6, &now);
                actions.push(Action::SetFrequency(frequency));
            }
            ClockOperation::Offset(ahead_s) => {
                let frequency = self.discipline.correct_offset(ahead_s, &now);
                actions.push(Action::SetFrequency(frequency));
            }
            ClockOperation::MaxUpdateSkew(ppm) => self.discipline.set_max_update_skew(ppm * 1e-6),
            ClockOperation::ReselectDistance(seconds) => {
                self.config.selection.reselect_distance_s = seconds;
            }
            ClockOperation::Reselect => {
                self.ranking.forget();
                self.reselect(&now, &mut actions);
            }
        }
        actions
    }
}
