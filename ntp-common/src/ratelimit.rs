//! How often one client is answered: a generic cell rate algorithm (ITU-T I.371), which keeps one time for
//! each client: when its next request would be due if it kept to the interval exactly.
//!
//! Both paths charge the same record, so that a client does not get twice as much by taking both.

use crate::clients::{ClientKey, WAYS};
use crate::time::{MonoNs, NANOS_PER_SECOND};

/// Shortest interval of a configuration, log2 seconds.
pub const MIN_INTERVAL_LOG2: i8 = -19;

/// Longest interval of a configuration, log2 seconds.
pub const MAX_INTERVAL_LOG2: i8 = 12;

/// What a client's request is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is answered.
    Answer,
    /// It is over the limit and answered all the same: else somebody who sends requests in the name of a
    /// client could cut it off.
    Leak,
    /// It is over the limit, and the client is told so: kiss code RATE, RFC 5905 section 7.4.
    Kiss,
    /// It is over the limit.
    Drop,
}

/// How clients are told apart and how often each is answered, as both paths read it; a cache line.
///
/// A reader may see it half replaced: the worst is that one request is charged to a record of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct ClientRules {
    /// Secret multiplier of the hash; odd.
    pub multiplier: u64,
    /// Secret summand of the hash.
    pub seed: u64,
    /// Time that an answer costs, in units of a due time (2^-8 ns, [`crate::clients::State::due`]); 0 without a limit.
    pub interval: u64,
    /// How far a client may be ahead of its due time, in its units: what a burst costs but for one answer; [`NO_LIMIT`] if there is no
    /// limit.
    pub tolerance: u64,
    /// The bits of the first half of an IPv6 address that tell clients apart.
    pub v6_mask: u64,
    /// The bits of an IPv4 address that tell clients apart.
    pub v4_mask: u32,
    /// Sets in the table; 0: there is none.
    pub sets: u32,
    /// Of the requests over the limit one in `leak_mask` + 1 is answered; a power of two less one.
    pub leak_mask: u16,
    /// Of the others one in `kiss_mask` + 1 is told; [`NO_KISS`]: none.
    pub kiss_mask: u16,
    /// The number 63, from memory, so that the compiler can't make a branch of what shifts by it: a way
    /// that was guessed wrongly would be found out only when the set has come from memory.
    pub sign_bit: u32,
    /// How far ahead the next request of a client must be due, in units of a due time, for it to be one that asks often: negative,
    /// or more than any lies ahead. See [`crate::clients::charge_in_haste`].
    pub often_from: i64,
}

/// Words of 64 bits that the rules take.
pub const RULES_WORDS: usize = 8;

const _: () = assert!(size_of::<ClientRules>() == 8 * RULES_WORDS);

/// Nobody is told.
pub const NO_KISS: u16 = u16::MAX;

/// [`ClientRules::tolerance`] without a limit: more than a due time can lie ahead. One is still ahead now and then,
/// by what it is rounded to, or because another CPU has read its clock a little later.
const NO_LIMIT: u64 = 1 << 63;

/// A client whose last request was longer ago than this, nanoseconds, asks seldom: 2^25, 34 ms.
pub const SELDOM_NS: u64 = 1 << 25;

/// From nanoseconds to the units of a due time, 2^-8 ns: in these it lies at the top of a word and wraps with it.
const DUE_SHIFT: u32 = 8;

/// Where the sign of a word is: 63, from memory, so that the compiler can't make a branch of what shifts by it.
#[derive(Clone, Copy, Debug)]
pub struct Sign(u32);

impl Sign {
    /// 1 if a word is negative, else 0.
    #[inline(always)]
    #[must_use]
    pub const fn of(self, word: u64) -> u64 {
        word >> (self.0 & 63)
    }

    /// 1 if a word that is not negative is not zero either, else 0.
    #[inline(always)]
    #[must_use]
    pub const fn of_negated(self, word: u64) -> u64 {
        self.of(word.wrapping_neg())
    }
}

/// How far ahead of `now` a due time is, in its units; the upper half of the range is the past.
#[inline(always)]
#[must_use]
pub const fn ahead(due: u64, now: MonoNs, sign: Sign) -> u64 {
    let ahead = due.wrapping_sub(now.0 << DUE_SHIFT);
    // All ones if it lies ahead.
    ahead & sign.of(ahead).wrapping_sub(1)
}

