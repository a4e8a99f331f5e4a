//! Steers the clock after an estimate: at once by a step, or by running it a little faster or slower for a
//! while. It knows neither sources nor packets.
//!
//! Invariant: true time is estimated at the steered clock plus [`Discipline::remaining_s`], at every instant
//! and whatever the clock can be made to do. Steering moves the one into the other and changes their sum by
//! nothing; only a new estimate does.

mod change_limit;
mod commands;
mod fallback;
mod offsets;
mod slew;

use ntp_common::time::{MonoNs, NtpDuration, NtpTimestamp};

use crate::conf::{MakeStep, StepLimit};
use crate::estimate::{Estimate, KnownFrequency, SKEW_DEVIATIONS};
use crate::sample::ClockChange;
use crate::seams::Now;
use crate::seconds;
use crate::settings::EngineConfig;
use change_limit::ChangeLimit;
pub(crate) use change_limit::Permission;
use fallback::Fallback;
pub(crate) use offsets::Offsets;

/// Largest frequency correction, seconds a second: what the kernel's clock can do.
const MAX_FREQUENCY: f64 = 0.1;
/// Standard deviation of a frequency that nothing is known of, seconds a second.
pub(crate) const UNKNOWN_DEVIATION: f64 = 5e-4;
/// Least standard deviation of a frequency off a drift file: machines start at another temperature.
const STORED_DEVIATION: f64 = 5e-7;
/// Bound of a frequency's error from which on it is not counted in means, seconds a second.
const VAGUE_SKEW: f64 = 1e-5;
/// Corrections below this are not worth a slew, seconds.
const NEGLIGIBLE_S: f64 = 1e-8;
/// A correction that would be slewed for longer than this is told of, seconds.
const LONG_SLEW_S: f64 = 3600.0;

/// What is to be done to the clock, in this order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Orders {
    /// To be added at once.
    pub(crate) step: Option<NtpDuration>,
    /// The frequency correction to be set.
    pub(crate) frequency: f64,
}

/// What the clock is stepped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occasion {
    /// It was wrong.
    Correction,
    /// A leap second.
    Leap,
}

/// The state of the clock.
#[derive(Clone, Debug)]
pub(crate) struct Discipline {
    makestep: Option<MakeStep>,
    /// Updates before that rule was made.
    rule_since: u64,
    max_slew_rate: f64,
    max_update_skew: f64,
    log_change_s: f64,
    change_limit: Option<ChangeLimit>,
    /// Largest correction of the frequency.
    max_drift: f64,
    /// What the clock may do that was never seen of it, seconds a second.
    max_clock_error: f64,
    /// How long slews take, in proportion to the usual.
    slew_length: f64,
    fallback: Fallback,
    /// The correction that makes the clock run true; the clock is left on it as far as `maxdrift` allows.
    base: f64,
    /// Its standard deviation.
    deviation: f64,
    /// Bound of the error of `base` by a rate that is not in use: one that was too uncertain to be taken, or that a mean
    /// has taken the place of. 0 when the last one is in use.
    untaken: f64,
    /// The correction in force: another one while slewing.
    in_force: f64,
    /// What true time was ahead of the clock when the clock read `as_of`, seconds.
    ahead_s: f64,
    as_of: NtpTimestamp,
    slewing: bool,
    /// When the slew in progress is over.
    slew_ends: Option<MonoNs>,
    /// What the next step of the clock is ordered for.
    stepping: Option<Occasion>,
    offsets: Offsets,
    long_slew_told: bool,
}

impl Discipline {
    /// Takes over a clock whose frequency correction is not known yet.
    pub(crate) fn new(config: &EngineConfig, now: &Now) -> Self {
        Self {
            makestep: config.makestep,
            rule_since: 0,
            max_slew_rate: config.max_slew_rate,
            max_update_skew: config.max_update_skew,
            log_change_s: config.log_change_s,
            change_limit: config.max_change.map(ChangeLimit::new),
            max_drift: config.max_drift.min(MAX_FREQUENCY),
            max_clock_error: config.max_clock_error,
            slew_length: config.slew_length,
            fallback: Fallback::new(config.fallback_drift),
            base: 0.0,
            deviation: UNKNOWN_DEVIATION,
            untaken: 0.0,
            in_force: 0.0,
            ahead_s: 0.0,
            as_of: now.time,
            slewing: false,
            slew_ends: None,
            stepping: None,
            offsets: Offsets::default(),
            long_slew_told: false,
        }
    }

