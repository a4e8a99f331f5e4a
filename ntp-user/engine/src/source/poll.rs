//! When a source is asked: a burst at the start, then at intervals that the estimator finds worth it, within
//! the limits that the user and the server set.

use std::cmp::Ordering;

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
/// Answers that the option `burst` wants of each poll, and how many requests it sends for one at most.
const RETRY_GOOD: u8 = 1;
const RETRY_SENT: f64 = 4.0;
/// Seconds between the requests of a burst, and their largest part of the poll interval.
const BURST_INTERVAL_S: f64 = 2.0;
const BURST_INTERVAL_PART: f64 = 0.25;
/// Part of an interval after which a peer's packet should have come.
const PEER_PATIENCE: f64 = 1.1;
/// Seconds by which a request is sent ahead.
const AHEAD_S: f64 = 2.0;
/// Shortest interval to a source that is not known to be near, seconds.
const SHORTEST_FAR_S: f64 = 1.0;
/// What an interval grows by with each request to a source that does not answer any more: the fourth root of 2.
const BACK_OFF: f64 = 1.189_207_115_002_721;
/// Part of the interval by which a request may be early or late, so that clients that were started together
/// do not stay together.
const SPREAD: f64 = 0.02;
/// The default of the option `polltarget`, for which intervals are what the estimator wants.
const USUAL_TARGET: f64 = 8.0;

/// What is left of a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Burst {
    to_be_answered: u8,
    to_be_sent: u8,
}

/// The polling of one source.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent of each other")]
pub(crate) struct Poll {
    minimum_log2: i8,
    maximum_log2: i8,
    interval_s: f64,
    /// How much more often to ask than the estimator wants.
    eagerness: f64,
    /// Whether a request that is not answered is repeated soon.
    retries: bool,
    /// Intervals from which on a request is sent ahead of each, log2 seconds.
    presend_log2: Option<i8>,
    /// Requests before the next one that is measured by.
    ahead: u8,
    /// The interval that a peer wants, log2 seconds.
    peer_log2: Option<i8>,
    /// Whether the peer's next packet is waited for.
    waits_for_peer: bool,
    /// Whether the source is asked at all, but for bursts.
    online: bool,
    /// Whether the source is near enough to be asked more than once a second.
    near: bool,
    burst: Option<Burst>,
    last: Option<MonoNs>,
    due: Option<MonoNs>,
}

impl Poll {
    /// Polling that has not begun.
    pub(crate) fn new(options: &SourceOptions) -> Self {
        let mut poll = Self {
            minimum_log2: options.minpoll_log2,
            maximum_log2: options.maxpoll_log2.max(options.minpoll_log2),
            interval_s: f64::from(options.minpoll_log2).exp2(),
            eagerness: f64::from(options.polltarget.max(1)) / USUAL_TARGET,
            retries: options.burst,
            presend_log2: options.presend_log2,
            ahead: 0,
            peer_log2: None,
            waits_for_peer: false,
            online: false,
            near: false,
            burst: None,
            last: None,
            due: None,
        };
        poll.limit();
        poll
    }

    /// Polling of a reference clock: always in the same interval, log2 seconds, however short.
    pub(crate) fn every(log2: i8) -> Self {
        let options =
            SourceOptions { minpoll_log2: log2, maxpoll_log2: log2, ..SourceOptions::default() };
        let interval_s = f64::from(log2).exp2();
        Self { interval_s, near: true, ..Self::new(&options) }
    }

    /// Takes over options that were changed.
    pub(crate) fn configure(&mut self, options: &SourceOptions, rng: &mut impl Rng) {
        let (before, interval_s) = (self.eagerness, self.interval_s);
        self.minimum_log2 = options.minpoll_log2;
        self.maximum_log2 = options.maxpoll_log2.max(options.minpoll_log2);
        let Self { eagerness, retries, presend_log2, .. } = Self::new(options);
        (self.eagerness, self.retries, self.presend_log2) = (eagerness, retries, presend_log2);
        self.interval_s *= before / self.eagerness;
        self.limit();
        #[expect(clippy::float_cmp, reason = "only whether it is another")]
        if self.interval_s != interval_s {
            self.schedule(rng);
        }
    }

    /// What options have decided, to compare with that of another.
    #[cfg(test)]
    pub(crate) fn settings(&self) -> String {
        let limits = (self.minimum_log2, self.maximum_log2);
        format!("{limits:?} {} {} {:?}", self.eagerness, self.retries, self.presend_log2)
    }

    /// Begins `delay_s` seconds from now, with a burst if asked for.
    pub(crate) fn start(&mut self, now: MonoNs, delay_s: f64, burst: bool) {
        self.online = true;
        self.burst = burst.then_some(Burst { to_be_answered: BURST_GOOD, to_be_sent: BURST_SENT });
        self.due = Some(seconds::after(now, delay_s));
    }

