//! Going over to another configuration while the clock is kept.

use std::net::IpAddr;

use ntp_engine::conf;
use ntp_engine::settings::EngineConfig;
use ntp_sim::clock::Oscillator;
use ntp_sim::delay::Delay;
use ntp_sim::scenario::address;
use ntp_sim::server::Server;
use ntp_sim::world::World;

fn config(text: &str) -> EngineConfig {
    EngineConfig::from_config(&conf::parse("reload", text).expect("it is valid").config)
}

fn ip(number: u8) -> IpAddr {
    address(number).ip()
}

fn line(number: u8, options: &str) -> String {
    format!("server {} {options}\n", ip(number))
}

/// A clock that is kept after servers 1 to 3 with this configuration, for 2,000 s.
fn settled(text: &str) -> World {
    let oscillator = Oscillator { ahead_s: 0.01, ..Oscillator::default() };
    let servers = (1..=4).map(|it| ntp_sim::scenario::server(it, &Delay::queued(2e-4, 1e-4)));
    let servers: Vec<Server> = servers.collect();
    let mut world = World::new(config(text), None, oscillator, servers, 7);
    world.run(2000.0);
    world
}

fn three(options: &str) -> String {
    (1..=3).map(|number| line(number, options)).collect()
}

#[test]
fn sources_that_stay_keep_their_samples_whatever_else_changes() {
    let mut world = settled(&three("iburst"));
    let before: Vec<_> = (0..3).map(|index| world.source(index)).collect();
    let text = format!("maxdistance 2\nmakestep 1 3\n{}{}", three("iburst maxpoll 7"), line(4, ""));
    world.reconfigure(config(&text));
    for (index, before) in before.iter().enumerate() {
        let after = world.source(index);
        assert_eq!((after.samples, after.sent), (before.samples, before.sent), "{after:?}");
        assert_eq!(after.address, before.address);
        assert!(after.poll_log2 <= 7, "{after:?}");
    }
    assert_eq!((world.source(3).address, world.source(3).sent), (Some(ip(4)), 0));
    world.run(1000.0);
    assert!(world.source(3).samples > 0);
}

#[test]
fn what_is_served_goes_on_without_a_gap_or_a_jump() {
    let mut world = settled(&three("iburst"));
    let before_s = world.machine().served_error_s().expect("time is served");
    for round in 0..20 {
        let options = if round % 2 == 0 { "iburst minpoll 5" } else { "iburst" };
        world.reconfigure(config(&three(options)));
        let after_s = world.machine().served_error_s().expect("time is served");
        assert!((after_s - before_s).abs() < 1e-6, "round {round}: {before_s} s, then {after_s} s");
    }
    assert!(world.machine().steps.is_empty() && world.machine().backward.is_empty());
}

#[test]
fn source_that_is_gone_from_the_configuration_is_asked_no_more() {
    let mut world = settled(&three("iburst"));
    world.reconfigure(config(&(line(1, "iburst") + &line(2, "iburst"))));
    let sent: Vec<_> = (0..2).map(|index| world.source(index).sent).collect();
    let packets = world.machine().packets;
    world.run(5000.0);
    let more: u64 = (0..2).map(|index| world.source(index).sent - sent[index]).sum();
    assert_eq!(world.machine().packets - packets, more);
    assert_eq!(world.driver().engine().sources(world.driver().now()).len(), 2);
}

#[test]
fn clock_without_sources_is_given_up_or_served_as_local_says() {
    let mut world = settled(&three("iburst"));
    world.reconfigure(config("local stratum 9\n"));
    assert_eq!(world.machine().snapshot.stratum(), 9);
    world.reconfigure(config(""));
    assert_eq!(world.machine().snapshot.stratum(), 0);
    world.reconfigure(config(&three("iburst")));
    world.run(100.0);
    assert_eq!(world.machine().snapshot.stratum(), 2);
}

#[test]
fn smoothed_time_goes_on_without_a_jump_whatever_becomes_of_smoothtime() {
    let text = |more: &str| format!("{}makestep 1 3\n{more}", three("iburst"));
    for changed in ["", "smoothtime 1000 0.1\n", "smoothtime 10 0.001\n"] {
        let mut world = settled(&text("smoothtime 100 0.01\n"));
        // The clock is put right by what served time is smoothed by from then on.
        world.machine_mut().clock.disturb(2e-5);
        world.run(1000.0);
        let before_s = world.machine().served_error_s().expect("time is served");
        world.reconfigure(config(&text(changed)));
        let after_s = world.machine().served_error_s().expect("time is served");
        assert!(before_s.abs() > 1e-5, "{before_s}");
        let is_true = changed.is_empty() && after_s.abs() < before_s.abs();
        assert!(is_true || (after_s - before_s).abs() < 1e-7, "{changed}: {before_s} {after_s}");
        assert_eq!(world.machine().backward, []);
        world.run(6000.0);
        let later_s = world.machine().served_error_s().expect("time is served");
        assert!(later_s.abs() < before_s.abs() / 2.0, "{changed}: {later_s}");
    }
}

#[test]
fn leap_second_is_taken_in_the_mode_that_was_read_last() {
    use ntp_common::time::NtpTimestamp;
    use ntp_common::wire::LeapIndicator;
    use ntp_sim::clock::KernelClock;
    // Two hours before the end of 2026.
    let start = NtpTimestamp::from_bits(4_007_743_200 << 32);
    for (before, after, steps) in [("step", "slew", 0), ("slew", "step", 1), ("ignore", "step", 1)]
    {
        let leap = LeapIndicator::Insert;
        let servers = (1..=3)
            .map(|it| Server { leap, ..ntp_sim::scenario::server(it, &Delay::queued(5e-5, 5e-6)) })
            .collect();
        let oscillator = Oscillator { ahead_s: 0.0, ..Oscillator::default() };
        let clock = KernelClock::starting(start, oscillator, 3).with_leap_second(7200.0, -1.0);
        let text = |mode: &str| format!("{}leapsecmode {mode}\n", three("iburst"));
        let mut world = World::with_clock(config(&text(before)), None, clock, servers, 3);
        world.run(3600.0);
        world.reconfigure(config(&text(after)));
        world.run(3600.0 + 200.0);
        assert_eq!(world.machine().steps.len(), steps, "{before} to {after}");
        let error_s = world.machine().clock.ahead_s();
        assert!(error_s.abs() < 1e-3, "{before} to {after}: {error_s}");
    }
}
