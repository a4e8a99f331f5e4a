//! What the rules of the configuration and the commands of an operator make of the clock.

use ntp_engine::engine::{ClockOperation, Drift};
use ntp_sim::clock::{Oscillator, Shift};
use ntp_sim::delay::Delay;
use ntp_sim::scenario::server;
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
fn hour_of_sleep_is_slept_off() {
    // Kernels put their clock forward by what a battery-backed clock says; a clock of our own stands still.
    for (made_up_s, steps) in [(3600.0, 0), (3599.3, 0), (3610.0, 1), (0.0, 1)] {
        for seed in SEEDS {
            let mut world = world("makestep 1 -1\n", clock(0.01), servers(3), seed);
            world.run(3000.0);
            world.machine_mut().clock.sleep(3600.0, made_up_s);
            let trace = world.run(60.0);
            // The driver finds out within a second. In the first of them nobody else can know either.
            let served_s = largest_served_error_s(&trace[1..]);
            assert!(served_s < 2e-3, "{made_up_s} {seed}: {served_s}");
            assert!(trace[10].served_s.is_some(), "{made_up_s} {seed}: not serving");
            assert_eq!(world.machine().steps.len(), steps, "{made_up_s} {seed}");
            let error_s = largest_error_s(&world.run(1000.0));
            assert!(error_s < 1e-3, "{made_up_s} {seed}: {error_s}");
        }
    }
}

#[test]
fn nothing_is_stepped_where_makestep_does_not_allow_it() {
    let cases = [
        ("", 5.0, 0),
        ("makestep 1 0\n", 5.0, 0),
        ("makestep 10 3\n", 5.0, 0),
        ("makestep 0.1 -1\n", 0.05, 0),
        ("makestep 0.1 -1\n", 5.0, 1),
        ("makestep 1 3\n", 5.0, 1),
    ];
    for (rule, ahead_s, at_start) in cases {
        let mut world = world(rule, clock(ahead_s), servers(3), 1);
        world.run(2000.0);
        assert_eq!(world.machine().steps.len(), at_start, "{rule}: at the start");
        world.machine_mut().clock.step(3.0);
        world.run(2000.0);
        let unlimited = usize::from(rule.ends_with("-1\n"));
        assert_eq!(world.machine().steps.len(), at_start + unlimited, "{rule}: later");
        let error_s = largest_error_s(&world.run(100.0));
        assert!(error_s < 1e-3, "{rule}: {error_s}");
    }
}

#[test]
fn change_beyond_the_limit_is_ignored_and_then_ends_the_daemon() {
    // The servers go astray together, as one that all of them follow may.
    for (rule, ends) in [("maxchange 10 1 2\n", true), ("maxchange 10 1 -1\n", false)] {
        for seed in SEEDS {
            let mut world = world(rule, clock(20.0), servers(3), seed);
            world.run(2000.0);
            assert!(!world.driver().engine().has_given_up(), "the first update is exempt");
            for server in &mut world.machine_mut().servers {
                server.ahead_s = 1000.0;
            }
            let error_s = largest_error_s(&world.run(6000.0));
            assert!(error_s < 2e-3, "{rule} {seed}: {error_s} followed");
            assert_eq!(world.driver().engine().has_given_up(), ends, "{rule} {seed}");
            assert!(world.machine().steps.is_empty());
        }
    }
}

#[test]
fn frequency_is_not_corrected_by_more_than_maxdrift() {
    for (rule, corrected) in [("maxdrift 60\n", 60e-6), ("maxdrift 150\n", 100e-6)] {
        let mut world = world(rule, clock(0.0), servers(1), 1);
        world.run(2000.0);
        let tracking = world.driver().engine().tracking(world.driver().now());
        let error = (tracking.frequency_ppm * 1e-6 - corrected).abs();
        assert!(error < 1e-6, "{rule}: {}", tracking.frequency_ppm);
        let error_s = largest_error_s(&world.run(4000.0));
        assert!(error_s < 60e-3, "{rule}: {error_s}");
    }
}

