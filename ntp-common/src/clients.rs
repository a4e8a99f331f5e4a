//! The table of clients: what each sent and when its next request is due, in sets of four records that a
//! secret hash spreads clients over. Its memory is fixed; a record may have to make room for another's.
//!
//! Whoever has no record is answered: a flood of invented addresses shuts nobody out. Who makes room is
//! chosen so that it does not free those who ask too often either: see [`place`].

use crate::ratelimit::{ClientRules, Verdict};
use crate::time::MonoNs;

/// Records of a set.
pub const WAYS: usize = 4;

/// Words of 64 bits of a record.
pub const RECORD_WORDS: usize = 4;

/// A set: two cache lines, side by side.
#[repr(C, align(128))]
pub struct ClientSet {
    /// Its records, as [`Record::to_words`] says.
    pub ways: [[u64; RECORD_WORDS]; WAYS],
}

/// Octets of a set.
pub const SET_SIZE: usize = size_of::<ClientSet>();

const _: () = assert!(SET_SIZE == 128);

/// Once in how many times a new client takes the place of one whose record still matters.
///
/// In a flood that fills every set each record lives so many times longer: long enough that those who ask
/// often come back to theirs, which then outlasts the flood's. Sixteen is the knee of the curve: see the
/// test `floods_do_not_free_those_who_ask_too_often`.
pub const RELUCTANCE: u64 = 16;

/// How long a record of a client that came back is kept from those that came once, units of 2^20 ns: half
/// an hour, twice the longest usual poll interval.
const FRESH: u32 = 1800 * 954;

/// Who a client is: an address, or the prefix that it shares with others. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientKey(u64);

/// The first bits of the addresses of a client, the others being zero, in host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientPrefix {
    /// An IPv4 address.
    V4(u32),
    /// The first half of an IPv6 address.
    V6(u64),
}

impl ClientKey {
    /// The client at an IPv4 address, in host order.
    #[inline(always)]
    #[must_use]
    pub const fn of_v4(address: u32, mask: u32) -> Self {
        Self(1 << 32 | (address & mask) as u64)
    }

    /// The client at an IPv6 address whose first half this is, in host order.
    #[inline(always)]
    #[must_use]
    pub const fn of_v6(high: u64, mask: u64) -> Self {
        // Addresses that begin with ones are multicast: no client's.
        Self(!(high & mask))
    }

    /// The key of a record; `None`: the record is empty.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if bits == 0 { None } else { Some(Self(bits)) }
    }

    /// The key as it is stored.
    #[inline(always)]
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The address.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is the address")]
    pub const fn prefix(self) -> ClientPrefix {
        if self.0 >> 32 == 1 { ClientPrefix::V4(self.0 as u32) } else { ClientPrefix::V6(!self.0) }
    }
}

/// What is known of a client since it got its record. Counts wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// [`ClientKey`]; 0: nobody's.
    pub key: u64,
    /// When its next request is due, `CLOCK_MONOTONIC`, nanoseconds.
    pub due_ns: u64,
    /// Requests.
    pub hits: u32,
    /// Requests over the limit that were not answered.
    pub drops: u32,
    /// Its last request, `CLOCK_MONOTONIC` in units of 2^20 ns (1.05 ms); wraps after 52 days.
    pub seen: u32,
    /// Mean interval of its requests, units of 2^16 ns (66 us); 0: not known.
    pub interval: u32,
}

/// Longest mean interval, units of 2^20 ns: 19 hours.
const LONGEST: u32 = 1 << 26;

/// From units of 2^20 ns to those of an interval.
const INTERVAL_SHIFT: u32 = 4;

/// A time in the units of [`Record::seen`].
#[inline(always)]
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "wraps")]
pub const fn seen_at(now: MonoNs) -> u32 {
    (now.0 >> 20) as u32
}

impl Record {
    /// The record of a client that was not heard of before.
    #[inline(always)]
    #[must_use]
    pub const fn new(key: ClientKey, now: MonoNs) -> Self {
        Self { key: key.0, due_ns: now.0, hits: 0, drops: 0, seen: seen_at(now), interval: 0 }
    }

    /// Charges the client for a request and counts it.
    #[inline(always)]
    pub const fn charge(&mut self, rules: &ClientRules, hash: u64, now: MonoNs) -> Verdict {
        let chance = rules.chance(hash, self.hits as u64);
        let (verdict, due_ns) = rules.charge(self.due_ns, now, chance);
        self.due_ns = due_ns;
        self.count(now);
        if matches!(verdict, Verdict::Drop | Verdict::Kiss) {
            self.drops = self.drops.wrapping_add(1);
        }
        verdict
    }

    /// Counts a request.
    #[inline(always)]
    pub const fn count(&mut self, now: MonoNs) {
        let seen = seen_at(now);
        // Paths and CPUs do not see requests in the order of their arrival: a negative interval is none.
        let passed = seen.wrapping_sub(self.seen).cast_signed();
        let passed = if passed < 0 { 0 } else { passed.cast_unsigned() };
        let passed = if passed > LONGEST { LONGEST } else { passed };
        let sample = (passed << INTERVAL_SHIFT).cast_signed();
        if self.hits > 1 {
            let mean = self.interval.cast_signed();
            self.interval = mean.wrapping_add(sample.wrapping_sub(mean) >> 3).cast_unsigned();
        } else if self.hits == 1 {
            self.interval = sample.cast_unsigned();
        }
        self.seen = seen;
        self.hits = self.hits.wrapping_add(1);
    }

