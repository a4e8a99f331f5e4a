//! What single sources do: polling, refusals, bursts, operations while the daemon runs.

use std::net::IpAddr;

use ntp_engine::conf;
use ntp_engine::operation::{Activity, Change, Named, Operation, OperationError, Selector};
use ntp_sim::delay::Delay;
use ntp_sim::net::Net;
use ntp_sim::scenario::{address, server};
use ntp_sim::server::Server;
use ntp_sim::setup::{self, clock, largest_error_s, lines, servers};
use ntp_sim::world::World;

/// The driver with a configuration.
fn world(text: &str, servers: Vec<Server>, seed: u64) -> World {
    setup::world(text, clock(0.01), servers, seed)
}

/// The address of a server.
fn ip(number: u8) -> IpAddr {
    address(number).ip()
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
fn source_that_is_followed_is_not_given_up_for_new_ones_right_after_the_start() {
    let mut world = world(&lines(1, "iburst"), servers(3), 1);
    world.run(4.0);
    assert_eq!(world.states(), "*");
    let more = conf::parse("more", &format!("server {}\nserver {}\n", ip(2), ip(3))).unwrap();
    for source in more.config.sources {
        world.operate(&Operation::Add(Box::new(source.value))).unwrap();
    }
    world.operate(&Operation::Delete(ip(2))).unwrap();
    assert!(world.states().starts_with('*'), "{}", world.states());
    assert!(world.machine().served_error_s().is_some());
}

#[test]
fn changed_poll_limits_take_effect_at_once() {
    let mut world = world(&lines(1, ""), servers(1), 1);
    world.run(2000.0);
    let before = world.source(0).sent;
    let change = |change| Operation::Change { source: Named::Address(ip(1)), change };
    world.operate(&change(Change::Maxpoll(4))).unwrap();
    world.run(1600.0);
    let polls = world.source(0).sent - before;
    assert!((98..=102).contains(&polls), "{polls} polls in 1600 s");
    let unknown = Operation::Change { source: Named::Address(ip(9)), change: Change::Minpoll(4) };
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

/// The largest error of the clock in the last half of `length_s` seconds.
fn settled_error_s(world: &mut World, length_s: f64) -> f64 {
    world.run(length_s / 2.0);
    largest_error_s(&world.run(length_s / 2.0))
}

#[test]
fn rate_kiss_slows_polling_down_and_ends_the_burst() {
    let mut world = world(&lines(1, "iburst minpoll 4 maxpoll 4"), servers(1), 1);
    world.machine_mut().servers[0].kiss = Some(*b"RATE");
    world.run(1.0);
    assert_eq!((world.source(0).sent, world.source(0).poll_log2), (1, 5));
    world.run(600.0);
    let slowed = world.source(0);
    assert!(slowed.poll_log2 >= 8 && slowed.sent <= 6, "{slowed:?}");
    assert_eq!(slowed.accepted, 0);
}

#[test]
fn deny_and_restrict_kisses_end_polling_until_the_source_is_put_online_again() {
    for code in [*b"DENY", *b"RSTR"] {
        let mut world = world(&lines(1, "iburst"), servers(1), 1);
        world.run(100.0);
        world.machine_mut().servers[0].kiss = Some(code);
        world.run(4000.0);
        let sent = world.source(0).sent;
        world.run(8000.0);
        assert_eq!(world.source(0).sent, sent, "asked on after a refusal");
        world.machine_mut().servers[0].kiss = None;
        world.operate(&Operation::Online(Selector::All)).unwrap();
        world.run(100.0);
        assert!(world.source(0).sent > sent);
    }
}

#[test]
fn reachability_register_shows_the_last_eight_polls() {
    let mut world = world(&lines(1, "minpoll 4 maxpoll 4"), servers(1), 1);
    world.run(16.5 * 10.0);
    assert_eq!(world.source(0).reach, 0o377);
    world.machine_mut().servers[0].silent = true;
    world.run(16.0 * 3.0);
    assert_eq!(world.source(0).reach, 0o370);
    world.run(16.0 * 6.0);
    assert_eq!(world.source(0).reach, 0);
    let before = world.source(0).sent;
    world.run(1600.0);
    assert!(world.source(0).sent - before <= 100, "no backing off beyond maxpoll either");
    world.machine_mut().servers[0].silent = false;
    world.run(17.0);
    assert_eq!(world.source(0).reach, 1);
}

#[test]
fn unreachable_source_is_asked_less_and_less_often() {
    let mut world = world(&lines(1, ""), servers(1), 1);
    world.machine_mut().servers[0].silent = true;
    world.run(4000.0);
    assert_eq!(world.source(0).poll_log2, 10);
}

#[test]
fn members_of_a_pool_that_do_not_answer_or_are_wrong_are_replaced() {
    let mut all = servers(6);
    all[0].silent = true;
    all[1].ahead_s = 0.5;
    let mut world = world("pool ntp.example iburst maxsources 4\nmakestep 1 3\n", all, 1);
    let addresses: Vec<IpAddr> = (1..=6).map(ip).collect();
    world.resolve("ntp.example", &addresses);
    for _ in 0..400 {
        world.run(50.0);
        if !world.machine().asked_names.is_empty() {
            world.resolve("ntp.example", &addresses);
        }
    }
    let mut used: Vec<IpAddr> = (0..4).filter_map(|index| world.source(index).address).collect();
    used.sort();
    assert_eq!(used, [ip(3), ip(4), ip(5), ip(6)], "{}", world.states());
}

#[test]
fn interleaved_mode_is_not_spoilt_by_servers_that_stamp_their_replies_too_early() {
    for seed in 1..=5 {
        let error_s = |options: &str, interleaves| {
            let mut servers = servers(1);
            servers[0].late_s = 1e-3;
            servers[0].interleaves = interleaves;
            let text = lines(1, &format!("iburst minpoll 4 maxpoll 4 {options}"));
            settled_error_s(&mut world(&text, servers, seed), 4000.0)
        };
        let (basic, interleaved) = (error_s("", true), error_s("xleave", true));
        assert!((4e-4..7e-4).contains(&basic), "{seed}: {basic}");
        assert!(interleaved < 1e-4, "{seed}: {interleaved}");
        let unsupported = error_s("xleave", false);
        assert!((4e-4..7e-4).contains(&unsupported), "{seed}: {unsupported}");
    }
}

#[test]
fn interleaved_mode_goes_on_after_losses() {
    for seed in 1..=5 {
        let mut servers = servers(1);
        servers[0].late_s = 1e-3;
        servers[0].interleaves = true;
        servers[0].loss = 0.3;
        let mut world = world(&lines(1, "iburst minpoll 4 maxpoll 4 xleave"), servers, seed);
        let error_s = settled_error_s(&mut world, 4000.0);
        assert!(error_s < 3e-4, "{seed}: {error_s}");
        let source = world.source(0);
        assert!(source.accepted * 5 > source.sent * 2, "{source:?}");
    }
}

/// Two machines, of which the first follows a server and both each other.
fn pair(options: &str, late_s: f64, seed: u64) -> Net {
    let (one, two) = (address(11), address(12));
    let server = format!("server {} minpoll 4 maxpoll 4\nallow\n", ip(1));
    let first = format!("{server}peer {} {options}\n", two.ip());
    let second = format!("allow\npeer {} {options}\n", one.ip());
    let mut worlds = [world(&first, servers(1), seed), world(&second, Vec::new(), seed + 100)];
    for world in &mut worlds {
        world.machine_mut().late_s = late_s;
    }
    let machines = [one, two].into_iter().zip(worlds).collect();
    Net::new(machines, Delay::queued(0.02, 1e-4), seed)
}

#[test]
fn peer_keeps_time_by_the_other_and_basic_mode_costs_what_timestamps_are_early() {
    let error_s = |options: &str, late_s| {
        let mut pair = pair(&format!("minpoll 4 maxpoll 4 {options}"), late_s, 1);
        pair.run(2000.0);
        let error_s = pair.run(1000.0)[1];
        let report = pair.worlds[1].source(0);
        assert_eq!((report.state.symbol(), report.reach), ('*', 0o377), "{options}: {report:?}");
        error_s
    };
    let exact = error_s("", 0.0);
    assert!(exact < 3e-4, "{exact}");
    let (basic, interleaved) = (error_s("", 2e-3), error_s("xleave", 2e-3));
    assert!(basic > 8e-4, "{basic}");
    assert!(interleaved < 3e-4, "{interleaved}");
}

#[test]
fn packets_of_a_peer_that_are_repeated_change_nothing() {
    let mut pair = pair("minpoll 4 maxpoll 4", 0.0, 1);
    pair.run(1000.0);
    for round in 0..60 {
        pair.run(7.3);
        let before = pair.worlds[1].source(0);
        pair.repeat(0);
        pair.worlds.iter_mut().for_each(|world| drop(world.run(0.001)));
        let after = pair.worlds[1].source(0);
        assert_eq!(after.accepted, before.accepted, "{round}");
        assert_eq!(after.rejected, before.rejected + 1, "{round}");
    }
    let error_s = pair.run(500.0)[1];
    assert!(error_s < 5e-4, "{error_s}");
}

#[test]
fn peers_that_lose_their_server_do_not_follow_each_other_in_turns() {
    let mut pair = pair("minpoll 4 maxpoll 4", 0.0, 1);
    pair.run(1000.0);
    assert_eq!(pair.worlds[1].states(), "*");
    pair.worlds[0].machine_mut().servers[0].silent = true;
    pair.run(1000.0);
    let peer = pair.worlds[0].source(1);
    assert!(peer.reach != 0, "the peer is heard");
    assert_eq!(peer.accepted, 0, "a peer that follows us was measured");
    assert_eq!(pair.worlds[0].states(), "*?");
}

#[test]
fn one_source_is_followed_although_the_other_never_answers() {
    let mut world = setup::world(&(lines(2, "") + "makestep 0.1 3"), clock(3.0), servers(1), 1);
    world.run(10.0);
    assert_eq!(world.states(), "*?");
    let error_s = world.machine().clock.ahead_s();
    assert!(error_s.abs() < 1e-2, "{error_s}");
}

#[test]
fn reports_say_what_selection_made_of_each_source_and_why() {
    let text = format!(
        "server {} iburst prefer\nserver {} iburst\nserver {} iburst noselect\n\
         server 192.0.2.9\nserver ntp.example",
        ip(1),
        ip(2),
        ip(3)
    );
    let mut world = world(&text, servers(3), 7);
    world.run(12.0);
    let reports = world.driver().engine().selection();
    let codes: String = reports.iter().map(|report| report.verdict.code()).collect();
    assert_eq!(codes, "*PNMM");
    assert!(reports[0].configured.prefer && reports[2].effective.noselect);
    for report in &reports[..3] {
        let offset_s = -world.machine().clock.ahead_s();
        assert!(report.low_s <= offset_s && offset_s <= report.high_s, "{report:?}");
        assert!(report.last_sample_s.is_some_and(|age_s| age_s < 10.0), "{report:?}");
    }
    assert_eq!((reports[4].id, reports[4].last_sample_s), (None, None));
}

#[test]
fn source_is_selected_whose_root_distance_is_the_least_all_that_belongs_to_it_counted() {
    // Half of the delay, 5 ms, against root dispersions of 3 ms and 8 ms and half a millisecond.
    let far = || server(1, &Delay::Fixed(5e-3));
    for (dispersion_s, states) in [(3e-3, "+*"), (8e-3, "*+")] {
        let near = Server { dispersion_s, ..server(2, &Delay::Fixed(5e-4)) };
        let lines = "server 192.0.2.1 iburst\nserver 192.0.2.2 iburst\nreselectdist 0\n";
        let mut world = world(lines, vec![far(), near], 1);
        world.run(600.0);
        assert_eq!(world.states(), states, "{dispersion_s}");
    }
}
