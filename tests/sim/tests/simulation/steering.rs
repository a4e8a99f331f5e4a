//! What the driver does to the clock, and what it makes of what others do to it.

use ntp_engine::engine::Drift;
use ntp_sim::clock::{KernelClock, Oscillator, Steering};
use ntp_sim::setup::{self, config, largest_error_s, lines, servers};
use ntp_sim::world::World;

/// A clock that is `ahead_s` ahead and runs `error_ppm` too fast.
fn oscillator(ahead_s: f64, error_ppm: f64) -> Oscillator {
    Oscillator { frequency: error_ppm * 1e-6, ahead_s, ..Oscillator::default() }
}

/// A world with one good server and these lines.
fn world(more: &str, oscillator: Oscillator) -> World {
    setup::world(&(lines(1, "iburst") + more), oscillator, servers(1), 7)
}

/// One whose server has been followed for ten minutes.
fn synchronised(more: &str) -> World {
    let mut world = world(&format!("makestep 1 3\n{more}"), oscillator(0.01, 20.0));
    world.run(600.0);
    assert_eq!(world.states(), "*");
    world
}

fn clock_error_s(world: &World) -> f64 {
    world.machine().clock.ahead_s()
}

#[test]
fn clock_that_is_off_in_time_and_frequency_converges_within_minutes() {
    for (ahead_s, error_ppm) in [(0.1, 100.0), (-0.1, -100.0), (0.0, 400.0)] {
        let mut world = world("makestep 1 3", oscillator(ahead_s, error_ppm));
        world.run(180.0);
        let error_s = clock_error_s(&world);
        assert!(error_s.abs() < 1e-3, "{ahead_s} s, {error_ppm} ppm: {error_s}");
        world.run(3600.0);
        let error_s = clock_error_s(&world);
        assert!(error_s.abs() < 1.5e-4, "{ahead_s} s, {error_ppm} ppm: {error_s}");
        assert!(world.machine().steps.is_empty(), "0.1 s is below the threshold");
        let tracking = world.driver().engine().tracking(world.driver().now());
        assert!((tracking.frequency_ppm - error_ppm).abs() < 0.5, "{tracking:?}");
    }
}

#[test]
fn large_offset_is_stepped_with_the_first_reply() {
    let mut world = world("makestep 1 3", oscillator(-5.0, 50.0));
    world.run(1.0);
    let steps = world.machine().steps.clone();
    assert!(steps.len() == 1 && (steps[0].1 - 5.0).abs() < 1e-2, "{steps:?}");
    assert!(clock_error_s(&world).abs() < 1e-3);
    world.run(300.0);
    assert_eq!(world.machine().steps.len(), 1);
}

#[test]
fn clock_is_slewed_no_faster_than_maxslewrate() {
    for (more, most) in [("", 83_333.3), ("maxslewrate 500\n", 500.0), ("maxslewrate 5000\n", 5e3)]
    {
        let mut world = world(more, oscillator(5.0, 50.0));
        let trace = world.run(50.0);
        let fastest = trace.iter().map(|moment| moment.frequency.abs()).fold(0.0, f64::max);
        // The clock's own error comes on top of it.
        assert!((fastest * 1e6 - most).abs() < 0.02 * most + 60.0, "{more}: {fastest}");
        assert!(world.machine().steps.is_empty());
    }
}

#[test]
fn servers_that_jump_together_are_followed_by_a_step_only_if_makestep_has_no_limit() {
    for (limit, stepped) in [("3", false), ("-1", true)] {
        let mut world = world(&format!("makestep 1 {limit}"), oscillator(0.0, 10.0));
        world.run(600.0);
        world.machine_mut().servers[0].ahead_s = 2.0;
        world.run(3000.0);
        assert_eq!(!world.machine().steps.is_empty(), stepped, "limit {limit}");
        assert!((clock_error_s(&world) - 2.0).abs() < 1e-3, "{}", clock_error_s(&world));
    }
}

#[test]
fn one_wild_reply_does_not_move_the_clock() {
    let mut world = synchronised("");
    let before = world.machine().servers[0].asked;
    world.machine_mut().servers[0].ahead_s = 0.5;
    while world.machine().servers[0].asked == before {
        world.run(1.0);
    }
    world.machine_mut().servers[0].ahead_s = 0.0;
    let error_s = largest_error_s(&world.run(300.0));
    assert!(error_s < 1e-3, "{error_s}");
    let served_s = world.machine().served_error_s().expect("serves");
    assert!(served_s.abs() < 1e-3, "{served_s}");
}

