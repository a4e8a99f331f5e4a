//! Selections of a few sources each, by the characters of the verdicts.

use super::*;
use crate::conf::Config;
use proptest::prelude::*;

fn settings() -> SelectionSettings {
    SelectionSettings::from_config(&Config::default())
}

fn candidate(id: u32, offset_s: f64, distance_s: f64) -> Candidate {
    let measured = Measured {
        offset_s,
        distance_s,
        jitter_s: 1e-4,
        oldest_s: 500.0,
        newest_s: 10.0,
        stratum: 2,
        leap: LeapIndicator::Normal,
        reference_id: ReferenceId(id),
        upstream: ReferenceId::NONE,
        ours: None,
    };
    Candidate {
        id: SourceId(id),
        options: SelectOptions::default(),
        reachable: true,
        given_up: false,
        measured: Some(measured),
    }
}

fn with(candidate: Candidate, set: impl FnOnce(&mut Measured)) -> Candidate {
    let mut measured = candidate.measured.unwrap();
    set(&mut measured);
    Candidate { measured: Some(measured), ..candidate }
}

fn option(candidate: Candidate, set: impl FnOnce(&mut SelectOptions)) -> Candidate {
    let mut options = candidate.options;
    set(&mut options);
    Candidate { options, ..candidate }
}

/// Selects from the start.
fn outcome(candidates: &[Candidate], settings: &SelectionSettings, pending: usize) -> Selection {
    let rules = Rules { settings, pending, orphans: None, updated: None };
    select(candidates, &rules, &mut Ranking::default())
}

fn codes(selection: &Selection) -> String {
    selection.judgements.values().map(|judgement| judgement.verdict.code()).collect()
}

#[track_caller]
fn check(candidates: &[Candidate], expected: &str) -> Selection {
    let selection = outcome(candidates, &settings(), 0);
    assert_eq!(codes(&selection), expected, "{selection:?}");
    selection
}

#[test]
fn one_source_is_its_own_majority() {
    check(&[candidate(0, 5.0, 0.01)], "*");
}

#[test]
fn falseticker_among_three_is_named() {
    let sources = [candidate(0, 0.0, 0.01), candidate(1, 0.5, 0.005), candidate(2, 0.002, 0.02)];
    let selection = check(&sources, "*x+");
    assert_eq!(selection.chosen, Ok(vec![SourceId(0), SourceId(2)]));
}

#[test]
fn source_that_follows_the_selected_one_is_not_combined_with_it() {
    let nearest = candidate(7, 0.0, 0.01);
    let follower = |stratum| {
        with(candidate(8, 0.001, 0.012), |m| (m.stratum, m.upstream) = (stratum, ReferenceId(7)))
    };
    check(&[nearest, follower(3)], "*D");
    check(&[nearest, follower(2)], "*+");
    let other = with(candidate(8, 0.001, 0.012), |m| (m.stratum, m.upstream) = (3, ReferenceId(9)));
    check(&[nearest, other], "*+");
}

#[test]
fn two_sources_that_disagree_have_no_majority() {
    let selection = check(&[candidate(0, 0.0, 0.01), candidate(1, 0.5, 0.01)], "xx");
    assert_eq!(selection.chosen, Err(Failure::NoMajority));
}

#[test]
fn one_trusted_source_outvotes_two_others() {
    let trusted = option(candidate(0, 0.5, 0.01), |o| o.trust = true);
    check(&[trusted, candidate(1, 0.0, 0.01), candidate(2, 0.0, 0.01)], "*xx");
}

#[test]
fn source_that_reaches_out_of_what_the_trusted_ones_agree_on_is_not_followed() {
    let trusted = option(candidate(0, 0.0, 0.01), |o| o.trust = true);
    check(&[trusted, candidate(1, 0.005, 0.01), candidate(2, 0.001, 0.005)], "+T*");
}

#[test]
fn preferred_source_is_not_combined_with_others() {
    let preferred = option(candidate(0, 0.0, 0.02), |o| o.prefer = true);
    check(&[preferred, candidate(1, 0.0, 0.01), candidate(2, 0.0, 0.01)], "*PP");
}

