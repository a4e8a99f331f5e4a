//! What was measured before a restart: given out, and taken up again by sources that are asked anew. Invariant: what
//! is taken up speaks of the clock as it runs now.

use std::net::IpAddr;

use ntp_common::time::NtpDuration;
use rand::Rng;

use super::Engine;
use crate::history::History;
use crate::sample::ClockChange;
use crate::seams::{Now, SourceId};
use crate::seconds;

/// Difference of two relations of the clocks that shows no step, seconds: what reading both may take.
const NO_STEP_S: f64 = 1e-5;
/// Oldest last sample that is worth to be taken up, seconds.
const OLDEST_S: f64 = 3600.0;

impl<R: Rng> Engine<R> {
    /// What was measured of each source, as of `now`.
    #[must_use]
    pub fn histories(&self, now: Now) -> Vec<History> {
        let measured = self.sources.values().filter(|source| source.series().last().is_some());
        let history = |source: &crate::source::Source| History {
            source: source.address().ip(),
            relation: relation(&now),
            frequency: self.discipline.in_force(),
            samples: source.series().samples().copied().collect(),
        };
        measured.map(history).collect()
    }

    /// Has sources take up what was measured of them before, when they are made; to be called before
    /// [`Engine::start`]. What is too old, or about a clock that was stepped since, is left out.
    pub fn remember(&mut self, histories: Vec<History>, now: Now) {
        for history in histories {
            let moved_s = seconds::of(relation(&now) - history.relation);
            let last = history.samples.last();
            let age_s = last.map_or(f64::INFINITY, |last| seconds::of(now.time.since(last.time)));
            if moved_s.abs() < NO_STEP_S && (0.0..OLDEST_S).contains(&age_s) {
                self.remembered.insert(history.source, history);
            } else {
                let source = history.source;
                tracing::info!(%source, "What was measured of {source} before is of no use");
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
            self.bank.measured(id, &sample, false);
            self.bank.take(&[id]);
        }
    }

    /// The clock was changed.
    pub(super) fn move_remembered(&mut self, change: &ClockChange) {
        for history in self.remembered.values_mut() {
            history.samples.iter_mut().for_each(|sample| sample.move_onto(change));
        }
    }
}

/// What the steered clock is ahead of the monotonic one.
fn relation(now: &Now) -> NtpDuration {
    let mono_s = now.mono.0 / 1_000_000_000;
    let nanoseconds = i64::try_from(now.mono.0 % 1_000_000_000).unwrap_or_default();
    let whole = NtpDuration::from_bits((mono_s << 32).cast_signed());
    let origin = ntp_common::time::NtpTimestamp::from_bits(0);
    now.time.since(origin) - whole - NtpDuration::from_nanos(nanoseconds)
}
