//! When a source is asked: a burst at the start, then an interval that grows while the clock keeps to a
//! straight line and shrinks when it does not.

use ntp_common::time::MonoNs;
use rand::{Rng, RngExt};

use crate::conf::SourceOptions;
use crate::seconds;

/// Longest interval at all, log2 seconds. RFC 5905 section 7.2 (MAXPOLL).
const LONGEST_LOG2: i8 = 17;
/// Longest interval that a kiss code can ask for at once, log2 seconds; it may do so again.
const LONGEST_ASKED_LOG2: i8 = 10;
/// Requests of an `iburst` that are to be answered, and how many are sent at most.
const BURST_GOOD: u8 = 4;
const BURST_SENT: u8 = 8;
/// Seconds between the requests of a burst.
const BURST_INTERVAL_S: f64 = 2.0;
/// Part of the interval by which a request may be early or late, so that clients that were started together
/// do not stay together.
const SPREAD: f64 = 0.02;
/// Deviations beyond which a sample says that the clock went astray, and how much that counts.
const SURPRISING: f64 = 2.5;
const SURPRISED: f64 = 0.5;
/// Deviations within which a sample says that the clock is as was expected, and how much that counts.
const EXPECTED: f64 = 1.5;
const CALMED: f64 = 0.125;

/// What is left of a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Burst {
    to_be_answered: u8,
    to_be_sent: u8,
}

/// The polling of one source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Poll {
    minimum_log2: i8,
    maximum_log2: i8,
    log2: i8,
    /// From -1 to 1: how near the interval is to being halved or doubled.
    score: f64,
    /// Samples on one line that polling aims at having.
    target: f64,
    burst: Option<Burst>,
    last: Option<MonoNs>,
    due: Option<MonoNs>,
}

impl Poll {
    /// Polling that has not begun.
    pub(crate) fn new(options: &SourceOptions) -> Self {
        Self {
            minimum_log2: options.minpoll_log2,
            maximum_log2: options.maxpoll_log2.max(options.minpoll_log2),
            log2: options.minpoll_log2,
            score: 0.0,
            target: f64::from(options.polltarget.max(1)),
            burst: None,
            last: None,
            due: None,
        }
    }

    /// Begins `delay_s` seconds from now, with a burst if asked for.
    pub(crate) fn start(&mut self, now: MonoNs, delay_s: f64, burst: bool) {
        self.burst = burst.then_some(Burst { to_be_answered: BURST_GOOD, to_be_sent: BURST_SENT });
        self.due = Some(seconds::after(now, delay_s));
    }

    /// Ends polling.
    pub(crate) fn stop(&mut self) {
        self.burst = None;
        self.due = None;
    }

    /// When the next request is due; `None`: never.
    pub(crate) fn due(&self) -> Option<MonoNs> {
        self.due
    }

    /// log2 of the interval in seconds.
    pub(crate) fn log2(&self) -> i8 {
        self.log2
    }

    /// The interval, seconds.
    pub(crate) fn interval_s(&self) -> f64 {
        f64::from(self.log2).exp2()
    }

    /// The time to the next request, seconds.
    pub(crate) fn current_interval_s(&self) -> f64 {
        let interval_s = self.interval_s();
        if self.burst.is_some() { interval_s.min(BURST_INTERVAL_S) } else { interval_s }
    }

    /// A request leaves now; the next one is scheduled.
    pub(crate) fn sent(&mut self, now: MonoNs, rng: &mut impl Rng) {
        self.last = Some(now);
        if let Some(burst) = &mut self.burst {
            burst.to_be_sent = burst.to_be_sent.saturating_sub(1);
            if burst.to_be_sent == 0 {
                self.burst = None;
            }
        }
        self.schedule(rng);
    }

