//! What a flood of requests from invented addresses does to real clients: a simulation of the table of
//! clients that both paths use, at the rate and with the memory of the default configuration.

use std::cell::Cell;

use ntp_common::clients::{ClientKey, LINE_WORDS, Line, charge};
use ntp_common::ratelimit::{ClientRules, Limit, Verdict};
use ntp_common::time::{MonoNs, NANOS_PER_SECOND};

/// Sets of the default `clientloglimit`.
const SETS: u32 = 4096;
/// Requests of the flood, a second.
const FLOOD: u64 = 1_000_000;
/// How long it lasts, seconds.
const SECONDS: u64 = 10;
/// One answer a second in the long run, eight at once.
const LIMIT: Limit = Limit { interval_log2: 0, burst: 8, leak_log2: 2, kod_log2: 0 };

struct Table {
    rules: ClientRules,
    sets: Vec<Set>,
}

#[derive(Clone, Default)]
struct Cells([Cell<u64>; LINE_WORDS]);

impl Line for &Cells {
    fn read(&self, word: usize) -> u64 {
        self.0[word].get()
    }

    fn write(&self, word: usize, value: u64) {
        self.0[word].set(value);
    }
}

#[derive(Clone, Default)]
struct Set(Cells, Cells);

impl Table {
    fn new() -> Self {
        let secret = [0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b];
        Self {
            rules: ClientRules::new(SETS, secret).with_limit(LIMIT),
            sets: vec![Set::default(); SETS as usize],
        }
    }

    fn ask(&self, address: u32, now: MonoNs) -> Verdict {
        let key = ClientKey::of_v4(address, u32::MAX);
        let hash = self.rules.hash(key);
        let Set(first, second) = &self.sets[self.rules.set_of(hash) as usize];
        charge(&first, &second, &self.rules, (key, hash), now)
    }
}

/// Clients that ask at a fixed rate, and what became of their requests.
struct Group {
    first: u32,
    clients: u32,
    every_ns: u64,
    asked: u64,
    answered: u64,
    leaked: u64,
}

impl Group {
    fn new(first: u32, clients: u32, per_second: u64) -> Self {
        let every_ns = NANOS_PER_SECOND / per_second;
        Self { first, clients, every_ns, asked: 0, answered: 0, leaked: 0 }
    }

    /// Sends what is due between two instants; clients take turns.
    fn run(&mut self, table: &Table, from: u64, to: u64) {
        let gap = self.every_ns / u64::from(self.clients);
        let mut turn = from.div_ceil(gap);
        while turn * gap < to {
            let client = self.first + u32::try_from(turn % u64::from(self.clients)).expect("small");
            match table.ask(client, MonoNs(turn * gap)) {
                Verdict::Answer => self.answered += 1,
                Verdict::Leak => self.leaked += 1,
                Verdict::Kiss | Verdict::Drop => {}
            }
            self.asked += 1;
            turn += 1;
        }
    }
}

/// Vigna's `SplitMix64`.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Runs groups of clients beside a flood that asks from random addresses, each `repeats` times in a row.
fn run(groups: &mut [Group], repeats: u64) {
    let table = Table::new();
    let mut state = 1;
    let gap = NANOS_PER_SECOND / FLOOD;
    let mut address = 0;
    for index in 0..FLOOD * SECONDS {
        // Long after the start: no due time lies before it.
        let now = 1000 * NANOS_PER_SECOND + index * gap;
        if index % repeats == 0 {
            // Nobody of the groups is in the upper half.
            address = 1 << 31 | u32::try_from(random(&mut state) >> 33).expect("31 bits");
        }
        table.ask(address, MonoNs(now));
        for group in &mut *groups {
            group.run(&table, now, now + gap);
        }
    }
}

/// Share of the requests over the limit that were answered beside those that leak, in percent.
fn let_through(group: &Group) -> u64 {
    let limit = u64::from(group.clients) * (u64::from(LIMIT.burst) + SECONDS);
    100 * group.answered.saturating_sub(limit) / (group.asked - limit)
}

#[test]
fn floods_of_invented_addresses_shut_no_honest_client_out() {
    for repeats in [1, 2, 10] {
        let mut honest = [Group::new(1, 1000, 1)];
        run(&mut honest, repeats);
        let [Group { asked, answered, .. }] = honest;
        println!(
            "flood of {repeats} requests an address: {answered} of {asked} honest ones answered"
        );
        assert!(asked >= 1000 * SECONDS && answered * 1000 >= asked * 999);
    }
}

/// Without [`ntp_common::clients::RELUCTANCE`] all requests of those who ask 8 or 16 times a second would be
/// answered, as their records would not last until they come back.
#[test]
fn floods_do_not_free_those_who_ask_too_often() {
    for (per_second, most_percent) in [(8, 30), (16, 10), (32, 4), (1000, 1)] {
        let mut greedy = [Group::new(1, 100, per_second)];
        run(&mut greedy, 1);
        let percent = let_through(&greedy[0]);
        println!("{per_second} requests a second: {percent} % of those over the limit answered");
        assert!(percent <= most_percent, "{per_second} a second: {percent} %");
    }
}