    /// The record as it is stored.
    #[inline(always)]
    #[must_use]
    pub const fn to_words(&self) -> [u64; RECORD_WORDS] {
        [
            self.key,
            self.due_ns,
            self.hits as u64 | (self.drops as u64) << 32,
            self.seen as u64 | (self.interval as u64) << 32,
        ]
    }

    /// Reads a record.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "fields are cut out of packed words")]
    pub const fn from_words(words: &[u64; RECORD_WORDS]) -> Self {
        Self {
            key: words[0],
            due_ns: words[1],
            hits: words[2] as u32,
            drops: (words[2] >> 32) as u32,
            seen: words[3] as u32,
            interval: (words[3] >> 32) as u32,
        }
    }

    /// What is lost when the record makes room at `now`: 0 for nothing, more for more.
    ///
    /// A client that is back at the start of its burst has nothing to lose but its counts. Of the others,
    /// those who came once go before those who came back, and among these those go first who owe least.
    #[inline(always)]
    #[must_use]
    const fn worth(&self, now: MonoNs) -> u64 {
        let owed = self.due_ns.wrapping_sub(now.0);
        let owed = if owed.cast_signed() <= 0 { 0 } else { owed };
        let idle = seen_at(now).wrapping_sub(self.seen);
        let came_back = self.hits > 1 && idle < FRESH;
        // A due time lies less than 2^51 ns ahead.
        owed | (came_back as u64) << 62
    }
}

/// The way in which a client that has no record gets one; `None`: in none this time, it goes unrecorded.
///
/// The least worth makes room, and if that is worth anything only once in [`RELUCTANCE`] times. A client
/// that comes once, as every one of a flood does, takes at most one place of a set from those who came back.
#[inline(always)]
#[must_use]
pub const fn place(records: &[Record; WAYS], now: MonoNs, chance: u64) -> Option<usize> {
    let mut least = records[0].worth(now);
    let mut way = 0;
    let mut next = 1;
    while next < WAYS {
        let worth = records[next].worth(now);
        if worth < least {
            least = worth;
            way = next;
        }
        next += 1;
    }
    if least != 0 && chance & (RELUCTANCE - 1) != 0 { None } else { Some(way) }
}

/// The records of a set as somebody reaches them: others may be doing the same.
pub trait ClientRecords {
    /// Reads a word of a record; `way` is below [`WAYS`], `word` below [`RECORD_WORDS`].
    fn read(&self, way: usize, word: usize) -> u64;

    /// Writes a word of a record.
    fn write(&self, way: usize, word: usize, value: u64);

    /// Reads a whole record. It may be one that somebody else is writing: then its parts are of different
    /// requests, or of different clients, and a count or a due time is off once.
    #[inline(always)]
    fn record(&self, way: usize) -> Record {
        Record::from_words(&[
            self.read(way, 0),
            self.read(way, 1),
            self.read(way, 2),
            self.read(way, 3),
        ])
    }
}

/// Charges a client for a request: the one function that both paths decide with. `set` is the one that
/// `hash` leads to.
#[inline(always)]
pub fn charge(
    set: &impl ClientRecords,
    rules: &ClientRules,
    key: ClientKey,
    hash: u64,
    now: MonoNs,
) -> Verdict {
    let keys = [set.read(0, 0), set.read(1, 0), set.read(2, 0), set.read(3, 0)];
    let recorded = match rules.find(&keys, key) {
        Some(way) => Some((way, set.record(way))),
        None => newcomer(set, rules, hash, now).map(|way| (way, Record::new(key, now))),
    };
    let Some((way, mut record)) = recorded else { return Verdict::Answer };
    let verdict = record.charge(rules, hash, now);
    let [_, due, counts, seen] = record.to_words();
    set.write(way, 1, due);
    set.write(way, 2, counts);
    set.write(way, 3, seen);
    set.write(way, 0, key.to_bits());
    verdict
}

