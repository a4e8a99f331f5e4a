//! What is known of clients, for both paths: who asked, how often, when last, and who asks too often. The
//! table is that of the XDP program where there is one, so that a client is charged once whichever path
//! its requests take.
//!
//! Memory is fixed from the start. Counts are since a client got its record, which it may lose to others
//! when there are more clients than records: [`ntp_common::clients::place`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ntp_common::clients::{
    ClientKey, ClientPrefix, Counts, Haste, LINE_WORDS, Line, Record, SET_LINES, SET_SIZE, WAYS,
    charge, charge_in_haste, keys, record, seen_at, write_counts, write_state,
};
use ntp_common::ratelimit::{ClientRules, RULES_WORDS, Verdict};
use ntp_common::time::MonoNs;

use crate::bpf::clients_map::MappedClients;

/// Sets in the table of those who sent commands: few do.
const COMMAND_SETS: u32 = 64;

/// log2 of a second in the units of a mean interval, 2^16 ns: 13.9.
const SECOND_LOG2: f64 = 13.897_352_853_986_263;

/// Most sets of a table: 512 MiB, the farthest that the verifier of Linux lets a program reach into a map (`BPF_MAX_VAR_OFF`).
const MAX_SETS: u32 = 1 << 22;

/// The sets that so much memory holds, at least one.
#[must_use]
pub fn sets_in(octets: u64) -> u32 {
    u32::try_from(octets / SET_SIZE as u64).unwrap_or(MAX_SETS).clamp(1, MAX_SETS)
}

/// What is known of one client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClientRecord {
    /// Its address, or the first of those that share a record.
    pub address: IpAddr,
    /// Bits that the addresses which share the record have in common: 32 or 64 unless configured otherwise.
    pub prefix_len: u32,
    /// Time requests.
    pub requests: Activity,
    /// Commands (`chronyc`).
    pub commands: Activity,
}

/// What a client did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Activity {
    /// Packets since the client got its record; wraps.
    pub hits: u32,
    /// Those of them over the limit that were not answered; wraps.
    pub drops: u32,
    /// Mean interval, log2 seconds, -14 to 16; `None` before the second packet.
    pub interval_log2: Option<i8>,
    /// Time since the last packet, to a millisecond, modulo 52 days; `None` when there was none.
    pub since_last: Option<Duration>,
}

impl Activity {
    fn of(record: &Record, now: MonoNs) -> Self {
        let counts = &record.counts;
        let idle = seen_at(now).wrapping_sub(counts.seen);
        // A packet that another CPU counted after `now` was read.
        let idle = if idle.cast_signed() == -1 { 0 } else { idle };
        Self {
            hits: record.hits(),
            drops: counts.drops,
            interval_log2: (counts.hits > 1).then(|| interval_log2(counts.interval)),
            since_last: (record.key != 0).then(|| Duration::from_nanos(u64::from(idle) << 20)),
        }
    }
}

/// Nearest log2 of seconds of a mean interval in units of 2^16 ns.
#[expect(clippy::cast_possible_truncation, reason = "between -14 and 18")]
fn interval_log2(interval: u32) -> i8 {
    (f64::from(interval.max(1)).log2() - SECOND_LOG2).round() as i8
}

/// Clients of the time service and of the command protocol.
#[derive(Debug)]
pub struct Clients {
    requests: Table,
    commands: Table,
}

impl Clients {
    /// Makes tables in the daemon's own memory; without sets in the rules, nothing is recorded.
    #[must_use]
    pub fn on_heap(rules: ClientRules) -> Arc<Self> {
        Self::new(Table::on_heap(rules))
    }

    /// Uses the table of the XDP program, which has as many sets as the rules say.
    #[must_use]
    pub fn mapped(rules: ClientRules, map: MappedClients) -> Arc<Self> {
        Self::new(Table { rules: stored(rules), heap: Box::default(), mapped: map.into() })
    }

    fn new(requests: Table) -> Arc<Self> {
        let rules = requests.rules();
        let sets = if rules.sets == 0 { 0 } else { COMMAND_SETS };
        let unlimited = ClientRules { sets, ..rules.without_limit() };
        Arc::new(Self { requests, commands: Table::on_heap(unlimited) })
    }

