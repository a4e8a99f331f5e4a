//! What the clock does when servers lie, networks fail, and somebody else turns the hands.

use ntp_sim::clock::Oscillator;
use ntp_sim::delay::Delay;
use ntp_sim::scenario::address;
use ntp_sim::server::Server;
use ntp_sim::setup::{self, clock, largest_error_s, largest_served_error_s, lines, servers};
use ntp_sim::world::World;

/// Seeds that each behaviour is tried with.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=5;

/// The driver with a `server` line for each server, and more lines.
fn world(more: &str, oscillator: Oscillator, servers: Vec<Server>, seed: u64) -> World {
    let text = lines(u8::try_from(servers.len()).expect("a few"), "iburst") + more;
    setup::world(&text, oscillator, servers, seed)
}

#[test]
fn minority_of_falsetickers_is_named_and_not_followed_and_a_majority_stops_the_clock() {
    for wrong in 1..=4u8 {
        for seed in SEEDS {
            let mut servers = servers(5);
            for index in 0..wrong {
                // Each off by something else: they don't agree with each other either.
                servers[usize::from(index)].ahead_s = 0.3 * f64::from(index + 1);
            }
            let mut world = world("makestep 1 3\n", clock(0.01), servers, seed);
            let trace = world.run(4000.0);
            let states = world.states();
            if wrong <= 2 {
                assert_eq!(states.matches('x').count(), usize::from(wrong), "{seed}: {states}");
                assert!(states.contains('*'), "{wrong} {seed}: {states}");
                let error_s = largest_error_s(&trace[1000..]);
                assert!(error_s < 1e-3, "{wrong} {seed}: {error_s}");
            } else {
                assert_eq!(states, "xxxxx", "{wrong} {seed}");
                assert!(trace.iter().all(|m| m.served_s.is_none()), "{wrong} {seed}: served");
                assert!(world.machine().steps.is_empty());
            }
        }
    }
}

#[test]
fn network_that_is_there_for_an_eighth_of_the_time_keeps_the_clock_within_two_milliseconds() {
    for seed in SEEDS {
        let mut world = world("makestep 1 3\n", clock(0.1), servers(1), seed);
        let mut worst_s: f64 = 0.0;
        for round in 0..6 {
            world.machine_mut().servers[0].silent = false;
            let there = world.run(1200.0);
            world.machine_mut().servers[0].silent = true;
            let gone = world.run(8800.0);
            if round > 0 {
                worst_s = worst_s.max(largest_error_s(&there)).max(largest_error_s(&gone));
            }
        }
        assert!(worst_s < 2e-3, "{seed}: {worst_s}");
    }
}

#[test]
fn step_by_somebody_else_is_repaired() {
    for step_s in [-0.3, 0.3, 0.02, -5e-3] {
        for seed in SEEDS {
            let mut world = world("makestep 1 3\n", clock(0.01), servers(1), seed);
            world.run(3000.0);
            world.machine_mut().clock.step(step_s);
            world.run(100.0);
            let error_s = largest_error_s(&world.run(1000.0));
            assert!(error_s < 1e-3, "{step_s} {seed}: {error_s}");
        }
    }
}

#[test]
fn step_too_small_to_be_noticed_is_not_taken_for_a_fault_of_all_servers() {
    for count in [1, 3] {
        for seed in SEEDS {
            let mut world = world("makestep 1 3\n", clock(0.01), servers(count), seed);
            world.run(6000.0);
            world.machine_mut().clock.step(9e-4);
            world.run(4000.0);
            let error_s = largest_error_s(&world.run(1000.0));
            assert!(error_s < 3e-4, "{count} {seed}: {error_s}");
        }
    }
}

#[test]
fn hundred_seconds_are_slewed_where_steps_are_not_allowed() {
    for ahead_s in [-100.0, 100.0] {
        let mut world = world("", clock(ahead_s), servers(1), 1);
        let trace = world.run(4000.0);
        assert!(world.machine().steps.is_empty());
        let backward = trace.windows(2).any(|pair| pair[1].clock_s - pair[0].clock_s < -0.1);
        assert!(!backward, "the clock went more than 10 % slower");
        let error_s = largest_error_s(&trace[3000..]);
        assert!(error_s < 1e-3, "{ahead_s}: {error_s}");
        let served_s = largest_served_error_s(&trace[300..]);
        assert!(served_s < 2e-3, "served time need not wait: {ahead_s}: {served_s}");
    }
}

#[test]
fn clock_that_runs_five_percent_wrong_is_kept() {
    for frequency in [-0.05, 0.05] {
        for seed in SEEDS {
            let oscillator = Oscillator { frequency, ..clock(0.0) };
            let mut world = world("makestep 1 3\n", oscillator, servers(1), seed);
            world.run(2000.0);
            let error_s = largest_error_s(&world.run(4000.0));
            assert!(error_s < 2e-3, "{frequency} {seed}: {error_s}");
        }
    }
}

