//! Which rates are tried: one, a ramp, or a search for the highest at which little is lost.

use std::time::Duration;

use super::outcome::{Outcome, Step};

/// Where a search begins, requests a second.
const FIRST_RATE: f64 = 20_000.0;
/// No search goes beyond: 100 Gbit/s Ethernet carries 110 million requests a second.
const LAST_RATE: f64 = 120e6;
/// A search ends when the rate that passed and the one that failed are this near.
const NARROW: f64 = 1.03;
/// A share of losses above which more tries than [`FEW_TRIES`] would find nothing else: no machine that does other
/// things for some milliseconds costs so much.
const HOPELESS: f64 = 0.1;
const FEW_TRIES: usize = 2;

/// Which rates are tried.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// One step.
    Fixed(Step),
    /// From one rate to another in equal ratios.
    Ramp {
        /// The first rate, requests a second.
        from: f64,
        /// The last.
        to: f64,
        /// How many rates, at least two.
        steps: usize,
        /// How long each is sent.
        duration: Duration,
    },
    /// The highest rate at which no more than a share of the requests is lost.
    Limit {
        /// That share.
        loss: f64,
        /// Where to begin; `None` is a low rate.
        from: Option<f64>,
        /// How often a rate that fails is tried before it counts as failed: what else a machine does costs packets, too.
        tries: usize,
        /// How long each rate is tried.
        duration: Duration,
    },
}

impl Plan {
    /// The step that follows `done`, or `None` at the end.
    #[must_use]
    pub fn next(&self, done: &[Outcome]) -> Option<Step> {
        match self {
            Self::Fixed(step) => done.is_empty().then_some(*step),
            Self::Ramp { from, to, steps, duration } => {
                if done.len() >= *steps {
                    return None;
                }
                let part = done.len() as f64 / (steps.saturating_sub(1)).max(1) as f64;
                Some(Step { rate: Some(from * (to / from).powf(part)), duration: *duration })
            }
            Self::Limit { loss, from, tries, duration } => {
                let rate = next_rate(done, *loss, from.unwrap_or(FIRST_RATE), *tries)?;
                Some(Step { rate: Some(rate), duration: *duration })
            }
        }
    }

    /// How many steps there are, where that is known beforehand.
    #[must_use]
    pub fn steps(&self) -> Option<usize> {
        match self {
            Self::Fixed(_) => Some(1),
            Self::Ramp { steps, .. } => Some(*steps),
            Self::Limit { .. } => None,
        }
    }

    /// How long each step is.
    #[must_use]
    pub fn step_duration(&self) -> Duration {
        match self {
            Self::Fixed(step) => step.duration,
            Self::Ramp { duration, .. } | Self::Limit { duration, .. } => *duration,
        }
    }
}

/// The best of the steps that lost no more than `loss` and whose sender kept its rate.
#[must_use]
pub fn limit(done: &[Outcome], loss: f64) -> Option<&Outcome> {
    let passed = done.iter().filter(|outcome| passes(outcome, loss));
    passed.max_by(|one, other| one.answered_rate().total_cmp(&other.answered_rate()))
}

fn passes(outcome: &Outcome, loss: f64) -> bool {
    outcome.sent() > 0 && outcome.loss() <= loss && outcome.kept_rate()
}