    /// Ends polling.
    pub(crate) fn stop(&mut self) {
        self.online = false;
        self.burst = None;
        self.due = None;
    }

    /// Goes on, if polling ends with a burst.
    pub(crate) fn go_on(&mut self) {
        self.online = true;
    }

    /// Ends polling, after the burst that is going on.
    pub(crate) fn fade_out(&mut self) {
        self.online = false;
        if self.burst.is_none() {
            self.due = None;
        }
    }

    /// Asks up to `sent` times in quick succession from `delay_s` seconds on, until `good` requests were
    /// answered. A burst that is going on stays as it is.
    pub(crate) fn burst(&mut self, now: MonoNs, delay_s: f64, good: u8, sent: u8) {
        if self.burst.is_none() && good > 0 && sent > 0 {
            self.burst = Some(Burst { to_be_answered: good, to_be_sent: sent });
            self.due = Some(seconds::after(now, delay_s));
        }
    }

    /// Whether it goes on without a burst.
    pub(crate) fn is_online(&self) -> bool {
        self.online
    }

    /// Whether a burst is going on.
    pub(crate) fn is_in_burst(&self) -> bool {
        self.burst.is_some()
    }

    /// When the next request is due; `None`: never.
    pub(crate) fn due(&self) -> Option<MonoNs> {
        self.due
    }

    /// log2 of the interval in seconds, rounded.
    pub(crate) fn log2(&self) -> i8 {
        #[expect(clippy::cast_possible_truncation, reason = "within the limits, which are small")]
        let log2 = self.interval_s.log2().round() as i8;
        log2
    }

    /// A peer was heard of that wants this interval, log2 seconds: the shorter one of both is kept. `order` compares
    /// our stratum with its own. Whoever has the better time waits a little, to answer at once what the other
    /// sends; among equals, each sends in the middle between the other's packets.
    pub(crate) fn keep_time_with(&mut self, log2: i8, order: Ordering, now: MonoNs) {
        self.peer_log2 = Some(log2);
        self.waits_for_peer = order == Ordering::Less;
        let Some(last) = self.last.filter(|_| self.due.is_some()) else { return };
        let (interval_s, elapsed_s) = (self.current_interval_s(), seconds::between(last, now));
        let wait = match order {
            Ordering::Less => elapsed_s * PEER_PATIENCE < interval_s,
            Ordering::Equal => elapsed_s > interval_s * (PEER_PATIENCE - 0.5),
            Ordering::Greater => false,
        };
        let due_s = if wait { interval_s * PEER_PATIENCE } else { interval_s };
        self.due = Some(seconds::after(last, due_s).max(now));
    }

    /// Whether the last request was only sent ahead of the one that is measured by.
    pub(crate) fn is_warming_up(&self) -> bool {
        self.ahead > 0
    }

    /// The time to the next request, seconds.
    pub(crate) fn current_interval_s(&self) -> f64 {
        let peer_s = self
            .peer_log2
            .map_or(f64::INFINITY, |log2| f64::from(log2.max(self.minimum_log2)).exp2());
        let interval_s = self.interval_s.min(peer_s);
        if self.burst.is_some() {
            BURST_INTERVAL_S.min(BURST_INTERVAL_PART * interval_s)
        } else if self.ahead > 0 {
            AHEAD_S.min(interval_s)
        } else {
            interval_s
        }
    }

    /// A request leaves now; the next one is scheduled. `interleaved` replies tell of the request before.
    pub(crate) fn sent(&mut self, now: MonoNs, interleaved: bool, rng: &mut impl Rng) {
        self.last = Some(now);
        self.ahead = match self.ahead {
            0 if self.burst.is_none()
                && self.presend_log2.is_some_and(|log2| log2 <= self.log2()) =>
            {
                if interleaved {
                    2
                } else {
                    1
                }
            }
            ahead => ahead.saturating_sub(1),
        };
        if self.retries && self.burst.is_none() && self.online {
            self.burst = self.retry();
        }
        if let Some(burst) = &mut self.burst {
            burst.to_be_sent = burst.to_be_sent.saturating_sub(1);
            if burst.to_be_sent == 0 {
                self.burst = None;
            }
        }
        self.schedule(rng);
    }

