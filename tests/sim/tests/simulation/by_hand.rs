//! A network without any source, whose time somebody gives by hand.

use ntp_engine::conf;
use ntp_engine::engine::ManualOperation;
use ntp_engine::manual::{ManualCorrection, ManualError};
use ntp_engine::settings::EngineConfig;
use ntp_sim::clock::Oscillator;
use ntp_sim::world::World;

fn world(text: &str) -> World {
    let config =
        EngineConfig::from_config(&conf::parse("manual", text).expect("it is valid").config);
    let oscillator =
        Oscillator { frequency: 1e-4, wander: 0.0, ahead_s: 5.0, ..Oscillator::default() };
    World::new(config, None, oscillator, Vec::new(), 1)
}

/// Somebody gives the time, wrong by `slip_s`.
fn give(world: &mut World, slip_s: f64) -> Result<ManualCorrection, ManualError> {
    let time = world.machine().clock.true_time(slip_s);
    world.driver_mut().set_time(time)
}

fn served_error_s(world: &World) -> f64 {
    world.machine().served_error_s().expect("`local` is served")
}

#[test]
fn clock_follows_the_times_that_are_given_and_learns_its_rate() {
    let mut world = world("local stratum 10\nallow\nmanual\n");
    world.run(10.0);
    let first = give(&mut world, 0.0).unwrap();
    assert!((first.offset_s - 5.001).abs() < 1e-3, "{first:?}");
    assert!(first.frequency_change_ppm.abs() < 1e-9, "one time says nothing of the rate");
    // Served at once as far as it does not go backward by less than a second; the clock slews.
    world.run(120.0);
    assert!(world.machine().clock.ahead_s().abs() < 0.1, "{}", world.machine().clock.ahead_s());
    assert_eq!(world.machine().steps, []);
    world.run(880.0);
    let second = give(&mut world, 0.0).unwrap();
    assert!((second.offset_s - 0.1).abs() < 1e-3, "{second:?}");
    assert!((second.frequency_change_ppm - 100.0).abs() < 0.1, "{second:?}");
    assert!((second.frequency_ppm - 100.0).abs() < 0.1, "{second:?}");
    world.run(10_000.0);
    assert!(served_error_s(&world).abs() < 2e-3, "{}", served_error_s(&world));
    let tracking = world.driver().engine().tracking(world.driver().now());
    assert_eq!(tracking.stratum, 10, "a time by hand synchronises nobody");
}

#[test]
fn slip_of_a_finger_moves_the_clock_until_it_is_deleted_and_hardly_its_rate() {
    let mut world = world("local stratum 10\nallow\nmanual\n");
    for slip_s in [0.0, 0.0, 0.0, 7.0, 0.0] {
        world.run(1000.0);
        give(&mut world, slip_s).unwrap();
    }
    let tracking = world.driver().engine().tracking(world.driver().now());
    assert!((tracking.frequency_ppm - 100.0).abs() < 1.0, "{tracking:?}");
    let entries = world.driver().engine().manual();
    assert_eq!(entries.len(), 5);
    let slip = entries.iter().position(|entry| entry.residual_s.abs() > 1.0);
    assert_eq!(slip, Some(3), "{entries:?}");
    assert!((entries[3].residual_s + 7.0).abs() < 0.1, "{entries:?}");
    assert!(entries.iter().enumerate().all(|(i, e)| i == 3 || e.slewed_offset_s.abs() < 0.1));
    world.driver_mut().operate_manual(ManualOperation::Delete(3)).unwrap();
    assert_eq!(world.driver().engine().manual().len(), 4);
    assert!(served_error_s(&world).abs() < 1e-2, "{}", served_error_s(&world));
    world.driver_mut().operate_manual(ManualOperation::Reset).unwrap();
    assert_eq!(world.driver().engine().manual(), []);
}

#[test]
fn times_are_taken_only_when_that_is_allowed() {
    let mut world = world("local stratum 10\nallow\n");
    world.run(10.0);
    assert_eq!(give(&mut world, 0.0).map(drop), Err(ManualError::Disabled));
    assert!((served_error_s(&world) - 5.001).abs() < 1e-3);
    world.driver_mut().operate_manual(ManualOperation::Enable(true)).unwrap();
    give(&mut world, 0.0).unwrap();
    assert_eq!(give(&mut world, 0.0).map(drop), Err(ManualError::TooSoon));
}

#[test]
fn slip_of_seconds_is_no_rate_however_soon_the_next_time_is_given() {
    for (pause_s, slip_s) in [(10.0, 2.0), (10.0, 0.3), (60.0, 7.0), (1000.0, 40.0)] {
        let mut world = world("local stratum 10\nallow\nmanual\n");
        world.run(10.0);
        give(&mut world, 0.0).unwrap();
        world.run(pause_s);
        let correction = give(&mut world, slip_s).unwrap();
        let change_ppm = correction.frequency_change_ppm;
        assert!(change_ppm.abs() < 100.0, "{pause_s} {slip_s}: {change_ppm}");
        // The time itself is believed.
        assert!((correction.offset_s + slip_s).abs() < 0.2, "{correction:?}");
    }
}
