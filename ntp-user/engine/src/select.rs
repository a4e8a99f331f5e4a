//! Which sources are right: those that agree with a majority on where the time lies. RFC 5905 section 11.2.1.
//! Pure: candidates in, verdicts out.

use std::collections::BTreeMap;

use crate::report::SourceState;
use crate::seams::SourceId;

/// What a stratum is worth when sources are compared, seconds of root distance.
const STRATUM_WEIGHT_S: f64 = 1e-3;
/// How much nearer another source must be to be selected in place of the selected one, seconds.
const RESELECT_DISTANCE_S: f64 = 1e-4;
/// Sources within this many root distances of the selected one are combined with it.
const COMBINE_LIMIT: f64 = 3.0;
/// Highest stratum that leaves one for us.
const HIGHEST_STRATUM: u8 = 14;

/// A source that has been measured.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "one flag for each option of chrony.conf")]
pub(crate) struct Candidate {
    pub(crate) id: SourceId,
    /// Estimated offset, seconds.
    pub(crate) offset_s: f64,
    /// Root distance: the true offset lies within this of `offset_s`, seconds.
    pub(crate) distance_s: f64,
    /// Standard deviation of samples, seconds.
    pub(crate) jitter_s: f64,
    pub(crate) stratum: u8,
    pub(crate) reachable: bool,
    pub(crate) prefer: bool,
    pub(crate) trust: bool,
    pub(crate) require: bool,
    pub(crate) noselect: bool,
}

/// The rules of a selection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rules {
    pub(crate) max_distance_s: f64,
    pub(crate) max_jitter_s: f64,
    pub(crate) min_sources: usize,
    /// Sources that may still answer for the first time and change the majority.
    pub(crate) pending: usize,
    /// Some source has the option `require`.
    pub(crate) require: bool,
    /// The source that is selected so far.
    pub(crate) selected: Option<SourceId>,
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
    #[error("no required source selectable")]
    NoRequired,
}

/// The outcome of a selection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Selection {
    /// The selected source and those to be combined with it, the selected one first.
    pub(crate) chosen: Result<Vec<SourceId>, Failure>,
    /// What was made of each candidate.
    pub(crate) states: BTreeMap<SourceId, SourceState>,
}

/// Selects.
pub(crate) fn select(candidates: &[Candidate], rules: &Rules) -> Selection {
    let mut states = BTreeMap::new();
    let mut usable = Vec::new();
    let any_reachable = candidates.iter().any(|c| c.reachable && is_usable(c, rules));
    for candidate in candidates {
        let state = if candidate.jitter_s > rules.max_jitter_s {
            SourceState::Jittery
        } else {
            SourceState::Unusable
        };
        states.insert(candidate.id, state);
        // An unreachable source is better than none: its bounds tell how good it still is.
        if is_usable(candidate, rules) && (candidate.reachable || !any_reachable) {
            usable.push(candidate);
        }
    }
    let chosen = choose(&usable, rules, &mut states);
    Selection { chosen, states }
}

fn is_usable(candidate: &Candidate, rules: &Rules) -> bool {
    !candidate.noselect
        && candidate.distance_s <= rules.max_distance_s
        && candidate.jitter_s <= rules.max_jitter_s
        && candidate.stratum <= HIGHEST_STRATUM
}

fn choose(
    usable: &[&Candidate],
    rules: &Rules,
    states: &mut BTreeMap<SourceId, SourceState>,
) -> Result<Vec<SourceId>, Failure> {
    if usable.len() <= rules.pending && rules.pending > 0 {
        return Err(Failure::Waiting);
    }
    if usable.is_empty() {
        return Err(Failure::NoSources);
    }
    let right = truechimers(usable, states)?;
    if right.len() < rules.min_sources {
        return Err(Failure::TooFew);
    }
    if rules.require && !right.iter().any(|candidate| candidate.require) {
        return Err(Failure::NoRequired);
    }
    let preferred = right.iter().any(|candidate| candidate.prefer);
    let survivors: Vec<&Candidate> = right.into_iter().filter(|c| c.prefer || !preferred).collect();
    let best = best(&survivors, rules.selected).ok_or(Failure::NoSources)?;
    states.insert(best.id, SourceState::Selected);
    let mut chosen = vec![best.id];
    let limit_s = COMBINE_LIMIT * (best.distance_s + RESELECT_DISTANCE_S);
    for candidate in survivors.iter().filter(|c| c.id != best.id && c.distance_s <= limit_s) {
        states.insert(candidate.id, SourceState::Combined);
        chosen.push(candidate.id);
    }
    Ok(chosen)
}