#[test]
fn preferred_falseticker_is_not_selected() {
    let preferred = option(candidate(0, 0.5, 0.01), |o| o.prefer = true);
    check(&[preferred, candidate(1, 0.0, 0.01), candidate(2, 0.0, 0.01)], "x*+");
}

#[test]
fn sources_that_are_unfit_do_not_vote() {
    let wrong = |id| candidate(id, 0.5, 0.001);
    check(
        &[
            option(wrong(0), |o| o.noselect = true),
            candidate(1, 0.5, 3.1),
            with(wrong(2), |m| m.jitter_s = 1.1),
            with(wrong(3), |m| m.stratum = 15),
            Candidate { measured: None, ..wrong(4) },
            with(wrong(5), |m| m.leap = LeapIndicator::Unsynchronised),
            with(wrong(6), |m| m.distance_s = f64::NAN),
            candidate(7, 0.0, 0.01),
        ],
        "Nd~rMsd*",
    );
}

#[test]
fn strata_are_limited_from_both_sides() {
    let strata = |range: (u8, u8)| {
        let (min_stratum, max_stratum) = range;
        let settings = SelectionSettings { min_stratum, max_stratum, ..settings() };
        let source =
            |stratum| with(candidate(u32::from(stratum), 0.0, 0.01), |m| m.stratum = stratum);
        codes(&outcome(&[1, 2, 3].map(source), &settings, 0))
    };
    assert_eq!(strata((0, 15)), "*++");
    assert_eq!(strata((2, 15)), "r*+");
    assert_eq!(strata((0, 1)), "*rr");
}

#[test]
fn unreachable_source_counts_while_its_samples_are_not_older_than_those_of_others() {
    let silent = |id, newest_s| {
        let source = with(candidate(id, 0.0, 0.01), |m| m.newest_s = newest_s);
        Candidate { reachable: false, ..source }
    };
    check(&[silent(0, 400.0), candidate(1, 0.0, 0.02)], "*+");
    check(&[silent(0, 501.0), candidate(1, 0.0, 0.02)], "S*");
    check(&[silent(0, 99_999.0)], "*");
    check(&[Candidate { given_up: true, ..silent(0, 20.0) }], "S");
}

#[test]
fn rules_hold_the_selection_back() {
    let two = [candidate(0, 0.0, 0.01), candidate(1, 0.0, 0.01)];
    let none_required = [two[0], option(candidate(1, 0.5, 9.0), |o| o.require = true)];
    let required = [two[0], option(two[1], |o| o.require = true)];
    let at_least = |min_sources| SelectionSettings { min_sources, ..settings() };
    let cases = [
        (&two, at_least(3), 0, "WW", Some(Failure::TooFew)),
        (&two, at_least(2), 0, "*+", None),
        (&two, settings(), 2, "ww", Some(Failure::Waiting)),
        (&two, settings(), 1, "*+", None),
        (&none_required, settings(), 0, "Wd", Some(Failure::NoRequired)),
        (&required, settings(), 0, "*+", None),
    ];
    for (sources, settings, pending, expected, failure) in cases {
        let selection = outcome(sources, &settings, pending);
        assert_eq!((codes(&selection).as_str(), selection.chosen.err()), (expected, failure));
    }
    assert_eq!(outcome(&[], &settings(), 0).chosen, Err(Failure::NoSources));
}

#[test]
fn combinelimit_is_a_multiple_of_the_nearest_distance() {
    let sources = [candidate(0, 0.0, 0.01), candidate(1, 0.0, 0.02), candidate(2, 0.0, 0.04)];
    for (combine_limit, expected) in [(3.0, "*+D"), (5.0, "*++"), (0.0, "*DD")] {
        let settings = SelectionSettings { combine_limit, ..settings() };
        assert_eq!(codes(&outcome(&sources, &settings, 0)), expected, "{combine_limit}");
    }
}

#[test]
fn stratum_counts_as_distance() {
    let sources = [with(candidate(0, 0.0, 0.010), |m| m.stratum = 4), candidate(1, 0.0, 0.0115)];
    check(&sources, "+*");
    let settings = SelectionSettings { stratum_weight_s: 0.0, ..settings() };
    assert_eq!(codes(&outcome(&sources, &settings, 0)), "*+");
}