    /// Moves to the table of an XDP program that was loaded just now, which has as many sets. Who is charged while
    /// this runs may be charged in vain, once. Does nothing for clients that are in such a table.
    pub fn move_to(&self, map: MappedClients) {
        for (word, known) in map.words().iter().zip(self.requests.words()) {
            word.store(known.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        let _was_there = self.requests.mapped.set(map);
    }

    /// Counts and limits clients from now on as `wanted` says, but for the size of the table and where records lie in it, which
    /// stay; gives the rules that are in force. Records of clients that are told apart in another way are no longer found.
    pub fn change_rules(&self, wanted: &ClientRules) -> ClientRules {
        self.commands.change_rules(&wanted.without_limit());
        self.requests.change_rules(wanted)
    }

    /// Charges a client for a time request.
    #[must_use]
    pub fn request(&self, client: IpAddr, now: MonoNs) -> Verdict {
        self.requests.charge(client, now)
    }

    /// Counts a command.
    pub fn command(&self, client: IpAddr, now: MonoNs) {
        let _ = self.commands.charge(client, now);
    }

    /// Records that there is room for, and so the end of the numbers that [`Clients::at`] takes.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.requests.slots() + self.commands.slots()
    }

    /// The client in a slot. A client keeps its slot for as long as it has a record.
    #[must_use]
    pub fn at(&self, slot: usize, now: MonoNs) -> Option<ClientRecord> {
        let requests = self.requests.slots();
        if slot < requests {
            let record = self.requests.record(slot)?;
            return Some(self.join(&record, now));
        }
        let record = self.commands.record(slot.checked_sub(requests)?)?;
        let key = ClientKey::from_bits(record.key)?;
        // Who also asked for the time is listed with its requests.
        if self.requests.find(key).is_some() {
            return None;
        }
        let known = Record { key: record.key, ..Record::default() };
        let client = self.join(&known, now);
        Some(ClientRecord { requests: Activity::default(), ..client })
    }

    /// All clients with a record, as they are while they are listed.
    pub fn iter(&self, now: MonoNs) -> impl Iterator<Item = ClientRecord> + '_ {
        (0..self.slots()).filter_map(move |slot| self.at(slot, now))
    }

    /// What is known of an address, or of those that share its record.
    #[must_use]
    pub fn lookup(&self, address: IpAddr, now: MonoNs) -> Option<ClientRecord> {
        let key = self.requests.key(address);
        let requests = self.requests.find(key);
        let commands = self.commands.find(key);
        let record = requests.or(commands)?;
        let client = self.join(&record, now);
        if requests.is_none() {
            return Some(ClientRecord { requests: Activity::default(), ..client });
        }
        Some(client)
    }

    /// Starts the counts of the client in a slot over. What it owes to the limit stays.
    pub fn reset(&self, slot: usize) {
        let table = if slot < self.requests.slots() { &self.requests } else { &self.commands };
        let slot = slot.checked_sub(self.requests.slots()).unwrap_or(slot);
        if let Some((set, way)) = table.slot(slot) {
            let Record { state, counts, .. } = set.record(way);
            write_state(&set.first, way, state.all_counted());
            write_counts(&set.second, way, Counts { hits: 0, drops: 0, ..counts });
        }
    }

    /// Clients that there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.requests.slots()
    }

    /// Memory of the tables, octets.
    #[must_use]
    pub fn octets(&self) -> usize {
        size_of_val(self.requests.words()) + size_of_val(self.commands.words())
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> ClientRules {
        self.requests.rules()
    }

    fn join(&self, record: &Record, now: MonoNs) -> ClientRecord {
        let rules = self.requests.rules();
        let key = ClientKey::from_bits(record.key);
        let commands = key.and_then(|key| self.commands.find(key));
        let (address, prefix_len) = match key.map(ClientKey::prefix) {
            Some(ClientPrefix::V4(bits)) => {
                (Ipv4Addr::from_bits(bits).into(), rules.v4_mask.count_ones())
            }
            Some(ClientPrefix::V6(high)) => {
                (Ipv6Addr::from_bits(u128::from(high) << 64).into(), rules.v6_mask.count_ones())
            }
            None => (Ipv4Addr::UNSPECIFIED.into(), 0),
        };
        ClientRecord {
            address,
            prefix_len,
            requests: Activity::of(record, now),
            commands: commands.map_or_else(Activity::default, |record| Activity::of(&record, now)),
        }
    }
}

/// Sets of records.
#[derive(Debug)]
struct Table {
    rules: [AtomicU64; RULES_WORDS],
    /// Of use as long as there is no map.
    heap: Box<[AtomicU64]>,
    mapped: OnceLock<MappedClients>,
}

fn stored(rules: ClientRules) -> [AtomicU64; RULES_WORDS] {
    rules.to_words().map(AtomicU64::new)
}

/// A cache line of a table.
#[derive(Clone, Copy)]
struct LiveLine<'a>(&'a [AtomicU64; LINE_WORDS]);

