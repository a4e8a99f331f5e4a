//! Access rules as they change at run time: the program, the list of the user path and a list that is gone through
//! from end to end judge every address alike.

use std::net::{IpAddr, Ipv6Addr};

use anyhow::{Result, ensure};
use ipnet::IpNet;
use ntp_common::counters::Reason;
use ntp_user::access::AccessRules;
use ntp_user::serving::access_list::AccessList;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

use crate::frame::Frame;
use crate::identity::action;
use crate::world::{Server, frozen};

const SEED: u64 = 0x6163_6373;

/// Changes, and addresses that are looked up after each: a million.
const CHANGES: usize = 500;
const ADDRESSES: usize = 2_000;

/// Prefix lengths at and beside the borders of whatever tables are made of.
const PREFIXES_V4: [u8; 15] = [0, 1, 7, 8, 9, 15, 16, 17, 20, 23, 24, 25, 30, 31, 32];
const PREFIXES_V6: [u8; 13] = [0, 1, 16, 31, 32, 33, 48, 63, 64, 65, 96, 127, 128];

/// Rules in the order in which they were given.
#[derive(Default)]
struct Model(Vec<(IpNet, bool)>);

impl Model {
    /// A rule replaces the earlier one for its network and, with `all`, those for parts of it.
    fn add(&mut self, network: IpNet, allow: bool, all: bool) {
        self.0.retain(|(part, _)| *part != network && !(all && network.contains(part)));
        self.0.push((network, allow));
    }

    /// The most specific rule decides; without one the address is denied.
    fn allows(&self, address: IpAddr) -> bool {
        let about = self.0.iter().filter(|(network, _)| network.contains(&address));
        about.max_by_key(|(network, _)| network.prefix_len()).is_some_and(|&(_, allow)| allow)
    }
}

/// An address of few bits, so that rules and addresses meet.
fn near(random: &mut ChaCha12Rng) -> IpAddr {
    let bits: u32 = random.random();
    if random.random() {
        return IpAddr::from((0x0a00_0000 | bits & 0x8103_1303).to_be_bytes());
    }
    let half = |bits: u32| u128::from(bits & 0x0101) << 48 | u128::from(bits >> 16 & 0x0101);
    let high = 0x2001_0db8_0000_0000 ^ half(bits);
    Ipv6Addr::from_bits(high << 64 | half(bits >> 1)).into()
}

fn address(random: &mut ChaCha12Rng) -> IpAddr {
    match random.random_range(0..8) {
        0 => IpAddr::from(random.random::<u32>().to_be_bytes()),
        1 => Ipv6Addr::from_bits(random.random()).into(),
        _ => near(random),
    }
}

fn network(random: &mut ChaCha12Rng) -> Result<IpNet> {
    let address = near(random);
    let prefix = match address {
        IpAddr::V4(_) => PREFIXES_V4[random.random_range(0..PREFIXES_V4.len())],
        IpAddr::V6(_) => PREFIXES_V6[random.random_range(0..PREFIXES_V6.len())],
    };
    Ok(IpNet::new(address, prefix)?.trunc())
}

pub(crate) fn changing() -> Result<()> {
    let mut random = ChaCha12Rng::seed_from_u64(SEED);
    let mut server = Server::load()?;
    server.page.publish(&frozen());
    let (mut rules, mut model) = (AccessRules::default(), Model::default());
    let mut tally = [0usize; 2];
    for change in 0..CHANGES {
        let network = network(&mut random)?;
        let allow = random.random();
        // One rule for all of many others would leave little to look up.
        let all = random.random_range(0..4) == 0 && network.prefix_len() > 8;
        rules.lay(network, allow, all);
        model.add(network, allow, all);
        let list = AccessList::compile(&rules)?;
        server.put(&rules)?;
        for _ in 0..ADDRESSES {
            let address = address(&mut random);
            let expected = model.allows(address);
            let frame = if address.is_ipv4() { Frame::v4() } else { Frame::v6() };
            let frame = frame.with(|frame| frame.source = address).octets();
            let fate = (!expected).then_some(Reason::AccessDenied);
            let done = server.run(&frame)?.action;
            ensure!(done == action(fate), "XDP: {address} after {change} changes, {fate:?}");
            let listed = list.allows(address);
            ensure!(listed == expected, "user path: {address} after {change} changes, {fate:?}");
            tally[usize::from(expected)] += 1;
        }
    }
    let [denied, allowed] = tally;
    println!("{denied} denied, {allowed} allowed, of both paths and the model alike");
    ensure!(denied.min(allowed) > CHANGES * ADDRESSES / 5, "too few of a kind");
    Ok(())
}
