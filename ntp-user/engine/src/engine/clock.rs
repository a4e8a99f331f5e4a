//! From the selected sources to the clock.

use std::net::IpAddr;

use ntp_common::time::NtpDuration;
use ntp_common::wire::{LeapIndicator, ReferenceId};
use rand::Rng;

use super::{Engine, WAIT_S, first_delay_s};
use crate::discipline::{Permission, UNKNOWN_DEVIATION};
use crate::estimate::{Estimate, KnownFrequency};
use crate::reference::{Upstream, reference_id};
use crate::report::{SourceState, Verdict};
use crate::seams::{Action, ClockStatus, Now, SourceId};
use crate::seconds;
use crate::select::Selection;
use crate::source::Source;

/// Bounds of the last sample that an estimate may be off from it: its own, and the truth's.
const TOLERANCE: f64 = 2.0;
/// The next update is expected after as many requests as are sent for an answer, and no more than eight.
const LEAST_SHARE: f64 = 0.125;

impl<R: Rng> Engine<R> {
    /// Corrects the clock when there is something to follow again. What was not enough to keep the clock's own
    /// frequency is not enough for that.
    pub(super) fn follow(&mut self, now: &Now, actions: &mut Vec<Action>) {
        if self.correct_initially(now, actions) || self.discipline.has_fallen_back() {
            return;
        }
        if let (Some(id), None) = (self.selected(), self.reference.upstream()) {
            self.learn(id, now);
            self.update_clock(id, now, actions);
        }
    }

    /// Corrects the clock when one of the sources that it follows has a new sample.
    pub(super) fn update_clock(&mut self, id: SourceId, now: &Now, actions: &mut Vec<Action>) {
        if self.correct_initially(now, actions) {
            return;
        }
        let Ok(chosen) = &self.selection.chosen else { return };
        let sources: Vec<&Source> = chosen.iter().filter_map(|id| self.sources.get(id)).collect();
        let Some(&best) = sources.first().filter(|_| chosen.contains(&id)) else { return };
        let Some(estimate) = self.bank.estimate(now.time) else { return };
        let share = best.answered_share().max(LEAST_SHARE);
        let interval_s = best.polling().current_interval_s() / share;
        let Some(upstream) = upstream(best, &estimate, now) else { return };
        let estimate = steered_after(&estimate, best);
        self.apply(&estimate, upstream, interval_s, now, actions);
    }

    /// What a source that is followed is expected to say.
    pub(super) fn expected(&self, id: SourceId, now: &Now) -> Option<Estimate> {
        let followed = self.selection.chosen.as_ref().is_ok_and(|chosen| chosen.contains(&id));
        self.bank.estimate(now.time).filter(|_| followed)
    }

    /// Learns from what was measured of the sources that are right, and asks the one that was measured last
    /// as often as is worth it.
    pub(super) fn learn(&mut self, id: SourceId, now: &Now) {
        if let Ok(chosen) = &self.selection.chosen {
            self.bank.take(chosen);
        }
        self.restrain(id, now);
        let verdict = self.selection.verdict(id);
        self.bank.judged(id, verdict == Verdict::Falseticker);
        if let Some(source) = self.sources.get_mut(&id) {
            source.judged(verdict);
            let interval_s = self.bank.interval_s(id, source.answered_share());
            source.pace(interval_s, &mut self.rng);
        }
    }

    /// Whatever the estimator makes of the samples: an estimate that the selected source's own samples and
    /// the last one's bounds refute is given up, and the last sample taken for it.
    fn restrain(&mut self, id: SourceId, now: &Now) {
        let followed = self.selected() == Some(id);
        let last = self.sources.get(&id).and_then(|source| source.series().last()).copied();
        let Some(last) = last.filter(|_| followed) else { return };
        let Some(estimate) = self.bank.estimate(last.time) else { return };
        let away_s = (estimate.offset_s - last.offset_s).abs();
        let bound_s = last.distance_s();
        if away_s > TOLERANCE * bound_s + estimate.offset_deviation_s {
            tracing::debug!(away_s, bound_s, "estimate is out of bounds");
            self.bank.restart(KnownFrequency {
                deviation: UNKNOWN_DEVIATION,
                ..self.discipline.known_frequency(now.time)
            });
            self.tell_bank(id, false);
            self.bank.take(&[id]);
        }
    }