impl Line for LiveLine<'_> {
    fn read(&self, word: usize) -> u64 {
        self.0[word].load(Ordering::Relaxed)
    }

    fn write(&self, word: usize, value: u64) {
        self.0[word].store(value, Ordering::Relaxed);
    }
}

/// A set of records.
struct Set<'a> {
    first: LiveLine<'a>,
    second: LiveLine<'a>,
}

impl Set<'_> {
    fn record(&self, way: usize) -> Record {
        record(&self.first, &self.second, way)
    }
}

impl Table {
    fn on_heap(rules: ClientRules) -> Self {
        let len = (rules.sets * SET_LINES) as usize * LINE_WORDS;
        let heap = (0..len).map(|_| AtomicU64::new(0)).collect();
        Self { rules: stored(rules), heap, mapped: OnceLock::new() }
    }

    fn words(&self) -> &[AtomicU64] {
        self.mapped.get().map_or(&self.heap, MappedClients::words)
    }

    fn rules(&self) -> ClientRules {
        ClientRules::from_words(&std::array::from_fn(|word| {
            self.rules[word].load(Ordering::Relaxed)
        }))
    }

    fn change_rules(&self, wanted: &ClientRules) -> ClientRules {
        let ClientRules { sets, multiplier, seed, .. } = self.rules();
        let rules = ClientRules { sets, multiplier, seed, ..*wanted };
        for (word, new) in self.rules.iter().zip(rules.to_words()) {
            word.store(new, Ordering::Relaxed);
        }
        rules
    }

    fn slots(&self) -> usize {
        self.sets() * WAYS
    }

    fn sets(&self) -> usize {
        self.words().len() / (SET_LINES as usize * LINE_WORDS)
    }

    fn key(&self, client: IpAddr) -> ClientKey {
        let rules = self.rules();
        match client {
            IpAddr::V4(address) => ClientKey::of_v4(address.to_bits(), rules.v4_mask),
            IpAddr::V6(address) => {
                let high = (address.to_bits() >> 64) as u64;
                ClientKey::of_v6(high, rules.v6_mask)
            }
        }
    }

