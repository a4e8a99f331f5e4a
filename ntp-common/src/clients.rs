//! The table of clients: what each sent and when its next request is due, in sets of four records that a
//! secret hash spreads clients over. Its memory is fixed; a record may have to make room for another's.
//!
//! Whoever has no record is answered: a flood of invented addresses shuts nobody out. Who makes room is
//! chosen so that it does not free those who ask too often either: see [`place`].

mod counts;
mod haste;

use crate::ratelimit::{ClientRules, Sign, Verdict, ahead};
use crate::time::{MonoNs, NANOS_PER_SECOND};

pub use counts::{Counts, seen_at};
pub use haste::{Haste, charge_in_haste};

/// Records of a set.
pub const WAYS: usize = 4;

/// Words of 64 bits of a cache line.
pub const LINE_WORDS: usize = 8;

/// A cache line of the table. A set has two: the first holds all that a request needs to be found and limited,
/// the second the counts, which are brought up to date now and then, see [`MOST_RECENT`]. The table begins with the
/// first lines of all sets, so that they lie close together.
#[repr(C, align(64))]
pub struct ClientLine {
    /// Of a first line, the keys of its clients and then their states, see [`State`]; of a second line, the
    /// counts of one client after the other, see [`Counts`].
    pub words: [u64; LINE_WORDS],
}

/// Lines of a set.
pub const SET_LINES: u32 = 2;

/// Octets of a set.
pub const SET_SIZE: usize = SET_LINES as usize * size_of::<ClientLine>();

const _: () = assert!(SET_SIZE == 128 && LINE_WORDS == 2 * WAYS);

/// Once in how many times a new client takes the place of one whose record still matters.
///
/// In a flood that fills every set each record lives so many times longer: long enough that those who ask
/// often come back to theirs, which then outlasts the flood's. Sixteen is the knee of the curve: see the
/// test `floods_do_not_free_those_who_ask_too_often`.
pub const RELUCTANCE: u64 = 16;

/// How long a record of a client that came back is kept from those that came once, after its next request was
/// due, nanoseconds: half an hour, twice the longest usual poll interval.
const FRESH_NS: u64 = 1800 * NANOS_PER_SECOND;

/// Who a client is: an address, or the prefix that it shares with others. Never 0, and its highest bit is clear.
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

/// The bits of a key.
const KEY_MASK: u64 = u64::MAX >> 1;

impl ClientKey {
    /// The client at an IPv4 address, in host order.
    #[inline(always)]
    #[must_use]
    pub const fn of_v4(address: u32, mask: u32) -> Self {
        Self(1 << 32 | (address & mask) as u64)
    }

    /// The client at an IPv6 address whose first half this is, in host order.
    ///
    /// The highest bit is left out: in all addresses that hosts have, it is what the second one is (RFC 4291
    /// section 2.4; the half of the space that begins with 01 and 10 is not assigned).
    #[inline(always)]
    #[must_use]
    pub const fn of_v6(high: u64, mask: u64) -> Self {
        // Addresses that begin with ones are multicast: no client's.
        Self(!(high & mask) & KEY_MASK)
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
        if self.0 >> 32 == 1 {
            return ClientPrefix::V4(self.0 as u32);
        }
        let high = !self.0 & KEY_MASK;
        ClientPrefix::V6(high | (high << 1 & !KEY_MASK))
    }
}

/// What decides about a client's next request, and about whether its record makes room for another's; one word, as it
/// is stored:
///
/// - bits 16 to 63: when its next request is due, see [`State::due`];
/// - bit 15: whether it has asked more than once;
/// - bits 8 to 14: requests that its counts do not have yet;
/// - bits 0 to 7: zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State(u64);

/// The bits of [`State::due`] that are kept: the others are less than 256 ns.
const DUE_MASK: u64 = !0xffff;

/// The bit of [`State::came_back`].
const CAME_BACK: u64 = 1 << 15;

/// Where [`State::recent`] is.
const RECENT_SHIFT: u32 = 8;

