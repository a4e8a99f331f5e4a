//! What the driver does to the clock.

use ntp_engine::engine::Drift;

use crate::state::{Oscillator, Server, State};
use crate::world::World;
use crate::{A, B, C, config, oscillator, synchronised, world};

#[test]
fn clock_that_is_off_in_time_and_frequency_converges_within_minutes() {
    for (ahead_s, error_ppm) in [(0.1, 100.0), (-0.1, -100.0), (0.0, 400.0)] {
        let text = format!("server {A} iburst\nmakestep 1 3");
        let mut world = world(&text, oscillator(ahead_s, error_ppm), &[A]);
        world.run(180.0);
        let error_s = world.clock_error_s();
        assert!(error_s.abs() < 1e-3, "{ahead_s} s, {error_ppm} ppm: {error_s}");
        world.run(3600.0);
        let error_s = world.clock_error_s();
        assert!(error_s.abs() < 1e-4, "{ahead_s} s, {error_ppm} ppm: {error_s}");
        assert!(world.look(|state| state.steps.is_empty()), "0.1 s is below the threshold");
        let tracking = world.driver.engine().tracking(world.driver.now());
        assert!((tracking.frequency_ppm - error_ppm).abs() < 0.5, "{tracking:?}");
    }
}

#[test]
fn clock_stays_within_some_tens_of_microseconds_for_hours() {
    let mut world = synchronised("");
    let mut squares = Vec::new();
    world.run(3000.0);
    for _ in 0..600 {
        world.run(20.0);
        squares.push(world.clock_error_s().powi(2));
    }
    let samples = f64::from(u32::try_from(squares.len()).unwrap());
    let rms_s = (squares.iter().sum::<f64>() / samples).sqrt();
    assert!(rms_s < 1e-4, "{rms_s}");
}

#[test]
fn large_offset_is_stepped_where_makestep_allows_it() {
    let text = format!("server {A} iburst\nmakestep 1 3");
    let mut world = world(&text, oscillator(-5.0, 50.0), &[A]);
    world.run(1.0);
    let steps = world.look(|state| state.steps.clone());
    assert!(steps.len() == 1 && (steps[0] - 5.0).abs() < 1e-2, "{steps:?}");
    assert!(world.clock_error_s().abs() < 1e-3);
    world.run(300.0);
    assert_eq!(world.look(|state| state.steps.len()), 1);
}

#[test]
fn large_offset_is_slewed_without_makestep() {
    let mut world = world(&format!("server {A} iburst"), oscillator(5.0, 50.0), &[A]);
    world.run(30.0);
    assert!(world.clock_error_s() > 2.0, "slewed faster than maxslewrate");
    world.run(60.0);
    assert!(world.clock_error_s().abs() < 1e-2, "{}", world.clock_error_s());
    world.run(300.0);
    assert!(world.clock_error_s().abs() < 1e-3, "{}", world.clock_error_s());
    assert!(world.look(|state| state.steps.is_empty()));
}

#[test]
fn later_offsets_are_slewed_unless_makestep_has_no_limit() {
    for (limit, stepped) in [("3", false), ("-1", true)] {
        let text = format!("server {A} iburst\nmakestep 1 {limit}");
        let mut world = world(&text, oscillator(0.0, 10.0), &[A]);
        world.run(600.0);
        world.change(|state| state.servers[0].ahead_s = 2.0);
        world.run(3000.0);
        assert_eq!(world.look(|state| !state.steps.is_empty()), stepped, "limit {limit}");
        assert!((world.clock_error_s() - 2.0).abs() < 0.1, "{}", world.clock_error_s());
    }
}

#[test]
fn one_wild_reply_does_not_move_the_clock() {
    let mut world = synchronised("");
    let before = world.look(|state| state.servers[0].requests);
    world.change(|state| state.servers[0].ahead_s = 0.5);
    while world.look(|state| state.servers[0].requests) == before {
        world.run(1.0);
    }
    world.change(|state| state.servers[0].ahead_s = 0.0);
    world.run_and_watch(300.0, |world| assert!(world.clock_error_s().abs() < 1e-3));
    assert!(world.served_error_s().unwrap().abs() < 1e-3);
}

