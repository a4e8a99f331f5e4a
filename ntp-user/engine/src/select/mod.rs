//! Which sources are right: those that agree with a majority on where the time lies; and which of them are
//! followed. RFC 5905 section 11.2.1. Candidates in, verdicts out; all that is remembered is the ranking.

mod interval;
mod options;
mod ranking;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ntp_common::wire::{LeapIndicator, ReferenceId};

use crate::report::{SelectOptions, Verdict};
use crate::seams::SourceId;
use crate::settings::SelectionSettings;
pub(crate) use interval::Interval;
use interval::intersection;
pub(crate) use options::{Mixture, configured, is_authenticated};
pub(crate) use ranking::Ranking;

/// Highest stratum that leaves one for us.
const HIGHEST_STRATUM: u8 = 14;

/// A source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) id: SourceId,
    /// The options in effect.
    pub(crate) options: SelectOptions,
    /// One of the last eight polls was answered.
    pub(crate) reachable: bool,
    /// It has not been reachable for more polls than it may.
    pub(crate) given_up: bool,
    /// What was measured of it, if anything was.
    pub(crate) measured: Option<Measured>,
}

/// What was measured of a source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    /// Estimated offset, seconds.
    pub(crate) offset_s: f64,
    /// Root distance: the true offset lies within this of `offset_s`, seconds.
    pub(crate) distance_s: f64,
    /// Standard deviation of samples, seconds.
    pub(crate) jitter_s: f64,
    /// Age of the first sample that is in use, seconds.
    pub(crate) oldest_s: f64,
    /// Age of the last sample, seconds.
    pub(crate) newest_s: f64,
    pub(crate) stratum: u8,
    pub(crate) leap: LeapIndicator,
    /// What those who follow it say of it.
    pub(crate) reference_id: ReferenceId,
    /// What it follows itself.
    pub(crate) upstream: ReferenceId,
    /// What those who follow us say of the address that it knows us by, once that is known.
    pub(crate) ours: Option<ReferenceId>,
}

/// What a selection goes by, besides the candidates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rules<'a> {
    pub(crate) settings: &'a SelectionSettings,
    /// Sources that may still answer for the first time and change the majority.
    pub(crate) pending: usize,
    /// With `local orphan`, the stratum of local time.
    pub(crate) orphans: Option<u8>,
    /// The source with a new sample that the selection is made for.
    pub(crate) updated: Option<SourceId>,
}

/// Why no source could be selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// Sources have yet to answer for the first time.
    #[error("waiting for sources")]
    Waiting,
    /// No source is fit for selection.
    #[error("no selectable sources")]
    NoSources,
    /// The sources do not agree.
    #[error("no majority")]
    NoMajority,
    /// Fewer sources agree than are needed.
    #[error("not enough selectable sources")]
    TooFew,
    /// No source with the option `require` is among them.
    #[error("no required source in selectable sources")]
    NoRequired,
}

/// What became of one candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    pub(crate) options: SelectOptions,
    /// Where it says that the true offset lies, seconds, and how old its last sample was.
    pub(crate) said: Option<(Interval, f64)>,
}

/// The outcome of a selection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Selection {
    /// The selected source and those to be combined with it, the selected one first.
    pub(crate) chosen: Result<Vec<SourceId>, Failure>,
    /// What became of each candidate.
    pub(crate) judgements: BTreeMap<SourceId, Judgement>,
}

impl Selection {
    /// Nothing has been selected.
    pub(crate) fn none() -> Self {
        Self { chosen: Err(Failure::Waiting), judgements: BTreeMap::new() }
    }

    /// What became of a source.
    pub(crate) fn verdict(&self, id: SourceId) -> Verdict {
        self.judgements.get(&id).map_or(Verdict::NoMeasurement, |judgement| judgement.verdict)
    }
}

/// A candidate that has been measured.
type Sane<'a> = (&'a Candidate, &'a Measured);

