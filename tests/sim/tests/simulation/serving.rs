//! What is published for those who ask us.

use std::time::Duration;

use ntp_common::snapshot::{MAX_LIFE_NS, RefSnapshot};
use ntp_common::time::MonoNs;
use ntp_common::wire::{LeapIndicator, ReferenceId};
use ntp_sim::clock::{KernelClock, Oscillator, Steering};
use ntp_sim::delay::Delay;
use ntp_sim::scenario::server;
use ntp_sim::setup::{self, clock, config, lines, servers};
use ntp_sim::world::World;

/// A world with one good server and these lines.
fn world(more: &str, oscillator: Oscillator) -> World {
    setup::world(&(lines(1, "iburst") + more), oscillator, servers(1), 7)
}

/// One whose server has been followed for ten minutes.
fn synchronised(more: &str) -> World {
    let mut world = world(&format!("makestep 1 3\n{more}"), clock(0.01));
    world.run(600.0);
    assert_eq!(world.states(), "*");
    world
}

fn snapshot(world: &World) -> RefSnapshot {
    world.machine().snapshot
}

#[test]
fn served_time_is_right_and_continuous_while_the_clock_is_slewed() {
    for steering in [Steering::Kernel, Steering::Calculated] {
        let clock = KernelClock::new(clock(2.0), 7).with_steering(steering);
        let mut world = World::with_clock(config(&lines(1, "iburst")), None, clock, servers(1), 7);
        // The first estimate has been made, and the slew goes on for a while after it.
        world.run(0.5);
        assert!(world.machine().clock.ahead_s() > 1.9);
        world.machine_mut().servers[0].silent = true;
        world.machine_mut().largest_jump_s = 0.0;
        for moment in world.run(60.0) {
            let served_s = moment.served_s.expect("time is served");
            assert!(served_s.abs() < 0.02, "served time is off by {served_s}");
        }
        let clock_s = world.machine().clock.ahead_s();
        assert!(clock_s.abs() < 0.02, "the slew is over: {clock_s}");
        let jump_s = world.machine().largest_jump_s;
        assert!(jump_s > 0.0 && jump_s < 1e-6, "served time jumps by {jump_s}");
    }
}

#[test]
fn snapshots_run_at_the_rate_of_the_clock_they_were_published_for() {
    let quiet = vec![server(1, &Delay::queued(5e-4, 2e-5))];
    let oscillator = Oscillator { frequency: 3e-4, ..clock(2.0) };
    let mut world = setup::world(&lines(1, "iburst"), oscillator, quiet, 7);
    let mut before: Option<f64> = None;
    for step in 0..3000 {
        world.run(0.1);
        let Some(served_s) = world.machine().served_error_s() else { continue };
        let rate = before.replace(served_s).map_or(0.0, |before_s| (served_s - before_s) / 0.1);
        // Served time waits for an estimate that fell behind, at most a tenth slower than the clock is believed to
        // run, and goes forward at once. Once the rate is known neither is worth much.
        let known = step > 800;
        let (slowest, fastest) = if known { (-2e-3, 600e-6) } else { (-0.101, f64::INFINITY) };
        assert!((slowest..fastest).contains(&rate), "{step}: {rate}");
    }
}

#[test]
fn snapshot_is_withdrawn_before_a_step_and_published_after_it() {
    let mut world = world("makestep 1 -1\n", clock(-5.0));
    world.run(10.0);
    assert_eq!(world.machine().steps.len(), 1);
    world.run(1000.0);
    assert!(world.machine().is_serving());
    // All that the one server says is another time from now on.
    world.machine_mut().servers[0].ahead_s = 30.0;
    world.run(4000.0);
    assert_eq!(world.machine().steps.len(), 2);
    assert_eq!(world.machine().steps_while_serving, 0);
    assert!((world.machine().served_error_s().expect("serves") - 30.0).abs() < 1e-3);
}

#[test]
fn snapshot_says_what_the_clock_follows() {
    let world = synchronised("rtcsync");
    let snapshot = snapshot(&world);
    assert_eq!(snapshot.stratum(), 2);
    assert_eq!(snapshot.leap(), LeapIndicator::Normal);
    assert_eq!(snapshot.reference_id(), ReferenceId(0xc000_0201));
    let delay_s = f64::from(snapshot.root_delay().to_bits()) / 65_536.0;
    assert!((4e-4..1.5e-3).contains(&delay_s), "{delay_s}");
    assert!((1..66).contains(&snapshot.root_dispersion), "{}", snapshot.root_dispersion);
    assert!(snapshot.dispersion_rate > 4295, "at least 1 ppm");
    let status = world.machine().status.expect("a status");
    assert!(status.sync_rtc && status.leap == LeapIndicator::Normal);
    assert!(status.maximum_error_s < 0.01);
}

#[test]
fn snapshots_are_refreshed_every_second_and_expire_when_nobody_does() {
    let mut world = synchronised("");
    let last = snapshot(&world);
    let now = world.driver().now().mono;
    assert!(last.is_valid_at(now) && last.is_valid_at(now.after(8_000_000_000)));
    assert!(!last.is_valid_at(now.after(11_000_000_000)));
    assert!(last.valid_until_ns - last.base_ns <= MAX_LIFE_NS);
    assert!(last.is_valid_at(MonoNs(now.0 - 50_000_000)), "requests that came a moment ago");
    for second in 0..60 {
        let before = snapshot(&world);
        world.run(1.01);
        assert!(snapshot(&world).base_ns > before.base_ns, "{second}: the same snapshot");
    }
}