impl State {
    /// A client's state: when its next request is due, as [`ClientRules::admit`] gives it; requests that its counts
    /// do not have yet, up to 127; and whether it has asked more than once.
    #[inline(always)]
    #[must_use]
    pub const fn new(due: u64, recent: u8, came_back: bool) -> Self {
        let due = due.wrapping_add(1 << 15) & DUE_MASK;
        Self(due | (came_back as u64) << 15 | (recent as u64 & 0x7f) << RECENT_SHIFT)
    }

    /// Reads a state.
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// As it is stored.
    #[inline(always)]
    #[must_use]
    pub const fn to_word(self) -> u64 {
        self.0
    }

    /// When the next request is due, `CLOCK_MONOTONIC` in units of 2^-8 ns, to 256 ns; wraps after 2.3 years.
    #[inline(always)]
    #[must_use]
    pub const fn due(self) -> u64 {
        self.0 & DUE_MASK
    }

    /// Requests that the counts do not have yet, up to 127.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "seven bits are cut out of a packed word")]
    pub const fn recent(self) -> u8 {
        (self.0 >> RECENT_SHIFT) as u8 & 0x7f
    }

    /// Whether the client has asked more than once.
    #[inline(always)]
    #[must_use]
    pub const fn came_back(self) -> bool {
        self.0 & CAME_BACK != 0
    }

    /// The same with counts that have all requests.
    #[must_use]
    pub const fn all_counted(self) -> Self {
        Self::new(self.due(), 0, self.came_back())
    }

    /// The state after another request, which the counts do not have; `None` if they must have it now.
    #[inline(always)]
    #[must_use]
    const fn after_another(self, due: u64) -> Option<Self> {
        let rest = (self.0 & 0x7f << RECENT_SHIFT) + (CAME_BACK | 1 << RECENT_SHIFT);
        if rest & (MOST_RECENT as u64) << RECENT_SHIFT != 0 {
            return None;
        }
        Some(Self(due.wrapping_add(1 << 15) & DUE_MASK | rest))
    }

    /// What is lost when the record of a client makes room at `now`: 1 for nothing but its counts, more for more;
    /// below 2^63.
    ///
    /// A client that is back at the start of its burst has nothing to lose but its counts. Of the others,
    /// those who came once go before those who came back, and among these those go first who owe least.
    #[inline(always)]
    #[must_use]
    const fn worth(self, now: MonoNs, sign: Sign) -> u64 {
        let owed = ahead(self.due(), now, sign);
        let is_fresh = sign.of_negated(ahead(self.due().wrapping_add(FRESH_NS << 8), now, sign));
        // A due time lies less than 2^59 units ahead.
        (NOTHING_TO_LOSE + owed) | ((self.came_back() as u64 & is_fresh) << 62)
    }
}

/// [`State::worth`] of a client that has nothing to lose but its counts.
const NOTHING_TO_LOSE: u64 = 1;

/// A client, what decides about its next request, and its counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// [`ClientKey`]; 0: nobody's.
    pub key: u64,
    /// What decides.
    pub state: State,
    /// The counts, without what is recent.
    pub counts: Counts,
}

/// Most requests of a client that are counted together, when there is no time to count each: the line of memory that
/// holds the counts may take longer to come than all the rest of an answer.
pub const MOST_RECENT: u8 = 64;

const _: () = assert!(MOST_RECENT <= 0x7f && MOST_RECENT.is_power_of_two());

impl Record {
    /// Requests, recent ones included.
    #[must_use]
    pub const fn hits(&self) -> u32 {
        self.counts.hits.wrapping_add(self.state.recent() as u32)
    }
}