#[test]
fn falseticker_among_three_is_found_and_not_followed() {
    let text = format!("server {A} iburst\nserver {B} iburst\nserver {C} iburst\nmakestep 0.01 3");
    for wrong in 0..3 {
        let mut servers: Vec<Server> = [A, B, C].map(Server::new).into();
        servers[wrong].ahead_s = 0.5;
        // It answers long before the others do.
        servers[wrong].delay_s = 1e-5;
        let mut world = World::new(3, config(&text), None, oscillator(0.0, 10.0), servers);
        world.run(120.0);
        let states = world.states();
        assert_eq!(states.chars().nth(wrong), Some('x'), "{states}");
        assert_eq!(states.matches(['*', '+']).count(), 2, "{states}");
        assert!(world.clock_error_s().abs() < 2e-3, "{}", world.clock_error_s());
        assert!(world.look(|state| state.steps.is_empty()));
    }
}

#[test]
fn reports_say_what_selection_made_of_each_source_and_why() {
    let text = format!(
        "server {A} iburst prefer\nserver {B} iburst\nserver {C} iburst noselect\n\
         server 192.0.2.9\nserver ntp.example"
    );
    let mut world = world(&text, oscillator(0.02, 10.0), &[A, B, C]);
    world.run(12.0);
    let reports = world.driver.engine().selection();
    let codes: String = reports.iter().map(|report| report.verdict.code()).collect();
    assert_eq!(codes, "*PNMM");
    assert!(reports[0].configured.prefer && reports[2].effective.noselect);
    for report in &reports[..3] {
        let offset_s = -world.clock_error_s();
        assert!(report.low_s <= offset_s && offset_s <= report.high_s, "{report:?}");
        assert!(report.last_sample_s.is_some_and(|age_s| age_s < 10.0), "{report:?}");
    }
    assert_eq!((reports[4].id, reports[4].last_sample_s), (None, None));
}

#[test]
fn one_source_is_followed_although_the_other_never_answers() {
    let text = format!("server {A}\nserver {B}\nmakestep 0.1 3");
    let mut world = world(&text, oscillator(3.0, 0.0), &[A]);
    world.run(10.0);
    assert_eq!(world.states(), "*?");
    assert!(world.clock_error_s().abs() < 1e-2);
}

#[test]
fn drift_is_saved_in_its_interval_and_at_the_end() {
    let mut world = synchronised("driftfile /nowhere interval 1000");
    assert!(world.look(|state| state.drift.is_empty()));
    world.run(3600.0);
    let saved = world.look(|state| state.drift.clone());
    assert!((1..=4).contains(&saved.len()), "{saved:?}");
    world.driver.shutdown(None);
    let (frequency_ppm, skew_ppm) = *world.look(|state| state.drift.clone()).last().unwrap();
    let error = world.look(|state| state.oscillator.error);
    assert!((frequency_ppm - error * 1e6).abs() < 0.5, "{frequency_ppm}");
    assert!(skew_ppm > 0.0 && skew_ppm < 10.0, "{skew_ppm}");
}

#[test]
fn stored_drift_is_used_from_the_start() {
    let drift = Some(Drift { frequency_ppm: 80.0, skew_ppm: 0.1 });
    let text = format!("server {A}");
    let mut world = World::new(1, config(&text), drift, oscillator(0.0, 80.0), Vec::new());
    world.run(100.0);
    assert!(world.clock_error_s().abs() < 1e-6, "{}", world.clock_error_s());
    assert!(world.look(|state| state.drift.is_empty()), "nothing was learnt");
    world.driver.shutdown(None);
    assert!(world.look(|state| state.drift.is_empty()));
}

#[test]
fn drift_that_no_clock_has_is_not_used() {
    for (frequency_ppm, skew_ppm) in [(f64::NAN, 1.0), (1e9, 1.0), (1.0, f64::NAN), (1.0, -1.0)] {
        let drift = Some(Drift { frequency_ppm, skew_ppm });
        let text = format!("server {A}");
        let world = World::new(1, config(&text), drift, oscillator(0.0, 0.0), Vec::new());
        assert!(world.look(State::rate_error).abs() < 1e-9, "{frequency_ppm}");
    }
}

