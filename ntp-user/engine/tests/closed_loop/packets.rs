//! What the driver makes of packets, also of those that nobody should send.

use std::net::SocketAddr;

use ntp_common::time::NtpTimestamp;
use ntp_common::wire::{HEADER_LEN, Header, Mode};
use ntp_engine::report::SourceReport;
use ntp_engine::seams::{SourceId, Stamped, StampedBy};
use proptest::prelude::*;

use crate::state::{Server, State, duration};
use crate::world::World;
use crate::{A, B, config, oscillator, synchronised, world};

fn report(world: &World) -> SourceReport {
    world.driver.engine().sources(world.driver.now()).remove(0)
}

/// A world in which a request is out and will not be answered by itself.
fn waiting() -> (World, SourceId, Header) {
    let mut world = world(&format!("server {A}\nmakestep 1 3"), oscillator(0.0, 0.0), &[]);
    world.run(1.0);
    let (source, _, request) = world.look(|state| state.last_request).unwrap();
    (world, source, Header::read(&request))
}

fn address() -> SocketAddr {
    Server::new(A).address
}

/// The reply of a server whose clock is 100 s ahead.
fn reply(world: &World, request: &Header) -> Header {
    let time = world.driver.now().time + duration(100.0);
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

#[test]
fn reply_with_the_wrong_origin_changes_nothing_and_the_true_one_still_counts() {
    let (mut world, source, request) = waiting();
    let good = reply(&world, &request);
    for origin in [0, 1, request.transmit_timestamp.to_bits() ^ 1] {
        let forged = Header { origin_timestamp: NtpTimestamp::from_bits(origin), ..good };
        world.forge(source, address(), &forged.write());
    }
    world.forge(source, Server::new(B).address, &good.write());
    world.forge(source, address(), &good.write()[..HEADER_LEN - 1]);
    assert_eq!((report(&world).accepted, report(&world).rejected), (0, 5));
    assert!(world.look(|state| state.steps.is_empty()));
    world.forge(source, address(), &good.write());
    assert_eq!(report(&world).accepted, 1);
}

#[test]
fn duplicate_of_a_reply_is_ignored() {
    let mut server = Server::new(A);
    server.copies = 3;
    let text = format!("server {A} iburst");
    let mut world = World::new(1, config(&text), None, oscillator(0.0, 10.0), vec![server]);
    world.run(600.0);
    let report = report(&world);
    assert_eq!(report.accepted, report.sent);
    assert_eq!(report.rejected, 2 * report.sent);
    assert_eq!(report.samples, usize::try_from(report.accepted).unwrap());
}

#[test]
fn reply_after_an_unusable_one_to_the_same_request_is_a_duplicate() {
    let (mut world, source, request) = waiting();
    let good = reply(&world, &request);
    world.forge(source, address(), &Header { stratum: 16, ..good }.write());
    world.forge(source, address(), &good.write());
    assert_eq!((report(&world).accepted, report(&world).rejected), (0, 2));
}

#[test]
fn nonces_are_random_and_packets_tell_nothing_else() {
    let mut world = synchronised("");
    world.run(4000.0);
    let requests = world.look(|state| {
        let sent = state.log.iter().filter(|entry| entry.starts_with("send"));
        sent.cloned().collect::<std::collections::BTreeSet<String>>().len()
    });
    assert_eq!(u64::try_from(requests).unwrap(), report(&world).sent, "a nonce was used twice");
    let (_, _, request) = world.look(|state| state.last_request).unwrap();
    assert!(request[1..40].iter().all(|&octet| octet == 0));
}

#[test]
fn transmit_timestamp_is_the_best_that_came_before_the_reply() {
    let (mut world, source, request) = waiting();
    let (_, id, _) = world.look(|state| state.last_request).unwrap();
    let now = world.driver.now().time;
    let stamp = |millis: f64, by| Stamped { at: now - duration(millis * 1e-3), by };
    world.driver.on_sent(source, id, stamp(40.0, StampedBy::Kernel));
    world.driver.on_sent(source, id, stamp(90.0, StampedBy::Daemon));
    let reply = reply(&world, &request);
    world.forge(source, address(), &reply.write());
    world.driver.on_sent(source, id, stamp(10.0, StampedBy::Hardware));
    let measured = report(&world);
    // Half of the 40 ms since the request left, and the 100 s that the server is ahead.
    assert!((measured.measured_offset_s - 100.02).abs() < 1e-6, "{measured:?}");
}

#[test]
fn server_that_asks_for_fewer_requests_gets_them() {
    let mut server = Server::new(A);
    server.kiss = Some(*b"RATE");
    let text = format!("server {A} iburst");
    let mut world = World::new(1, config(&text), None, oscillator(0.0, 0.0), vec![server]);
    world.run(10.0);
    assert_eq!(report(&world).sent, 1, "the burst goes on");
    assert_eq!(report(&world).poll_log2, 7);
    world.run(1000.0);
    assert!(report(&world).sent <= 4 && report(&world).poll_log2 >= 9, "{:?}", report(&world));
}

#[test]
fn server_that_refuses_is_never_asked_again() {
    for code in [*b"DENY", *b"RSTR"] {
        let mut server = Server::new(A);
        server.kiss = Some(code);
        let text = format!("server {A} iburst");
        let mut world = World::new(1, config(&text), None, oscillator(0.0, 0.0), vec![server]);
        world.run(5000.0);
        assert_eq!(world.look(|state| state.servers[0].requests), 1);
    }
}

#[test]
fn offline_source_is_not_asked() {
    let mut world = world(&format!("server {A} iburst offline"), oscillator(0.0, 0.0), &[A]);
    world.run(100.0);
    assert_eq!(world.look(|state| state.servers[0].requests), 0);
}

proptest! {
    #[test]
    fn no_packet_makes_the_driver_panic_or_serve_nonsense(
        packets in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..100), any::<bool>(), any::<bool>()),
            1..30,
        ),
    ) {
        let (mut world, source, _) = waiting();
        for (mut packet, answers, is_plausible) in packets {
            let Some((_, _, request)) = world.look(|state| state.last_request) else { continue };
            if answers && packet.len() >= HEADER_LEN {
                packet[0] = packet[0] & 0xc0 | 0x24;
                packet[24..32].copy_from_slice(&request[40..48]);
                if is_plausible {
                    let good = reply(&world, &Header::read(&request)).write();
                    packet[32..48].copy_from_slice(&good[32..48]);
                }
            }
            world.forge(source, address(), &packet);
            world.run(64.0);
            let tracking = world.driver.engine().tracking(world.driver.now());
            prop_assert!(tracking.frequency_ppm.is_finite() && tracking.skew_ppm.is_finite());
            prop_assert!(tracking.remaining_correction_s.is_finite());
            prop_assert!(world.look(State::rate_error).abs() < 0.2);
        }
    }
}