/// The way in which a client that has no record gets one; `None`: in none this time, it goes unrecorded.
///
/// An empty one, or else the least worth makes room, and if that has anything to lose only once in [`RELUCTANCE`]
/// times. A client that comes once, as every one of a flood does, takes at most one place of a set from those who
/// came back.
#[inline(always)]
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "below four")]
pub const fn place(
    keys: [u64; WAYS],
    states: [State; WAYS],
    now: MonoNs,
    chance: u64,
    sign: Sign,
) -> Option<usize> {
    let mut least = worth_of(keys[0], states[0], now, sign);
    let mut way = 0u64;
    let mut next = 1;
    while next < WAYS {
        let worth = worth_of(keys[next], states[next], now, sign);
        let is_less = sign.of(worth.wrapping_sub(least));
        least ^= (least ^ worth) & is_less.wrapping_neg();
        // A product, of which the compiler knows no bounds: it would leave the mask below out, which the verifier
        // of Linux 6.1 needs.
        way = way.wrapping_add((next as u64).wrapping_sub(way).wrapping_mul(is_less));
        next += 1;
    }
    if least > NOTHING_TO_LOSE && chance & (RELUCTANCE - 1) != 0 {
        None
    } else {
        Some(way as usize & (WAYS - 1))
    }
}

/// What is lost when a record makes room: 0 if it is nobody's.
#[inline(always)]
const fn worth_of(key: u64, state: State, now: MonoNs, sign: Sign) -> u64 {
    let is_taken = sign.of(key | key.wrapping_neg());
    state.worth(now, sign) & is_taken.wrapping_neg()
}

/// A line of the table as somebody reaches it: others may be doing the same. Whoever reads while another writes
/// gets parts of different requests, or of different clients, and a count or a due time is off once.
pub trait Line {
    /// Reads a word; `word` is below [`LINE_WORDS`].
    fn read(&self, word: usize) -> u64;

    /// Writes a word.
    fn write(&self, word: usize, value: u64);

    /// 1 if a word is negative, else 0. For who can say it so that the compiler does not make a branch of it, as the rules must from
    /// memory ([`ClientRules::sign_bit`]).
    #[inline(always)]
    fn is_negative(&self, word: u64) -> u64 {
        word >> 63
    }
}

/// The keys in the first line of a set.
#[inline(always)]
pub fn keys(line: &impl Line) -> [u64; WAYS] {
    [line.read(0), line.read(1), line.read(2), line.read(3)]
}

/// The record in a way of a set, which is below [`WAYS`].
#[inline(always)]
pub fn record(first: &impl Line, second: &impl Line, way: usize) -> Record {
    Record { key: first.read(way), state: read_state(first, way), counts: read_counts(second, way) }
}

#[inline(always)]
fn read_state(first: &impl Line, way: usize) -> State {
    State::from_word(first.read(WAYS + way))
}

#[inline(always)]
fn read_counts(second: &impl Line, way: usize) -> Counts {
    Counts::from_words([second.read(2 * way), second.read(2 * way + 1)])
}

/// Writes the counts of a client; `way` is below [`WAYS`].
#[inline(always)]
pub fn write_counts(second: &impl Line, way: usize, counts: Counts) {
    let [hits, seen] = counts.to_words();
    second.write(2 * way, hits);
    second.write(2 * way + 1, seen);
}

/// Writes what decides about a client; `way` is below [`WAYS`].
#[inline(always)]
pub fn write_state(first: &impl Line, way: usize, state: State) {
    first.write(WAYS + way, state.to_word());
}

/// Charges a client for a request: the one function that both paths decide with. The lines are those of the set
/// that the client's hash leads to.
#[inline(always)]
pub fn charge(
    first: &impl Line,
    second: &impl Line,
    rules: &ClientRules,
    (key, hash): (ClientKey, u64),
    now: MonoNs,
) -> Verdict {
    let Some(way) = rules.find(&keys(first), key) else {
        newcomer(first, second, rules, (key, hash), now);
        return Verdict::Answer;
    };
    let state = read_state(first, way);
    let mut counts = read_counts(second, way);
    counts.add(state.recent().wrapping_add(1), now);
    let (verdict, due) = match rules.admit(state.due(), now) {
        Some(due) => (Verdict::Answer, due),
        None => rules.refuse(state.due(), now, rules.chance(hash, counts.hits.into())),
    };
    if matches!(verdict, Verdict::Drop | Verdict::Kiss) {
        counts.drops = counts.drops.wrapping_add(1);
    }
    write_state(first, way, State::new(due, 0, true));
    write_counts(second, way, counts);
    verdict
}