/// The set of a table that a hash leads to, below the number of sets.
#[inline(always)]
#[must_use]
pub const fn set_of(hash: u64, sets: u32) -> u32 {
    (((hash >> 32) * sets as u64) >> 32) as u32
}

/// The way that a client's key is in if it is in one of a set, of which these are the first keys; without a branch, and with
/// fewer instructions than [`ClientRules::find`]. `is_negative` gives 1 for a word that is, else 0.
#[inline(always)]
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "below four")]
pub fn likely_way(
    keys: [u64; WAYS - 1],
    key: ClientKey,
    is_negative: impl Fn(u64) -> u64,
) -> usize {
    // Keys have a clear highest bit: what is left of a difference less one is negative only if there was none.
    let [is_first, is_second, is_third] =
        keys.map(|other| is_negative((other ^ key.to_bits()).wrapping_sub(1)));
    let before_last = is_first * 3 + is_second * 2 + is_third;
    3usize.wrapping_sub(before_last as usize) & (WAYS - 1)
}

/// A limit as a configuration gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Time that an answer costs, log2 seconds, [`MIN_INTERVAL_LOG2`] to [`MAX_INTERVAL_LOG2`].
    pub interval_log2: i8,
    /// Answers in a burst, from 1.
    pub burst: u8,
    /// Of the requests over the limit one in 2^`leak_log2` is answered; up to 15.
    pub leak_log2: u8,
    /// Of the others one in 2^`kod_log2` is told; 0: none; up to 15.
    pub kod_log2: u8,
}

impl Limit {
    /// Nanoseconds that an answer costs.
    #[must_use]
    pub const fn interval_ns(&self) -> u64 {
        match self.interval_log2 {
            0.. => NANOS_PER_SECOND << (self.interval_log2 & 31),
            _ => NANOS_PER_SECOND >> (-self.interval_log2 & 31),
        }
    }
}

/// [`ClientRules::often_from`] with an interval: its next request is due at least one after a client's last. With one longer
/// than [`SELDOM_NS`] it can't be told from the due time how long ago that was, and all ask seldom, as the limit allows no more.
const fn often_from(interval: u64) -> i64 {
    const SELDOM: u64 = SELDOM_NS << DUE_SHIFT;
    if interval > SELDOM { i64::MAX } else { interval.wrapping_sub(SELDOM).cast_signed() }
}

impl ClientRules {
    /// There is no table: nobody is limited or counted.
    pub const OFF: Self = Self {
        multiplier: 1,
        seed: 0,
        interval: 0,
        tolerance: NO_LIMIT,
        v6_mask: u64::MAX,
        v4_mask: u32::MAX,
        sets: 0,
        leak_mask: 0,
        kiss_mask: NO_KISS,
        sign_bit: 63,
        often_from: often_from(0),
    };

    /// Rules for a table of `sets` sets whose places are secret as long as `secret` is.
    #[must_use]
    pub const fn new(sets: u32, secret: [u64; 2]) -> Self {
        Self { multiplier: secret[0] | 1, seed: secret[1], sets, ..Self::OFF }
    }

    /// Tells clients apart by the first bits of their addresses: up to 32 of IPv4, up to 64 of IPv6.
    #[must_use]
    pub const fn with_prefixes(mut self, v4_bits: u32, v6_bits: u32) -> Self {
        self.v4_mask = if v4_bits >= 32 { u32::MAX } else { !(u32::MAX >> v4_bits) };
        self.v6_mask = if v6_bits >= 64 { u64::MAX } else { !(u64::MAX >> v6_bits) };
        self
    }

    /// Limits nobody.
    #[must_use]
    pub const fn without_limit(self) -> Self {
        let Self { interval, tolerance, often_from, .. } = Self::OFF;
        Self { interval, tolerance, often_from, ..self }
    }

    /// Limits every client.
    #[must_use]
    pub const fn with_limit(mut self, limit: Limit) -> Self {
        self.interval = limit.interval_ns() << DUE_SHIFT;
        self.often_from = often_from(self.interval);
        self.tolerance = self.interval * limit.burst.saturating_sub(1) as u64;
        self.leak_mask = (1 << (limit.leak_log2 & 15)) - 1;
        self.kiss_mask = match limit.kod_log2 & 15 {
            0 => NO_KISS,
            log2 => (1 << log2) - 1,
        };
        self
    }

