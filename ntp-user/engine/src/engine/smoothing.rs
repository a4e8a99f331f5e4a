//! What smoothing (`smoothtime`) makes of the time that is served, and what operators can do about it.

use ntp_common::time::NtpTimestamp;
use ntp_common::wire::ReferenceId;
use rand::Rng;

use super::{Engine, publish};
use crate::conf::LeapSecMode;
use crate::reference::Served;
use crate::report::Smoothing;
use crate::seams::Now;
use crate::seconds;
use crate::smooth::{Point, Smoother};

impl<R: Rng> Engine<R> {
    /// How served time is smoothed; `None` without `smoothtime`.
    #[must_use]
    pub fn smoothing(&self, now: Now) -> Option<Smoothing> {
        self.smoother.as_ref().map(|smoother| smoother.report(self.true_time(&now)))
    }

    /// Begins to smooth, though the clock may not be stable yet. Gives whether there is anything to begin.
    pub fn activate_smoothing(&mut self, now: Now) -> bool {
        let time = self.true_time(&now);
        self.smoother.as_mut().map(|smoother| smoother.activate(time)).is_some()
    }

    /// Serves true time from the next snapshot on. Gives whether there is anything to reset.
    pub fn stop_smoothing(&mut self, now: Now) -> bool {
        self.reset_smoothing(&now);
        self.smoother.is_some()
    }

    pub(super) fn reset_smoothing(&mut self, now: &Now) {
        let time = self.true_time(now);
        if let Some(smoother) = &mut self.smoother {
            smoother.reset(time);
        }
    }

    /// Goes by the configuration's `smoothtime`: what is served goes on as it was, on a curve of the new one. Without
    /// one true time is served again, at once where that is no step backward.
    pub(super) fn change_smoothing(&mut self, now: &Now) {
        let time = self.true_time(now);
        match (&mut self.smoother, self.config.smooth_time) {
            (Some(smoother), Some(settings)) => smoother.configure(settings, time),
            (smoother, settings) => *smoother = settings.map(|it| Smoother::new(it, time)),
        }
    }

    /// The estimates of true time and of its rate were `before` and have changed.
    pub(super) fn smooth_correction(
        &mut self,
        before: (NtpTimestamp, f64),
        is_step: bool,
        now: &Now,
    ) {
        if is_step {
            return self.reset_smoothing(now);
        }
        let after = (self.true_time(now), self.discipline.served_rate());
        let skew = self.discipline.skew();
        if let Some(smoother) = &mut self.smoother {
            smoother.absorb(before.0, after.0, after.1 / before.1 - 1.0, skew);
        }
    }

    /// Where served time is on its way to true time.
    pub(super) fn smoothing_at(&self, now: &Now) -> Point {
        let time = self.true_time(now);
        self.smoother.as_ref().map(|smoother| smoother.at(time)).unwrap_or_default()
    }

    /// Whether leap seconds are smoothed: those after which the daemon corrects the clock.
    pub(super) fn smears(&self) -> bool {
        self.smoother.as_ref().is_some_and(|smoother| {
            let is_taken = match self.leap.mode() {
                LeapSecMode::Slew => true,
                LeapSecMode::Step => smoother.is_leap_only(),
                LeapSecMode::System | LeapSecMode::Ignore => false,
            };
            smoother.is_active() && is_taken
        })
    }

    /// What replies say while the time is smoothed that they give.
    pub(super) fn smoothed(&self, served: Served, now: &Now) -> Served {
        let offset_s = self.smoothing_at(now).offset_s;
        if served.stratum == 0 || offset_s.abs() <= self.precision_s {
            return served;
        }
        Served {
            reference_id: ReferenceId::SMOOTHED,
            reference_timestamp: served.reference_timestamp + seconds::duration(offset_s),
            ..served
        }
    }

    /// Time until the next snapshot: less, where served time is far from a straight line.
    pub(super) fn publication_interval_s(&self) -> f64 {
        let smoother = self.smoother.as_ref().filter(|smoother| smoother.is_active());
        smoother.map_or(publish::INTERVAL_S, Smoother::interval_s)
    }
}