/// The way in which a client without a record gets one.
#[inline(always)]
fn newcomer(
    set: &impl ClientRecords,
    rules: &ClientRules,
    hash: u64,
    now: MonoNs,
) -> Option<usize> {
    let records = [set.record(0), set.record(1), set.record(2), set.record(3)];
    place(&records, now, rules.chance(hash, now.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratelimit::Limit;
    use crate::time::NANOS_PER_SECOND;
    use core::cell::Cell;

    const LIMIT: Limit = Limit { interval_log2: 3, burst: 8, leak_log2: 2, kod_log2: 0 };

    #[derive(Default)]
    struct Cells([[Cell<u64>; RECORD_WORDS]; WAYS]);

    impl ClientRecords for Cells {
        fn read(&self, way: usize, word: usize) -> u64 {
            self.0[way][word].get()
        }

        fn write(&self, way: usize, word: usize, value: u64) {
            self.0[way][word].set(value);
        }
    }

    fn rules() -> ClientRules {
        ClientRules::new(1, [0x1234_5678_9abc_def1, 7]).with_limit(LIMIT)
    }

    fn client(number: u32) -> ClientKey {
        ClientKey::of_v4(number, u32::MAX)
    }

    fn ask(set: &Cells, rules: &ClientRules, number: u32, at_ms: u64) -> Verdict {
        let key = client(number);
        charge(set, rules, key, rules.hash(key), MonoNs(NANOS_PER_SECOND + at_ms * 1_000_000))
    }

    fn has(set: &Cells, number: u32) -> bool {
        (0..WAYS).any(|way| set.read(way, 0) == client(number).to_bits())
    }

    #[test]
    fn keys_give_the_prefix_back_and_families_do_not_meet() {
        for address in [0, 0x7f00_0001, u32::MAX] {
            let key = ClientKey::of_v4(address, u32::MAX);
            assert_eq!(key.prefix(), ClientPrefix::V4(address));
            assert_eq!(ClientKey::from_bits(key.to_bits()), Some(key));
        }
        for high in [0, 0x2001_0db8_0000_0001, 0xfe80_0000_0000_0000] {
            assert_eq!(ClientKey::of_v6(high, u64::MAX).prefix(), ClientPrefix::V6(high));
        }
        assert_eq!(
            ClientKey::of_v4(0xc000_02ff, 0xffff_ff00).prefix(),
            ClientPrefix::V4(0xc000_0200)
        );
        assert_eq!(ClientKey::from_bits(0), None);
    }

    #[test]
    fn hits_drops_interval_and_last_hit_are_recorded() {
        let (set, rules) = (Cells::default(), rules());
        let verdicts: std::vec::Vec<_> =
            (0..20).map(|index| ask(&set, &rules, 1, index * 500)).collect();
        let record = set.record(0);
        let dropped = verdicts.iter().filter(|&&verdict| verdict == Verdict::Drop).count();
        assert!(verdicts[..8].iter().all(|&verdict| verdict == Verdict::Answer));
        assert!(dropped >= 5 && verdicts.contains(&Verdict::Leak), "{verdicts:?}");
        assert_eq!((record.hits, record.drops as usize), (20, dropped));
        assert_eq!(record.seen, seen_at(MonoNs(NANOS_PER_SECOND + 9_500_000_000)));
        // Half a second, in units of 2^16 ns and within those of 2^20.
        assert!((7_600..7_650).contains(&record.interval), "{}", record.interval);
    }

    #[test]
    fn mean_interval_follows_a_change_and_ends_at_19_hours() {
        let mut record = Record::new(client(1), MonoNs(0));
        let mut now = MonoNs(0);
        let mut ask = |times: u32, every_s: u64| {
            for _ in 0..times {
                now = now.after(every_s * NANOS_PER_SECOND);
                record.count(now);
            }
            u64::from(record.interval) << 16
        };
        let near =
            |got: u64, expected_s: u64| got.abs_diff(expected_s * NANOS_PER_SECOND) < 20_000_000;
        assert_eq!(ask(1, 0), 0);
        assert!(near(ask(1, 64), 64));
        assert!(near(ask(100, 1024), 1024));
        assert!(ask(300, 100_000).abs_diff(u64::from(LONGEST) << 20) < 1_000_000);
        assert!(near(ask(300, 1), 1));
    }

    #[test]
    fn requests_out_of_order_do_not_make_an_interval_negative() {
        let mut record = Record::new(client(1), MonoNs(0));
        for at in [5, 9, 8, 10, 3] {
            record.count(MonoNs(at * NANOS_PER_SECOND));
            assert!(record.interval.cast_signed() >= 0);
        }
    }

    #[test]
    fn newcomer_takes_the_place_of_who_has_nothing_to_lose() {
        let (set, rules) = (Cells::default(), rules());
        for (number, at_ms) in [(1, 0), (2, 0), (2, 0), (3, 0), (4, 100), (4, 200)] {
            assert_eq!(ask(&set, &rules, number, at_ms), Verdict::Answer);
        }
        // Eight seconds later 1 and 3 have their whole burst back and came once; 2 and 4 came back.
        ask(&set, &rules, 5, 8_100);
        ask(&set, &rules, 6, 8_100);
        assert!([2, 4, 5, 6].into_iter().all(|number| has(&set, number)));
        assert!(!has(&set, 1) && !has(&set, 3));
    }

    #[test]
    fn client_that_came_back_is_kept_for_half_an_hour() {
        let (set, rules) = (Cells::default(), rules());
        for number in [1, 1, 2, 2, 3, 3, 4, 4] {
            ask(&set, &rules, number, 0);
        }
        for number in 0..1000 {
            ask(&set, &rules, 100 + number, 1_799_000);
        }
        assert_eq!((1..=4).filter(|&number| has(&set, number)).count(), 3, "one made room");
        for number in 0..4 {
            ask(&set, &rules, 2000 + number, 1_810_000);
        }
        assert_eq!((1..=4).filter(|&number| has(&set, number)).count(), 0);
    }
}
