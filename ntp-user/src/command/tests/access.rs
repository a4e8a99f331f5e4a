//! `accheck` and its like against a list of rules that is gone through from its beginning to its end.

use std::net::IpAddr;

use ipnet::IpNet;
use ntp_engine::candm::Status;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::desk::Desk;

/// Rules that are given one after the other, and addresses that are looked up after each; both tables: a million.
const RULES: usize = 500;
const ADDRESSES: usize = 1_000;

/// A rule as whoever wrote it thinks of it.
struct Rule {
    network: IpNet,
    allow: bool,
}

/// Rules in the order in which they were given; of two about one network the later counts.
#[derive(Default)]
struct Model(Vec<Rule>);

impl Model {
    fn add(&mut self, network: IpNet, allow: bool, all: bool) {
        self.0.retain(|rule| rule.network != network && !(all && network.contains(&rule.network)));
        self.0.push(Rule { network, allow });
    }

    fn allows(&self, address: IpAddr) -> bool {
        let about = self.0.iter().filter(|rule| rule.network.contains(&address));
        about.max_by_key(|rule| rule.network.prefix_len()).is_some_and(|rule| rule.allow)
    }
}

/// One of few networks, so that they meet: of each family, and the whole family.
fn network(random: &mut StdRng) -> IpNet {
    let bits: u32 = random.random();
    if random.random() {
        let prefix = [0, 1, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32];
        let prefix = prefix[random.random_range(0..prefix.len())];
        let address = IpAddr::from((0x0a00_0000 | bits & 0x8003_0303).to_be_bytes());
        IpNet::new(address, prefix).unwrap().trunc()
    } else {
        let prefix = [0, 1, 16, 31, 32, 33, 63, 64, 65, 96, 127, 128];
        let prefix = prefix[random.random_range(0..prefix.len())];
        IpNet::new(v6(bits), prefix).unwrap().trunc()
    }
}

fn v6(bits: u32) -> IpAddr {
    let half = |bits: u32| u64::from(bits & 0x0101) << 48 | u64::from(bits >> 16 & 0x0101);
    let (high, low) = (0x2001_0db8_0000_0000 ^ half(bits), half(bits >> 1));
    std::net::Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).into()
}

fn address(random: &mut StdRng) -> IpAddr {
    let bits: u32 = random.random();
    match random.random_range(0..8) {
        0 => IpAddr::from(bits.to_be_bytes()),
        1..=4 => IpAddr::from((0x0a00_0000 | bits & 0x8003_0303).to_be_bytes()),
        _ => v6(bits),
    }
}

/// A command about an address.
fn command(number: u16, address: IpAddr, bits: u8) -> Vec<u8> {
    let mut packet = vec![6, 1, 0, 0];
    packet.extend(number.to_be_bytes());
    packet.resize(20, 0);
    let (octets, family) = match address {
        IpAddr::V4(address) => (address.octets().to_vec(), 1),
        IpAddr::V6(address) => (address.octets().to_vec(), 2),
    };
    packet.extend(octets);
    packet.resize(36, 0);
    packet.extend([0, family, 0, 0, 0, 0, 0, bits]);
    packet
}

fn status(reply: Option<Vec<u8>>) -> u16 {
    let reply = reply.unwrap();
    u16::from_be_bytes([reply[8], reply[9]])
}

/// The numbers of `allow`, `allow all`, `deny`, `deny all`, and of the question.
fn check(commands: [u16; 4], question: u16) -> [u32; 2] {
    let mut random = StdRng::seed_from_u64(question.into());
    let (mut desk, mut model) = (Desk::new(""), Model::default());
    let mut tally = [0; 2];
    for index in 0..RULES {
        let (network, which) = (network(&mut random), random.random_range(0..4));
        // Else one rule for all would leave little to look up.
        let all = which % 2 == 1 && network.prefix_len() > 8;
        let which = which & !1 | usize::from(all);
        let given = command(commands[which], network.network(), network.prefix_len());
        assert_eq!(status(desk.answer(&given)), Status::Success as u16);
        model.add(network, which < 2, all);
        for _ in 0..ADDRESSES {
            let address = address(&mut random);
            let told = status(desk.answer(&command(question, address, 0)));
            let expected = model.allows(address);
            tally[usize::from(expected)] += 1;
            let expected = if expected { Status::AccessAllowed } else { Status::AccessDenied };
            assert_eq!(told, expected as u16, "{address} after {} rules", index + 1);
        }
    }
    tally
}

#[test]
fn half_a_million_addresses_are_judged_as_by_a_list_of_rules_while_rules_change_of_each_kind() {
    for (commands, question) in [([17, 18, 19, 20], 25), ([21, 22, 23, 24], 26)] {
        let [denied, allowed] = check(commands, question);
        let least = u32::try_from(RULES * ADDRESSES / 5).unwrap();
        assert!(denied > least && allowed > least, "{denied} denied, {allowed} allowed");
    }
}
