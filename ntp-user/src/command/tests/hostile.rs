//! Packets of all kinds: answered by the rules or not at all, never with more octets than they have.

use std::net::IpAddr;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::captured;
use super::desk::Desk;

/// A configuration with something of everything that commands are about.
const DIRECTIVES: &str = "server 192.0.2.1\nserver 2001:db8::1 offline\nlocal\nallow 192.0.2.0/24\n\
    smoothtime 400 0.01 leaponly\ncmdallow 198.51.100.0/24\nopencommands serverstats clients\n";

/// What must hold of any packet's answer.
fn check(packet: &[u8], reply: Option<Vec<u8>>) -> Result<(), TestCaseError> {
    let Some(reply) = reply else { return Ok(()) };
    prop_assert!(reply.len() <= packet.len(), "{} octets for {}", reply.len(), packet.len());
    prop_assert!(reply.len() >= 28 && reply[..4] == [6, 2, 0, 0]);
    // The command and the sequence number are the request's.
    prop_assert_eq!(&reply[4..6], &packet[4..6]);
    prop_assert_eq!(&reply[16..20], &packet[8..12]);
    Ok(())
}

/// Whether a source is to be added whose name would have to be resolved, by whoever resolves names here.
fn names_a_host(packet: &[u8]) -> bool {
    let is_addition = packet.get(4..6) == Some(&[0, 64]);
    let name = packet.get(24..).unwrap_or_default().split(|&octet| octet == 0).next();
    let address = name.and_then(|name| str::from_utf8(name).ok()?.parse::<IpAddr>().ok());
    is_addition && address.is_none()
}

/// Hands packets to one daemon, by the socket and over the network, twice each: what is replayed is
/// carried out again, and answered again.
fn hand_over(packets: impl Strategy<Value = Vec<u8>>, cases: u32) {
    let desk = std::cell::RefCell::new(Desk::new(DIRECTIVES));
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&packets, |packet| {
        prop_assume!(!names_a_host(&packet));
        let mut desk = desk.borrow_mut();
        for _ in 0..2 {
            check(&packet, desk.answer(&packet))?;
        }
        for from in ["127.0.0.1", "198.51.100.7", "203.0.113.9"] {
            let from: IpAddr = from.parse().unwrap();
            check(&packet, desk.answer_network(from, &packet))?;
        }
        Ok(())
    });
    outcome.unwrap();
    // And it goes on working.
    let tracking = captured::requests().into_iter().find(|it| it.command == "tracking").unwrap();
    assert_eq!(desk.into_inner().answer(&tracking.octets).unwrap().len(), 104);
}

#[test]
fn no_octets_panic_or_are_answered_with_more() {
    hand_over(prop::collection::vec(any::<u8>(), 0..900), 2_000);
}

#[test]
fn no_body_behind_a_right_header_is_answered_with_more_octets() {
    let body = prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..600);
    let packets = (0u16..80, body).prop_map(|(number, body)| {
        let mut packet = vec![6, 1, 0, 0];
        packet.extend(number.to_be_bytes());
        packet.extend([0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend(body);
        packet
    });
    hand_over(packets, 4_000);
}

#[test]
fn no_request_of_chronyc_with_wrong_octets_cut_or_lengthened_is_answered_with_more() {
    let requests: Vec<Vec<u8>> = captured::requests().into_iter().map(|it| it.octets).collect();
    let wrong = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let packets = (prop::sample::select(requests), wrong, 0usize..900, any::<bool>()).prop_map(
        |(mut packet, wrong, len, is_cut)| {
            for (place, octet) in wrong {
                let place = place.index(packet.len());
                packet[place] = octet;
            }
            if is_cut {
                packet.resize(len, 0);
            }
            packet
        },
    );
    hand_over(packets, 6_000);
}
