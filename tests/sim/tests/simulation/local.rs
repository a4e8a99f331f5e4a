//! When `local` serves a clock that nobody keeps.

use ntp_common::wire::ReferenceId;
use ntp_sim::clock::Oscillator;
use ntp_sim::delay::Delay;
use ntp_sim::scenario::server;
use ntp_sim::setup::{clock, lines, servers, world};
use ntp_sim::world::World;

/// The stratum that is served.
fn stratum(world: &World) -> u8 {
    world.machine().snapshot.stratum()
}

/// Lets the server answer, or not.
fn silence(world: &mut World, silent: bool) {
    world.machine_mut().servers[0].silent = silent;
}

/// Runs until the stratum is another, and tells how long that took, seconds.
fn until_changed_s(world: &mut World, most_s: f64) -> f64 {
    let (before, begun_s) = (stratum(world), world.machine().clock.now_s());
    while stratum(world) == before && world.machine().clock.now_s() < begun_s + most_s {
        world.run(1.0);
    }
    world.machine().clock.now_s() - begun_s
}

#[test]
fn clock_that_was_never_kept_is_served_at_once_or_after_waitunsynced() {
    for (options, wait_s) in [("", 0.0), ("waitunsynced 300", 300.0), ("orphan", 300.0)] {
        let text = lines(1, "iburst") + "local stratum 8 " + options;
        let mut world = world(&text, clock(0.0), servers(1), 1);
        silence(&mut world, true);
        if wait_s > 0.0 {
            world.run(0.5);
            assert_eq!(stratum(&world), 0, "{options}");
            let waited_s = until_changed_s(&mut world, 1000.0);
            assert!((waited_s - wait_s).abs() < 3.0, "{options}: {waited_s}");
        } else {
            world.run(2.0);
        }
        assert_eq!(stratum(&world), 8, "{options}");
        assert_eq!(world.machine().snapshot.reference_id(), ReferenceId::LOCAL);
        silence(&mut world, false);
        world.run(2000.0);
        assert_eq!(stratum(&world), 2, "{options}: a server is better");
    }
}

#[test]
fn clock_that_was_kept_is_served_when_its_source_is_gone_or_waitsynced_later() {
    for (options, wait_s) in [("", 0.0), ("waitsynced 3000", 3000.0)] {
        let text = lines(1, "iburst maxpoll 6 maxunreach 0") + "local stratum 8 " + options;
        let mut world = world(&text, clock(0.0), servers(1), 1);
        world.run(2000.0);
        assert_eq!(stratum(&world), 2, "{options}");
        silence(&mut world, true);
        let lost_s = until_changed_s(&mut world, 20_000.0);
        assert!(lost_s > 8.0 * 64.0, "{options}: given up after {lost_s} s");
        if wait_s > 0.0 {
            assert_eq!(stratum(&world), 0, "{options}");
            let waited_s = lost_s + until_changed_s(&mut world, 20_000.0);
            // The last update was up to a poll before the server fell silent.
            assert!((wait_s - 64.0..wait_s + 3.0).contains(&waited_s), "{options}: {waited_s}");
        }
        assert_eq!(stratum(&world), 8, "{options}");
        // Clients go on with the time that they had.
        let error_s = world.machine().served_error_s().expect("serves");
        assert!(error_s.abs() < 1e-2, "{options}: {error_s}");
    }
}

#[test]
fn clock_is_served_only_if_it_was_ever_as_right_as_activate_says() {
    // Half of the round trip of 400 us is within 1 ms, that of 40 ms is not.
    for (delay_s, activated) in [(2e-4, true), (0.02, false)] {
        let near = vec![server(1, &Delay::queued(delay_s, 1e-5))];
        let text = lines(1, "iburst maxpoll 6 maxunreach 0") + "local stratum 8 activate 0.001\n";
        let mut world = world(&text, clock(0.0), near, 1);
        silence(&mut world, true);
        world.run(1000.0);
        assert_eq!(stratum(&world), 0, "{delay_s}: never kept");
        silence(&mut world, false);
        world.run(2000.0);
        assert_eq!(stratum(&world), 2, "{delay_s}");
        silence(&mut world, true);
        world.run(20_000.0);
        assert_eq!(stratum(&world), if activated { 8 } else { 0 }, "{delay_s}");
    }
}

#[test]
fn server_that_is_further_away_than_distance_keeps_the_clock_but_is_not_passed_on() {
    for (distance_s, served) in [("0.05", 8), ("0.2", 2)] {
        let far = vec![server(1, &Delay::queued(0.1, 1e-4))];
        let text = lines(1, "iburst") + "local stratum 8 distance " + distance_s;
        let oscillator = Oscillator { ahead_s: 0.3, ..Oscillator::default() };
        let mut world = world(&text, oscillator, far, 1);
        world.run(4000.0);
        assert_eq!(stratum(&world), served, "{distance_s}");
        let error_s = world.machine().clock.ahead_s();
        assert!(error_s.abs() < 1e-2, "{distance_s}: {error_s}");
    }
}