#[test]
fn clock_is_left_on_its_base_frequency_when_the_daemon_ends_during_a_slew() {
    let mut world = world(&format!("server {A} iburst"), oscillator(5.0, 50.0), &[A]);
    world.run(20.0);
    assert!(world.look(State::rate_error) < -0.08, "not slewing");
    world.driver.shutdown(None);
    assert!(world.look(State::rate_error).abs() < 1e-3);
}

#[test]
fn step_by_somebody_else_starts_the_measurement_over() {
    let mut world = synchronised("");
    world.change(|state| state.oscillator.ahead_s += 0.3);
    world.driver.on_clock_stepped_by_other();
    assert_eq!(world.snapshot().stratum(), 0, "nobody knows whether they were right");
    world.run(20.0);
    assert_eq!(world.snapshot().stratum(), 2);
    assert!(world.clock_error_s().abs() < 1e-3, "{}", world.clock_error_s());
}

#[test]
fn step_by_somebody_else_is_noticed_without_being_told() {
    let mut world = synchronised("");
    let updates = |world: &World| world.driver.engine().tracking(world.driver.now()).updates;
    let before = updates(&world);
    world.change(|state| state.oscillator.ahead_s -= 0.3);
    let mut unsynchronised = false;
    world.run_and_watch(20.0, |world| unsynchronised |= world.snapshot().stratum() == 0);
    assert!(unsynchronised, "nobody knows whether they were right");
    assert!(updates(&world) >= before + 3, "no new burst");
    assert!(world.clock_error_s().abs() < 1e-3, "{}", world.clock_error_s());
}

#[test]
fn kernels_word_on_a_step_of_ours_is_no_news() {
    let mut world = synchronised("");
    world.driver.on_clock_stepped_by_other();
    assert_eq!(world.snapshot().stratum(), 2);
}

#[test]
fn same_seed_gives_the_same_actions() {
    let log = |seed| {
        let text = format!("server {A} iburst\nserver {B} iburst\nserver {C}\nmakestep 1 3");
        let servers = [A, B, C].map(Server::new).into();
        let mut world = World::new(seed, config(&text), None, oscillator(4.0, 30.0), servers);
        world.run(1000.0);
        world.look(|state| state.log.clone())
    };
    let first = log(1);
    assert!(first.len() > 1000);
    assert_eq!(first, log(1));
    assert_ne!(first, log(2));
}

#[test]
fn clock_that_may_not_be_steered_is_followed() {
    let forbidden = Oscillator { permitted: false, ..oscillator(3.0, 50.0) };
    let mut world = world(&format!("server {A} iburst\nmakestep 1 3"), forbidden, &[A]);
    world.run(600.0);
    assert!((world.clock_error_s() - 3.0 - 600.0 * 50e-6).abs() < 1e-3, "it was steered");
    let served_s = world.served_error_s().unwrap();
    assert!(served_s.abs() < 1e-3, "served time is off by {served_s}");
    assert_eq!(world.snapshot().stratum(), 2);
}

#[test]
fn calculated_clock_is_steered_like_the_kernels() {
    let calculated = Oscillator { calculated: true, ..oscillator(0.4, 200.0) };
    let mut world = world(&format!("server {A} iburst\nmakestep 1 3"), calculated, &[A]);
    world.run_and_watch(600.0, |world| {
        let served_s = world.served_error_s().unwrap_or(0.0);
        let now_s = world.look(|state| state.now_s);
        assert!(now_s < 1.0 || served_s.abs() < 1e-2, "served time is off by {served_s}");
    });
    assert!(world.clock_error_s().abs() < 1e-4, "{}", world.clock_error_s());
    let tracking = world.driver.engine().tracking(world.driver.now());
    assert!((tracking.frequency_ppm - 200.0).abs() < 1.0, "{tracking:?}");
    assert_eq!(tracking.stratum, 2);
}