    /// Goes by other settings from now on.
    pub(crate) fn reconfigure(&mut self, config: &EngineConfig) {
        self.makestep = config.makestep;
        self.max_slew_rate = config.max_slew_rate;
        self.max_update_skew = config.max_update_skew;
        self.log_change_s = config.log_change_s;
        match (&mut self.change_limit, config.max_change) {
            (Some(limit), Some(rule)) => limit.replace(rule),
            (limit, rule) => *limit = rule.map(ChangeLimit::new),
        }
        self.max_drift = config.max_drift.min(MAX_FREQUENCY);
        self.max_clock_error = config.max_clock_error;
        self.slew_length = config.slew_length;
        self.fallback.replace(config.fallback_drift);
    }

    /// Begins with the correction `in_force`, and with what is stored: how much faster than true time the
    /// clock runs by itself and a bound of that, seconds a second. Gives the correction to be set.
    pub(crate) fn start(&mut self, in_force: f64, stored: Option<(f64, f64)>) -> f64 {
        self.in_force = in_force;
        // More than any oscillator needs was left behind by a slew that was cut off.
        self.base = if in_force.abs() > UNKNOWN_DEVIATION { 0.0 } else { in_force };
        if let Some((error, skew)) = stored {
            self.base = 1.0 / (1.0 + error) - 1.0;
            self.deviation = (skew / SKEW_DEVIATIONS).clamp(STORED_DEVIATION, UNKNOWN_DEVIATION);
        }
        self.resting()
    }

    /// The correction that the clock is left on when it is not slewed.
    fn resting(&self) -> f64 {
        self.base.clamp(-self.max_drift, self.max_drift)
    }

    /// Whether an estimate may be taken, as far as the change of the estimated time goes.
    pub(crate) fn permit(&mut self, estimate: &Estimate, time: NtpTimestamp) -> Permission {
        let change_s = estimate.offset_s - self.remaining_s(time);
        self.change_limit.as_mut().map_or(Permission::Granted, |limit| limit.judge(change_s))
    }

    /// Takes an estimate made at `now`. `interval_s` is the time to the next one.
    pub(crate) fn update(&mut self, estimate: &Estimate, now: &Now, interval_s: f64) -> Orders {
        let time = now.time;
        if self.skew() < VAGUE_SKEW {
            self.fallback.update(self.base, now.mono);
        } else {
            self.fallback.skip(now.mono);
        }
        let base = (1.0 + self.in_force) * (1.0 + estimate.slope) - 1.0;
        let skew = SKEW_DEVIATIONS * estimate.slope_deviation;
        if skew <= self.max_update_skew {
            self.base = base.clamp(-MAX_FREQUENCY, MAX_FREQUENCY);
            self.deviation = estimate.slope_deviation;
            self.untaken = 0.0;
        } else {
            self.untaken = (base - self.base).abs() + skew;
        }
        self.ahead_s = estimate.offset_s;
        self.as_of = time;
        let may_step = self.may_step();
        self.offsets.add(estimate.offset_s);
        if estimate.offset_s.abs() > self.log_change_s {
            let offset_s = estimate.offset_s;
            tracing::warn!(offset_s, "System clock wrong by {offset_s:.6} seconds");
        }
        if may_step {
            self.stepping = Some(Occasion::Correction);
            self.slewing = false;
            let step = Some(seconds::duration(estimate.offset_s));
            return Orders { step, frequency: self.resting() };
        }
        self.tell_of_long_slew();
        let duration_s = slew::duration_s(
            self.ahead_s,
            (estimate.offset_deviation_s, self.deviation),
            interval_s,
            self.offsets.updates,
        );
        let duration_s = self.slew_length * duration_s;
        Orders { step: None, frequency: self.slew(duration_s) }
    }

    /// The rule of `makestep`: beyond the threshold, and within the first updates.
    fn may_step(&self) -> bool {
        self.makestep.is_some_and(|rule| {
            let allowed = match rule.limit {
                StepLimit::Updates(limit) => {
                    self.offsets.updates < self.rule_since.saturating_add(limit.into())
                }
                StepLimit::Unlimited => true,
            };
            allowed && self.ahead_s.abs() > rule.threshold_s
        })
    }