#[test]
fn root_dispersion_grows_by_what_the_clock_may_do_unseen() {
    let after_outage_s = |rule: &str| {
        let mut world = world(rule, clock(0.0), servers(1), 1);
        world.run(4000.0);
        world.machine_mut().servers[0].silent = true;
        let before_s = world.machine().root_distance_s();
        world.run(1000.0);
        world.machine().root_distance_s() - before_s
    };
    let [none_s, usual_s, more_s] =
        ["maxclockerror 0\n", "", "maxclockerror 11\n"].map(after_outage_s);
    assert!((usual_s - none_s - 1e-3).abs() < 1e-4, "{none_s} {usual_s}");
    assert!((more_s - usual_s - 1e-2).abs() < 1e-3, "{usual_s} {more_s}");
}

#[test]
fn time_that_is_served_runs_true_where_maxdrift_keeps_the_clock_from_it_and_so_after_a_restart() {
    let text = lines(1, "iburst") + "maxdrift 20\ndriftfile /drift\n";
    for seed in SEEDS {
        let mut world = setup::world(&text, clock(0.0), servers(1), seed);
        world.run(2000.0);
        let served_s = largest_served_error_s(&world.run(4000.0));
        assert!(served_s < 5e-4, "{seed}: {served_s}");
        world.restart(setup::config(&text), 1.0, false, seed + 100);
        let trace = world.run(300.0);
        let served_s = largest_served_error_s(&trace[10..]);
        assert!(served_s < 5e-4, "{seed}: {served_s} after the restart");
    }
}

#[test]
fn frequency_that_is_not_known_as_well_as_maxupdateskew_wants_is_left_alone() {
    let frequency_ppm = |rule: &str| {
        // Delays that vary by 20 ms: within minutes the rate is known to some ppm.
        let vague = vec![server(1, &Delay::queued(1e-3, 0.02))];
        let mut world = world(rule, clock(0.0), vague, 1);
        world.run(600.0);
        world.driver().engine().tracking(world.driver().now()).frequency_ppm
    };
    let (strict, lax) = (frequency_ppm("maxupdateskew 0.1\n"), frequency_ppm(""));
    assert!(strict.abs() < 1e-6, "{strict} ppm corrected");
    assert!((lax - 100.0).abs() < 50.0, "{lax} ppm corrected");
}

#[test]
fn longer_slews_are_gentler() {
    let worst = |ratio: f64| {
        let rule = format!("corrtimeratio {ratio}\n");
        let mut world = world(&rule, clock(0.0), servers(1), 1);
        world.run(4000.0);
        for server in &mut world.machine_mut().servers {
            server.ahead_s = 2e-3;
        }
        let trace = world.run(4000.0);
        trace.iter().map(|moment| moment.frequency.abs()).fold(0.0, f64::max)
    };
    let (quick, usual, gentle) = (worst(1.0), worst(3.0), worst(30.0));
    assert!(quick > 1.5 * usual && usual > 3.0 * gentle, "{quick} {usual} {gentle}");
}

#[test]
fn slews_take_longer_where_answers_are_rare() {
    let worst = |loss: f64| {
        let text = lines(1, "minpoll 6 maxpoll 6");
        let mut world = setup::world(&text, clock(0.0), servers(1), 1);
        for server in &mut world.machine_mut().servers {
            server.loss = loss;
        }
        world.run(30_000.0);
        for server in &mut world.machine_mut().servers {
            server.ahead_s = 2e-3;
        }
        let trace = world.run(10_000.0);
        trace.iter().map(|moment| moment.frequency.abs()).fold(0.0, f64::max)
    };
    let (always, rarely) = (worst(0.0), worst(0.8));
    // 2 ms in half of 64 s, and in five times as long.
    assert!((always / 62.5e-6 - 1.0).abs() < 0.2, "{always}");
    assert!((rarely / 12.5e-6 - 1.0).abs() < 0.5, "{rarely}");
}