    /// The burst that one poll of the option `burst` may become: as many requests as keep their mean interval
    /// from falling below the shortest.
    fn retry(&self) -> Option<Burst> {
        let shortest_s = f64::from(self.minimum_log2).exp2();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small number above 0"
        )]
        let to_be_sent = (self.interval_s / shortest_s).clamp(1.0, RETRY_SENT) as u8;
        (to_be_sent > 1).then_some(Burst { to_be_answered: RETRY_GOOD, to_be_sent })
    }

    /// A request was not answered, as many before it were not.
    pub(crate) fn back_off(&mut self) {
        self.interval_s *= BACK_OFF;
        self.limit();
    }

    /// Whether the source is near enough to be asked more than once a second.
    pub(crate) fn set_near(&mut self, near: bool) {
        self.near = near;
    }

    /// A good reply has come.
    pub(crate) fn answered(&mut self, rng: &mut impl Rng) {
        let Some(burst) = &mut self.burst else { return };
        burst.to_be_answered = burst.to_be_answered.saturating_sub(1);
        if burst.to_be_answered == 0 {
            self.burst = None;
            self.schedule(rng);
        }
    }

    /// Asks at this interval from the last request on.
    pub(crate) fn pace(&mut self, interval_s: f64, rng: &mut impl Rng) {
        let before_s = self.interval_s;
        self.interval_s = interval_s / self.eagerness;
        self.limit();
        #[expect(clippy::float_cmp, reason = "only whether it is another")]
        if self.interval_s != before_s && self.burst.is_none() {
            self.schedule(rng);
        }
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
        let slower = self.log2().saturating_add(1).max(asked_log2.min(LONGEST_ASKED_LOG2));
        self.minimum_log2 = slower.min(LONGEST_LOG2).max(self.minimum_log2);
        self.maximum_log2 = self.maximum_log2.max(self.minimum_log2);
        self.limit();
        self.schedule(rng);
    }

    fn limit(&mut self) {
        let limits = (f64::from(self.minimum_log2).exp2(), f64::from(self.maximum_log2).exp2());
        self.interval_s = self.interval_s.clamp(limits.0, limits.1);
        if !self.near {
            self.interval_s = self.interval_s.max(SHORTEST_FAR_S);
        }
    }

    fn schedule(&mut self, rng: &mut impl Rng) {
        if !self.online && self.burst.is_none() {
            self.due = None;
        }
        let Some(last) = self.last.filter(|_| self.due.is_some()) else { return };
        let spread = 1.0 + rng.random_range(-SPREAD..SPREAD);
        let patience = if self.waits_for_peer { PEER_PATIENCE } else { 1.0 };
        self.due = Some(seconds::after(last, self.current_interval_s() * spread * patience));
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
            poll.sent(poll.due().unwrap(), false, &mut rng);
            poll.answered(&mut rng);
            assert!((next_s(&poll) / interval_s - 1.0).abs() <= SPREAD, "{answers}");
        }
    }

    #[test]
    fn burst_to_a_silent_server_ends_after_eight_requests() {
        let (mut poll, mut rng) = poll(true);
        for sent in 1..=9 {
            poll.sent(poll.due().unwrap(), false, &mut rng);
            let expected_s = if sent < 8 { 2.0 } else { 64.0 };
            assert!((next_s(&poll) / expected_s - 1.0).abs() <= SPREAD, "{sent}");
        }
    }

    #[test]
    fn interval_is_what_is_wanted_within_the_limits_from_the_last_request_on() {
        let (mut poll, mut rng) = poll(false);
        poll.sent(MonoNs(0), false, &mut rng);
        let cases =
            [(0.0, 64.0, 6), (100.0, 100.0, 7), (700.0, 700.0, 9), (f64::INFINITY, 1024.0, 10)];
        for (wanted_s, interval_s, log2) in cases {
            poll.pace(wanted_s, &mut rng);
            assert!((next_s(&poll) / interval_s - 1.0).abs() <= SPREAD, "{wanted_s}");
            assert_eq!(poll.log2(), log2, "{wanted_s}");
        }
    }

    #[test]
    fn polltarget_asks_for_more_samples_or_fewer() {
        for (polltarget, interval_s) in [(8, 300.0), (16, 150.0), (4, 600.0)] {
            let options = SourceOptions { polltarget, ..SourceOptions::default() };
            let mut poll = Poll::new(&options);
            poll.start(MonoNs(0), 0.0, false);
            poll.pace(300.0, &mut ChaCha8Rng::seed_from_u64(1));
            assert!((poll.current_interval_s() - interval_s).abs() < 1e-9, "{polltarget}");
        }
    }

    #[test]
    fn interval_stays_doubled_after_a_rate_kiss_even_beyond_maxpoll() {
        let (mut poll, mut rng) = poll(true);
        poll.sent(MonoNs(0), false, &mut rng);
        poll.told_to_slow_down(3, &mut rng);
        assert_eq!(poll.log2(), 7);
        poll.pace(0.0, &mut rng);
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
                poll.sent(MonoNs(0), false, &mut rng);
                poll.due().unwrap().0
            })
            .collect();
        intervals.sort_unstable();
        assert!(intervals[99] - intervals[0] > 1_000_000_000);
    }
}