    fn set(&self, index: usize) -> Option<Set<'_>> {
        let (lines, _) = self.words().as_chunks::<LINE_WORDS>();
        let (first, second) = lines.split_at_checked(self.sets())?;
        Some(Set { first: LiveLine(first.get(index)?), second: LiveLine(second.get(index)?) })
    }

    fn charge(&self, client: IpAddr, now: MonoNs) -> Verdict {
        let rules = self.rules();
        let key = self.key(client);
        let hash = rules.hash(key);
        let Some(set) = self.set(rules.set_of(hash) as usize) else { return Verdict::Answer };
        if charge_in_haste(&set.first, &rules, (key, hash), now, Haste::WhenOften) {
            return Verdict::Answer;
        }
        charge(&set.first, &set.second, &rules, (key, hash), now)
    }

    fn find(&self, key: ClientKey) -> Option<Record> {
        let rules = self.rules();
        let set = self.set(rules.set_of(rules.hash(key)) as usize)?;
        rules.find(&keys(&set.first), key).map(|way| set.record(way))
    }

    /// The record in a slot, if there is one.
    fn record(&self, slot: usize) -> Option<Record> {
        let (set, way) = self.slot(slot)?;
        let record = set.record(way);
        (record.key != 0).then_some(record)
    }

    /// Where a slot is.
    fn slot(&self, slot: usize) -> Option<(Set<'_>, usize)> {
        Some((self.set(slot / WAYS)?, slot % WAYS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntp_common::ratelimit::Limit;
    use ntp_common::time::NANOS_PER_SECOND;

    const LIMIT: Limit = Limit { interval_log2: 3, burst: 4, leak_log2: 2, kod_log2: 0 };

    fn clients() -> Arc<Clients> {
        Clients::on_heap(ClientRules::new(64, [0x1234_5678_9abc_def1, 7]).with_limit(LIMIT))
    }

    fn at(seconds: u64) -> MonoNs {
        MonoNs(seconds * NANOS_PER_SECOND)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn rules_are_changed_and_records_stay_where_they_are() {
        let (clients, client) = (clients(), address("192.0.2.1"));
        let ask =
            || (0..40).filter(|_| clients.request(client, at(1000)) == Verdict::Answer).count();
        assert_eq!(ask(), 4);
        let unlimited = ClientRules::new(9, [11, 12]);
        let in_force = clients.change_rules(&unlimited);
        assert_eq!((in_force.sets, in_force.seed, in_force.interval), (64, 7, 0));
        assert_eq!(ask(), 40);
        assert_eq!(clients.lookup(client, at(1000)).unwrap().requests.hits, 80);
        // Neighbours share a record from now on, as those who send commands do.
        clients.change_rules(&unlimited.with_prefixes(24, 64));
        let _ = clients.request(address("192.0.2.7"), at(1001));
        clients.command(client, at(1001));
        let record = clients.lookup(address("192.0.2.200"), at(1001)).unwrap();
        assert_eq!((record.prefix_len, record.requests.hits, record.commands.hits), (24, 1, 1));
    }

    #[test]
    fn client_is_found_by_address_and_in_the_list() {
        let clients = clients();
        for second in 0..20 {
            let _ = clients.request(address("192.0.2.1"), at(1000 + 2 * second));
        }
        clients.command(address("192.0.2.1"), at(1000));
        let record = clients.lookup(address("192.0.2.1"), at(1048)).unwrap();
        assert_eq!((record.address, record.prefix_len), (address("192.0.2.1"), 32));
        assert_eq!((record.requests.hits, record.requests.interval_log2), (20, Some(1)));
        assert!((3..=16).contains(&record.requests.drops), "{}", record.requests.drops);
        let idle = record.requests.since_last.unwrap();
        assert!(idle.abs_diff(Duration::from_secs(10)) < Duration::from_millis(3), "{idle:?}");
        assert_eq!((record.commands.hits, record.commands.interval_log2), (1, None));
        assert_eq!(clients.iter(at(1048)).collect::<Vec<_>>(), [record]);
        assert_eq!(clients.lookup(address("192.0.2.2"), at(1048)), None);
    }

    #[test]
    fn addresses_of_an_ipv6_network_share_a_record() {
        let clients = clients();
        for host in ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "::1"] {
            let _ = clients.request(address(host), at(1));
        }
        let mut hits: Vec<_> =
            clients.iter(at(1)).map(|record| (record.address, record.requests.hits)).collect();
        hits.sort();
        let expected = [("::", 1), ("2001:db8::", 2), ("2001:db8:0:1::", 1)];
        assert_eq!(hits, expected.map(|(text, hits)| (address(text), hits)));
        assert_eq!(clients.lookup(address("2001:db8::77"), at(1)).unwrap().prefix_len, 64);
    }

    #[test]
    fn who_sends_commands_alone_is_listed_once() {
        let clients = clients();
        clients.command(address("127.0.0.1"), at(5));
        let listed: Vec<_> = clients.iter(at(7)).collect();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].requests, Activity::default());
        assert_eq!(listed[0].commands.hits, 1);
        assert_eq!(clients.lookup(address("127.0.0.1"), at(7)), Some(listed[0]));
        let _ = clients.request(address("127.0.0.1"), at(8));
        assert_eq!(clients.iter(at(8)).count(), 1);
    }

    #[test]
    fn counts_start_over_and_debts_stay() {
        let clients = clients();
        let client = address("192.0.2.1");
        while clients.request(client, at(1)) == Verdict::Answer {}
        let slot = (0..clients.slots()).find(|&slot| clients.at(slot, at(1)).is_some()).unwrap();
        clients.reset(slot);
        let requests = clients.at(slot, at(1)).unwrap().requests;
        assert_eq!((requests.hits, requests.drops), (0, 0));
        assert_ne!(clients.request(client, at(1)), Verdict::Answer);
    }

    #[test]
    fn without_a_table_everybody_is_answered_and_nobody_known() {
        let clients = Clients::on_heap(ClientRules::OFF);
        clients.command(address("192.0.2.1"), at(1));
        for _ in 0..100 {
            assert_eq!(clients.request(address("192.0.2.1"), at(1)), Verdict::Answer);
        }
        assert_eq!((clients.slots(), clients.octets(), clients.iter(at(1)).count()), (0, 0, 0));
    }

    #[test]
    fn default_memory_holds_16_thousand_clients() {
        let clients = Clients::on_heap(ClientRules::new(sets_in(524_288), [1, 1]));
        assert_eq!(clients.capacity(), 16_384);
        assert_eq!(clients.octets(), 524_288 + 64 * 128);
    }

    #[test]
    fn intervals_are_rounded_to_the_nearest_power() {
        for (seconds, expected) in [(1, 0), (64, 6), (90, 6), (91, 7), (1024, 10)] {
            let interval = u32::try_from((seconds * NANOS_PER_SECOND) >> 16).unwrap();
            assert_eq!(interval_log2(interval), expected, "{seconds} s");
        }
        assert_eq!(interval_log2(0), -14);
    }
}