/// Gives a client without a record one, if there is room.
#[inline(always)]
fn newcomer(
    first: &impl Line,
    second: &impl Line,
    rules: &ClientRules,
    (key, hash): (ClientKey, u64),
    now: MonoNs,
) {
    let at = |way| read_state(first, way);
    let chance = rules.chance(hash, now.0);
    let states = [at(0), at(1), at(2), at(3)];
    let Some(way) = place(keys(first), states, now, chance, rules.sign()) else { return };
    let mut counts = Counts::new(now);
    counts.add(1, now);
    write_state(first, way, State::new(rules.first_due(now), 0, false));
    write_counts(second, way, counts);
    first.write(way, key.to_bits());
}

#[cfg(test)]
mod tests {
    use super::counts::LONGEST;
    use super::*;
    use crate::ratelimit::Limit;
    use core::cell::Cell;
    use proptest::prelude::*;

    const LIMIT: Limit = Limit { interval_log2: 3, burst: 8, leak_log2: 2, kod_log2: 0 };

    #[derive(Default)]
    struct Cells([Cell<u64>; LINE_WORDS]);

    impl Line for &Cells {
        fn read(&self, word: usize) -> u64 {
            self.0[word].get()
        }

        fn write(&self, word: usize, value: u64) {
            self.0[word].set(value);
        }
    }

    #[derive(Default)]
    struct Set(Cells, Cells);

    impl Set {
        fn record(&self, way: usize) -> Record {
            record(&&self.0, &&self.1, way)
        }

        fn charge(&self, rules: &ClientRules, key: ClientKey, now: MonoNs) -> Verdict {
            charge(&&self.0, &&self.1, rules, (key, rules.hash(key)), now)
        }

        fn charge_in_haste(&self, rules: &ClientRules, key: ClientKey, now: MonoNs) -> Verdict {
            self.charge_when(Haste::Always, rules, key, now).0
        }

        /// Charges it as either path does; says also whether in haste.
        fn charge_when(
            &self,
            haste: Haste,
            rules: &ClientRules,
            key: ClientKey,
            now: MonoNs,
        ) -> (Verdict, bool) {
            if charge_in_haste(&&self.0, rules, (key, rules.hash(key)), now, haste) {
                (Verdict::Answer, true)
            } else {
                (self.charge(rules, key, now), false)
            }
        }
    }

    fn rules() -> ClientRules {
        ClientRules::new(1, [0x1234_5678_9abc_def1, 7]).with_limit(LIMIT)
    }

    fn client(number: u32) -> ClientKey {
        ClientKey::of_v4(number, u32::MAX)
    }

    fn ask(set: &Set, rules: &ClientRules, number: u32, at_ms: u64) -> Verdict {
        let key = client(number);
        let now = MonoNs(NANOS_PER_SECOND + at_ms * 1_000_000);
        set.charge(rules, key, now)
    }

    fn has(set: &Set, number: u32) -> bool {
        (0..WAYS).any(|way| set.record(way).key == client(number).to_bits())
    }

    #[test]
    fn keys_give_the_prefix_back_and_families_do_not_meet() {
        for address in [0, 0x7f00_0001, u32::MAX] {
            let key = ClientKey::of_v4(address, u32::MAX);
            assert_eq!(key.prefix(), ClientPrefix::V4(address));
            assert_eq!(ClientKey::from_bits(key.to_bits()), Some(key));
        }
        for high in [0, 0x2001_0db8_0000_0001, 0x3fff << 48, 0xfc00 << 48, 0xfe80 << 48] {
            let key = ClientKey::of_v6(high, u64::MAX);
            assert_eq!(key.prefix(), ClientPrefix::V6(high));
            assert_eq!(key.to_bits() >> 63, 0);
        }
        assert_eq!(
            ClientKey::of_v4(0xc000_02ff, 0xffff_ff00).prefix(),
            ClientPrefix::V4(0xc000_0200)
        );
        assert_eq!(ClientKey::from_bits(0), None);
    }

