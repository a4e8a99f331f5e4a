//! From samples to the sources that the clock follows, and what the log says of them.

use rand::Rng;

use super::Engine;
use crate::reference::reference_id;
use crate::report::{SelectOptions, Verdict, clock_name};
use crate::seams::{Action, Now, SourceId};
use crate::seconds;
use crate::select::{Candidate, Failure, Measured, Mixture, Rules, select};
use crate::source::{REACH_POLLS, Source};

impl<R: Rng> Engine<R> {
    /// Selects anew: sources may have come, gone or drifted apart.
    pub(super) fn reselect(&mut self, now: &Now, actions: &mut Vec<Action>) {
        self.reselect_for(None, now, actions);
    }

    /// Selects anew, because `updated` has a new sample.
    pub(super) fn reselect_for(
        &mut self,
        updated: Option<SourceId>,
        now: &Now,
        actions: &mut Vec<Action>,
    ) {
        let mixture = self.mixture();
        let candidates: Vec<Candidate> =
            self.sources.values().map(|source| candidate(source, mixture, now)).collect();
        let selected = self.selected();
        // What is followed is not given up because another one was added that is to be heard first.
        let is_patient = selected.is_none() && self.wait_until > now.mono;
        let pending = if is_patient { self.unheard() } else { 0 };
        let orphans = self.config.local.filter(|local| local.orphan).map(|local| local.stratum);
        let rules = Rules { settings: &self.config.selection, pending, orphans, updated };
        let selection = select(&candidates, &rules, &mut self.ranking);
        let failed = selection.chosen.as_ref().err().copied();
        let before = std::mem::replace(&mut self.selection, selection).chosen.err();
        if let Some(failure) = failed {
            if before != failed && failure != Failure::Waiting && !self.sources.is_empty() {
                tracing::warn!("Can't synchronise: {failure}");
            }
            self.lose_reference(now, actions);
        } else {
            self.name_falsetickers();
            if self.selected() != selected {
                self.log_selected();
            }
        }
        if updated.is_some() {
            self.note_selection(now);
        }
    }

    /// How authenticated sources and others are mixed, names that are not resolved yet included.
    pub(super) fn mixture(&self) -> Mixture {
        let lines = self.lines.iter().map(|line| &line.line().options);
        Mixture::of(self.config.selection.auth_mode, lines)
    }

    /// Sources that were not heard of yet, and names, of which there will be one at least.
    pub(super) fn unheard(&self) -> usize {
        let silent = |source: &&Source| {
            let may_vote = source.due().is_some() && !source.options().noselect;
            may_vote && source.series().last().is_none()
        };
        self.sources.values().filter(silent).count()
            + self.lines.iter().filter(|line| line.is_unheard()).count()
    }

    /// The selected source.
    pub(super) fn selected(&self) -> Option<SourceId> {
        self.ranking.selected()
    }

    /// Names the sources that disagree with a majority, once until they agree with it again.
    fn name_falsetickers(&mut self) {
        for (&id, source) in &self.sources {
            let verdict = self.selection.verdict(id);
            if verdict == Verdict::Falseticker {
                if self.named.insert(id) {
                    let (name, label) = (bare_name(source), self.label(id));
                    tracing::warn!(source = %name, "Detected falseticker {label}");
                }
            } else if matches!(
                verdict,
                Verdict::Selected | Verdict::Combined | Verdict::Distant | Verdict::NotPreferred
            ) {
                self.named.remove(&id);
            }
        }
        self.named.retain(|id| self.sources.contains_key(id));
    }

    fn log_selected(&self) {
        if let Some((id, source)) = self.selected().and_then(|id| self.sources.get_key_value(&id)) {
            let (name, label) = (bare_name(source), self.label(*id));
            tracing::info!(source = %name, "Selected source {label}");
        }
    }

    /// A source as the log names it: its address, and the name it was configured by.
    fn label(&self, id: SourceId) -> String {
        let Some(source) = self.sources.get(&id) else { return String::new() };
        let bare = bare_name(source);
        match self.name_of(id).filter(|_| source.clock().is_none()) {
            Some(name) => format!("{bare} ({name})"),
            None => bare,
        }
    }
}

/// The address of a source, or the reference ID of a reference clock, which has none.
fn bare_name(source: &Source) -> String {
    match source.clock() {
        Some(clock) => clock_name(clock.id()),
        None => source.address().ip().to_string(),
    }
}

/// The options of a source that come into effect.
pub(super) fn effective(source: &Source, mixture: Mixture) -> SelectOptions {
    match source.clock() {
        Some(_) => mixture.effective_of_clock(source.options()),
        None => mixture.effective(source.options()),
    }
}

fn candidate(source: &Source, mixture: Mixture, now: &Now) -> Candidate {
    let options = source.options();
    Candidate {
        id: source.id(),
        options: effective(source, mixture),
        reachable: source.reach().is_reachable(),
        given_up: source.reach().missed() > options.maxunreach.saturating_add(REACH_POLLS),
        measured: measured(source, now),
    }
}

fn measured(source: &Source, now: &Now) -> Option<Measured> {
    let series = source.series();
    let (estimate, last) = (series.estimate(now.time)?, series.last()?);
    let newest_s = seconds::of(now.time.since(last.time));
    Some(Measured {
        offset_s: estimate.offset_s,
        distance_s: series.bounds(now.time)?.distance_s() + estimate.offset_deviation_s,
        jitter_s: series.line()?.noise,
        oldest_s: newest_s + series.span_s(),
        newest_s,
        stratum: last.stratum,
        leap: last.leap,
        reference_id: reference_id(source.address().ip()),
        upstream: last.reference_id,
        ours: source.ours(),
    })
}
