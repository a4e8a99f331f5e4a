//! What a step of a load came to.
//!
//! A request's latency counts from when it was due, not from when it was sent: a sender that was held up does not
//! hide that its requests were late (coordinated omission). Where the sender was held up for longer than the grace,
//! the schedule is moved, which is counted as a stall: then the figures say less, and the report says so.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::mix::Kind;

/// Longest time that a histogram holds, nanoseconds; anything longer counts as that.
pub const MAX_NS: u64 = 60_000_000_000;

/// A histogram of nanoseconds, three digits exact.
///
/// # Panics
/// Never: the bounds are right.
#[must_use]
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_NS, 3).expect("bounds and digits are in range")
}

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Requests a second; `None` is as fast as it goes.
    pub rate: Option<f64>,
    /// For how long.
    pub duration: Duration,
}

/// Requests of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Sent.
    pub sent: u64,
    /// Answered.
    pub answered: u64,
    /// Answered by a kiss-o'-death packet.
    pub kissed: u64,
}

/// What became of a step.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was asked for.
    pub step: Step,
    /// How long was sent for, seconds.
    pub seconds: f64,
    /// Requests by kind.
    pub kinds: Vec<(Kind, Count)>,
    /// Packets of the server that answer no request of this run.
    pub strange: u64,
    /// Requests that could not be sent.
    pub failed: u64,
    /// How often the sender was held up for longer than the grace.
    pub stalls: u64,
    /// For how long in all, nanoseconds.
    pub stalled_ns: u64,
    /// Processor time that sending took, seconds, and with it whatever else runs on a CPU in the kernel when frames
    /// have been sent; `None` for sockets.
    pub processor_s: Option<f64>,
    /// From when a request was due to when its reply came, nanoseconds.
    pub latency: Histogram<u64>,
    /// What the prober saw meanwhile.
    pub probe: Option<Probe>,
}

/// What the prober saw.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Requests sent.
    pub sent: u64,
    /// Requests answered.
    pub answered: u64,
    /// Whether server and prober read the same clock, so that every offset is an error.
    pub same_clock: bool,
    /// Size of the offset error, nanoseconds: of the offset where the clock is the same, and otherwise of its
    /// difference from the median.
    pub error: Histogram<u64>,
    /// The median offset, nanoseconds; positive when our clock is behind.
    pub median_offset_ns: i64,
    /// Round trips without the server's own time, nanoseconds.
    pub round_trip: Histogram<u64>,
}

impl Outcome {
    /// An outcome of nothing so far.
    #[must_use]
    pub fn new(step: Step) -> Self {
        Self {
            step,
            seconds: 0.0,
            kinds: Vec::new(),
            strange: 0,
            failed: 0,
            stalls: 0,
            stalled_ns: 0,
            processor_s: None,
            latency: histogram(),
            probe: None,
        }
    }

    /// The counts of one kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> Count {
        let found = self.kinds.iter().find(|(other, _)| *other == kind);
        found.map(|(_, count)| *count).unwrap_or_default()
    }

    /// Requests sent, of all kinds.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.kinds.iter().map(|(_, count)| count.sent).sum()
    }

    /// Requests answered, of those kinds that deserve an answer.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.expected().map(|count| count.answered).sum()
    }

    /// Requests that deserved an answer and had none.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.expected().map(|count| count.sent.saturating_sub(count.answered)).sum()
    }

    /// The share of the requests that deserved an answer and had none.
    #[must_use]
    pub fn loss(&self) -> f64 {
        let expected: u64 = self.expected().map(|count| count.sent).sum();
        if expected == 0 { 0.0 } else { self.lost() as f64 / expected as f64 }
    }

    /// Answers a second.
    #[must_use]
    pub fn answered_rate(&self) -> f64 {
        if self.seconds > 0.0 { self.answered() as f64 / self.seconds } else { 0.0 }
    }

    /// Requests a second.
    #[must_use]
    pub fn sent_rate(&self) -> f64 {
        if self.seconds > 0.0 { self.sent() as f64 / self.seconds } else { 0.0 }
    }

    /// Whether the sender kept the rate that was asked for, within 2 %.
    #[must_use]
    pub fn kept_rate(&self) -> bool {
        self.step.rate.is_none_or(|rate| self.sent_rate() >= rate * 0.98)
    }

    fn expected(&self) -> impl Iterator<Item = &Count> {
        self.kinds.iter().filter(|(kind, _)| kind.expects_answer()).map(|(_, count)| count)
    }
}

