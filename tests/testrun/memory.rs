//! Memory for a million clients: fixed from the start, as much as the program states, and little.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use aya::maps::MapInfo;
use aya::programs::ProgramInfo;
use ntp_common::ratelimit::{ClientRules, Limit};
use ntp_common::time::MonoNs;
use ntp_user::serving::clients::sets_in;

use crate::again::{Again, sender};
use crate::kernel::{field, info_of, monotonic_ns};
use crate::world::{Server, running};

/// `clientloglimit` for a million clients, octets: with half as many records more, 93 % of clients at any addresses have one (with
/// 36 MiB, 86 %).
const CLIENT_LOG_LIMIT: u64 = 48 << 20;

/// What all maps may take, octets: the daemon's own memory, some 4 MiB, and they are to be 64 MiB together at most, which an
/// end-to-end test holds.
const MOST: usize = 56 << 20;

const LIMIT: Limit = Limit { interval_log2: 3, burst: 8, leak_log2: 2, kod_log2: 0 };

const SECRET: [u64; 2] = [0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b];

/// Clients that ask.
const ASKING: u32 = 100_000;

pub(crate) fn million_clients() -> Result<()> {
    let rules = ClientRules::new(sets_in(CLIENT_LOG_LIMIT), SECRET);
    let mut server = Server::load_with(rules.with_limit(LIMIT))?;
    ensure!(server.clients.capacity() >= 1_000_000, "room for {}", server.clients.capacity());
    let stamped = server.stamped(0, None)?;
    let programs = [server.info()?, info_of(&stamped)?];
    let before = accounted(&programs)?;
    println!("{before} octets for {} clients", server.clients.capacity());
    ensure!(server.octets() == before, "stated are {}, not {before}", server.octets());
    ensure!(before > sets_in(CLIENT_LOG_LIMIT) as usize * 128, "the records are not in {before}");
    ensure!(server.octets() <= MOST, "{} octets", server.octets());

    server.page.publish(&running());
    let mut again = Again::load()?;
    let senders: Vec<u64> = (0..ASKING).map(|number| sender(0x0a00_0001 + number)).collect();
    let frame = again.set_senders(&senders)?;
    again.set_measured(&server.descriptor()?)?;
    again.run("again_many", &frame, ASKING)?;
    let known = server.clients.iter(MonoNs(monotonic_ns())).count();
    println!("{known} of {ASKING} clients are known");
    ensure!(known * 100 >= ASKING as usize * 99, "{known} of {ASKING} clients are known");
    let after = accounted(&programs)?;
    ensure!(after == before, "{after} octets with clients, {before} without");
    Ok(())
}

/// The kernel's account of all maps that programs use, octets: the one that answers, and the one of the same object that
/// reads hardware timestamps, which shares all maps but its own with it.
fn accounted(programs: &[ProgramInfo]) -> Result<usize> {
    let mut maps = BTreeSet::new();
    for program in programs {
        maps.extend(program.map_ids()?.context("a program has no maps")?);
    }
    ensure!(maps.len() >= 5, "{} maps", maps.len());
    maps.into_iter().map(|map| field::<usize>(MapInfo::from_id(map)?.fd()?, "memlock:")).sum()
}
