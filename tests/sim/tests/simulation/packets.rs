//! What the driver makes of packets, also of those that nobody should send.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use ntp_common::time::{NtpShort, NtpTimestamp};
use ntp_common::wire::{HEADER_LEN, Header, LeapIndicator, Mode};
use ntp_engine::seams::{RequestId, Stamped, StampedBy};
use ntp_sim::clock::Oscillator;
use ntp_sim::scenario::address;
use ntp_sim::setup::{self, lines, servers};
use ntp_sim::units::duration;
use ntp_sim::world::World;
use proptest::prelude::*;

/// A clock that is right.
fn right() -> Oscillator {
    Oscillator { frequency: 0.0, ahead_s: 0.0, ..Oscillator::default() }
}

/// A world in which a request is out and will not be answered by itself.
fn waiting() -> (World, Header) {
    let mut world = setup::world(&(lines(1, "") + "makestep 1 3"), right(), Vec::new(), 7);
    while world.machine().outbox.is_empty() {
        world.run(1e-3);
    }
    let request = last_request(&world).expect("a request");
    (world, request)
}

fn last_request(world: &World) -> Option<Header> {
    world.machine().outbox.last().map(|packet| Header::read(&packet.octets))
}

fn server() -> SocketAddr {
    address(1)
}

/// The reply of a server whose clock is 100 s ahead.
fn reply(world: &World, request: &Header) -> Header {
    let time = world.driver().now().time + duration(100.0);
    Header {
        mode: Mode::Server,
        stratum: 1,
        precision: -20,
        origin_timestamp: request.transmit_timestamp,
        receive_timestamp: time,
        transmit_timestamp: time,
        ..Header::request(NtpTimestamp::UNKNOWN)
    }
}

/// Replies of which a sample was made, and of which none was.
fn counts(world: &World) -> (u64, u64) {
    let report = world.source(0);
    (report.accepted, report.rejected)
}

#[test]
fn reply_with_the_wrong_origin_changes_nothing_and_the_true_one_still_counts() {
    let (mut world, request) = waiting();
    let good = reply(&world, &request);
    for origin in [0, 1, request.transmit_timestamp.to_bits() ^ 1] {
        let forged = Header { origin_timestamp: NtpTimestamp::from_bits(origin), ..good };
        world.forge(0, server(), &forged.write());
    }
    world.forge(0, address(2), &good.write());
    world.forge(0, server(), &good.write()[..HEADER_LEN - 1]);
    assert_eq!(counts(&world), (0, 5));
    assert!(world.machine().steps.is_empty());
    world.forge(0, server(), &good.write());
    assert_eq!(counts(&world), (1, 5));
}

/// What makes a good reply one that is of no use.
type Spoil = fn(Header) -> Header;

fn short_s(seconds: u32) -> NtpShort {
    NtpShort::from_bits(seconds << 16)
}

/// The same reply, given so many seconds after the request came.
fn processed_in(header: Header, seconds: f64) -> Header {
    Header { transmit_timestamp: header.receive_timestamp + duration(seconds), ..header }
}

#[test]
fn reply_that_is_no_answer_of_a_server_with_the_time_is_no_sample() {
    let spoilt: [(&str, Spoil); 12] = [
        ("a request", |good| Header { mode: Mode::Client, ..good }),
        ("a broadcast", |good| Header { mode: Mode::Broadcast, ..good }),
        ("version 0", |good| Header { version: 0, ..good }),
        ("version 5", |good| Header { version: 5, ..good }),
        ("not synchronised", |good| Header { leap: LeapIndicator::Unsynchronised, ..good }),
        ("stratum 0", |good| Header { stratum: 0, ..good }),
        ("stratum 16", |good| Header { stratum: 16, ..good }),
        ("no time", |good| Header { transmit_timestamp: NtpTimestamp::UNKNOWN, ..good }),
        ("16 s away", |good| Header { root_dispersion: short_s(16), ..good }),
        ("32 s of delay", |good| Header { root_delay: short_s(32), ..good }),
        ("answered before it was asked", |good| processed_in(good, -1.0)),
        ("answered after a long time", |good| processed_in(good, 100.0)),
    ];
    for (name, spoil) in spoilt {
        let (mut world, request) = waiting();
        let good = reply(&world, &request);
        world.forge(0, server(), &spoil(good).write());
        assert_eq!(counts(&world), (0, 1), "{name}");
        assert!(!world.machine().is_serving(), "{name}");
    }
}

