//! Corrections that are no updates: the first one, and what an operator may order. Each gives what is to be done to the clock.

use ntp_common::time::NtpDuration;

use super::{Discipline, MAX_FREQUENCY, Occasion, Orders, slew};
use crate::conf::MakeStep;
use crate::seams::Now;
use crate::seconds;

impl Discipline {
    /// Ends the slew in progress; the clock is to be stepped by what was left of it.
    pub(crate) fn step_now(&mut self, now: &Now) -> Orders {
        self.ahead_s = self.remaining_s(now.time);
        self.as_of = now.time;
        self.slewing = false;
        self.long_slew_told = false;
        let step = Some(seconds::duration(self.ahead_s)).filter(|&step| step != NtpDuration::ZERO);
        self.stepping = step.map(|_| Occasion::Correction);
        Orders { step, frequency: self.resting() }
    }

    /// The first correction: true time is `offset_s` ahead of the clock, which is stepped if that is more than
    /// `threshold_s`. It is none of the updates that `makestep` counts.
    pub(crate) fn correct_initially(
        &mut self,
        offset_s: f64,
        threshold_s: f64,
        now: &Now,
    ) -> Orders {
        self.ahead_s = offset_s;
        self.as_of = now.time;
        if offset_s.abs() > threshold_s {
            self.step_now(now)
        } else {
            Orders { step: None, frequency: self.slew(slew::SHORTEST_S) }
        }
    }

    /// Replaces the rule of `makestep`; updates count from now on.
    pub(crate) fn allow_steps(&mut self, rule: MakeStep) {
        self.makestep = Some(rule);
        self.rule_since = self.offsets.updates;
    }

    /// The clock runs faster by `fast` seconds a second than is known. Gives the frequency to be set.
    pub(crate) fn correct_frequency(&mut self, fast: f64, now: &Now) -> f64 {
        self.ahead_s = self.remaining_s(now.time);
        self.as_of = now.time;
        let slew = (1.0 + self.in_force) / (1.0 + self.resting());
        self.base = self.slower_by(fast);
        (1.0 + self.resting()) * slew - 1.0
    }

    /// The clock is further ahead by `ahead_s` seconds than is known. Gives the frequency to be set.
    pub(crate) fn correct_offset(&mut self, ahead_s: f64, now: &Now) -> f64 {
        self.ahead_s = self.remaining_s(now.time) - ahead_s;
        self.as_of = now.time;
        self.slew(slew::SHORTEST_S)
    }

    /// Both: the clock is further ahead by `ahead_s` seconds, and runs faster by `fast` seconds a second than is known.
    /// Gives the frequency to be set.
    pub(crate) fn correct_by_hand(&mut self, ahead_s: f64, fast: f64, now: &Now) -> f64 {
        self.ahead_s = self.remaining_s(now.time) - ahead_s;
        self.as_of = now.time;
        self.base = self.slower_by(fast);
        self.slew(slew::SHORTEST_S)
    }

    /// The correction that makes the clock run true that runs faster by `fast` than is known.
    fn slower_by(&self, fast: f64) -> f64 {
        let base = (1.0 + self.base) * (1.0 - fast.clamp(-MAX_FREQUENCY, MAX_FREQUENCY)) - 1.0;
        base.clamp(-MAX_FREQUENCY, MAX_FREQUENCY)
    }

    /// Largest estimated error of a frequency that is taken over, seconds a second.
    pub(crate) fn set_max_update_skew(&mut self, skew: f64) {
        self.max_update_skew = skew;
    }
}