    /// Whether a client, whose next request is due at `due`, asks so seldom that there is time to count each request.
    #[inline(always)]
    #[must_use]
    pub const fn is_seldom(&self, due: u64, now: MonoNs) -> bool {
        due.wrapping_sub(now.0 << DUE_SHIFT).cast_signed() < self.often_from
    }

    /// When the request after one at `now` is due from a client whose next one is due at `due`, both as in
    /// [`crate::clients::State::due`]; `None`: the one at `now` is over the limit.
    #[inline(always)]
    #[must_use]
    pub const fn admit(&self, due: u64, now: MonoNs) -> Option<u64> {
        let now = now.0 << DUE_SHIFT;
        let ahead = due.wrapping_sub(now).cast_signed();
        // A branch that is guessed rightly: most requests come later than they are due.
        let ahead = if ahead < 0 { 0 } else { ahead.cast_unsigned() };
        if ahead > self.tolerance {
            return None;
        }
        Some(now.wrapping_add(ahead).wrapping_add(self.interval))
    }

    /// When the second request of a client is due whose first one came at `now`.
    #[inline(always)]
    #[must_use]
    pub const fn first_due(&self, now: MonoNs) -> u64 {
        (now.0 << DUE_SHIFT).wrapping_add(self.interval)
    }

    /// What becomes of a request over the limit, and when the client's next one is due. `chance` decides
    /// what leaks.
    ///
    /// A due time that lies further ahead than any burst takes it is one from before the limit was changed.
    #[inline(always)]
    #[must_use]
    pub const fn refuse(&self, due: u64, now: MonoNs, chance: u64) -> (Verdict, u64) {
        let most = self.tolerance.wrapping_add(self.interval);
        let due = if ahead(due, now, self.sign()) > most {
            (now.0 << DUE_SHIFT).wrapping_add(most)
        } else {
            due
        };
        let verdict = if chance & self.leak_mask as u64 == 0 {
            Verdict::Leak
        } else if self.kiss_mask != NO_KISS && (chance >> 16) & self.kiss_mask as u64 == 0 {
            Verdict::Kiss
        } else {
            Verdict::Drop
        };
        (verdict, due)
    }

    /// Where a client's record is, and bits that nobody else can foretell.
    #[inline(always)]
    #[must_use]
    pub const fn hash(&self, key: ClientKey) -> u64 {
        let mixed = (key.to_bits() ^ self.seed).wrapping_mul(self.multiplier);
        (mixed ^ mixed >> 32).wrapping_mul(self.multiplier)
    }

    /// The set that a hash leads to, below the number of sets.
    #[inline(always)]
    #[must_use]
    pub const fn set_of(&self, hash: u64) -> u32 {
        set_of(hash, self.sets)
    }