#[test]
fn drift_is_saved_in_its_interval_and_at_the_end() {
    let mut world = synchronised("driftfile /nowhere interval 1000");
    assert!(world.machine().drifts.is_empty());
    world.run(3600.0);
    let saved = world.machine().drifts.len();
    assert!((1..=4).contains(&saved), "{saved}");
    world.shutdown();
    assert_eq!(world.machine().drifts.len(), saved + 1);
    let (frequency_ppm, skew_ppm) = world.machine().drifts[saved];
    assert!((frequency_ppm - 20.0).abs() < 0.5, "{frequency_ppm}");
    assert!(skew_ppm > 0.0 && skew_ppm < 10.0, "{skew_ppm}");
}

#[test]
fn stored_drift_is_used_from_the_start_and_not_saved_again_when_nothing_was_learnt() {
    let drift = Some(Drift { frequency_ppm: 80.0, skew_ppm: 0.1 });
    let text = lines(1, "") + "driftfile /nowhere\n";
    let still = Oscillator { wander: 0.0, ..oscillator(0.0, 80.0) };
    let mut world = World::new(config(&text), drift, still, Vec::new(), 1);
    world.run(100.0);
    assert!(clock_error_s(&world).abs() < 1e-6, "{}", clock_error_s(&world));
    world.shutdown();
    assert!(world.machine().drifts.is_empty());
}

#[test]
fn drift_that_no_clock_has_is_not_used() {
    for (frequency_ppm, skew_ppm) in [(f64::NAN, 1.0), (1e9, 1.0), (1.0, f64::NAN), (1.0, -1.0)] {
        let drift = Some(Drift { frequency_ppm, skew_ppm });
        let world = World::new(config(&lines(1, "")), drift, oscillator(0.0, 0.0), Vec::new(), 1);
        assert!(world.machine().clock.rate_error().abs() < 1e-9, "{frequency_ppm}");
    }
}

#[test]
fn clock_is_left_on_its_base_frequency_when_the_daemon_ends_during_a_slew() {
    let mut world = world("", oscillator(5.0, 50.0));
    world.run(20.0);
    assert!(world.machine().clock.rate_error() < -0.08, "not slewing");
    world.shutdown();
    let rate = world.machine().clock.rate_error();
    assert!(rate.abs() < 1e-3, "{rate}");
}

#[test]
fn step_by_somebody_else_starts_the_measurement_over_told_of_or_not() {
    for is_told in [true, false] {
        for step_s in [0.3, -0.3] {
            let mut world = synchronised("");
            let updates =
                |world: &World| world.driver().engine().tracking(world.driver().now()).updates;
            let before = updates(&world);
            world.machine_mut().clock.step(step_s);
            if is_told {
                world.driver_mut().on_clock_stepped_by_other();
                assert!(!world.machine().is_serving(), "nobody knows whether they were right");
            }
            let mut unsynchronised = is_told;
            for _ in 0..200 {
                world.run(0.1);
                unsynchronised |= world.machine().snapshot.stratum() == 0;
            }
            assert!(unsynchronised, "{step_s}: nobody knows whether they were right");
            assert!(updates(&world) >= before + 3, "{step_s}: no new burst");
            assert_eq!(world.machine().snapshot.stratum(), 2, "{step_s}");
            assert!(clock_error_s(&world).abs() < 1e-3, "{}", clock_error_s(&world));
        }
    }
}

#[test]
fn kernels_word_on_a_step_of_ours_is_no_news() {
    let mut world = synchronised("");
    world.driver_mut().on_clock_stepped_by_other();
    assert_eq!(world.machine().snapshot.stratum(), 2);
}

#[test]
fn clock_that_may_not_be_steered_is_followed() {
    let clock = KernelClock::new(oscillator(3.0, 50.0), 7).with_steering(Steering::Forbidden);
    let text = lines(1, "iburst") + "makestep 1 3";
    let mut world = World::with_clock(config(&text), None, clock, servers(1), 7);
    world.run(600.0);
    assert!((clock_error_s(&world) - 3.0 - 600.0 * 50e-6).abs() < 1e-3, "it was steered");
    let served_s = world.machine().served_error_s().expect("serves");
    assert!(served_s.abs() < 1e-3, "served time is off by {served_s}");
    assert_eq!(world.machine().snapshot.stratum(), 2);
}

#[test]
fn calculated_clock_is_steered_like_the_kernels() {
    let clock = KernelClock::new(oscillator(0.4, 200.0), 7).with_steering(Steering::Calculated);
    let text = lines(1, "iburst") + "makestep 1 3";
    let mut world = World::with_clock(config(&text), None, clock, servers(1), 7);
    world.run(1.0);
    for moment in world.run(599.0) {
        let served_s = moment.served_s.expect("serves");
        assert!(served_s.abs() < 1e-2, "served time is off by {served_s}");
    }
    assert!(clock_error_s(&world).abs() < 2e-4, "{}", clock_error_s(&world));
    let tracking = world.driver().engine().tracking(world.driver().now());
    assert!((tracking.frequency_ppm - 200.0).abs() < 1.0, "{tracking:?}");
    assert_eq!(tracking.stratum, 2);
}
