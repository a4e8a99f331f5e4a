//! `fallbackdrift`: means of the clock's frequency over longer and longer times, to run on when there has been no
//! update for as long. A clock that was left in the cold at noon does not stay as it was at noon.

use ntp_common::time::MonoNs;

use crate::conf::FallbackDrift;
use crate::seconds;

/// A mean of the frequency over 2^`log2` seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Mean {
    log2: u8,
    frequency: f64,
    /// Time that was seen of it, seconds.
    seen_s: f64,
}

impl Mean {
    fn length_s(&self) -> f64 {
        f64::from(self.log2).exp2()
    }

    fn add(&mut self, frequency: f64, elapsed_s: f64) {
        self.seen_s += elapsed_s;
        // The plain mean until the whole length has been seen, then an exponential one.
        let weight = elapsed_s / self.seen_s.min(self.length_s()).max(f64::MIN_POSITIVE);
        self.frequency += (frequency - self.frequency) * weight.min(1.0);
    }
}

/// The means, and the one in use.
#[derive(Clone, Debug)]
pub(super) struct Fallback {
    means: Vec<Mean>,
    updated: Option<MonoNs>,
    /// Means that were used since the last update.
    used: usize,
}

impl Fallback {
    /// Means for every power of two from `min` to `max`; none without a rule.
    pub(super) fn new(rule: Option<FallbackDrift>) -> Self {
        let mean = |log2| Mean { log2, frequency: 0.0, seen_s: 0.0 };
        let lengths = rule.into_iter().flat_map(|rule| rule.min_log2..=rule.max_log2);
        Self { means: lengths.map(mean).collect(), updated: None, used: 0 }
    }

    /// Goes by another rule from now on; what was seen for the means that it has, too, stays.
    pub(super) fn replace(&mut self, rule: Option<FallbackDrift>) {
        let Self { means, .. } = Self::new(rule);
        if !means.iter().map(|mean| mean.log2).eq(self.means.iter().map(|mean| mean.log2)) {
            let seen =
                |new: Mean| *self.means.iter().find(|old| old.log2 == new.log2).unwrap_or(&new);
            self.means = means.into_iter().map(seen).collect();
            self.used = 0;
        }
    }

    /// The clock has run on `frequency` since the last update, and is updated now.
    pub(super) fn update(&mut self, frequency: f64, now: MonoNs) {
        let elapsed_s = self.updated.map_or(0.0, |updated| seconds::between(updated, now));
        // What a mean says of a time without updates is no news.
        if elapsed_s > 0.0 && self.used == 0 {
            self.means.iter_mut().for_each(|mean| mean.add(frequency, elapsed_s));
        }
        self.skip(now);
    }

    /// The clock is updated now; what it has run on since the last time was not known well enough to be counted.
    pub(super) fn skip(&mut self, now: MonoNs) {
        self.updated = Some(now);
        self.used = 0;
    }

    /// Whether a mean is in use.
    pub(super) fn is_in_use(&self) -> bool {
        self.used > 0
    }

    /// When the next mean is due.
    pub(super) fn deadline(&self) -> Option<MonoNs> {
        let mean = self.means.get(self.used)?;
        // A mean over more time than was seen says nothing that the last estimate does not say better.
        let known = mean.seen_s >= mean.length_s();
        self.updated.filter(|_| known).map(|updated| seconds::after(updated, mean.length_s()))
    }

    /// The frequency to run on from now on, if one is due.
    pub(super) fn due(&mut self, now: MonoNs) -> Option<f64> {
        self.deadline().filter(|&deadline| deadline <= now)?;
        let mean = self.means.get(self.used)?;
        self.used += 1;
        Some(mean.frequency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> MonoNs {
        seconds::after(MonoNs(0), seconds)
    }

    #[test]
    fn means_are_used_one_after_the_other_as_far_as_they_are_known() {
        let mut fallback = Fallback::new(Some(FallbackDrift { min_log2: 4, max_log2: 7 }));
        // 1 ppm for 96 s, then a glitch.
        for second in 0..=96u32 {
            fallback.update(1e-6, at(f64::from(second)));
        }
        fallback.update(9e-6, at(97.0));
        assert_eq!(fallback.due(at(112.0)), None);
        let mut last = 9e-6;
        for length_s in [16.0, 32.0, 64.0] {
            assert_eq!(fallback.deadline(), Some(at(97.0 + length_s)));
            let frequency = fallback.due(at(97.0 + length_s)).unwrap();
            assert!(frequency > 1e-6 && frequency < last, "{length_s}: {frequency}");
            last = frequency;
        }
        assert_eq!(fallback.deadline(), None, "128 s were not seen");
        fallback.update(1e-6, at(400.0));
        assert_eq!(fallback.deadline(), Some(at(416.0)));
    }

    #[test]
    fn without_the_directive_nothing_is_ever_due() {
        let mut fallback = Fallback::new(None);
        fallback.update(1e-6, at(0.0));
        fallback.update(1e-6, at(1e6));
        assert_eq!((fallback.deadline(), fallback.due(at(1e9))), (None, None));
    }
}