    fn apply(
        &mut self,
        estimate: &Estimate,
        upstream: Upstream,
        interval_s: f64,
        now: &Now,
        actions: &mut Vec<Action>,
    ) {
        match self.discipline.permit(estimate, now.time) {
            Permission::Granted if !self.given_up => {}
            Permission::Granted | Permission::Ignored => return,
            Permission::GivenUp => {
                self.given_up = true;
                return;
            }
        }
        let before = (self.true_time(now), self.discipline.served_rate());
        let noted = self.before_update(now);
        let orders = self.discipline.update(estimate, now, interval_s);
        self.smooth_correction(before, orders.step.is_some(), now);
        self.reference.update(Upstream {
            dispersion_rate: upstream.dispersion_rate
                + self.bank.error_growth(self.discipline.skew()),
            ..upstream
        });
        self.updates.interval_s =
            self.updates.last.map_or(0.0, |last| seconds::between(last, now.mono));
        self.updates.last = Some(now.mono);
        self.updates.residual_frequency = estimate.slope;
        self.leap.announce(self.majority_leap());
        self.leap.review(self.true_time(now), true);
        self.note_update(noted, estimate, now);
        if let Some(step) = orders.step {
            self.withdraw(actions);
            actions.push(Action::Step(step));
        }
        actions.push(Action::SetFrequency(orders.frequency));
        self.set_status(now, actions);
        let saved_s = seconds::between(self.drift_saved, now.mono);
        let interval_s = self.config.drift_interval_s.filter(|&interval_s| interval_s > 0);
        if interval_s.is_some_and(|interval_s| saved_s >= f64::from(interval_s)) {
            self.save_drift(now, actions);
        }
    }

    /// Takes note of a clock that was changed. It answers with snapshots alone, unless somebody else has
    /// stepped the clock.
    pub(super) fn on_clock_changed(
        &mut self,
        step: NtpDuration,
        frequency: f64,
        now: &Now,
        actions: &mut Vec<Action>,
    ) {
        let step = self.kernels_leap(step, now).unwrap_or(step);
        let (change, ours) = self.discipline.clock_changed(step, frequency, now);
        for source in self.sources.values_mut() {
            source.clock_changed(&change, frequency);
        }
        self.move_remembered(&change);
        self.manual.clock_changed(&change);
        self.bank.clock_changed(&change, frequency);
        if ours {
            self.publish(now, actions);
        } else {
            let step_s = change.step_s;
            tracing::warn!(
                step_s,
                "System clock was changed by {step_s:.6} seconds, and not by us"
            );
            self.forget_measurements(now, actions);
        }
    }

    /// The clock has stood still, for nobody knows how long.
    pub(super) fn on_slept(&mut self, now: &Now, actions: &mut Vec<Action>) {
        tracing::warn!("The machine has slept");
        self.manual.reset();
        self.forget_measurements(now, actions);
    }

    /// Forgets all measurements and measures anew: whether the clock or what was known of it is right, only the
    /// sources can tell. Until then there is no time.
    pub(super) fn forget_measurements(&mut self, now: &Now, actions: &mut Vec<Action>) {
        let base = self.discipline.forget(now);
        self.reset_smoothing(now);
        let known = self.discipline.known_frequency(now.time);
        self.bank.restart(known);
        for source in self.sources.values_mut() {
            source.restart(now.mono, first_delay_s(&mut self.rng), known);
        }
        self.wait_until = seconds::after(now.mono, WAIT_S);
        self.selection = Selection::none();
        self.ranking.forget();
        self.reference.lose();
        self.note_unsynchronised(now);
        self.set_status(now, actions);
        self.publish(now, actions);
        actions.push(Action::SetFrequency(base));
    }

    /// What was followed is so no more.
    pub(super) fn lose_reference(&mut self, now: &Now, actions: &mut Vec<Action>) {
        if self.reference.lose() {
            self.note_unsynchronised(now);
            self.set_status(now, actions);
            self.publish(now, actions);
        }
    }

