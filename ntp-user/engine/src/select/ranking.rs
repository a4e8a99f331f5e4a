//! Which of the right sources is selected, and which are combined with it: the nearest ones, without hopping
//! between sources that are about as near.

use std::collections::BTreeMap;

use super::{Candidate, Measured};
use crate::seams::SourceId;
use crate::settings::SelectionSettings;

/// Score from which on another source takes the place of the selected one.
const RESELECT_SCORE: f64 = 10.0;

/// The selected source and how others compare with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ranking {
    selected: Option<SourceId>,
    /// How much nearer than the selected source each other one was lately: the product of the ratios of their
    /// distances, at least 1.
    scores: BTreeMap<SourceId, f64>,
}

/// The outcome of a ranking.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ranked {
    /// The selected source.
    pub(super) selected: SourceId,
    /// Those that are combined with it, by distance.
    pub(super) combined: Vec<SourceId>,
}

impl Ranking {
    /// The selected source.
    pub(crate) fn selected(&self) -> Option<SourceId> {
        self.selected
    }

    /// Nothing is selected any more: next time the nearest source is.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The score of a source; 1 when it is no better than the selected one.
    pub(crate) fn score(&self, id: SourceId) -> f64 {
        self.scores.get(&id).copied().unwrap_or(1.0)
    }

    /// Ranks the sources that are right; `updated` has a new sample. `None` when there are no sources.
    pub(super) fn rank(
        &mut self,
        right: &[(&Candidate, &Measured)],
        updated: Option<SourceId>,
        settings: &SelectionSettings,
    ) -> Option<Ranked> {
        self.scores.retain(|id, _| right.iter().any(|(candidate, _)| candidate.id == *id));
        let lowest = right.iter().map(|(_, measured)| measured.stratum).min()?;
        let distance_s = |measured: &Measured| {
            let strata = f64::from(measured.stratum - lowest);
            measured.distance_s + strata * settings.stratum_weight_s
        };
        let present = self.selected.and_then(|id| right.iter().find(|(c, _)| c.id == id));
        let nearest = right.iter().min_by(|a, b| distance_s(a.1).total_cmp(&distance_s(b.1)))?.0.id;
        let selected = match present {
            None => nearest,
            Some((candidate, measured)) => {
                let selected_s = distance_s(measured);
                for (other, measured) in right.iter().filter(|(c, _)| c.id != candidate.id) {
                    let score = self.scores.entry(other.id).or_insert(1.0);
                    if updated == Some(other.id) || updated == Some(candidate.id) {
                        let other_s = distance_s(measured) + settings.reselect_distance_s;
                        *score = (*score * selected_s / other_s).max(1.0);
                    }
                }
                self.best(RESELECT_SCORE).unwrap_or(candidate.id)
            }
        };
        if self.selected != Some(selected) {
            self.selected = Some(selected);
            self.scores.clear();
        }
        Some(Ranked { selected, combined: near(selected, right, settings) })
    }

    /// The source with the highest score, if it is above a limit.
    fn best(&self, limit: f64) -> Option<SourceId> {
        let better = self.scores.iter().filter(|&(_, &score)| score > limit);
        better.max_by(|a, b| a.1.total_cmp(b.1)).map(|(&id, _)| id)
    }
}

/// The other sources that are near enough to be combined with the selected one, the nearest first. One that comes
/// and goes does no harm: the estimator keeps what sources differ by for long.
///
/// One that follows the selected source itself is left out: it knows no more, and two servers that combine each
/// other would keep an error that they share. RFC 5905 appendix A.5.5.3: "A loop error occurs if the remote peer
/// is synchronized to the local peer or to the current system peer."
fn near(
    selected: SourceId,
    right: &[(&Candidate, &Measured)],
    settings: &SelectionSettings,
) -> Vec<SourceId> {
    let Some((_, best)) = right.iter().find(|(candidate, _)| candidate.id == selected) else {
        return Vec::new();
    };
    let limit_s = settings.combine_limit * (best.distance_s + settings.reselect_distance_s);
    let follows_best =
        |other: &Measured| other.stratum > best.stratum && other.upstream == best.reference_id;
    let is_near = |(candidate, measured): &&(&Candidate, &Measured)| {
        candidate.id != selected && measured.distance_s <= limit_s && !follows_best(measured)
    };
    let mut near: Vec<_> = right.iter().filter(is_near).collect();
    near.sort_by(|a, b| a.1.distance_s.total_cmp(&b.1.distance_s));
    near.into_iter().map(|(candidate, _)| candidate.id).collect()
}
