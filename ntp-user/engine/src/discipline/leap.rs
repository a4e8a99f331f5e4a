//! The clock at a leap second: true time leaps first, and the clock follows in one of the ways of `leapsecmode`.

use ntp_common::time::NtpDuration;

use super::{Discipline, Occasion, SHORTEST_SLEW_S};
use crate::seams::Now;
use crate::seconds;

impl Discipline {
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
        self.slew(SHORTEST_SLEW_S)
    }
}