    /// The frequency that does away with the remaining correction in `duration_s`, or as fast as allowed.
    fn slew(&mut self, duration_s: f64) -> f64 {
        self.slewing = self.ahead_s.abs() > NEGLIGIBLE_S;
        if !self.slewing {
            return self.resting();
        }
        let rate = self.ahead_s / duration_s.max(slew::SHORTEST_S);
        let rate = rate.clamp(-self.max_slew_rate, self.max_slew_rate);
        (1.0 + self.resting()) * (1.0 + rate) - 1.0
    }

    fn tell_of_long_slew(&mut self) {
        let duration_s = self.ahead_s.abs() / self.max_slew_rate;
        if duration_s <= LONG_SLEW_S {
            self.long_slew_told = false;
        } else if !self.long_slew_told {
            self.long_slew_told = true;
            let (offset_s, hours) = (self.ahead_s, duration_s / 3600.0);
            let rule = match self.makestep {
                None => "there is no makestep directive",
                Some(_) => "the updates that makestep allows to step are used up",
            };
            tracing::warn!(
                offset_s,
                hours,
                "System clock is {offset_s:.3} seconds off and slewing it would take {hours:.1} hours, \
                 but {rule}: run `chronyc makestep` to have it stepped"
            );
        }
    }

    /// Takes note that the clock was changed, by our order or not: `step_s` was added, and `in_force` is its
    /// correction now. The second value is whether the step was ours.
    pub(crate) fn clock_changed(
        &mut self,
        step: NtpDuration,
        in_force: f64,
        now: &Now,
    ) -> (ClockChange, bool) {
        let (at, step_s) = (now.time - step, seconds::of(step));
        let rate = (1.0 + in_force) / (1.0 + self.in_force) - 1.0;
        self.ahead_s = self.remaining_s(at) - step_s;
        self.as_of = now.time;
        self.in_force = in_force;
        self.slew_ends = self.slew_end(now);
        let occasion = self.stepping.take();
        let ours = occasion.is_some() || step == NtpDuration::ZERO;
        if occasion == Some(Occasion::Correction) && step != NtpDuration::ZERO {
            tracing::warn!(step_s, "System clock was stepped by {step_s:.6} seconds");
        }
        (ClockChange { at, step_s, rate }, ours)
    }

    /// True time leaps by `by_s`, and the clock has not yet.
    pub(crate) fn leap_by(&mut self, by_s: f64) {
        self.ahead_s += by_s;
    }

    /// The clock leaps after true time, by our order or by the kernel: the step.
    pub(crate) fn step_for_leap(&mut self, by_s: f64) -> NtpDuration {
        self.stepping = Some(Occasion::Leap);
        seconds::duration(by_s)
    }

    /// The clock is slewed after true time, which has leapt: the frequency to be set.
    pub(crate) fn slew_for_leap(&mut self, now: &Now) -> f64 {
        self.ahead_s = self.remaining_s(now.time);
        self.as_of = now.time;
        self.slew(slew::SHORTEST_S)
    }

    /// Gives up the slew in progress, but not the correction. Gives the frequency to be set.
    pub(crate) fn forget_slew(&mut self) -> f64 {
        self.slewing = false;
        self.resting()
    }

    /// Gives up the remaining correction: nothing is known of true time any more. Gives the frequency to be
    /// set.
    pub(crate) fn forget(&mut self, now: &Now) -> f64 {
        self.ahead_s = 0.0;
        self.as_of = now.time;
        self.slew_ends = None;
        self.forget_slew()
    }

    /// The frequency to be set when a slew is over.
    pub(crate) fn timer(&mut self, now: &Now) -> Option<f64> {
        self.slew_ends.filter(|&end| end <= now.mono)?;
        self.ahead_s = self.remaining_s(now.time);
        self.as_of = now.time;
        // A timer is late by a little, and the slew went too far by that: the rest is a slew of its own.
        Some(self.slew(slew::SHORTEST_S))
    }

    /// Whether the clock is so far off that slewing takes long, and may not be stepped.
    pub(crate) fn is_too_far_off(&self) -> bool {
        self.long_slew_told
    }

