//! What `bench prog` measures: reference programs, and ours as sites of different sizes would run it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use ntp_common::ratelimit::{ClientRules, Limit};
use ntp_user::serving::clients::sets_in;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

use crate::BASELINE;
use crate::again::sender;
use crate::frame::Frame;
use crate::world::{Server, running};

/// Clients that take turns where there is a frame for each.
const CLIENTS: usize = 1024;
/// Memory for the record of clients: the default, and as much as a million clients are given.
const DEFAULT_MEMORY: u64 = 524_288;
const MILLION_MEMORY: u64 = 48 << 20;
/// A limit that clients which take turns at full speed stay below.
const LIMIT: Limit = Limit { interval_log2: -19, burst: 255, leak_log2: 2, kod_log2: 0 };

/// A program on the requests of clients.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) wrapper: &'static str,
    pub(crate) requests: Requests,
    pub(crate) program: Measured,
}

pub(crate) enum Measured {
    Reference(&'static str),
    Server(Box<Server>),
}

/// Requests that take turns.
pub(crate) enum Requests {
    /// Whole frames.
    Frames(Vec<Vec<u8>>),
    /// IPv4 frames that differ in the source address and checksums, one word a client: see [`sender`].
    Many(Vec<u64>),
}

/// All subjects.
pub(crate) fn subjects() -> Result<Vec<Subject>> {
    let mut random = ChaCha12Rng::seed_from_u64(1);
    let plain: Vec<u32> = (0..CLIENTS).map(|_| random.random()).collect();
    let v4 = frames(&Frame::v4(), &plain);
    let reference = |name| Subject {
        name,
        wrapper: "again_v4",
        requests: Requests::Frames(v4.clone()),
        program: Measured::Reference(name),
    };
    let mut subjects = vec![reference("empty"), reference("reflect"), reference(BASELINE)];
    let vlan = Frame::v4().with(|frame| frame.vlans = vec![(0x8100, 5)]);
    for (name, wrapper, frames) in [
        ("answer_v4", "again_v4", v4.clone()),
        ("answer_v6", "again_v6", frames(&Frame::v6(), &plain)),
        ("answer_vlan", "again_vlan", frames(&vlan, &plain)),
    ] {
        let program = Measured::Server(Box::new(server(ClientRules::OFF)?));
        subjects.push(Subject { name, wrapper, requests: Requests::Frames(frames), program });
    }
    for (name, count) in [("answer_v4_acl100", 100), ("answer_v4_acl10k", 10_000)] {
        let rules = prefixes(&mut random, count);
        let mut server = server(ClientRules::OFF)?;
        allow(&mut server, &rules)?;
        let clients = clients_of(&mut random, &rules, CLIENTS);
        subjects.push(Subject {
            name,
            wrapper: "again_v4",
            requests: Requests::Frames(frames(&Frame::v4(), &clients)),
            program: Measured::Server(Box::new(server)),
        });
    }
    subjects.push(access_v6(&mut random, "answer_v6_acl10k", 10_000)?);
    for (name, clients, prefixes, memory) in [
        ("answer_v4_full_10k", 10_000, 0, DEFAULT_MEMORY),
        ("answer_v4_full_acl100", 10_000, 100, DEFAULT_MEMORY),
        ("answer_v4_full_acl10k", 10_000, 10_000, DEFAULT_MEMORY),
        ("answer_v4_full_1m", 1_000_000, 0, MILLION_MEMORY),
    ] {
        subjects.push(full(&mut random, name, clients, prefixes, memory)?);
    }
    Ok(subjects)
}

/// The program with access rules for IPv6.
fn access_v6(random: &mut impl Rng, name: &'static str, count: usize) -> Result<Subject> {
    let rules = prefixes_v6(random, count);
    let mut server = server(ClientRules::OFF)?;
    allow(&mut server, &rules)?;
    let frames = (0..CLIENTS).map(|_| {
        let network = rules[random.random_range(0..rules.len())];
        let host = random.random::<u128>() & network.hostmask().to_bits();
        let source = Ipv6Addr::from_bits(network.network().to_bits() | host);
        Frame::v6().with(|frame| frame.source = source.into()).octets()
    });
    let requests = Requests::Frames(frames.collect());
    Ok(Subject { name, wrapper: "again_v6", requests, program: Measured::Server(Box::new(server)) })
}

/// The program with everything on: access rules, limit, record of clients.
fn full(
    random: &mut impl Rng,
    name: &'static str,
    count: usize,
    rules: usize,
    memory: u64,
) -> Result<Subject> {
    let mut server = server(ClientRules::new(sets_in(memory), random.random()).with_limit(LIMIT))?;
    let clients = if rules == 0 {
        (0..count).map(|_| random.random()).collect()
    } else {
        let rules = prefixes(random, rules);
        allow(&mut server, &rules)?;
        clients_of(random, &rules, count)
    };
    let senders = clients.into_iter().map(sender).collect();
    let program = Measured::Server(Box::new(server));
    Ok(Subject { name, wrapper: "again_many", requests: Requests::Many(senders), program })
}

fn server(rules: ClientRules) -> Result<Server> {
    let mut server = Server::load_with(rules)?;
    server.page.publish(&running());
    Ok(server)
}

fn allow<N: Copy + Into<IpNet>>(server: &mut Server, rules: &[N]) -> Result<()> {
    let text: Vec<String> = rules.iter().map(|&network| network.into().to_string()).collect();
    let rules: Vec<(&str, bool)> = text.iter().map(|rule| (rule.as_str(), true)).collect();
    server.allow(&rules)
}

/// Prefixes as a large site has them: half of them of 24 bits, others shorter and longer.
fn prefixes(random: &mut impl Rng, count: usize) -> Vec<Ipv4Net> {
    let lengths = [16, 20, 22, 24, 24, 24, 24, 28, 32];
    let mut prefix = || {
        let len = lengths[random.random_range(0..lengths.len())];
        Ipv4Net::new_assert(Ipv4Addr::from_bits(random.random()), len).trunc()
    };
    (0..count).map(|_| prefix()).collect()
}

/// Prefixes of providers, sites and hosts in the parts of the address space that registries assign from.
fn prefixes_v6(random: &mut impl Rng, count: usize) -> Vec<Ipv6Net> {
    let (parts, lengths) =
        ([0x2001, 0x2400, 0x2600, 0x2a00], [32, 40, 44, 48, 48, 48, 56, 64, 128]);
    let mut prefix = || {
        let part: u128 = parts[random.random_range(0..parts.len())];
        let len = lengths[random.random_range(0..lengths.len())];
        let address = Ipv6Addr::from_bits(part << 112 | random.random::<u128>() >> 16);
        Ipv6Net::new_assert(address, len).trunc()
    };
    (0..count).map(|_| prefix()).collect()
}

/// Addresses within the prefixes: all are answered, so that all runs do the same work.
fn clients_of(random: &mut impl Rng, prefixes: &[Ipv4Net], count: usize) -> Vec<u32> {
    (0..count)
        .map(|_| {
            let network = prefixes[random.random_range(0..prefixes.len())];
            let host = random.random::<u32>() & network.hostmask().to_bits();
            network.network().to_bits() | host
        })
        .collect()
}

/// A request from each client: in IPv6, the client's number is the end of its address.
fn frames(template: &Frame, clients: &[u32]) -> Vec<Vec<u8>> {
    let with_client = |&client: &u32| {
        let mut frame = template.clone();
        frame.source = match frame.source {
            IpAddr::V4(_) => Ipv4Addr::from_bits(client).into(),
            IpAddr::V6(address) => {
                Ipv6Addr::from_bits(address.to_bits() | u128::from(client)).into()
            }
        };
        frame.octets()
    };
    clients.iter().map(with_client).collect()
}