    /// A good reply has come. `surprise` is what its offset was off from what was expected, in standard
    /// deviations of the measurement; `None` while nothing can be expected.
    pub(crate) fn answered(&mut self, samples: usize, surprise: Option<f64>, rng: &mut impl Rng) {
        if let Some(burst) = &mut self.burst {
            burst.to_be_answered = burst.to_be_answered.saturating_sub(1);
            if burst.to_be_answered == 0 {
                self.burst = None;
                self.schedule(rng);
            }
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let enough = samples as f64 >= self.target;
        self.score += match surprise {
            Some(surprise) if surprise > SURPRISING => -SURPRISED,
            Some(surprise) if surprise < EXPECTED && enough => CALMED,
            Some(_) | None => 0.0,
        };
        let change = if self.score >= 1.0 {
            1
        } else if self.score <= -1.0 {
            -1
        } else {
            return;
        };
        self.change_by(change);
        self.schedule(rng);
    }

    /// The last answer can't be believed without another: it is asked for as soon as in a burst.
    pub(crate) fn look_again(&mut self, rng: &mut impl Rng) {
        if self.burst.is_none() {
            self.burst = Some(Burst { to_be_answered: 1, to_be_sent: 1 });
            self.schedule(rng);
            self.burst = None;
        }
    }

    /// The server asks for fewer requests, and says how many it would like: the interval is at least doubled
    /// for good. RFC 5905 section 7.4: "the client MUST immediately reduce its polling interval to that
    /// server and continue to reduce it each time it receives a RATE kiss code".
    pub(crate) fn told_to_slow_down(&mut self, asked_log2: i8, rng: &mut impl Rng) {
        self.burst = None;
        let slower = self.log2.saturating_add(1).max(asked_log2.min(LONGEST_ASKED_LOG2));
        self.minimum_log2 = slower.min(LONGEST_LOG2).max(self.minimum_log2);
        self.maximum_log2 = self.maximum_log2.max(self.minimum_log2);
        self.change_by(0);
        self.schedule(rng);
    }

    fn change_by(&mut self, change: i8) {
        self.log2 = self.log2.saturating_add(change).clamp(self.minimum_log2, self.maximum_log2);
        self.score = 0.0;
    }

    fn schedule(&mut self, rng: &mut impl Rng) {
        let Some(last) = self.last.filter(|_| self.due.is_some()) else { return };
        let spread = 1.0 + rng.random_range(-SPREAD..SPREAD);
        self.due = Some(seconds::after(last, self.current_interval_s() * spread));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn poll(iburst: bool) -> (Poll, ChaCha8Rng) {
        let mut poll = Poll::new(&SourceOptions::default());
        poll.start(MonoNs(0), 0.0, iburst);
        (poll, ChaCha8Rng::seed_from_u64(1))
    }

    fn next_s(poll: &Poll) -> f64 {
        seconds::between(poll.last.unwrap(), poll.due().unwrap())
    }

    #[test]
    fn burst_is_four_answers_two_seconds_apart() {
        let (mut poll, mut rng) = poll(true);
        for (answers, interval_s) in [(1, 2.0), (2, 2.0), (3, 2.0), (4, 64.0)] {
            poll.sent(poll.due().unwrap(), &mut rng);
            poll.answered(answers, None, &mut rng);
            assert!((next_s(&poll) / interval_s - 1.0).abs() <= SPREAD, "{answers}");
        }
    }

    #[test]
    fn burst_to_a_silent_server_ends_after_eight_requests() {
        let (mut poll, mut rng) = poll(true);
        for sent in 1..=9 {
            poll.sent(poll.due().unwrap(), &mut rng);
            let expected_s = if sent < 8 { 2.0 } else { 64.0 };
            assert!((next_s(&poll) / expected_s - 1.0).abs() <= SPREAD, "{sent}");
        }
    }

    #[test]
    fn interval_grows_while_samples_are_as_expected_and_shrinks_when_they_are_not() {
        let (mut poll, mut rng) = poll(false);
        for _ in 0..100 {
            poll.sent(poll.due().unwrap(), &mut rng);
            poll.answered(64, Some(1.0), &mut rng);
        }
        assert_eq!(poll.log2(), 10);
        for _ in 0..100 {
            poll.sent(poll.due().unwrap(), &mut rng);
            poll.answered(64, Some(3.0), &mut rng);
        }
        assert_eq!(poll.log2(), 6);
    }

    #[test]
    fn interval_stays_doubled_after_a_rate_kiss_even_beyond_maxpoll() {
        let (mut poll, mut rng) = poll(true);
        poll.sent(MonoNs(0), &mut rng);
        poll.told_to_slow_down(3, &mut rng);
        assert_eq!(poll.log2(), 7);
        for _ in 0..20 {
            poll.answered(64, Some(9.0), &mut rng);
        }
        assert_eq!(poll.log2(), 7);
        poll.told_to_slow_down(127, &mut rng);
        assert_eq!(poll.log2(), 10);
        for _ in 0..20 {
            poll.told_to_slow_down(0, &mut rng);
        }
        assert_eq!(poll.log2(), LONGEST_LOG2);
    }

    #[test]
    fn requests_are_spread() {
        let (mut poll, mut rng) = poll(false);
        let mut intervals: Vec<u64> = (0..100)
            .map(|_| {
                poll.sent(MonoNs(0), &mut rng);
                poll.due().unwrap().0
            })
            .collect();
        intervals.sort_unstable();
        assert!(intervals[99] - intervals[0] > 1_000_000_000);
    }
}
