//! Times given by hand: the clock is corrected by the last one, and its rate by all.

use ntp_common::time::NtpTimestamp;
use rand::Rng;

use super::Engine;
use crate::manual::{ManualCorrection, ManualEntry, ManualError};
use crate::seams::{Action, Now};
use crate::seconds;

/// What becomes of times given by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManualOperation {
    /// They are taken, or not, from now on.
    Enable(bool),
    /// Those so far are forgotten.
    Reset,
    /// That of this number, from 0, is forgotten.
    Delete(usize),
}

impl<R: Rng> Engine<R> {
    /// Somebody says that true time is `time`: it is believed at once, and the clock slewed after it, as after an
    /// offset that an operator gives. It makes nobody synchronised.
    pub fn set_time(
        &mut self,
        time: NtpTimestamp,
        now: Now,
    ) -> (Result<ManualCorrection, ManualError>, Vec<Action>) {
        let ahead_s = seconds::of(self.true_time(&now).since(time));
        let offset_s = seconds::of(time.since(now.time));
        if let Err(error) = self.manual.enter(now.time, offset_s, ahead_s) {
            return (Err(error), Vec::new());
        }
        tracing::warn!(ahead_s, "System clock wrong by {:.6} seconds, somebody says", -ahead_s);
        let before = self.discipline.clock_error();
        let actions = self.correct_by_hand(ahead_s, &now);
        let after = self.discipline.clock_error();
        let correction = ManualCorrection {
            offset_s: ahead_s,
            frequency_change_ppm: (after - before) * 1e6,
            frequency_ppm: after * 1e6,
        };
        (Ok(correction), actions)
    }

    /// Does what an operator wants done with times given by hand.
    pub fn operate_manual(
        &mut self,
        operation: ManualOperation,
        now: Now,
    ) -> (Result<(), ManualError>, Vec<Action>) {
        match operation {
            ManualOperation::Enable(enabled) => self.manual.enable(enabled),
            ManualOperation::Reset => self.manual.reset(),
            ManualOperation::Delete(index) => {
                if let Err(error) = self.manual.delete(index) {
                    return (Err(error), Vec::new());
                }
                return (Ok(()), self.correct_by_hand(0.0, &now));
            }
        }
        (Ok(()), Vec::new())
    }

    /// The times given by hand.
    #[must_use]
    pub fn manual(&self) -> Vec<ManualEntry> {
        self.manual.report(&|time| self.discipline.remaining_s(time))
    }

    fn correct_by_hand(&mut self, ahead_s: f64, now: &Now) -> Vec<Action> {
        let fast = self.manual.fast(&|time| self.discipline.remaining_s(time)).unwrap_or(0.0);
        vec![Action::SetFrequency(self.discipline.correct_by_hand(ahead_s, fast, now))]
    }
}