/// Selects.
pub(crate) fn select(
    candidates: &[Candidate],
    rules: &Rules<'_>,
    ranking: &mut Ranking,
) -> Selection {
    let mut verdicts = BTreeMap::new();
    let usable = usable(candidates, rules, &mut verdicts);
    let chosen = choose(candidates, &usable, rules, ranking, &mut verdicts);
    if chosen.is_err() {
        ranking.forget();
    }
    let judge = |candidate: &Candidate| {
        let said = candidate.measured.map(|m| (interval(&m), m.newest_s));
        let verdict = verdicts.get(&candidate.id).copied().unwrap_or(Verdict::NoMeasurement);
        (candidate.id, Judgement { verdict, options: candidate.options, said })
    };
    Selection { chosen, judgements: candidates.iter().map(judge).collect() }
}

fn interval(measured: &Measured) -> Interval {
    Interval::around(measured.offset_s, measured.distance_s)
}

/// The candidates that may vote; the verdict on the others is final.
fn usable<'a>(
    candidates: &'a [Candidate],
    rules: &Rules<'_>,
    verdicts: &mut BTreeMap<SourceId, Verdict>,
) -> Vec<Sane<'a>> {
    let mut sane: Vec<Sane<'a>> = Vec::new();
    for candidate in candidates {
        match (refusal(candidate, rules.settings), &candidate.measured) {
            (None, Some(measured)) => sane.push((candidate, measured)),
            (refusal, _) => {
                verdicts.insert(candidate.id, refusal.unwrap_or(Verdict::NoMeasurement));
            }
        }
    }
    // An unreachable source is better than none, and as good as others while its samples are not older than
    // theirs: its bounds tell how good it still is.
    let reachable = sane.iter().filter(|(candidate, _)| candidate.reachable);
    let oldest_s = reachable.map(|(_, measured)| measured.oldest_s).reduce(f64::max);
    let is_stale = |(candidate, measured): &Sane<'_>| {
        let outdated = oldest_s.is_some_and(|oldest_s| measured.newest_s > oldest_s);
        !candidate.reachable && (outdated || candidate.given_up)
    };
    for (candidate, _) in sane.iter().filter(|candidate| is_stale(candidate)) {
        verdicts.insert(candidate.id, Verdict::Stale);
    }
    sane.retain(|candidate| !is_stale(candidate));
    match rules.orphans {
        Some(stratum) => without_orphans(sane, stratum, verdicts),
        None => sane,
    }
}

/// Why a candidate can't be selected whatever the others are like.
fn refusal(candidate: &Candidate, settings: &SelectionSettings) -> Option<Verdict> {
    let Some(measured) = &candidate.measured else {
        let noselect = candidate.options.noselect;
        return Some(if noselect { Verdict::NoSelect } else { Verdict::NoMeasurement });
    };
    let strata = settings.min_stratum..=settings.max_stratum.min(HIGHEST_STRATUM);
    [
        (candidate.options.noselect, Verdict::NoSelect),
        (measured.leap == LeapIndicator::Unsynchronised, Verdict::Unsynchronised),
        (!strata.contains(&measured.stratum), Verdict::BadStratum),
        (is_above(measured.distance_s, settings.max_distance_s), Verdict::TooFar),
        (is_above(measured.jitter_s, settings.max_jitter_s), Verdict::Jittery),
    ]
    .into_iter()
    .find_map(|(applies, verdict)| applies.then_some(verdict))
}

/// Whether a value is above a limit, or none.
fn is_above(value: f64, limit: f64) -> bool {
    value > limit || value.is_nan()
}