    /// Random bits for the next decision about a client: nobody who does not know the seed can foretell
    /// them, and they are a function of the record alone, so that decisions can be followed.
    #[inline(always)]
    #[must_use]
    pub const fn chance(&self, hash: u64, count: u64) -> u64 {
        (hash ^ count.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(self.multiplier) >> 32
    }

    /// The first of the keys of a set that is a client's, without a branch.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "below four")]
    pub const fn find(&self, keys: &[u64; WAYS], key: ClientKey) -> Option<usize> {
        let key = key.to_bits();
        let not_first = self.differ(keys[0], key);
        let not_second = not_first & self.differ(keys[1], key);
        let not_third = not_second & self.differ(keys[2], key);
        if not_third & self.differ(keys[3], key) != 0 {
            return None;
        }
        Some((not_first + not_second + not_third) as usize & (WAYS - 1))
    }

    /// 1 for two words that differ, else 0.
    #[inline(always)]
    const fn differ(&self, one: u64, other: u64) -> u64 {
        let difference = one ^ other;
        self.sign().of(difference | difference.wrapping_neg())
    }

    /// Where the sign of a word is.
    #[inline(always)]
    #[must_use]
    pub const fn sign(&self) -> Sign {
        Sign(self.sign_bit)
    }

    /// The rules as they lie in memory.
    #[must_use]
    pub const fn to_words(&self) -> [u64; RULES_WORDS] {
        [
            self.multiplier,
            self.seed,
            self.interval,
            self.tolerance,
            self.v6_mask,
            self.v4_mask as u64 | (self.sets as u64) << 32,
            self.leak_mask as u64 | (self.kiss_mask as u64) << 16 | (self.sign_bit as u64) << 32,
            self.often_from.cast_unsigned(),
        ]
    }

    /// Reads the rules as they lie in memory.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "fields are cut out of packed words")]
    pub const fn from_words(words: &[u64; RULES_WORDS]) -> Self {
        Self {
            multiplier: words[0],
            seed: words[1],
            interval: words[2],
            tolerance: words[3],
            v6_mask: words[4],
            v4_mask: words[5] as u32,
            sets: (words[5] >> 32) as u32,
            leak_mask: words[6] as u16,
            kiss_mask: (words[6] >> 16) as u16,
            sign_bit: (words[6] >> 32) as u32,
            often_from: words[7].cast_signed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::State;
    use proptest::prelude::*;

    const LIMIT: Limit = Limit { interval_log2: 3, burst: 8, leak_log2: 2, kod_log2: 0 };

    fn rules(limit: Limit) -> ClientRules {
        ClientRules::new(1024, [0x1234_5678_9abc_def1, 7]).with_limit(limit)
    }

    /// Requests at a fixed interval: how many are answered within the limit.
    fn within_limit(rules: &ClientRules, every_ns: u64, requests: u64) -> u64 {
        let (mut due, mut answered) = (0, 0);
        for index in 0..requests {
            let now = MonoNs(NANOS_PER_SECOND + index * every_ns);
            let next = rules.admit(due, now);
            due = next.unwrap_or(due);
            answered += u64::from(next.is_some());
        }
        answered
    }

    #[test]
    fn a_burst_is_answered_and_then_one_request_an_interval() {
        let rules = rules(LIMIT);
        assert_eq!(within_limit(&rules, 0, 100), 8);
        // 100 requests in 99 s: the burst, and what 99 s are worth.
        assert_eq!(within_limit(&rules, NANOS_PER_SECOND, 100), 8 + 99 / 8);
        assert_eq!(within_limit(&rules, 8 * NANOS_PER_SECOND, 1000), 1000);
        assert_eq!(within_limit(&self::rules(Limit { burst: 1, ..LIMIT }), 0, 100), 1);
    }

    #[test]
    fn intervals_reach_from_two_microseconds_to_an_hour() {
        for (interval_log2, expected_ns) in
            [(-19, 1_907), (-1, 500_000_000), (0, NANOS_PER_SECOND), (12, 4096 * NANOS_PER_SECOND)]
        {
            assert_eq!(Limit { interval_log2, ..LIMIT }.interval_ns(), expected_ns);
            let rules = rules(Limit { interval_log2, burst: 255, ..LIMIT });
            assert_eq!(within_limit(&rules, 0, 1000), 255, "interval {interval_log2}");
        }
    }

    #[test]
    fn without_a_limit_everything_is_answered() {
        assert_eq!(within_limit(&ClientRules::new(1, [1, 1]), 0, 1000), 1000);
        assert_eq!(within_limit(&rules(LIMIT).without_limit(), 0, 1000), 1000);
    }

    #[test]
    fn without_a_limit_nobody_is_over_it_whatever_the_order_of_requests() {
        let rules = ClientRules::new(1, [1, 1]);
        // Due times are kept to 256 ns, and CPUs do not read the clock in the order in which they charge.
        let mut state = State::default();
        for at_ns in [1_000_255, 1_000_256, 1_000_200, 900_000, 1_000_128, 1 << 50, 5] {
            let due = rules.admit(state.due(), MonoNs(at_ns)).expect("nobody is limited");
            state = State::new(due, 0, true);
        }
    }

    #[test]
    fn one_in_so_many_requests_over_the_limit_leaks_and_one_in_so_many_others_is_told() {
        for (leak_log2, kod_log2, leaks, kisses) in
            [(1, 0, 0.5, 0.0), (2, 1, 0.25, 0.375), (4, 4, 1.0 / 16.0, 15.0 / 256.0)]
        {
            let rules = rules(Limit { leak_log2, kod_log2, ..LIMIT });
            let hash = rules.hash(ClientKey::of_v4(0xc000_0201, u32::MAX));
            let (mut leaked, mut told) = (0, 0);
            for count in 0..100_000 {
                match rules.refuse(1 << 48, MonoNs(1), rules.chance(hash, count)).0 {
                    Verdict::Leak => leaked += 1,
                    Verdict::Kiss => told += 1,
                    Verdict::Drop => {}
                    Verdict::Answer => panic!("within the limit"),
                }
            }
            for (count, share) in [(leaked, leaks), (told, kisses)] {
                let found = f64::from(count) / 100_000.0;
                assert!(
                    (found - share).abs() < 0.01,
                    "{leak_log2}, {kod_log2}: {found}, not {share}"
                );
            }
        }
    }

    #[test]
    fn a_due_time_of_a_stricter_limit_does_not_shut_a_client_out() {
        let rules = rules(LIMIT);
        let now = MonoNs(5 * NANOS_PER_SECOND);
        let due = rules.first_due(MonoNs(now.0 + 1_000_000 * NANOS_PER_SECOND));
        assert_eq!(rules.admit(due, now), None);
        let (verdict, due) = rules.refuse(due, now, 1);
        assert_eq!(verdict, Verdict::Drop);
        let later = MonoNs(now.0 + LIMIT.interval_ns());
        assert!(rules.admit(due, later).is_some());
    }

    #[test]
    fn prefixes_reach_from_everybody_to_one_host() {
        for (bits, mask) in [(0, 0), (8, 0xff00_0000), (31, 0xffff_fffe), (32, u32::MAX)] {
            assert_eq!(ClientRules::OFF.with_prefixes(bits, 0).v4_mask, mask);
        }
        for (bits, mask) in [(0, 0), (48, 0xffff_ffff_ffff_0000), (64, u64::MAX)] {
            assert_eq!(ClientRules::OFF.with_prefixes(0, bits).v6_mask, mask);
        }
    }

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_the_rate_in_any_span(
            gaps in proptest::collection::vec(0u64..20_000_000_000, 1..200),
            burst in 1u8..20,
        ) {
            let rules = rules(Limit { burst, ..LIMIT });
            let (mut now, mut due) = (NANOS_PER_SECOND, 0);
            let mut times = std::vec::Vec::new();
            for gap in gaps {
                now += gap;
                if let Some(next) = rules.admit(due, MonoNs(now)) {
                    due = next;
                    times.push(now);
                }
            }
            for (index, &from) in times.iter().enumerate() {
                for (count, &to) in (1u64..).zip(&times[index..]) {
                    let most = u64::from(burst) + (to - from) / LIMIT.interval_ns();
                    prop_assert!(count <= most, "{} answers in {} ns", count, to - from);
                }
            }
        }

        #[test]
        fn a_key_is_found_in_its_way_and_in_no_other(keys: [u64; WAYS], other: u32) {
            let rules = ClientRules::new(16, [3, 5]);
            let keys = keys.map(|high| ClientKey::of_v6(high, u64::MAX).to_bits());
            let key = ClientKey::of_v4(other, u32::MAX);
            let expected = keys.iter().position(|&stored| stored == key.to_bits());
            prop_assert_eq!(rules.find(&keys, key), expected);
            for way in 0..WAYS {
                let mut keys = keys.map(|stored| if stored == key.to_bits() { 0 } else { stored });
                keys[way] = key.to_bits();
                prop_assert_eq!(rules.find(&keys, key), Some(way));
                prop_assert_eq!(likely_way([keys[0], keys[1], keys[2]], key, |word| word >> 63), way);
            }
        }

        #[test]
        fn sets_are_within_the_table(sets in 1u32.., seed: [u64; 2], address: u32) {
            let rules = ClientRules::new(sets, seed);
            prop_assert!(rules.set_of(rules.hash(ClientKey::of_v4(address, u32::MAX))) < sets);
        }

        #[test]
        fn words_survive_the_round_trip(words: [u64; RULES_WORDS]) {
            prop_assert_eq!(ClientRules::from_words(&words).to_words(), words);
        }
    }
}