    #[test]
    fn hits_drops_interval_and_last_hit_are_recorded() {
        let (set, rules) = (Set::default(), rules());
        let verdicts: std::vec::Vec<_> =
            (0..20).map(|index| ask(&set, &rules, 1, index * 500)).collect();
        let record = set.record(0).counts;
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
        let mut counts = Counts::new(MonoNs(0));
        let mut now = MonoNs(0);
        let mut ask = |times: u32, every_s: u64| {
            for _ in 0..times {
                now = now.after(every_s * NANOS_PER_SECOND);
                counts.add(1, now);
            }
            u64::from(counts.interval) << 16
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
        let mut counts = Counts::new(MonoNs(0));
        for at in [5, 9, 8, 10, 3] {
            counts.add(1, MonoNs(at * NANOS_PER_SECOND));
            assert!(counts.interval.cast_signed() >= 0);
        }
    }

    #[test]
    fn newcomer_takes_the_place_of_who_has_nothing_to_lose() {
        let (set, rules) = (Set::default(), rules());
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
    fn newcomer_takes_an_empty_place_before_anybody_makes_room() {
        // Without a limit nobody has anything to lose at any time.
        for rules in [rules(), rules().without_limit()] {
            let set = Set::default();
            for number in 1..=4 {
                ask(&set, &rules, number, 60_000 * u64::from(number));
                assert!((1..=number).all(|known| has(&set, known)), "after client {number}");
            }
        }
    }

    #[test]
    fn as_many_clients_as_there_are_places_keep_their_records() {
        for rules in [rules(), rules().without_limit()] {
            let set = Set::default();
            for round in 0..5 {
                for number in 1..=4 {
                    ask(&set, &rules, number, 64_000 * round + 10_000 * u64::from(number));
                }
            }
            let hits = [0, 1, 2, 3].map(|way| set.record(way).hits());
            assert_eq!(hits, [5; 4]);
        }
    }

    #[test]
    fn client_that_came_back_is_kept_for_half_an_hour_after_it_was_due() {
        let (set, rules) = (Set::default(), rules());
        for number in [1, 1, 2, 2, 3, 3, 4, 4] {
            ask(&set, &rules, number, 0);
        }
        for number in 0..1000 {
            ask(&set, &rules, 100 + number, 1_799_000);
        }
        assert_eq!((1..=4).filter(|&number| has(&set, number)).count(), 3, "one made room");
        for number in 0..4 {
            ask(&set, &rules, 2000 + number, 1_830_000);
        }
        assert_eq!((1..=4).filter(|&number| has(&set, number)).count(), 0);
    }

    #[test]
    fn what_a_busy_cpu_counts_together_is_what_a_calm_one_counts() {
        let (busy, calm, rules) = (Set::default(), Set::default(), rules());
        let (key, second) = (client(1), NANOS_PER_SECOND);
        for number in 1..400u32 {
            let now = MonoNs(100 * second + u64::from(number) * 9 * second);
            assert_eq!(calm.charge(&rules, key, now), Verdict::Answer);
            assert_eq!(busy.charge_in_haste(&rules, key, now), Verdict::Answer);
            let (busy, calm) = (busy.record(0), calm.record(0));
            assert_eq!((busy.hits(), calm.hits()), (number, number));
            assert_eq!(busy.state.due(), calm.state.due());
            assert!(busy.state.recent() < MOST_RECENT && calm.state.recent() == 0);
            if number > 140 {
                assert!(busy.counts.interval.abs_diff(calm.counts.interval) < 40);
            }
        }
    }

    #[test]
    fn counts_of_clients_that_ask_often_are_seconds_behind_at_most() {
        // Whatever the limit: without one, with one that is none for most, with one that counts.
        let of_interval =
            |interval_log2| rules().with_limit(Limit { interval_log2, burst: 255, ..LIMIT });
        for rules in [rules().without_limit(), of_interval(-19), of_interval(-6), of_interval(3)] {
            for every_ms in [1, 20, 33, 36, 45, 100, 1_000, 16_000] {
                let (set, key, mut hasty) = (Set::default(), client(1), 0);
                for number in 0..200 {
                    let now = MonoNs(NANOS_PER_SECOND + number * every_ms * 1_000_000);
                    hasty += u32::from(set.charge_when(Haste::WhenOften, &rules, key, now).1);
                    let behind = seen_at(now).wrapping_sub(set.record(0).counts.seen);
                    assert!(
                        behind <= seen_at(MonoNs(3 * NANOS_PER_SECOND)),
                        "{every_ms} ms: {behind}"
                    );
                }
                // All but the first, and one in 64, unless the limit does not let it be known.
                let often = every_ms <= 33 && rules.interval < NANOS_PER_SECOND << 8;
                assert_eq!(hasty > 190, often, "{every_ms} ms: {hasty}");
                assert!(hasty == 0 || every_ms <= 40, "{every_ms} ms: {hasty}");
            }
        }
    }

    #[test]
    fn clients_that_find_no_room_do_not_take_each_others_record_in_turn() {
        let (set, rules) = (Set::default(), rules().without_limit());
        let (mut records_made, mut passed_over) = (0, 0);
        for round in 0..10_000u64 {
            for number in 1..=6 {
                let key = client(number);
                let now = MonoNs(NANOS_PER_SECOND + round * 1_000_000 + u64::from(number));
                let had_record = has(&set, number);
                set.charge_when(Haste::WhenOften, &rules, key, now);
                records_made += u32::from(!had_record && has(&set, number));
                passed_over += u32::from(!has(&set, number));
            }
        }
        // Two of six have none, and one request of theirs in sixteen gets one.
        assert!((18_000..20_000).contains(&passed_over), "{passed_over}");
        assert!((500..2_000).contains(&records_made), "{records_made}");
    }

    #[test]
    fn newcomer_gets_an_empty_record_at_once_however_long_the_machine_has_run() {
        for years in [0, 1, 2, 3] {
            for now in [1, NANOS_PER_SECOND, NANOS_PER_SECOND * 86_400 * 180] {
                let (set, rules, key) = (Set::default(), rules().without_limit(), client(1));
                let now = MonoNs(now + years * 365 * 86_400 * NANOS_PER_SECOND);
                set.charge_in_haste(&rules, key, now);
                assert!(has(&set, 1), "{years} years, {now:?}");
            }
        }
    }

    #[test]
    fn client_over_the_limit_is_counted_at_once() {
        let (set, rules, key) = (Set::default(), rules(), client(1));
        for _ in 0..100 {
            set.charge_in_haste(&rules, key, MonoNs(NANOS_PER_SECOND));
        }
        let Record { state, counts, .. } = set.record(0);
        assert_eq!((counts.hits, state.recent()), (100, 0));
        assert!((50..92).contains(&counts.drops), "{}", counts.drops);
    }

    proptest! {
        #[test]
        fn state_holds_what_it_was_made_of(due: u64, recent in 0..127u8, came_back: bool) {
            let state = State::new(due, recent, came_back);
            let near = |due_read: u64| (due_read.wrapping_sub(due).cast_signed()).abs() <= 1 << 15;
            prop_assert_eq!(state.to_word().to_le_bytes()[0], 0);
            prop_assert_eq!((state.recent(), state.came_back()), (recent, came_back));
            prop_assert!(near(state.due()));
            let Some(next) = state.after_another(due) else {
                prop_assert!(recent + 1 >= MOST_RECENT);
                return Ok(());
            };
            prop_assert_eq!(next.to_word().to_le_bytes()[0], 0);
            prop_assert_eq!((next.recent(), next.came_back()), (recent + 1, true));
            prop_assert!(near(next.due()));
        }
    }
}