#[test]
fn duplicate_of_a_reply_is_ignored() {
    let mut servers = servers(1);
    servers[0].duplicated = 1.0;
    let mut world = setup::world(&lines(1, "iburst"), right(), servers, 1);
    world.run(600.0);
    let report = world.source(0);
    assert_eq!((report.accepted, report.rejected), (report.sent, report.sent));
    assert_eq!(u64::try_from(report.samples), Ok(report.accepted));
}

#[test]
fn reply_after_an_unusable_one_to_the_same_request_is_a_duplicate() {
    let (mut world, request) = waiting();
    let good = reply(&world, &request);
    world.forge(0, server(), &Header { stratum: 16, ..good }.write());
    world.forge(0, server(), &good.write());
    assert_eq!(counts(&world), (0, 2));
}

#[test]
fn nonces_are_random_and_packets_tell_nothing_else() {
    let mut world = setup::world(&lines(1, "iburst minpoll 4 maxpoll 4"), right(), Vec::new(), 7);
    world.run(4000.0);
    let requests: Vec<[u8; HEADER_LEN]> =
        world.machine().outbox.iter().map(|packet| packet.octets).collect();
    let different: BTreeSet<_> = requests.iter().collect();
    assert!(requests.len() > 200);
    assert_eq!(different.len(), requests.len(), "a nonce was used twice");
    assert!(requests.iter().all(|request| request[1..40].iter().all(|&octet| octet == 0)));
}

#[test]
fn transmit_timestamp_is_the_best_that_came_before_the_reply() {
    let (mut world, request) = waiting();
    let source = world.source(0).id.expect("it has an address");
    let now = world.driver().now().time;
    let stamp = |millis: f64, by| Stamped { at: now - duration(millis * 1e-3), by };
    // The kernel has told when it left already.
    let late = [(90.0, StampedBy::Daemon), (40.0, StampedBy::Hardware), (90.0, StampedBy::Kernel)];
    for (millis, by) in late {
        world.driver_mut().on_sent(source, RequestId(0), stamp(millis, by));
    }
    let reply = reply(&world, &request);
    world.forge(0, server(), &reply.write());
    world.driver_mut().on_sent(source, RequestId(0), stamp(10.0, StampedBy::Hardware));
    let measured = world.source(0);
    // Half of the 40 ms since the request left, and the 100 s that the server is ahead.
    assert!((measured.measured_offset_s - 100.02).abs() < 1e-6, "{measured:?}");
}

#[test]
fn path_is_taken_to_be_as_long_in_both_directions() {
    for (there_s, back_s) in [(0.2, 0.3), (0.25, 0.25), (0.4, 0.1)] {
        let (mut world, request) = waiting();
        let left_s = world.machine().outbox.last().expect("a request").at_s;
        let until = |world: &mut World, at_s: f64| {
            let left_s = at_s - world.machine().clock.now_s();
            world.run(left_s);
        };
        until(&mut world, left_s + there_s);
        let reply = reply(&world, &request);
        until(&mut world, left_s + there_s + back_s);
        world.forge(0, server(), &reply.write());
        let measured_s = world.source(0).measured_offset_s;
        let expected_s = 100.0 + (there_s - back_s) / 2.0;
        assert!((measured_s - expected_s).abs() < 1e-6, "{there_s}: {measured_s}");
    }
}

proptest! {
    #[test]
    fn no_packet_makes_the_driver_panic_or_serve_nonsense(
        packets in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..100), any::<bool>(), any::<bool>()),
            1..30,
        ),
    ) {
        let (mut world, _) = waiting();
        for (mut packet, answers, is_plausible) in packets {
            let Some(request) = last_request(&world) else { continue };
            if answers && packet.len() >= HEADER_LEN {
                packet[0] = packet[0] & 0xc0 | 0x24;
                packet[24..32].copy_from_slice(&request.transmit_timestamp.to_bits().to_be_bytes());
                if is_plausible {
                    let good = reply(&world, &request).write();
                    packet[32..48].copy_from_slice(&good[32..48]);
                }
            }
            world.forge(0, server(), &packet);
            world.run(64.0);
            let tracking = world.driver().engine().tracking(world.driver().now());
            prop_assert!(tracking.frequency_ppm.is_finite() && tracking.skew_ppm.is_finite());
            prop_assert!(tracking.remaining_correction_s.is_finite());
            prop_assert!(world.machine().clock.rate_error().abs() < 0.2);
        }
    }
}
