//! Sources that are configured by name.

use std::net::IpAddr;

use ntp_sim::clock::Oscillator;
use ntp_sim::scenario::address;
use ntp_sim::setup;
use ntp_sim::world::World;

/// A clock that is right, and servers 1 to `count`.
fn world(text: &str, count: u8) -> World {
    let oscillator = Oscillator { frequency: 0.0, ahead_s: 0.01, ..Oscillator::default() };
    setup::world(text, oscillator, setup::servers(count), 7)
}

/// The address of a server.
fn ip(number: u8) -> IpAddr {
    address(number).ip()
}

#[test]
fn server_takes_the_first_address_of_its_name() {
    let mut world = world("server ntp.example iburst", 2);
    assert_eq!(world.machine().asked_names, ["ntp.example"]);
    assert_eq!(world.states(), "?");
    world.resolve("ntp.example", &[ip(1), ip(2)]);
    world.run(20.0);
    let reports = world.driver().engine().sources(world.driver().now());
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].address, Some(ip(1)));
    assert_eq!((reports[0].name.as_deref(), reports[0].state.symbol()), (Some("ntp.example"), '*'));
}

#[test]
fn pool_takes_as_many_addresses_as_it_may() {
    let mut world = world("pool ntp.example iburst maxsources 2", 3);
    world.resolve("ntp.example", &[ip(1), ip(2), ip(3), ip(1)]);
    world.run(20.0);
    assert_eq!(world.states().len(), 2);
    assert_eq!(world.states().matches(['*', '+', '-']).count(), 2, "{}", world.states());
}

#[test]
fn name_that_cannot_be_resolved_is_tried_again() {
    let mut world = world("server ntp.example iburst", 1);
    for tries in 1..=4_u32 {
        assert_eq!(world.machine().asked_names, ["ntp.example"], "{tries}");
        world.resolve("ntp.example", &[]);
        assert!(world.machine().asked_names.is_empty(), "{tries}: at once");
        world.run(f64::from(tries).exp2() + 0.5);
    }
    world.resolve("ntp.example", &[ip(1)]);
    world.run(20.0);
    assert_eq!(world.states(), "*");
}

#[test]
fn answers_to_names_that_nobody_asked_for_are_ignored() {
    let mut world = world("server ntp.example iburst", 1);
    world.resolve("other.example", &[ip(2)]);
    world.resolve("ntp.example", &[ip(1)]);
    world.resolve("ntp.example", &[ip(2)]);
    let reports = world.driver().engine().sources(world.driver().now());
    assert_eq!((reports.len(), reports[0].address), (1, Some(ip(1))));
}

#[test]
fn source_that_is_out_of_reach_gives_way_to_another_of_its_name() {
    let mut world = world("server ntp.example iburst", 2);
    world.resolve("ntp.example", &[ip(1), ip(2)]);
    world.run(200.0);
    world.machine_mut().servers[0].silent = true;
    while world.machine().asked_names.is_empty() {
        world.run(10.0);
        assert!(world.machine().clock.now_s() < 1000.0, "its name was not asked for");
    }
    assert!(world.machine().clock.now_s() > 9.0 * 64.0, "given up too soon");
    world.resolve("ntp.example", &[ip(1), ip(2)]);
    world.run(20.0);
    let reports = world.driver().engine().sources(world.driver().now());
    assert_eq!((reports.len(), reports[0].address), (1, Some(ip(2))));
    assert_eq!(world.states(), "*");
}

#[test]
fn server_that_refuses_gives_way_to_another_of_its_name_for_good() {
    let mut world = world("server ntp.example iburst", 2);
    world.machine_mut().servers[0].kiss = Some(*b"DENY");
    for wait_s in [4.0, 4.5] {
        world.resolve("ntp.example", &[ip(1)]);
        world.run(wait_s);
        assert_eq!(world.machine().asked_names, ["ntp.example"], "asked for again");
    }
    world.resolve("ntp.example", &[ip(1), ip(2)]);
    world.run(20.0);
    assert_eq!(world.states(), "*");
    assert_eq!(world.machine().servers[0].asked, 1);
}
