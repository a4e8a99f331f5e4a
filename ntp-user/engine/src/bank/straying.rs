//! What a source is off by that delays do not show: its own clock strays, or its timestamps are coarse.
//!
//! Two kinds are told apart. Noise is another in every sample; a walk adds up: the source is kept right by something that
//! is itself uncertain. How much of either there is, to a factor of two, is what explains the latest samples best, together
//! with all else that is estimated: a clock of ours that wanders would explain some of them in another way. With each
//! sample one other value is tried.

use super::Bank;
use super::path::Path;
use super::window::{Filtered, Record, Window};
use crate::seams::SourceId;

/// Logarithm of the probability that there is nothing of a kind, over that of any amount.
const LN_NOTHING: f64 = 3.0;
/// By how much the logarithm of the evidence must be better for a change.
const LN_BETTER: f64 = 0.7;
/// The least that is looked for, as a part of what packets wait: less makes no difference.
const LEAST_PART: f64 = 0.125;
/// What is tried first, in powers of two of that.
const FIRST: [i8; 4] = [1, 3, 5, 7];
/// Samples in the window from which on any is looked for.
const FEWEST: usize = 8;

/// An amount: a power of two; nothing if there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount(Option<i8>);

impl Amount {
    fn value(self) -> f64 {
        self.0.map_or(0.0, |log2| f64::from(log2).exp2())
    }

    /// What to try instead at a turn, where less than `least` makes no difference: up or down; one of many, if there is
    /// none.
    fn other(self, least: f64, up: bool, turn: usize) -> Option<Self> {
        let least = log2(least);
        match self.0 {
            None => up.then(|| Self(Some(least.saturating_add(FIRST[turn % FIRST.len()])))),
            Some(now) if up => Some(Self(Some(now.min(-1) + 1))),
            Some(now) if now > least => Some(Self(Some(now - 1))),
            Some(_) => Some(Self(None)),
        }
    }

    fn ln_prior(self) -> f64 {
        self.0.map_or(LN_NOTHING, |_| 0.0)
    }
}

/// How a source strays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Straying {
    /// Standard deviation of the noise, seconds.
    noise: Amount,
    /// Standard deviation of what it walks by in a second.
    walk: Amount,
}

impl Straying {
    /// Standard deviation of the noise, seconds.
    pub(super) fn noise_s(self) -> f64 {
        self.noise.value()
    }

    /// Growth of the variance by the walk, s^2 a second.
    pub(super) fn walk(self) -> f64 {
        self.walk.value().powi(2)
    }

    /// What else to try for a source with its next sample. A walk is looked for where the source is `alone`.
    pub(super) fn other(self, path: &Path, alone: bool) -> Option<Self> {
        let least_s = LEAST_PART * path.scale_s();
        let (turn, up) = (path.samples() / 4, (path.samples() / 2).is_multiple_of(2));
        if alone && path.samples() % 2 == 1 {
            let walk = self.walk.other(least_s / path.interval_s().sqrt(), up, turn)?;
            Some(Self { walk, ..self })
        } else {
            let noise = self.noise.other(least_s, up, turn)?;
            Some(Self { noise, ..self })
        }
    }

    /// Whether it is to be changed for another one, by the logarithms of the evidence for both.
    pub(super) fn yields_to(self, other: Self, ln_evidence: f64, ln_others: f64) -> bool {
        ln_others + other.ln_prior() > ln_evidence + self.ln_prior() + LN_BETTER
    }

    fn ln_prior(self) -> f64 {
        self.noise.ln_prior() + self.walk.ln_prior()
    }
}

impl Bank {
    /// Filters the samples as the source strays that explains them best: as is believed until now, or in one other way.
    pub(super) fn filter(&mut self, window: &mut Window, record: &Record) -> Filtered {
        let source = record.source;
        let filtered = window.filter(|record| self.observation(record));
        let path = self.paths.get(&source).filter(|_| window.count(source) >= FEWEST);
        let Some((straying, other)) =
            path.and_then(|path| Some((path.straying, path.straying.other(path, self.is_one())?)))
        else {
            return filtered;
        };
        // The noise of a reference clock is stated.
        if record.deviation_s.is_some() && other.noise != straying.noise {
            return filtered;
        }
        self.set_straying(window, source, other);
        let tried = window.filter(|record| self.observation(record));
        if straying.yields_to(other, filtered.ln_evidence(), tried.ln_evidence()) {
            return tried;
        }
        self.set_straying(window, source, straying);
        filtered
    }