/// The sources whose interval meets that of the majority; only sources with the option `trust` vote when
/// there is one.
fn truechimers<'a>(
    usable: &[&'a Candidate],
    states: &mut BTreeMap<SourceId, SourceState>,
) -> Result<Vec<&'a Candidate>, Failure> {
    let trusted = usable.iter().any(|candidate| candidate.trust);
    let votes: Vec<Interval> =
        usable.iter().filter(|c| c.trust || !trusted).map(|c| Interval::of(c)).collect();
    let agreed = intersection(&votes);
    let (right, wrong): (Vec<&Candidate>, Vec<&Candidate>) = usable
        .iter()
        .partition(|candidate| agreed.is_some_and(|agreed| Interval::of(candidate).meets(agreed)));
    states.extend(wrong.iter().map(|candidate| (candidate.id, SourceState::Falseticker)));
    states.extend(right.iter().map(|candidate| (candidate.id, SourceState::NotCombined)));
    if right.is_empty() { Err(Failure::NoMajority) } else { Ok(right) }
}

/// The nearest source, where a low stratum counts as near. The selected one stays while it is hardly worse,
/// so that the clock does not hop.
fn best<'a>(survivors: &[&'a Candidate], selected: Option<SourceId>) -> Option<&'a Candidate> {
    let score = |candidate: &Candidate| {
        let bonus_s = if Some(candidate.id) == selected { RESELECT_DISTANCE_S } else { 0.0 };
        candidate.distance_s + f64::from(candidate.stratum) * STRATUM_WEIGHT_S - bonus_s
    };
    survivors.iter().copied().min_by(|a, b| score(a).total_cmp(&score(b)))
}

/// Where the true offset lies according to a source: its correctness interval.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Interval {
    low: f64,
    high: f64,
}

impl Interval {
    fn of(candidate: &Candidate) -> Self {
        let Candidate { offset_s, distance_s, .. } = *candidate;
        Self { low: offset_s - distance_s, high: offset_s + distance_s }
    }

    fn meets(self, other: Self) -> bool {
        self.low <= other.high && self.high >= other.low
    }
}

/// The interval that a majority agrees on: from the lowest to the highest point that lies in the intervals of
/// all sources but as few as possible, less than half of them.
///
/// RFC 5905 section 11.2.1 asks besides that the midpoints lie in it. Sources that agree would be left
/// without a majority by that when their intervals are not much wider than what they differ by.
fn intersection(votes: &[Interval]) -> Option<Interval> {
    let mut lows: Vec<f64> = votes.iter().map(|vote| vote.low).collect();
    let mut highs: Vec<f64> = votes.iter().map(|vote| vote.high).collect();
    lows.sort_by(f64::total_cmp);
    highs.sort_by(f64::total_cmp);
    // From above everything is the same with its sign changed.
    let mirrored = |values: &[f64]| values.iter().rev().map(|value| -value).collect::<Vec<f64>>();
    (votes.len() / 2 + 1..=votes.len()).rev().find_map(|needed| {
        let low = first_shared(&lows, &highs, needed)?;
        let high = -first_shared(&mirrored(&highs), &mirrored(&lows), needed)?;
        Some(Interval { low, high })
    })
}