/// Doubles the rate until it fails, then halves the ratio between what passed and what failed.
fn next_rate(done: &[Outcome], loss: f64, first: f64, tries: usize) -> Option<f64> {
    let rates = |wanted: bool| {
        let wanted = done.iter().filter(move |outcome| passes(outcome, loss) == wanted);
        wanted.filter_map(|outcome| outcome.step.rate)
    };
    let Some(last) = done.last().and_then(|outcome| outcome.step.rate) else { return Some(first) };
    let is_last = |rate: &f64| rate.total_cmp(&last).is_eq();
    let passed = rates(true).max_by(f64::total_cmp);
    if rates(false).any(|rate| is_last(&rate)) && !rates(true).any(|rate| is_last(&rate)) {
        let of_last = done.iter().filter(|outcome| outcome.step.rate.as_ref().is_some_and(is_last));
        let is_hopeless = of_last.clone().all(|outcome| outcome.loss() > HOPELESS);
        if of_last.count() < if is_hopeless { tries.min(FEW_TRIES) } else { tries } {
            return Some(last);
        }
    }
    let failed = rates(false).filter(|rate| passed.is_none_or(|passed| *rate > passed));
    match (passed, failed.min_by(f64::total_cmp)) {
        (Some(passed), Some(failed)) if failed / passed <= NARROW => None,
        (Some(passed), Some(failed)) => Some((passed * failed).sqrt()),
        (Some(passed), None) if passed * 2.0 > LAST_RATE => None,
        (Some(passed), None) => Some(passed * 2.0),
        (None, Some(failed)) if failed < 100.0 => None,
        (None, Some(failed)) => Some(failed / 4.0),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::mix::Kind;
    use crate::load::outcome::Count;
    use crate::units::whole;

    const SECOND: Duration = Duration::from_secs(1);

    /// What a server that answers at most `capacity` requests a second makes of a step.
    fn play(step: Step, capacity: f64) -> Outcome {
        let sent = step.rate.unwrap();
        let count = Count { sent: whole(sent), answered: whole(sent.min(capacity)), kissed: 0 };
        Outcome { seconds: 1.0, kinds: vec![(Kind::Plain, count)], ..Outcome::new(step) }
    }

    fn search(capacity: f64) -> (Option<f64>, usize) {
        let plan = Plan::Limit { loss: 0.001, from: None, tries: 2, duration: SECOND };
        let mut done = Vec::new();
        while let Some(step) = plan.next(&done) {
            done.push(play(step, capacity));
            assert!(done.len() < 60, "the search does not end");
        }
        (limit(&done, 0.001).map(Outcome::answered_rate), done.len())
    }

    #[test]
    fn search_finds_the_capacity_from_below_within_three_percent() {
        for capacity in [150.0, 4_000.0, 163_000.0, 2_345_678.0, 30e6] {
            let (found, steps) = search(capacity);
            let found = found.unwrap();
            assert!(found <= capacity * 1.002 && found >= capacity / 1.035, "{capacity}: {found}");
            assert!(steps <= 40, "{capacity}: {steps} steps");
        }
        assert_eq!(search(0.0).0, None);
    }

    #[test]
    fn rate_that_failed_once_by_bad_luck_is_tried_again() {
        let plan = Plan::Limit { loss: 0.001, from: Some(1000.0), tries: 2, duration: SECOND };
        let failed = play(Step { rate: Some(1000.0), duration: SECOND }, 900.0);
        let again = plan.next(std::slice::from_ref(&failed)).unwrap();
        assert_eq!(again.rate, Some(1000.0));
        let lower = plan.next(&[failed.clone(), failed.clone()]).unwrap();
        assert_eq!(lower.rate, Some(250.0));
        let higher = plan.next(&[failed, play(again, 2000.0)]).unwrap();
        assert_eq!(higher.rate, Some(2000.0));
    }

    #[test]
    fn rate_far_beyond_the_limit_is_not_tried_as_often_as_one_that_nearly_passed() {
        let plan = Plan::Limit { loss: 0.001, from: Some(1000.0), tries: 5, duration: SECOND };
        let tries = |capacity: f64| {
            let mut done = Vec::new();
            while let Some(step) = plan.next(&done).filter(|step| step.rate == Some(1000.0)) {
                done.push(play(step, capacity));
            }
            done.len()
        };
        assert_eq!((tries(990.0), tries(500.0), tries(1000.0)), (5, 2, 1));
    }

    #[test]
    fn sender_that_cannot_keep_the_rate_ends_the_search_too() {
        let slow = |step: Step| {
            let rate = step.rate.unwrap().min(50_000.0);
            Outcome { step, ..play(Step { rate: Some(rate), ..step }, f64::INFINITY) }
        };
        let plan = Plan::Limit { loss: 0.001, from: None, tries: 2, duration: SECOND };
        let mut done = Vec::new();
        while let Some(step) = plan.next(&done) {
            done.push(slow(step));
            assert!(done.len() < 60);
        }
        let found = limit(&done, 0.001).unwrap().sent_rate();
        assert!((48_000.0..=50_001.0).contains(&found), "{found}");
    }

    #[test]
    fn ramp_goes_from_the_first_rate_to_the_last_in_equal_ratios() {
        let plan = Plan::Ramp { from: 1000.0, to: 8000.0, steps: 4, duration: SECOND };
        let mut done = Vec::new();
        while let Some(step) = plan.next(&done) {
            done.push(play(step, f64::INFINITY));
        }
        let rates: Vec<u64> =
            done.iter().map(|outcome| whole(outcome.step.rate.unwrap())).collect();
        assert_eq!(rates, [1000, 2000, 4000, 8000]);
    }
}