    /// Takes a mean frequency over, when there has been no update for long enough. Gives the frequency to be set.
    pub(crate) fn fall_back(&mut self, now: &Now) -> Option<f64> {
        let base = self.fallback.due(now.mono)?;
        self.ahead_s = self.remaining_s(now.time);
        self.as_of = now.time;
        let slew = (1.0 + self.in_force) / (1.0 + self.resting());
        self.untaken = (base - self.base).abs() + self.skew();
        self.base = base;
        let frequency_ppm = self.clock_error() * 1e6;
        tracing::info!(
            frequency_ppm,
            "No update for long: using mean frequency {frequency_ppm:.3} ppm"
        );
        Some((1.0 + self.resting()) * slew - 1.0)
    }

    /// Whether the clock runs on a mean frequency, for want of updates.
    pub(crate) fn has_fallen_back(&self) -> bool {
        self.fallback.is_in_use()
    }

    /// When the slew in progress is over, or a mean frequency is due.
    pub(crate) fn deadline(&self) -> Option<MonoNs> {
        [self.slew_ends, self.fallback.deadline()].into_iter().flatten().min()
    }

    /// When the remaining correction is used up as the clock runs now: never, when it can't be steered.
    fn slew_end(&self, now: &Now) -> Option<MonoNs> {
        let left_s = self.ahead_s / (1.0 - self.served_rate()) / now.rate;
        (self.slewing && left_s >= 0.0 && left_s.is_finite())
            .then(|| seconds::after(now.mono, left_s))
    }

    /// What true time is ahead of the steered clock at `time`, seconds.
    pub(crate) fn remaining_s(&self, time: NtpTimestamp) -> f64 {
        self.ahead_s + (self.served_rate() - 1.0) * seconds::of(time.since(self.as_of))
    }

    /// Seconds of estimated true time to a second of the steered clock.
    pub(crate) fn served_rate(&self) -> f64 {
        (1.0 + self.base) / (1.0 + self.in_force)
    }

    /// The frequency correction in force, seconds a second.
    pub(crate) fn in_force(&self) -> f64 {
        self.in_force
    }

    /// How much faster than true time the clock runs by itself, as far as that is corrected, seconds a second.
    pub(crate) fn clock_error(&self) -> f64 {
        1.0 / (1.0 + self.resting()) - 1.0
    }

    /// How much faster than true time the clock runs by itself, seconds a second.
    pub(crate) fn own_error(&self) -> f64 {
        1.0 / (1.0 + self.base) - 1.0
    }

    /// Bound of the error of the frequency, seconds a second.
    pub(crate) fn skew(&self) -> f64 {
        (SKEW_DEVIATIONS * self.deviation).max(self.untaken)
    }

    /// What is known of the frequency, for those who begin to measure.
    pub(crate) fn known_frequency(&self, time: NtpTimestamp) -> KnownFrequency {
        KnownFrequency {
            correction: self.base,
            deviation: self.skew() / SKEW_DEVIATIONS,
            at: time,
            unseen: self.max_clock_error,
        }
    }