#[test]
fn clock_follows_a_sudden_change_of_its_frequency() {
    for seed in SEEDS {
        let mut world = world("makestep 1 3\n", clock(0.01), servers(1), seed);
        world.run(10_000.0);
        world.machine_mut().clock.disturb(5e-6);
        let during_s = largest_error_s(&world.run(3000.0));
        assert!(during_s < 8e-3, "{seed}: {during_s}");
        let error_s = largest_error_s(&world.run(3000.0));
        assert!(error_s < 5e-4, "{seed}: {error_s}");
    }
}

#[test]
fn frequency_that_jumps_by_as_much_as_a_kernel_slews_is_learnt() {
    for jump in [-5e-4, 5e-4] {
        for seed in SEEDS {
            let mut world = world("makestep 1 3\n", clock(0.01), servers(1), seed);
            world.run(2000.0);
            world.machine_mut().clock.disturb(jump);
            world.run(4000.0);
            let error_s = largest_error_s(&world.run(3000.0));
            assert!(error_s < 1e-3, "{jump} {seed}: {error_s}");
        }
    }
}

#[test]
fn kernel_is_told_how_far_its_clock_is_off_while_it_is_slewed() {
    for seed in SEEDS {
        let mut world = world("maxslewrate 500\nrtcsync\n", clock(0.1), servers(1), seed);
        world.run(60.0);
        let off_s = world.machine().clock.ahead_s().abs();
        let stated = world.machine().status.expect("a status").maximum_error_s;
        assert!(off_s > 0.01, "{seed}: slewed already");
        assert!(stated >= off_s, "{seed}: {off_s} off, {stated} stated");
        world.run(2000.0);
        let stated = world.machine().status.expect("a status").maximum_error_s;
        assert!(stated < 0.01, "{seed}: still {stated}");
    }
}

#[test]
fn half_of_the_asymmetry_of_a_path_is_all_that_a_server_can_be_wrong_by() {
    for seed in SEEDS {
        let (there, back) = (Delay::queued(1e-3, 1e-4), Delay::queued(5e-3, 1e-4));
        let asymmetric = vec![Server::new(address(1), there, back)];
        let mut world = world("makestep 1 3\n", clock(0.01), asymmetric, seed);
        world.run(4000.0);
        let trace = world.run(4000.0);
        let error_s = largest_error_s(&trace);
        assert!((1.5e-3..2.5e-3).contains(&error_s), "{seed}: {error_s}");
    }
}

#[test]
fn server_that_refuses_is_left_alone_and_the_others_are_followed() {
    let mut servers = servers(3);
    servers[1].kiss = Some(*b"DENY");
    let mut world = world("makestep 1 3\n", clock(0.01), servers, 1);
    let trace = world.run(4000.0);
    assert!(largest_error_s(&trace[1000..]) < 5e-4);
    assert_eq!(world.driver().engine().sources(world.driver().now())[1].sent, 1);
}

#[test]
fn duplicated_and_reordered_replies_change_nothing_for_the_worse() {
    for seed in SEEDS {
        let mut servers = servers(1);
        servers[0].duplicated = 0.5;
        servers[0].back = Delay::queued(2e-4, 5e-3);
        let mut world = world("makestep 1 3\n", clock(0.01), servers, seed);
        world.run(4000.0);
        let error_s = largest_error_s(&world.run(8000.0));
        assert!(error_s < 2e-3, "{seed}: {error_s}");
    }
}

#[test]
fn what_is_served_is_never_further_off_than_it_says() {
    for (count, seed) in [1, 3].into_iter().flat_map(|count| (1..=20).map(move |s| (count, s))) {
        let mut world = world("makestep 1 3\n", clock(0.3), servers(count), seed);
        for second in 0..4000 {
            world.run(1.0);
            let Some(error_s) = world.machine().served_error_s() else { continue };
            let distance_s = world.machine().root_distance_s();
            assert!(error_s.abs() <= distance_s, "{seed} {second}: {error_s} {distance_s}");
        }
    }
}

#[test]
fn servers_that_are_asymmetric_by_different_amounts_are_no_falsetickers_and_bound_the_error() {
    let path = |number, there_s, back_s| {
        Server::new(address(number), Delay::queued(there_s, 1e-4), Delay::queued(back_s, 1e-4))
    };
    for seed in SEEDS {
        // Off by 2 ms, -1 ms and 1 ms.
        let servers = vec![path(1, 5e-3, 9e-3), path(2, 8e-3, 6e-3), path(3, 2e-3, 4e-3)];
        let mut world = world("makestep 1 3\n", clock(0.01), servers, seed);
        world.run(2000.0);
        for _ in 0..4000 {
            world.run(1.0);
            let error_s = world.machine().served_error_s().expect("time is served");
            assert!(error_s.abs() < 2.2e-3, "{seed}: {error_s}");
            assert!(error_s.abs() <= world.machine().root_distance_s(), "{seed}: {error_s}");
        }
        assert!(!world.states().contains('x'), "{seed}: {}", world.states());
    }
}