/// Servers of local time do not vote. Where there are no others, the one with the lowest reference ID is
/// followed, unless ours is lower: so that all come to follow the same.
fn without_orphans<'a>(
    sane: Vec<Sane<'a>>,
    stratum: u8,
    verdicts: &mut BTreeMap<SourceId, Verdict>,
) -> Vec<Sane<'a>> {
    let (right, local): (Vec<Sane<'a>>, Vec<Sane<'a>>) =
        sane.into_iter().partition(|(_, measured)| measured.stratum < stratum);
    verdicts.extend(local.iter().map(|(candidate, _)| (candidate.id, Verdict::Orphan)));
    if !right.is_empty() {
        return right;
    }
    let neighbours = local
        .into_iter()
        .filter(|(candidate, measured)| measured.stratum == stratum && candidate.reachable);
    let lowest = neighbours.min_by_key(|(_, measured)| measured.reference_id.0);
    let below_us = |(_, measured): &Sane<'_>| {
        measured.ours.is_some_and(|ours| measured.reference_id.0 < ours.0)
    };
    lowest.filter(below_us).into_iter().collect()
}

fn choose(
    candidates: &[Candidate],
    usable: &[Sane<'_>],
    rules: &Rules<'_>,
    ranking: &mut Ranking,
    verdicts: &mut BTreeMap<SourceId, Verdict>,
) -> Result<Vec<SourceId>, Failure> {
    if usable.len() <= rules.pending && rules.pending > 0 {
        mark(usable, Verdict::WaitsForAnswers, verdicts);
        return Err(Failure::Waiting);
    }
    if usable.is_empty() {
        return Err(Failure::NoSources);
    }
    let mut right = truechimers(usable, verdicts)?;
    mark(&right, Verdict::WaitsForSources, verdicts);
    if right.is_empty() {
        return Err(Failure::NoSources);
    }
    let is_required = |candidate: &Candidate| candidate.options.require;
    if candidates.iter().any(is_required) && !right.iter().any(|(c, _)| is_required(c)) {
        return Err(Failure::NoRequired);
    }
    if right.len() < rules.settings.min_sources {
        return Err(Failure::TooFew);
    }
    if right.iter().any(|(candidate, _)| candidate.options.prefer) {
        mark(&right, Verdict::NotPreferred, verdicts);
        right.retain(|(candidate, _)| candidate.options.prefer);
    }
    let ranked = ranking.rank(&right, rules.updated, rules.settings).ok_or(Failure::NoSources)?;
    mark(&right, Verdict::Distant, verdicts);
    verdicts.extend(ranked.combined.iter().map(|&id| (id, Verdict::Combined)));
    verdicts.insert(ranked.selected, Verdict::Selected);
    Ok(std::iter::once(ranked.selected).chain(ranked.combined).collect())
}

fn mark(sources: &[Sane<'_>], verdict: Verdict, verdicts: &mut BTreeMap<SourceId, Verdict>) {
    verdicts.extend(sources.iter().map(|(candidate, _)| (candidate.id, verdict)));
}

/// The sources whose interval meets that of the majority. Only sources with the option `trust` vote when there
/// is one, and others must lie within what those agree on: they could move the time out of it otherwise.
fn truechimers<'a>(
    usable: &[Sane<'a>],
    verdicts: &mut BTreeMap<SourceId, Verdict>,
) -> Result<Vec<Sane<'a>>, Failure> {
    let trusted = usable.iter().any(|(candidate, _)| candidate.options.trust);
    let may_vote = |(candidate, _): &&Sane<'_>| candidate.options.trust || !trusted;
    let votes: Vec<Interval> =
        usable.iter().filter(may_vote).map(|(_, measured)| interval(measured)).collect();
    let agreed = intersection(&votes);
    let mut right = Vec::new();
    for &(candidate, measured) in usable {
        let said = interval(measured);
        let verdict = match agreed {
            Some(agreed) if said.meets(agreed) => {
                if !trusted || candidate.options.trust || said.lies_in(agreed) {
                    right.push((candidate, measured));
                    continue;
                }
                Verdict::Untrusted
            }
            Some(_) | None => Verdict::Falseticker,
        };
        verdicts.insert(candidate.id, verdict);
    }
    if agreed.is_none() { Err(Failure::NoMajority) } else { Ok(right) }
}