impl Probe {
    /// Puts measurements of offset and round trip, both in nanoseconds, into histograms. Where a probe waited for its
    /// reply beyond the time of the next, those that should have been sent meanwhile are counted too.
    #[must_use]
    pub fn of(measured: &[(i64, u64)], sent: u64, same_clock: bool, interval: Duration) -> Self {
        let mut offsets: Vec<i64> = measured.iter().map(|(offset, _)| *offset).collect();
        offsets.sort_unstable();
        let median_offset_ns = offsets.get(offsets.len() / 2).copied().unwrap_or_default();
        let zero = if same_clock { 0 } else { median_offset_ns };
        let (mut error, mut round_trip) = (histogram(), histogram());
        let interval = crate::units::nanos(interval);
        for (offset, trip) in measured {
            error.saturating_record(offset.abs_diff(zero).max(1));
            let corrected = round_trip.record_correct((*trip).clamp(1, MAX_NS), interval);
            debug_assert!(corrected.is_ok(), "the value is within bounds");
        }
        let answered = measured.len() as u64;
        Self { sent, answered, same_clock, error, median_offset_ns, round_trip }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(rate: f64, kinds: &[(Kind, u64, u64)]) -> Outcome {
        let step = Step { rate: Some(rate), duration: Duration::from_secs(2) };
        let kinds = kinds
            .iter()
            .map(|&(kind, sent, answered)| (kind, Count { sent, answered, kissed: 0 }))
            .collect();
        Outcome { seconds: 2.0, kinds, ..Outcome::new(step) }
    }

    #[test]
    fn loss_is_of_requests_that_deserve_an_answer() {
        let outcome = outcome(
            100.0,
            &[
                (Kind::Plain, 100, 99),
                (Kind::Mac, 50, 50),
                (Kind::Garbage, 50, 0),
                (Kind::Denied, 9, 0),
            ],
        );
        assert_eq!((outcome.sent(), outcome.answered(), outcome.lost()), (209, 149, 1));
        assert!((outcome.loss() - 1.0 / 150.0).abs() < 1e-12);
        assert!((outcome.answered_rate() - 74.5).abs() < 1e-12);
        assert!(outcome.kept_rate());
    }

    #[test]
    fn sender_that_falls_behind_is_seen() {
        assert!(!outcome(100.0, &[(Kind::Plain, 190, 190)]).kept_rate());
        assert!(outcome(100.0, &[(Kind::Plain, 197, 100)]).kept_rate());
    }

    #[test]
    fn offset_is_an_error_only_where_the_clock_is_shared() {
        let measured: Vec<(i64, u64)> = (0..101).map(|n| (1_000_000 + n * 10, 5_000)).collect();
        let shared = Probe::of(&measured, 101, true, Duration::from_millis(10));
        assert!(shared.error.value_at_quantile(0.5).abs_diff(1_000_500) < 1_000);
        let other = Probe::of(&measured, 101, false, Duration::from_millis(10));
        assert_eq!(other.median_offset_ns, 1_000_500);
        assert!(other.error.value_at_quantile(0.99) <= 501);
    }

    #[test]
    fn probes_that_a_slow_reply_kept_from_being_sent_are_counted() {
        let measured = [(0, 1_000), (0, 95_000_000)];
        let probe = Probe::of(&measured, 2, true, Duration::from_millis(10));
        // 95, 85, ... 15 ms beside the fast one, as the next were due 10 ms apart.
        assert_eq!(probe.round_trip.len(), 10);
        assert!(probe.round_trip.value_at_quantile(0.5) > 40_000_000);
    }
}