/// Selects again and again with new samples of the second source, and tells how often until it is selected.
fn samples_until_reselected(distance_s: f64, settings: &SelectionSettings) -> Option<u32> {
    let mut ranking = Ranking::default();
    let rules = |updated| Rules { settings, pending: 0, orphans: None, updated };
    select(&[candidate(0, 0.0, 0.01), candidate(1, 0.0, 0.02)], &rules(None), &mut ranking);
    assert_eq!(ranking.selected(), Some(SourceId(0)));
    (1..1000).find(|_| {
        let sources = [candidate(0, 0.0, 0.01), candidate(1, 0.0, distance_s)];
        select(&sources, &rules(None), &mut ranking);
        assert_eq!(ranking.selected(), Some(SourceId(0)), "reselected without a sample");
        select(&sources, &rules(Some(SourceId(1))), &mut ranking);
        ranking.selected() == Some(SourceId(1))
    })
}

#[test]
fn another_source_is_selected_the_sooner_the_nearer_it_is() {
    let settings = settings();
    assert_eq!(samples_until_reselected(9.95e-3, &settings), None, "within reselectdist");
    // 100/51 to the fourth is the first power above 10; 100/91 to the 25th.
    assert_eq!(samples_until_reselected(5e-3, &settings), Some(4));
    assert_eq!(samples_until_reselected(9e-3, &settings), Some(25));
    let reluctant = SelectionSettings { reselect_distance_s: 0.01, ..settings };
    assert_eq!(samples_until_reselected(5e-3, &reluctant), None);
}

#[test]
fn selected_source_that_goes_wrong_is_left_at_once() {
    let (settings, mut ranking) = (settings(), Ranking::default());
    let rules = Rules { settings: &settings, pending: 0, orphans: None, updated: None };
    let mut sources = [candidate(0, 0.0, 0.01), candidate(1, 0.0, 0.03), candidate(2, 0.0, 0.02)];
    select(&sources, &rules, &mut ranking);
    sources[0] = candidate(0, 1.0, 0.01);
    assert_eq!(codes(&select(&sources, &rules, &mut ranking)), "x+*");
}

#[test]
fn orphans_follow_the_lowest_of_them_and_only_when_there_is_nobody_else() {
    let orphan = |id| with(candidate(id, 0.0, 0.01), |m| m.stratum = 10);
    let below = |id| with(candidate(id, 0.0, 0.01), |m| m.stratum = 11);
    let settings = settings();
    let codes_of = |sources: &[Candidate], own: Option<u32>| {
        let rules = Rules { settings: &settings, pending: 0, orphans: Some(10), updated: None };
        let known = |source: &Candidate| with(*source, |m| m.ours = own.map(ReferenceId));
        let sources: Vec<Candidate> = sources.iter().map(known).collect();
        codes(&select(&sources, &rules, &mut Ranking::default()))
    };
    assert_eq!(codes_of(&[orphan(3), candidate(5, 0.0, 0.01)], Some(9)), "O*");
    assert_eq!(codes_of(&[below(1), orphan(3), orphan(4)], Some(9)), "O*O");
    assert_eq!(codes_of(&[orphan(3), orphan(4)], Some(2)), "OO", "it is us");
    assert_eq!(codes_of(&[orphan(3)], None), "O");
}

proptest! {
    #[test]
    fn a_majority_that_agrees_cannot_be_outvoted(
        right in proptest::collection::vec((-0.9f64..0.9, 1.0f64..2.0), 1..6),
        wrong in proptest::collection::vec((50.0f64..100.0, 1.0f64..2.0), 0..6),
    ) {
        prop_assume!(wrong.len() < right.len());
        let settings = SelectionSettings { max_distance_s: 10.0, ..settings() };
        let candidates: Vec<Candidate> = (0..)
            .zip(right.iter().chain(&wrong))
            .map(|(id, &(offset_s, distance_s))| candidate(id, offset_s, distance_s))
            .collect();
        let selection = outcome(&candidates, &settings, 0);
        for candidate in &candidates {
            let is_false = selection.verdict(candidate.id) == Verdict::Falseticker;
            prop_assert_eq!(is_false, candidate.measured.unwrap().offset_s > 10.0);
        }
    }
}
