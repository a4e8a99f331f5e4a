//! A packet that was sent to a source: what tells its answer from forgeries, and when it left.

use ntp_common::time::NtpTimestamp;

use crate::sample::ClockChange;
use crate::seams::{RequestId, Stamped};

/// A packet that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Its number.
    pub(crate) id: RequestId,
    /// Its transmit timestamp, which a basic answer gives back.
    pub(crate) transmit: NtpTimestamp,
    /// Its receive timestamp, which an interleaved answer gives back.
    pub(crate) receive: NtpTimestamp,
    /// Whether it may be answered by an interleaved packet.
    pub(crate) may_interleave: bool,
    /// When it left (T1), once that is known.
    pub(crate) left: Option<Stamped>,
}

impl Request {
    /// Takes a time at which it left, unless a better one is known.
    pub(crate) fn stamp(&mut self, at: Stamped) {
        if self.left.is_none_or(|known| at.by > known.by) {
            self.left = Some(at);
        }
    }

    /// Moves the time at which it left onto the clock as it is since `change`.
    pub(crate) fn move_onto(&mut self, change: &ClockChange) {
        if let Some(left) = &mut self.left {
            left.move_onto(change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seams::StampedBy;
    use crate::seconds;

    #[test]
    fn time_of_a_request_that_is_out_follows_the_clock_and_better_timestamps() {
        let unknown = NtpTimestamp::UNKNOWN;
        let mut request = Request {
            id: RequestId(0),
            transmit: unknown,
            receive: unknown,
            may_interleave: false,
            left: None,
        };
        let left = NtpTimestamp::from_bits(4_000_000_000 << 32);
        request.stamp(Stamped { at: left, by: StampedBy::Kernel });
        request.stamp(Stamped { at: unknown, by: StampedBy::Daemon });
        // Two seconds later the clock is made to run 10 % faster: it would have needed 2.2 s for them.
        let change = ClockChange { at: left + seconds::duration(2.0), step_s: 0.0, rate: 0.1 };
        request.move_onto(&change);
        let moved_s = seconds::of(request.left.unwrap().at.since(left));
        assert!((moved_s + 0.2).abs() < 1e-9, "{moved_s}");
    }
}