    /// The offsets so far.
    pub(crate) fn offsets(&self) -> &Offsets {
        &self.offsets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::{Config, FallbackDrift};
    use proptest::prelude::*;

    fn at(seconds: f64) -> Now {
        let nanoseconds = MonoNs(1 << 40);
        let time = NtpTimestamp::from_bits(4_000_000_000 << 32) + seconds::duration(seconds);
        Now { mono: seconds::after(nanoseconds, seconds), time, rate: 1.0 }
    }

    fn discipline(makestep: Option<MakeStep>) -> Discipline {
        let config = Config { makestep, ..Config::default() };
        let mut discipline = Discipline::new(&EngineConfig::from_config(&config), &at(0.0));
        discipline.start(0.0, None);
        discipline
    }

    fn estimate(offset_s: f64, slope: f64) -> Estimate {
        Estimate { offset_s, offset_deviation_s: 1e-5, slope, slope_deviation: 1e-8 }
    }

    #[test]
    fn steps_are_ordered_as_makestep_allows_them() {
        let rule = |threshold_s, limit| Some(MakeStep { threshold_s, limit });
        let cases = [
            (None, [9.0, 9.0, 9.0], [false, false, false]),
            (rule(1.0, StepLimit::Updates(2)), [9.0, -9.0, 9.0], [true, true, false]),
            (rule(1.0, StepLimit::Updates(2)), [0.9, -0.9, 9.0], [false, false, false]),
            (rule(1.0, StepLimit::Updates(0)), [9.0, 9.0, 9.0], [false, false, false]),
            (rule(1.0, StepLimit::Unlimited), [0.9, -9.0, 9.0], [false, true, true]),
            (rule(0.0, StepLimit::Updates(1)), [1e-9, 9.0, 9.0], [true, false, false]),
        ];
        for (makestep, offsets, expected) in cases {
            let mut discipline = discipline(makestep);
            let steps = offsets.map(|offset_s| {
                discipline.update(&estimate(offset_s, 0.0), &at(0.0), 64.0).step.is_some()
            });
            assert_eq!(steps, expected, "{makestep:?} {offsets:?}");
        }
    }

    #[test]
    fn correction_that_was_left_behind_is_kept_only_if_an_oscillator_may_need_it() {
        let cases = [
            (0.0, 0.0),
            (4e-4, 4e-4),
            (-5e-4, -5e-4),
            // 10,050 us a tick, and a slew at the default limit that was cut off.
            (5e-3, 0.0),
            (-0.083_333, 0.0),
        ];
        for (in_force, base) in cases {
            let mut discipline = discipline(None);
            assert!((discipline.start(in_force, None) - base).abs() < 1e-12, "{in_force}");
        }
        let stored = discipline(None).start(5e-3, Some((20e-6, 1e-6)));
        assert!((stored + 20e-6).abs() < 1e-9, "what is stored counts more: {stored}");
    }

    #[test]
    fn slew_ends_at_its_deadline_on_the_base_frequency() {
        let mut discipline = discipline(None);
        let orders = discipline.update(&estimate(0.01, 20e-6), &at(0.0), 64.0);
        assert!(orders.frequency > 20e-6 && orders.step.is_none());
        discipline.clock_changed(NtpDuration::ZERO, orders.frequency, &at(0.0));
        let mono = discipline.deadline().unwrap();
        let end = Now { mono, ..at(seconds::between(at(0.0).mono, mono)) };
        assert!(discipline.remaining_s(end.time).abs() < NEGLIGIBLE_S);
        assert_eq!(discipline.timer(&Now { mono: MonoNs(end.mono.0 - 1), ..end }), None);
        let base = discipline.timer(&end).unwrap();
        assert!((base - 20e-6).abs() < 1e-12, "{base}");
        discipline.clock_changed(NtpDuration::ZERO, base, &end);
        assert_eq!(discipline.deadline(), None);
    }

    #[test]
    fn what_a_late_timer_slews_too_much_is_slewed_back() {
        let mut discipline = discipline(None);
        let orders = discipline.update(&estimate(5.0, 0.0), &at(0.0), 64.0);
        discipline.clock_changed(NtpDuration::ZERO, orders.frequency, &at(0.0));
        let end_s = seconds::between(at(0.0).mono, discipline.deadline().unwrap());
        let late = at(end_s + 1e-3);
        let back = discipline.timer(&late).unwrap();
        assert!((back + 83e-6).abs() < 10e-6, "{back}");
        discipline.clock_changed(NtpDuration::ZERO, back, &late);
        assert!(discipline.deadline().is_some_and(|end| end.since(late.mono) < 2_000_000_000));
    }

    #[test]
    fn what_is_off_beyond_doubt_is_slewed_within_half_an_interval_and_faster_at_the_start_alone() {
        let mut discipline = discipline(None);
        let far = || estimate(0.01, 0.0);
        let first = discipline.update(&far(), &at(0.0), 64.0).frequency;
        assert!((first / 0.01 - 1.0).abs() < 1e-3, "{first}");
        for _ in 0..slew::FIRST_UPDATES {
            discipline.update(&estimate(0.0, 0.0), &at(0.0), 64.0);
        }
        let later = discipline.update(&far(), &at(0.0), 64.0).frequency;
        assert!((later / (0.01 / 32.0) - 1.0).abs() < 1e-3, "{later}");
    }

    #[test]
    fn slew_is_not_faster_than_allowed() {
        for offset_s in [-100.0, 100.0] {
            let orders = discipline(None).update(&estimate(offset_s, 0.0), &at(0.0), 64.0);
            assert!((orders.frequency.abs() - 1.0 / 12.0).abs() < 1e-9, "{orders:?}");
        }
    }

    #[test]
    fn frequency_that_is_too_uncertain_is_not_taken_over() {
        let mut discipline = discipline(None);
        let vague = Estimate { slope_deviation: 6e-4, ..estimate(0.0, 3e-4) };
        discipline.update(&vague, &at(0.0), 64.0);
        assert!(discipline.clock_error().abs() < 1e-15);
        discipline.update(&estimate(0.0, 3e-4), &at(0.0), 64.0);
        assert!((discipline.clock_error() + 3e-4).abs() < 1e-6);
    }

    #[test]
    fn mean_frequency_is_what_the_clock_was_measured_at_and_not_what_it_may_be_corrected_by() {
        let fallbackdrift = Some(FallbackDrift { min_log2: 7, max_log2: 7 });
        let config = Config { fallbackdrift, maxdrift_ppm: 50.0, ..Config::default() };
        let mut discipline = Discipline::new(&EngineConfig::from_config(&config), &at(0.0));
        discipline.start(0.0, None);
        let clock_changed = |discipline: &mut Discipline, frequency, now: &Now| {
            discipline.clock_changed(NtpDuration::ZERO, frequency, now);
        };
        // 300 ppm, of which 50 may be corrected; neither a vague first rate is counted, nor a last one of 310 ppm.
        let slopes = [(0.0, 5e-4), (300e-6, 1e-9), (250e-6, 1e-9), (250e-6, 1e-9), (260e-6, 1e-9)];
        let mut at_s = 0.0;
        for (slope, slope_deviation) in slopes {
            let estimate = Estimate { slope_deviation, ..estimate(0.0, slope) };
            let orders = discipline.update(&estimate, &at(at_s), 64.0);
            clock_changed(&mut discipline, orders.frequency, &at(at_s));
            at_s += 64.0;
        }
        assert!(discipline.known_frequency(at(at_s).time).deviation < 2e-9);
        let end = at(at_s + 64.0);
        let frequency = discipline.fall_back(&end).unwrap();
        assert!((frequency - 50e-6).abs() < 1e-9, "{frequency}");
        let known = discipline.known_frequency(end.time);
        assert!((known.correction - 300e-6).abs() < 1e-7, "{known:?}");
        let bound = SKEW_DEVIATIONS * known.deviation;
        assert!((10e-6..10.1e-6).contains(&bound), "the last one may still be right: {bound}");
        clock_changed(&mut discipline, frequency, &end);
        let again = at(at_s + 100.0);
        discipline.update(&estimate(0.0, 250e-6), &again, 64.0);
        assert!(!discipline.has_fallen_back());
        let next_s = discipline.deadline().map(|next| seconds::between(again.mono, next));
        assert!(next_s.is_some_and(|next_s| (next_s - 128.0).abs() < 1e-6), "{next_s:?}");
    }

    proptest! {
        #[test]
        fn whatever_the_clock_does_true_time_stays_where_it_was_estimated(
            offset_s in -5.0f64..5.0,
            slope in -1e-4f64..1e-4,
            changes in proptest::collection::vec((0.0f64..100.0, -0.05f64..0.05, -2.0f64..2.0), 1..20),
        ) {
            let mut discipline = discipline(None);
            discipline.update(&estimate(offset_s, slope), &at(0.0), 64.0);
            // True time runs at one rate; the clock at any.
            let (mut clock_s, mut true_s, mut in_force) = (0.0, offset_s, 0.0);
            for (elapsed_s, frequency, step_s) in changes {
                clock_s += elapsed_s;
                true_s += elapsed_s * (1.0 + slope) / (1.0 + in_force);
                let estimated_s = clock_s + discipline.remaining_s(at(clock_s).time);
                prop_assert!((estimated_s - true_s).abs() < 1e-7, "{}", estimated_s - true_s);
                clock_s += step_s;
                in_force = frequency;
                discipline.clock_changed(seconds::duration(step_s), frequency, &at(clock_s));
            }
        }
    }
}
