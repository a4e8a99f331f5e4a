//! How a busy CPU charges its clients without waiting for memory.
//!
//! The record of one of a million clients is in no cache: reading it takes longer than all the rest of an
//! answer. The records of sixteen take little longer than that of one, though, if none is waited for before all have
//! been asked for. So, while requests follow each other closely, one is answered at once and waits; when
//! [`WAITING`] do, all their records are fetched, and then they are charged.
//!
//! Who was found to be over the limit is remembered, and charged before it is answered. A client may so get
//! [`WAITING`] answers more than its burst, once, from a CPU that answers a million requests a second;
//! one that has time charges every request before it answers.

use crate::clients::ClientKey;
use crate::time::MonoNs;

/// Requests that wait on a CPU, at most: as many lines of memory can be on their way into its first-level cache at once (12 to
/// 16 on CPUs of today).
pub const WAITING: usize = 16;

/// A CPU is busy while its requests come closer to each other than this, nanoseconds.
pub const BUSY_NS: u64 = 1000;

/// Sets of a table that is near: the second-level cache of a CPU has room for all their first lines, 512 KiB, and a
/// request need not wait to be charged.
pub const NEAR_SETS: u32 = 8192;

/// Words of the set of clients that were over the limit.
const CAUGHT_WORDS: usize = 256;

/// Every 2^22 ns (4.2 ms) a word of that set is forgotten, and so every one once in 1.07 s.
const FORGET_SHIFT: u32 = 22;

/// A request, as far as charging goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Charge {
    /// Whose it is, as it is stored; 0: there is none.
    pub key: u64,
    /// What [`crate::ratelimit::ClientRules::hash`] makes of the key.
    pub hash: u64,
    /// When it came.
    pub now: MonoNs,
}

impl Charge {
    /// None.
    pub const NONE: Self = Self { key: 0, hash: 0, now: MonoNs(0) };

    /// Whose it is; `None`: there is no request.
    #[inline(always)]
    #[must_use]
    pub const fn client(&self) -> Option<ClientKey> {
        ClientKey::from_bits(self.key)
    }
}

/// Whose turn it is to be charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The request itself, of a CPU that has time, after one that waits, if any does: see [`Waiting::take`].
    /// What comes out decides about its answer.
    Itself,
    /// The request itself, of a client that was over the limit, as above.
    Caught,
    /// Nobody: the request waits, and is answered.
    Nobody,
}

/// What waits on one CPU.
#[repr(C)]
pub struct Waiting {
    /// When the last request came, nanoseconds.
    last_ns: u64,
    /// How many wait.
    count: u64,
    requests: [Charge; WAITING],
    /// A bit for each client that was over the limit, and for some that were not.
    caught: [u64; CAUGHT_WORDS],
}

impl Waiting {
    /// Nothing waits, and nobody was over the limit.
    pub const EMPTY: Self =
        Self { last_ns: 0, count: 0, requests: [Charge::NONE; WAITING], caught: [0; CAUGHT_WORDS] };

    /// Takes the next request of this CPU and says who is charged now.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "only the lowest bits count")]
    pub const fn next(&mut self, request: Charge) -> Turn {
        let gap = request.now.0.wrapping_sub(self.last_ns);
        let turn = request.now.0 >> FORGET_SHIFT;
        if turn != self.last_ns >> FORGET_SHIFT {
            self.caught[turn as usize & (CAUGHT_WORDS - 1)] = 0;
        }
        self.last_ns = request.now.0;
        let (word, bit) = place(request.hash);
        if gap >= BUSY_NS || self.count >= WAITING as u64 {
            return Turn::Itself;
        }
        if self.caught[word] & bit != 0 {
            return Turn::Caught;
        }
        let slot = self.count as usize & (WAITING - 1);
        self.requests[slot] = request;
        self.count = slot as u64 + 1;
        Turn::Nobody
    }

    /// How many wait. When [`WAITING`] do, it is time to charge all.
    #[inline(always)]
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// All that wait, when [`WAITING`] do.
    #[inline(always)]
    #[must_use]
    pub const fn requests(&self) -> &[Charge; WAITING] {
        &self.requests
    }

    /// Nothing waits any more.
    #[inline(always)]
    pub const fn clear(&mut self) {
        self.count = 0;
    }

    /// Takes out the last one that waits; [`Charge::NONE`] if none does.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "only the lowest bits count")]
    pub const fn take(&mut self) -> Charge {
        if self.count == 0 {
            return Charge::NONE;
        }
        self.count -= 1;
        self.requests[self.count as usize & (WAITING - 1)]
    }

    /// Remembers a client that was over the limit.
    #[inline(always)]
    pub const fn catch(&mut self, hash: u64) {
        let (word, bit) = place(hash);
        self.caught[word] |= bit;
    }
}