#[test]
fn without_sources_local_is_served_if_configured_and_that_there_is_no_time_if_not() {
    for (text, stratum) in [("", 0), ("local stratum 7", 7)] {
        let right = Oscillator { frequency: 0.0, ..clock(0.0) };
        let mut world = setup::world(text, right, Vec::new(), 7);
        world.run(5.0);
        let snapshot = snapshot(&world);
        assert_eq!(snapshot.stratum(), stratum);
        let (delay, dispersion) = (snapshot.root_delay().to_bits(), snapshot.root_dispersion);
        if stratum == 0 {
            assert_eq!(snapshot.leap(), LeapIndicator::Unsynchronised);
            assert_eq!(snapshot.reference_id(), ReferenceId::NONE);
            assert_eq!((delay, dispersion), (65_536, 65_536));
        } else {
            assert_eq!(snapshot.leap(), LeapIndicator::Normal);
            assert_eq!(snapshot.reference_id(), ReferenceId::LOCAL);
            assert_eq!((delay, dispersion), (0, 0));
            let error_s = world.machine().served_error_s().expect("serves");
            assert!(error_s.abs() < 1e-6, "{error_s}");
        }
    }
}

#[test]
fn loss_of_the_only_source_is_survived_with_growing_dispersion_until_maxdistance() {
    let mut world = synchronised("maxdistance 0.02");
    world.machine_mut().servers[0].silent = true;
    let distance_s = |world: &World| world.machine().root_distance_s();
    let before_s = distance_s(&world);
    world.run(2000.0);
    assert_eq!(snapshot(&world).stratum(), 2);
    let after_s = distance_s(&world);
    assert!(after_s > before_s + 1e-3, "{before_s} {after_s}");
    let report = world.source(0);
    assert_eq!((report.reach, report.state.symbol()), (0, '*'), "{report:?}");
    world.run(40_000.0);
    assert_eq!(snapshot(&world).stratum(), 0);
    assert_eq!(world.states(), "?");
    let status = world.machine().status.expect("a status");
    assert_eq!(status.leap, LeapIndicator::Unsynchronised);
}

#[test]
fn dispersion_that_is_served_grows_by_the_second_between_updates() {
    let mut world = synchronised("");
    world.machine_mut().servers[0].silent = true;
    let mut before_s = world.machine().root_distance_s();
    for _ in 0..100 {
        world.run(10.0);
        let after_s = world.machine().root_distance_s();
        // A clock is never trusted to better than 1 ppm; NTP tells dispersion in steps of 15 us.
        assert!(after_s >= before_s + 10e-6 - 16e-6, "{before_s} {after_s}");
        before_s = after_s.max(before_s);
    }
    assert!(before_s > 1e-3, "{before_s}");
}

#[test]
fn sources_that_come_to_disagree_end_the_synchronisation() {
    let text = lines(2, "iburst") + "makestep 1 3";
    let mut world = setup::world(&text, clock(0.0), servers(2), 7);
    world.run(60.0);
    assert_eq!(snapshot(&world).stratum(), 2);
    world.machine_mut().servers[1].ahead_s = 0.2;
    world.run(3000.0);
    assert_eq!(world.states(), "xx");
    assert_eq!(snapshot(&world).stratum(), 0);
}

#[test]
fn end_withdraws_the_snapshot_or_holds_it_for_at_most_a_minute() {
    for seed in 1..=20 {
        let mut ended = setup::world(&lines(1, "iburst"), clock(0.01), servers(1), seed);
        ended.run(70.0 + 10.0 * f64::from(u32::try_from(seed).expect("small")));
        ended.driver_mut().shutdown(None);
        assert_eq!(snapshot(&ended), RefSnapshot::INVALID);
        // The change of frequency at the end is answered by a last snapshot.
        assert!(ended.machine().backward.is_empty(), "{seed}: {:?}", ended.machine().backward);
    }

    for (hold_s, held_s) in [(30, 30), (3600, 60)] {
        let mut held = synchronised("");
        held.driver_mut().shutdown(Some(Duration::from_secs(hold_s)));
        let (snapshot, now) = (snapshot(&held), held.driver().now().mono);
        assert!(snapshot.is_valid_at(now.after((held_s - 1) * 1_000_000_000)));
        assert!(!snapshot.is_valid_at(now.after((held_s + 1) * 1_000_000_000)));
        assert!(held.driver().next_deadline().is_some());
    }
}

#[test]
fn precision_and_rate_limit_reach_the_snapshot() {
    let mut settings = config("ratelimit interval 5");
    settings.precision_log2 = -20;
    let world = World::new(settings, None, clock(0.0), Vec::new(), 1);
    let snapshot = snapshot(&world);
    assert_eq!((snapshot.min_poll, snapshot.fuzz_mask), (5, 0xff));
    assert_eq!(snapshot.head >> 32 & 0xff, 0xec);
}