    fn set_straying(&mut self, window: &mut Window, source: SourceId, straying: Straying) {
        if let Some(path) = self.paths.get_mut(&source) {
            path.straying = straying;
        }
        window.set_walk(self.walk());
    }

    /// Growth of the variance of the time by what its only source walks, s^2 a second. Of several each would be free to walk
    /// off with what it says of the time.
    pub(super) fn walk(&self) -> f64 {
        let one = self.paths.values().next().filter(|_| self.is_one());
        one.map_or(0.0, |path| path.straying.walk())
    }

    fn is_one(&self) -> bool {
        self.paths.len() == 1
    }
}

/// The power of two below.
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
fn log2(value: f64) -> i8 {
    value.log2().floor() as i8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::KnownFrequency;
    use ntp_common::time::NtpTimestamp;

    fn path(samples: u32) -> Path {
        let mut path = Path::new(1e-9);
        for sample in 0..samples {
            path.add(1e-3 + 1e-5 * f64::from(sample * 7 % 20), 64.0 * f64::from(sample));
        }
        path
    }

    #[test]
    fn walk_of_one_of_several_is_not_looked_for() {
        for samples in 20..40 {
            let other = Straying::default().other(&path(samples), false);
            assert!(other.is_none_or(|other| other.walk() == 0.0 && other.noise_s() > 0.0));
        }
    }

    #[test]
    fn amounts_of_either_kind_are_found_from_nothing_and_left_again() {
        // What a source with 0.3 ms of noise and a walk of 10 us in a second would choose: what is nearer.
        let away = |straying: Straying, noise_s: f64, walk_s: f64| {
            let amount = |value: f64, wanted: f64| (value.max(1e-9) / wanted.max(1e-9)).ln().abs();
            amount(straying.noise_s(), noise_s) + amount(straying.walk().sqrt(), walk_s)
        };
        let mut straying = Straying::default();
        for (noise_s, walk_s) in [(3e-4, 1e-5), (3e-4, 0.0), (0.0, 0.0)] {
            for samples in 20..100 {
                let Some(other) = straying.other(&path(samples), true) else { continue };
                if away(other, noise_s, walk_s) < away(straying, noise_s, walk_s) {
                    straying = other;
                }
            }
            let found = (straying.noise_s(), straying.walk().sqrt());
            for (found, wanted) in [(found.0, noise_s), (found.1, walk_s)] {
                let right =
                    if wanted > 0.0 { (found / wanted).log2().abs() <= 0.5 } else { found == 0.0 };
                assert!(right, "{found} for {wanted}");
            }
        }
    }

    #[test]
    fn time_walks_with_a_source_that_is_alone_and_not_with_one_of_several() {
        let time = NtpTimestamp::from_bits(4_000_000_000 << 32);
        let known = KnownFrequency { correction: 0.0, deviation: 1e-4, at: time, unseen: 1e-6 };
        let mut bank = Bank::new(known, 1e-9, time, 0.0);
        let walking = Straying { walk: Amount(Some(-10)), ..Straying::default() };
        let mut first = path(20);
        first.straying = walking;
        bank.paths.insert(SourceId(0), first);
        assert!((bank.walk() - walking.walk()).abs() < 1e-15 && bank.walk() > 0.0);
        bank.paths.insert(SourceId(1), path(20));
        assert!(bank.walk().abs() < f64::MIN_POSITIVE);
    }

    #[test]
    fn straying_is_believed_when_it_explains_more_than_it_is_unlikely() {
        let (none, some) =
            (Straying::default(), Straying { noise: Amount(Some(-12)), ..Straying::default() });
        assert!(!none.yields_to(some, 10.0, 13.0));
        assert!(none.yields_to(some, 10.0, 14.0));
        assert!(!some.yields_to(none, 10.0, 7.5));
        assert!(some.yields_to(none, 10.0, 8.0));
    }
}
