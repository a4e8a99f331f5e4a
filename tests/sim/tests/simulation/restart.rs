//! A daemon that is started anew goes on where it was.

use ntp_engine::conf;
use ntp_engine::settings::EngineConfig;
use ntp_sim::clock::{KernelClock, Oscillator, Steering};
use ntp_sim::delay::Delay;
use ntp_sim::scenario::server;
use ntp_sim::world::World;

/// How finely the time after a start is looked at, seconds.
const SLICE_S: f64 = 0.02;

fn config_of(text: &str) -> EngineConfig {
    EngineConfig::from_config(&conf::parse("restart", text).expect("it is valid").config)
}

fn config() -> EngineConfig {
    config_of("server 192.0.2.1 iburst\ndriftfile /drift\nallow\n")
}

/// A world whose daemon has run for long enough to know its clock and its path.
fn settled(seed: u64) -> World {
    let servers = vec![server(1, &Delay::queued(0.01, 2e-3))];
    let mut world = World::new(config(), None, Oscillator::default(), servers, seed);
    world.run(20_000.0);
    world
}

/// Largest error of what is served in the first seconds after a restart, seconds.
fn worst_after_restart_s(remembers: bool, seed: u64) -> f64 {
    let mut world = settled(seed);
    world.restart(config(), 3.0, remembers, seed + 100);
    let trace = world.run(5.0);
    let served = trace.iter().filter_map(|moment| moment.served_s);
    served.fold(0.0, |worst_s: f64, error_s| worst_s.max(error_s.abs()))
}

fn median_s(remembers: bool) -> f64 {
    let mut worst_s: Vec<f64> =
        (1..=9).map(|seed| worst_after_restart_s(remembers, seed)).collect();
    worst_s.sort_by(f64::total_cmp);
    worst_s[4]
}

#[test]
fn restarted_daemon_that_remembers_is_as_right_as_before_with_the_first_reply() {
    let (fresh_s, remembering_s) = (median_s(false), median_s(true));
    assert!(remembering_s * 2.0 < fresh_s, "{remembering_s} {fresh_s}");
}

#[test]
fn restarted_daemon_serves_within_a_second_of_the_first_good_sample_and_within_its_bounds() {
    // Of three servers that were configured one is gone: nobody waits for it.
    let lines = "server 192.0.2.1 iburst\nserver 192.0.2.2 iburst\nserver 192.0.2.3 iburst\n";
    let config = || config_of(&format!("{lines}driftfile /drift\nallow\n"));
    for seed in 1..=9 {
        let servers = (1..=3).map(|host| server(host, &Delay::queued(0.01, 2e-3))).collect();
        let mut world = World::new(config(), None, Oscillator::default(), servers, seed);
        world.run(20_000.0);
        world.machine_mut().servers[2].silent = true;
        world.restart(config(), 3.0, true, seed + 100);
        let is_good = |world: &World| (0..2).any(|index| world.source(index).accepted > 0);
        let mut after_sample_s = 0.0;
        while world.machine().served_error_s().is_none() {
            assert!(after_sample_s < 1.0, "{seed}: nothing is served");
            world.run(SLICE_S);
            after_sample_s += if is_good(&world) { SLICE_S } else { 0.0 };
        }
        let (error_s, bound_s) = {
            let machine = world.machine();
            (machine.served_error_s().unwrap_or(f64::NAN), machine.root_distance_s())
        };
        assert!(error_s.abs() <= bound_s, "{seed}: {error_s} {bound_s}");
        assert!(error_s.abs() < 1e-3, "{seed}: {error_s}");
    }
}

#[test]
fn clock_that_is_only_followed_and_goes_on_is_the_same_clock() {
    let servers = vec![server(1, &Delay::queued(0.01, 2e-3))];
    let clock = KernelClock::new(Oscillator::default(), 1).with_steering(Steering::Calculated);
    let mut world = World::with_clock(config(), None, clock, servers, 1);
    world.run(20_000.0);
    let before = world.source(0).samples;
    world.restart(config(), 600.0, true, 101);
    assert_eq!(world.source(0).samples, before);
}

#[test]
fn what_was_measured_is_taken_up_only_on_the_same_clock_and_while_it_is_new() {
    type Meanwhile = fn(&mut World);
    let cases: [(&str, Meanwhile, bool); 6] = [
        ("nothing", |world| world.pause(3.0), true),
        ("half an hour", |world| world.pause(1800.0), true),
        ("hours", |world| world.pause(9000.0), false),
        ("step", |world| world.machine_mut().clock.step(1e-3), false),
        ("steering", |world| world.machine_mut().clock.adjtimex(10_000, 1 << 16), false),
        ("sleep", |world| world.machine_mut().clock.sleep(60.0, 60.0), false),
    ];
    for (name, meanwhile, taken) in cases {
        let mut world = settled(1);
        let before = world.source(0).samples;
        let histories = world.stop();
        meanwhile(&mut world);
        world.pause(1.0);
        world.start_again(config(), histories, 101);
        let samples = world.source(0).samples;
        assert_eq!(samples, if taken { before } else { 0 }, "{name}");
        // Whatever was taken up: what is served is within its bounds.
        for _ in 0..200 {
            world.run(0.1);
            let machine = world.machine();
            let Some(error_s) = machine.served_error_s() else { continue };
            assert!(error_s.abs() <= machine.root_distance_s(), "{name}: {error_s}");
        }
        assert!(world.machine().served_error_s().is_some(), "{name}: nothing is served");
    }
}

#[test]
fn what_a_falseticker_said_before_is_not_believed_after_a_restart_either() {
    let lines = ntp_sim::setup::lines(4, "iburst");
    let config = || config_of(&format!("{lines}driftfile /drift\nallow\n"));
    for seed in 1..=5 {
        let mut servers: Vec<_> =
            (1..=4).map(|host| server(host, &Delay::queued(1e-3, 1e-4))).collect();
        servers[0].ahead_s = 0.1;
        let mut world = World::new(config(), None, Oscillator::default(), servers, seed);
        world.run(5_000.0);
        assert!(world.states().starts_with('x'), "{}", world.states());
        world.restart(config(), 3.0, true, seed + 100);
        let mut served = 0;
        for _ in 0..1_000 {
            world.run(SLICE_S);
            let Some(error_s) = world.machine().served_error_s() else { continue };
            served += 1;
            assert!(error_s.abs() < 5e-4, "{seed}: {error_s}");
        }
        assert!(served > 900, "{seed}: {served}");
    }
}