#[test]
fn clock_that_is_left_alone_falls_back_on_its_mean_frequency() {
    for seed in SEEDS {
        let oscillator = Oscillator { wander: 1e-11, ..clock(0.0) };
        let rule = "makestep 1 3\nfallbackdrift 13 15\n";
        let mut world = world(rule, oscillator, servers(1), seed);
        world.run(60_000.0);
        // The sun comes in for half an hour, and just then the network goes.
        world.machine_mut().clock.disturb(3e-6);
        world.run(1800.0);
        world.machine_mut().servers[0].silent = true;
        world.machine_mut().clock.disturb(-3e-6);
        let alone = world.run(8000.0);
        let astray_s = alone.last().map_or(0.0, |moment| moment.clock_s);
        assert!(astray_s.abs() > 15e-3, "{seed}: {astray_s}");
        world.run(1000.0);
        let rate = world.machine().clock.rate_error();
        assert!(rate.abs() < 1.5e-6, "{seed}: {rate} before the longer mean");
        world.run(60_000.0);
        let rate = world.machine().clock.rate_error();
        assert!(rate.abs() < 0.5e-6, "{seed}: {rate}");
        assert!(world.machine().served_error_s().is_none(), "{seed}: not synchronised");
        world.machine_mut().servers[0].silent = false;
        world.run(3000.0);
        let error_s = largest_error_s(&world.run(100.0));
        assert!(error_s < 1e-3, "{seed}: {error_s}");
    }
}

#[test]
fn operator_can_have_a_slewing_clock_stepped() {
    let mut world = world("maxslewrate 500\n", clock(40.0), servers(1), 1);
    world.run(100.0);
    let tracking = world.driver().engine().tracking(world.driver().now());
    assert!(tracking.too_far_off, "{tracking:?}");
    assert!(world.machine().clock.ahead_s() > 39.0);
    world.driver_mut().operate_clock(ClockOperation::Step);
    assert_eq!(world.machine().steps.len(), 1);
    let error_s = largest_error_s(&world.run(1000.0));
    assert!(error_s < 2e-3, "{error_s}");
    assert!(!world.driver().engine().tracking(world.driver().now()).too_far_off);
    assert_eq!(world.machine().steps.len(), 1);
}

#[test]
fn operator_can_allow_steps_for_some_updates() {
    for (limit, astray_s, stepped) in [(Some(2), 5.0, 1), (Some(0), 5.0, 0), (None, 5.0, 1)] {
        let mut world = world("", clock(0.0), servers(1), 1);
        world.run(3000.0);
        let operation = ClockOperation::AllowSteps { threshold_s: 1.0, limit };
        world.driver_mut().operate_clock(operation);
        world.machine_mut().clock.step(astray_s);
        world.run(100.0);
        assert_eq!(world.machine().steps.len(), stepped, "{limit:?}");
    }
}

#[test]
fn what_an_operator_knows_better_is_believed_until_measured() {
    let mut world = world("", clock(0.0), Vec::new(), 1);
    world.driver_mut().operate_clock(ClockOperation::Frequency(100.0));
    let rate = world.machine().clock.rate_error();
    assert!(rate.abs() < 1e-7, "{rate}");
    let before_s = world.machine().clock.ahead_s();
    world.driver_mut().operate_clock(ClockOperation::Offset(0.01));
    world.run(60.0);
    let moved_s = world.machine().clock.ahead_s() - before_s;
    assert!((moved_s + 0.01).abs() < 1e-4, "{moved_s}");
    assert!(world.machine().steps.is_empty());
}

#[test]
fn rate_that_maxupdateskew_keeps_from_being_taken_is_in_the_bounds() {
    // What is stored was right once; the clock becomes warmer, and no rate is ever certain enough to be taken.
    let drift = Some(Drift { frequency_ppm: 100.0, skew_ppm: 0.1 });
    let warmer = Shift { at_s: 1_000.0, by: 3e-5, time_constant_s: 20_000.0 };
    for seed in SEEDS {
        let text = lines(1, "iburst minpoll 9 maxpoll 10") + "maxupdateskew 1e-6\n";
        let oscillator = Oscillator { shifts: vec![warmer], ..clock(0.01) };
        let mut world = World::new(setup::config(&text), drift, oscillator, servers(1), seed);
        for _ in 0..20_000 {
            world.run(1.0);
            let machine = world.machine();
            let Some(error_s) = machine.served_error_s() else { continue };
            let bound_s = machine.root_distance_s();
            assert!(error_s.abs() <= bound_s, "{seed}: {error_s} {bound_s}");
        }
        assert!(world.driver().engine().tracking(world.driver().now()).skew_ppm > 10.0);
    }
}