/// Where a client is in the set of those that were over the limit.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "only the lowest bits count")]
const fn place(hash: u64) -> (usize, u64) {
    (hash as usize & (CAUGHT_WORDS - 1), 1 << (hash >> 8 & 63))
}

/// Octets that [`Waiting`] takes on each CPU.
pub const WAITING_SIZE: usize = size_of::<Waiting>();

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn request(number: u64, now_ns: u64) -> Charge {
        Charge { key: 1 << 32 | number, hash: number, now: MonoNs(now_ns) }
    }

    /// Takes requests as the program does; gives those that were charged, in that order.
    fn charged(waiting: &mut Waiting, request: Charge) -> Vec<Charge> {
        let mut charged = match waiting.next(request) {
            Turn::Itself => std::vec![request, waiting.take()],
            Turn::Caught => std::vec![request],
            Turn::Nobody => Vec::new(),
        };
        if waiting.count() == WAITING as u64 {
            charged.extend(*waiting.requests());
            waiting.clear();
        }
        charged.retain(|request| request.client().is_some());
        charged
    }

    #[test]
    fn cpu_that_has_time_charges_each_request_before_it_answers() {
        let mut waiting = Waiting::EMPTY;
        for number in 1..100 {
            let request = request(number, number * BUSY_NS);
            assert_eq!(waiting.next(request), Turn::Itself);
        }
    }

    #[test]
    fn busy_cpu_charges_all_that_wait_together_in_their_order() {
        let mut waiting = Waiting::EMPTY;
        charged(&mut waiting, request(0, BUSY_NS));
        for number in 1..10 * WAITING as u64 {
            let all = charged(&mut waiting, request(number, BUSY_NS + number));
            let expected = if number % WAITING as u64 == 0 {
                number + 1 - WAITING as u64..number + 1
            } else {
                0..0
            };
            assert!(all.iter().map(|one| one.hash).eq(expected), "{number}");
        }
    }

    #[test]
    fn what_waits_is_taken_out_once_when_there_is_time() {
        let mut waiting = Waiting::EMPTY;
        charged(&mut waiting, request(0, BUSY_NS));
        assert_eq!(charged(&mut waiting, request(1, BUSY_NS + 1)), []);
        assert_eq!(charged(&mut waiting, request(2, BUSY_NS + 2)), []);
        for (number, expected) in [(3, [3, 2].as_slice()), (4, &[4, 1]), (5, &[5])] {
            let both = charged(&mut waiting, request(number, (1 + number) * BUSY_NS));
            assert!(both.iter().map(|one| one.hash).eq(expected.iter().copied()), "{both:?}");
        }
    }

    #[test]
    fn nothing_is_lost_where_nobody_charges_all_in_time() {
        let mut waiting = Waiting::EMPTY;
        let mut seen = 0;
        for number in 0..100 {
            match waiting.next(request(number, BUSY_NS + number)) {
                Turn::Itself => seen += 1 + u64::from(waiting.take().client().is_some()),
                Turn::Caught | Turn::Nobody => {}
            }
            assert_eq!(seen + waiting.count(), number + 1);
        }
    }

    #[test]
    fn who_was_over_the_limit_is_charged_first_and_forgotten_after_a_second() {
        let mut waiting = Waiting::EMPTY;
        // The word that was forgotten last is no other than the rest.
        waiting.next(request(256, BUSY_NS));
        waiting.catch(256);
        assert_eq!(waiting.next(request(256, BUSY_NS + 1)), Turn::Caught);
        waiting.catch(7);
        for now_ns in 1..100 {
            assert_eq!(waiting.next(request(7, BUSY_NS + now_ns)), Turn::Caught);
            assert_eq!(waiting.next(request(8, BUSY_NS + now_ns)), Turn::Nobody);
            waiting.clear();
        }
        let mut now_ns = BUSY_NS + 100;
        while matches!(waiting.next(request(7, now_ns)), Turn::Caught) {
            now_ns += BUSY_NS - 1;
        }
        assert!(now_ns < 1_100_000_000, "{now_ns}");
    }

    proptest! {
        #[test]
        fn every_request_is_charged_once(
            gaps in proptest::collection::vec(0..2 * BUSY_NS, 1..200),
            caught in proptest::collection::vec(0u64..8, 0..4),
        ) {
            let mut waiting = Waiting::EMPTY;
            let (mut now_ns, mut seen) = (0, Vec::new());
            let asked = gaps.len();
            for (number, gap) in (1..).zip(gaps) {
                now_ns += gap;
                if number == 20 {
                    for &hash in &caught {
                        waiting.catch(hash);
                    }
                }
                let mut request = request(number, now_ns);
                request.hash = number % 8;
                seen.extend(charged(&mut waiting, request).iter().map(|charged| charged.key));
            }
            let waiting = (0..WAITING).filter_map(|_| waiting.take().client()).count();
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len() + waiting, asked);
        }
    }
}