    /// Tells the kernel of its clock, which is off by what is still to be slewed; what is served is not.
    pub(super) fn set_status(&mut self, now: &Now, actions: &mut Vec<Action>) {
        let remaining_s = self.discipline.remaining_s(now.time).abs();
        self.stated_remaining_s = remaining_s;
        let synchronised = self.reference.upstream().is_some();
        let served = self.served(now);
        let maximum_error_s = served.root_delay_s / 2.0 + served.root_dispersion_s + remaining_s;
        actions.push(Action::SetStatus(ClockStatus {
            leap: if synchronised { self.leap.for_kernel() } else { LeapIndicator::Unsynchronised },
            tai_offset: self.leap.tai_offset(),
            sync_rtc: self.config.rtcsync && synchronised,
            estimated_error_s: served.root_dispersion_s.max(remaining_s),
            maximum_error_s,
        }));
    }

    pub(super) fn save_drift(&mut self, now: &Now, actions: &mut Vec<Action>) {
        if self.config.drift_interval_s.is_some() && self.updates.last.is_some() {
            self.drift_saved = now.mono;
            actions.push(Action::SaveDrift {
                frequency_ppm: self.discipline.own_error() * 1e6,
                skew_ppm: self.discipline.skew() * 1e6,
            });
        }
    }

    /// The leap second that more than half of the sources announce that are right.
    fn majority_leap(&self) -> LeapIndicator {
        let is_right = |id: &SourceId| match self.selection.verdict(*id).state() {
            SourceState::Selected | SourceState::Combined | SourceState::NotCombined => true,
            SourceState::Falseticker | SourceState::Jittery | SourceState::Unusable => false,
        };
        // Pulses say nothing of it.
        let tells =
            |source: &Source| source.clock().is_none_or(|clock| !clock.line().gives_pulses());
        let right = self.sources.iter().filter(|(id, source)| is_right(id) && tells(source));
        let votes: Vec<LeapIndicator> = right.map(|(_, source)| source.series().leap()).collect();
        [LeapIndicator::Insert, LeapIndicator::Delete]
            .into_iter()
            .find(|leap| 2 * votes.iter().filter(|vote| *vote == leap).count() > votes.len())
            .unwrap_or(LeapIndicator::Normal)
    }

    /// Address of the source that the clock follows; a reference clock has none.
    pub(super) fn selected_address(&self) -> Option<IpAddr> {
        let upstream = self.reference.upstream().filter(|upstream| !upstream.is_clock);
        upstream.map(|upstream| upstream.address)
    }

    /// The reference clock that the clock follows.
    pub(super) fn selected_clock(&self) -> Option<ReferenceId> {
        let upstream = self.reference.upstream().filter(|upstream| upstream.is_clock);
        upstream.map(|upstream| reference_id(upstream.address))
    }
}

/// The estimate that the clock is steered after. A sample that is no outlier leaves no doubt beyond half of its delay;
/// that it may be one, once in a thousand times, is no reason to slew slowly what is clearly off.
fn steered_after(estimate: &Estimate, source: &Source) -> Estimate {
    let bound_s = source.series().last().map_or(f64::INFINITY, |last| {
        if source.clock().is_some() { last.distance_s() } else { last.delay_s / 2.0 }
    });
    let offset_deviation_s = estimate.offset_deviation_s.min(bound_s);
    Estimate { offset_deviation_s, ..*estimate }
}

fn upstream(source: &Source, estimate: &Estimate, now: &Now) -> Option<Upstream> {
    let bounds = source.series().bounds(now.time)?;
    Some(Upstream {
        address: source.address().ip(),
        is_clock: source.clock().is_some(),
        stratum: source.series().last()?.stratum,
        root_delay_s: bounds.root_delay_s,
        root_dispersion_s: bounds.root_dispersion_s + (estimate.offset_s - bounds.offset_s).abs(),
        // Two estimators that differ are both in doubt.
        dispersion_rate: (estimate.slope - source.series().line()?.slope).abs(),
        updated: now.time + seconds::duration(estimate.offset_s),
        at: now.mono,
    })
}
