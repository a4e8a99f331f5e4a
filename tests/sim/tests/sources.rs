//! What single sources do: polling, refusals, bursts, operations while the daemon runs.

use std::net::IpAddr;

use ntp_engine::conf;
use ntp_engine::operation::{Activity, Change, Operation, OperationError, Selector};
use ntp_engine::settings::EngineConfig;
use ntp_sim::clock::Oscillator;
use ntp_sim::delay::Delay;
use ntp_sim::scenario::{address, server};
use ntp_sim::server::Server;
use ntp_sim::world::World;

/// A clock 100 ppm fast and 10 ms ahead.
fn clock() -> Oscillator {
    Oscillator { ahead_s: 0.01, ..Oscillator::default() }
}

/// A number of good servers.
fn servers(count: u8) -> Vec<Server> {
    (1..=count).map(|number| server(number, &Delay::queued(2e-4, 1e-4))).collect()
}

/// The driver with a configuration.
fn world(text: &str, servers: Vec<Server>, seed: u64) -> World {
    let parsed = conf::parse("sources", text).expect("the configuration is valid");
    World::new(EngineConfig::from_config(&parsed.config), None, clock(), servers, seed)
}

/// The address of a server.
fn ip(number: u8) -> IpAddr {
    address(number).ip()
}

/// `server` lines for the first servers, each with options.
fn lines(count: u8, options: &str) -> String {
    let lines: Vec<String> =
        (1..=count).map(|number| format!("server {} {options}\n", ip(number))).collect();
    lines.concat()
}

fn all_sent(world: &World) -> Vec<u64> {
    world.driver().engine().sources(world.driver().now()).iter().map(|s| s.sent).collect()
}

#[test]
fn source_is_not_asked_while_it_is_offline_and_bursts_when_it_comes_online() {
    let mut world = world(&lines(1, "iburst offline"), servers(1), 1);
    world.run(1000.0);
    assert_eq!(world.source(0).sent, 0);
    world.operate(&Operation::Online(Selector::one(ip(1)))).unwrap();
    world.run(10.0);
    assert_eq!((world.source(0).sent, world.states().as_str()), (4, "*"));
    world.operate(&Operation::Offline(Selector::All)).unwrap();
    world.run(1000.0);
    assert_eq!(world.source(0).sent, 4);
}

#[test]
fn burst_ends_with_the_answers_that_were_wanted_and_leaves_an_offline_source_offline() {
    let mut world = world(&lines(1, "offline"), servers(1), 1);
    let burst = Operation::Burst { sources: Selector::All, good: 3, total: 5 };
    world.operate(&burst).unwrap();
    world.run(1.0);
    let activity = world.driver().engine().activity();
    assert_eq!(activity, Activity { burst_offline: 1, ..Activity::default() });
    world.run(1000.0);
    assert_eq!(world.source(0).sent, 3);
    world.machine_mut().servers[0].silent = true;
    world.operate(&burst).unwrap();
    world.run(1000.0);
    assert_eq!(world.source(0).sent, 3 + 5);
    assert_eq!(world.driver().engine().activity().offline, 1);
}

#[test]
fn sources_are_added_and_deleted_while_the_daemon_runs() {
    let mut world = world(&lines(1, "iburst"), servers(2), 1);
    world.run(100.0);
    let two = conf::parse("more", &format!("server {} iburst", ip(2))).unwrap();
    let add = Operation::Add(Box::new(two.config.sources[0].value.clone()));
    world.operate(&add).unwrap();
    assert_eq!(world.operate(&add), Err(OperationError::AlreadyPresent));
    world.run(100.0);
    assert_eq!(world.states().len(), 2);
    assert!(all_sent(&world)[1] >= 4);
    world.operate(&Operation::Delete(ip(1))).unwrap();
    assert_eq!(world.operate(&Operation::Delete(ip(1))), Err(OperationError::NoSuchSource));
    assert_eq!(world.states(), "*");
    assert_eq!(world.source(0).address, Some(ip(2)));
}

#[test]
fn changed_poll_limits_take_effect_at_once() {
    let mut world = world(&lines(1, ""), servers(1), 1);
    world.run(2000.0);
    let before = world.source(0).sent;
    let change = |change| Operation::Change { address: ip(1), change };
    world.operate(&change(Change::Maxpoll(4))).unwrap();
    world.run(1600.0);
    let polls = world.source(0).sent - before;
    assert!((98..=102).contains(&polls), "{polls} polls in 1600 s");
    let unknown = Operation::Change { address: ip(9), change: Change::Minpoll(4) };
    assert_eq!(world.operate(&unknown), Err(OperationError::NoSuchSource));
}

#[test]
fn reset_sources_gives_up_the_time_until_it_was_measured_again() {
    let mut world = world(&lines(1, "iburst"), servers(1), 1);
    world.run(1000.0);
    world.operate(&Operation::ResetSources).unwrap();
    assert_eq!(world.source(0).samples, 0);
    assert!(world.machine().served_error_s().is_none());
    world.run(10.0);
    assert!(world.machine().served_error_s().is_some());
}

#[test]
fn refresh_replaces_servers_that_the_name_does_not_give_any_more() {
    let mut world = world("pool ntp.example iburst maxsources 2\n", servers(4), 1);
    world.resolve("ntp.example", &[ip(1), ip(2), ip(3)]);
    world.run(100.0);
    world.operate(&Operation::Refresh).unwrap();
    assert_eq!(world.machine().asked_names, ["ntp.example"]);
    world.resolve("ntp.example", &[ip(2), ip(4), ip(3)]);
    let mut addresses: Vec<_> = (0..2).map(|index| world.source(index).address.unwrap()).collect();
    addresses.sort();
    assert_eq!(addresses, [ip(2), ip(4)]);
}
