//! A leap second of true time, and a kernel that takes it when it has been told to.

use ntp_common::time::NtpTimestamp;
use ntp_common::wire::LeapIndicator;

/// How late the kernel is to leap, seconds: it does at the next tick.
const TICK_S: f64 = 4e-3;
/// Seconds in a day.
const DAY_S: f64 = 86_400.0;

/// The leap second of a simulation. Times are seconds since its start.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeapSecond {
    /// When true time will leap, and by what, seconds.
    pub(crate) due: Option<(f64, f64)>,
    /// What it has leapt by, seconds.
    pub(crate) taken_s: f64,
    /// What the kernel does about it.
    pub(crate) kernel: Kernel,
}

/// The kernel's state of a leap second: `TIME_OK`, `TIME_INS` or `TIME_DEL`, `TIME_WAIT`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Kernel {
    /// None was announced.
    #[default]
    Idle,
    /// When the clock reads `at_s`, `step_s` is added to it.
    Armed { at_s: f64, step_s: f64 },
    /// It is over, and still announced.
    Done,
}

impl LeapSecond {
    /// What true time has leapt by at `at_s`, seconds.
    pub(crate) fn until(&self, at_s: f64) -> f64 {
        self.due.filter(|&(due_s, _)| due_s <= at_s).map_or(self.taken_s, |(_, step_s)| step_s)
    }

    /// The kernel is told of a leap second when its clock reads `reading_s`.
    pub(crate) fn announce(&mut self, leap: LeapIndicator, start: NtpTimestamp, reading_s: f64) {
        #[expect(clippy::cast_precision_loss, reason = "whole seconds of an era")]
        let start_s = (start.to_bits() >> 32) as f64;
        let end_s = ((start_s + reading_s) / DAY_S).floor() * DAY_S + DAY_S - start_s;
        let (at_s, step_s) = match leap {
            LeapIndicator::Insert => (end_s, -1.0),
            LeapIndicator::Delete => (end_s - 1.0, 1.0),
            LeapIndicator::Normal | LeapIndicator::Unsynchronised => {
                self.kernel = Kernel::Idle;
                return;
            }
        };
        if self.kernel == Kernel::Idle {
            self.kernel = Kernel::Armed { at_s, step_s };
        }
    }

    /// In how many seconds of its clock, which reads `reading_s`, the kernel leaps, and by what.
    pub(crate) fn kernels(&self, reading_s: f64) -> Option<(f64, f64)> {
        match self.kernel {
            Kernel::Armed { at_s, step_s } => Some(((at_s + TICK_S - reading_s).max(0.0), step_s)),
            Kernel::Idle | Kernel::Done => None,
        }
    }
}