/// The lowest point that lies in at least `needed` intervals, of their sorted ends.
fn first_shared(lows: &[f64], highs: &[f64], needed: usize) -> Option<f64> {
    let mut ended = 0;
    for (index, &low) in lows.iter().enumerate() {
        while highs[ended] < low {
            ended += 1;
        }
        if index + 1 - ended >= needed {
            return Some(low);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: Rules = Rules {
        max_distance_s: 3.0,
        max_jitter_s: 1.0,
        min_sources: 1,
        pending: 0,
        require: false,
        selected: None,
    };

    fn candidate(id: u32, offset_s: f64, distance_s: f64) -> Candidate {
        Candidate {
            id: SourceId(id),
            offset_s,
            distance_s,
            jitter_s: 1e-4,
            stratum: 2,
            reachable: true,
            prefer: false,
            trust: false,
            require: false,
            noselect: false,
        }
    }

    fn symbols(selection: &Selection) -> String {
        selection.states.values().map(|state| state.symbol()).collect()
    }

    #[track_caller]
    fn check(candidates: &[Candidate], rules: &Rules, expected: &str) -> Selection {
        let selection = select(candidates, rules);
        assert_eq!(symbols(&selection), expected, "{selection:?}");
        selection
    }

    #[test]
    fn one_source_is_its_own_majority() {
        check(&[candidate(0, 5.0, 0.01)], &RULES, "*");
    }

    #[test]
    fn falseticker_among_three_is_named() {
        let sources =
            [candidate(0, 0.0, 0.01), candidate(1, 0.5, 0.005), candidate(2, 0.002, 0.02)];
        let selection = check(&sources, &RULES, "*x+");
        assert_eq!(selection.chosen, Ok(vec![SourceId(0), SourceId(2)]));
    }

    #[test]
    fn two_sources_that_disagree_have_no_majority() {
        let sources = [candidate(0, 0.0, 0.01), candidate(1, 0.5, 0.01)];
        let selection = check(&sources, &RULES, "xx");
        assert_eq!(selection.chosen, Err(Failure::NoMajority));
    }

    #[test]
    fn one_trusted_source_outvotes_two_others() {
        let trusted = Candidate { trust: true, ..candidate(0, 0.5, 0.01) };
        check(&[trusted, candidate(1, 0.0, 0.01), candidate(2, 0.0, 0.01)], &RULES, "*xx");
    }

    #[test]
    fn preferred_source_is_not_combined_with_others() {
        let preferred = Candidate { prefer: true, ..candidate(0, 0.0, 0.02) };
        check(&[preferred, candidate(1, 0.0, 0.01), candidate(2, 0.0, 0.01)], &RULES, "*--");
    }

    #[test]
    fn preferred_falseticker_is_not_selected() {
        let preferred = Candidate { prefer: true, ..candidate(0, 0.5, 0.01) };
        check(&[preferred, candidate(1, 0.0, 0.01), candidate(2, 0.0, 0.01)], &RULES, "x*+");
    }

    #[test]
    fn sources_that_are_not_to_be_selected_do_not_vote() {
        let noselect = Candidate { noselect: true, ..candidate(0, 0.5, 0.001) };
        let far = candidate(1, 0.5, 3.1);
        let jittery = Candidate { jitter_s: 1.1, ..candidate(2, 0.5, 0.001) };
        let low = Candidate { stratum: 15, ..candidate(3, 0.5, 0.001) };
        let unreachable = Candidate { reachable: false, ..candidate(4, 0.5, 0.001) };
        check(
            &[noselect, far, jittery, low, unreachable, candidate(5, 0.0, 0.01)],
            &RULES,
            "??~??*",
        );
    }

    #[test]
    fn unreachable_source_stays_selected_while_there_is_no_other() {
        check(&[Candidate { reachable: false, ..candidate(0, 0.0, 0.1) }], &RULES, "*");
    }

    #[test]
    fn rules_hold_the_selection_back() {
        let two = [candidate(0, 0.0, 0.01), candidate(1, 0.0, 0.01)];
        let required = [two[0], Candidate { require: true, ..two[1] }];
        let outcome = |sources: &[Candidate], rules: Rules| select(sources, &rules).chosen.err();
        assert_eq!(outcome(&two, Rules { min_sources: 3, ..RULES }), Some(Failure::TooFew));
        assert_eq!(outcome(&two, Rules { min_sources: 2, ..RULES }), None);
        assert_eq!(outcome(&two, Rules { pending: 2, ..RULES }), Some(Failure::Waiting));
        assert_eq!(outcome(&two, Rules { pending: 1, ..RULES }), None);
        assert_eq!(outcome(&two, Rules { require: true, ..RULES }), Some(Failure::NoRequired));
        assert_eq!(outcome(&required, Rules { require: true, ..RULES }), None);
        assert_eq!(outcome(&[], RULES), Some(Failure::NoSources));
    }

    #[test]
    fn selected_source_stays_until_another_is_clearly_nearer() {
        let selected = Rules { selected: Some(SourceId(1)), ..RULES };
        let near = [candidate(0, 0.0, 0.01), candidate(1, 0.0, 0.01 + 0.5 * RESELECT_DISTANCE_S)];
        check(&near, &selected, "+*");
        let far = [candidate(0, 0.0, 0.01), candidate(1, 0.0, 0.01 + 2.0 * RESELECT_DISTANCE_S)];
        check(&far, &selected, "*+");
    }

    /// The definition, tried on every pair of ends.
    fn brute_force(votes: &[Interval]) -> Option<Interval> {
        let holders =
            |point: f64| votes.iter().filter(|v| v.low <= point && point <= v.high).count();
        for needed in (1..=votes.len()).rev().filter(|needed| 2 * needed > votes.len()) {
            let shared = |point: &f64| holders(*point) >= needed;
            let low = votes.iter().map(|v| v.low).filter(shared).reduce(f64::min);
            let high = votes.iter().map(|v| v.high).filter(shared).reduce(f64::max);
            if let (Some(low), Some(high)) = (low, high) {
                return Some(Interval { low, high });
            }
        }
        None
    }

    proptest! {
        #[test]
        fn intersection_agrees_with_its_definition(
            votes in proptest::collection::vec((-20i32..20, 1i32..12), 1..9),
        ) {
            let votes: Vec<Interval> = votes
                .into_iter()
                .map(|(middle, half)| (f64::from(middle), f64::from(half)))
                .map(|(middle, half)| Interval { low: middle - half, high: middle + half })
                .collect();
            prop_assert_eq!(intersection(&votes), brute_force(&votes));
        }

        #[test]
        fn a_majority_that_agrees_cannot_be_outvoted(
            right in proptest::collection::vec((-0.9f64..0.9, 1.0f64..2.0), 1..6),
            wrong in proptest::collection::vec((50.0f64..100.0, 1.0f64..2.0), 0..6),
        ) {
            prop_assume!(wrong.len() < right.len());
            let rules = Rules { max_distance_s: 10.0, ..RULES };
            let candidates: Vec<Candidate> = (0..)
                .zip(right.iter().chain(&wrong))
                .map(|(id, &(offset_s, distance_s))| candidate(id, offset_s, distance_s))
                .collect();
            let selection = select(&candidates, &rules);
            for (id, candidate) in (0..).zip(&candidates) {
                let is_false = selection.states[&SourceId(id)] == SourceState::Falseticker;
                prop_assert_eq!(is_false, candidate.offset_s > 10.0);
            }
        }
    }
}
