//! Leap seconds that clients do not see: `leapsecmode slew` with `smoothtime`.

use ntp_common::snapshot::NO_LEAP;
use ntp_common::time::NtpTimestamp;
use ntp_common::wire::{LeapIndicator, ReferenceId};
use ntp_engine::conf;
use ntp_engine::report::Smoothing;
use ntp_engine::settings::EngineConfig;
use ntp_sim::clock::{KernelClock, Oscillator};
use ntp_sim::delay::Delay;
use ntp_sim::scenario::server;
use ntp_sim::server::Server;
use ntp_sim::world::World;

/// 2026-12-31 22:00:00, seconds of the NTP era.
const START: NtpTimestamp = NtpTimestamp::from_bits(4_007_743_200 << 32);
/// From there to the end of the day.
const EVENING_S: f64 = 7200.0;
/// Change of the rate of served time, seconds a second a second.
const WANDER: f64 = 1.024e-9;
/// Half of the smear.
const HALF_S: f64 = 31_250.0;

/// A server that smears, with a clock of its own.
fn world(leap: LeapIndicator, step_s: f64, frequency: f64, seed: u64) -> World {
    let servers: Vec<Server> = (1..=3)
        .map(|number| Server { leap, ..server(number, &Delay::queued(5e-5, 5e-6)) })
        .collect();
    let lines = servers.iter().map(|s| format!("server {} iburst\n", s.address.ip()));
    let text = lines.collect::<Vec<String>>().concat()
        + "leapsecmode slew\nmaxslewrate 1000\nsmoothtime 400 0.001024 leaponly\n";
    let parsed = conf::parse("smear", &text).expect("the configuration is valid");
    let oscillator =
        Oscillator { frequency, wander: 1e-11, ahead_s: 0.01, ..Oscillator::default() };
    let leap_s = if step_s < 0.0 { EVENING_S } else { EVENING_S - 1.0 };
    let clock = KernelClock::starting(START, oscillator, seed).with_leap_second(leap_s, step_s);
    World::with_clock(EngineConfig::from_config(&parsed.config), None, clock, servers, seed)
}

fn smoothing(world: &World) -> Smoothing {
    world.driver().engine().smoothing(world.driver().now()).expect("smoothtime is set")
}

/// What served time is to be ahead of true time, so many seconds after an inserted leap second.
fn curve_s(after_s: f64) -> f64 {
    if after_s < HALF_S {
        1.0 - WANDER * after_s.powi(2) / 2.0
    } else {
        WANDER * (2.0 * HALF_S - after_s).max(0.0).powi(2) / 2.0
    }
}

#[test]
fn servers_with_the_same_configuration_smear_alike_over_62500_seconds_with_a_peak_of_32_ppm() {
    for (leap, step_s) in [(LeapIndicator::Insert, -1.0), (LeapIndicator::Delete, 1.0)] {
        let mut worlds = [world(leap, step_s, 5e-5, 1), world(leap, step_s, -3e-5, 2)];
        // True time after the leap second is counted from where the new second begins.
        let start_s = if step_s < 0.0 { EVENING_S } else { EVENING_S - 1.0 };
        for world in &mut worlds {
            world.run(start_s);
            assert_eq!(world.machine().snapshot.leap_at_ns, NO_LEAP, "{leap:?}");
            assert_eq!(world.machine().snapshot.leap(), LeapIndicator::Normal, "{leap:?}");
        }
        let mut peak_ppm: f64 = 0.0;
        for round in 1..=128_u32 {
            let after_s = f64::from(round) * 500.0;
            let errors_s = worlds.each_mut().map(|world| {
                world.run(500.0);
                let (machine, smoothing) = (world.machine(), smoothing(world));
                peak_ppm = peak_ppm.max(smoothing.frequency_ppm.abs());
                let is_smoothed = machine.snapshot.reference_id() == ReferenceId::SMOOTHED;
                assert_eq!(is_smoothed, after_s < 62_500.0, "{leap:?}, {after_s}");
                assert!(machine.backward.is_empty(), "{leap:?}, {after_s}: {:?}", machine.backward);
                machine.served_error_s().expect("time is served")
            });
            let curve_s = -step_s * curve_s(after_s);
            for error_s in errors_s {
                assert!(
                    (error_s - curve_s).abs() < 5e-5,
                    "{leap:?}, {after_s}: {error_s} {curve_s}"
                );
            }
            assert!((errors_s[0] - errors_s[1]).abs() < 5e-5, "{leap:?}, {after_s}: {errors_s:?}");
        }
        assert!((peak_ppm - 32.0).abs() < 0.3, "{leap:?}: {peak_ppm} ppm");
        for world in &worlds {
            let ahead_s = world.machine().clock.ahead_s();
            assert!(ahead_s.abs() < 1e-4, "{leap:?}: the clock itself is {ahead_s} s off");
            let left = smoothing(world);
            assert_eq!((left.offset_s, left.remaining_s, left.is_active), (0.0, 0.0, true));
        }
    }
}

#[test]
fn each_snapshot_of_a_smear_goes_on_where_the_one_before_it_has_come_to() {
    let mut world = world(LeapIndicator::Insert, -1.0, 2e-5, 4);
    // The rate is near its peak of 32 ppm.
    world.run(EVENING_S + HALF_S);
    let mut jumps_s: Vec<f64> = Vec::new();
    for _ in 0..200 {
        world.machine_mut().largest_jump_s = 0.0;
        world.run(1.0);
        jumps_s.push(world.machine().largest_jump_s);
    }
    // Most of them are published between two measurements.
    jumps_s.sort_by(f64::total_cmp);
    assert!(jumps_s[100] < 2e-8, "{}", jumps_s[100]);
}

#[test]
fn smeared_leap_second_is_in_no_snapshot_and_served_time_runs_on() {
    let mut world = world(LeapIndicator::Insert, -1.0, 2e-5, 3);
    world.run(EVENING_S - 1.0);
    let mut last = world.machine().snapshot;
    for step in 0..3000 {
        world.run(1e-3);
        let now = world.driver().now().mono;
        let newest = world.machine().snapshot;
        assert_eq!((newest.leap(), newest.leap_at_ns), (LeapIndicator::Normal, NO_LEAP));
        let change_ns = newest.time_at(now).since(last.time_at(now)).to_nanos();
        assert!(change_ns.abs() < 2_000, "{step}: {change_ns} ns");
        last = newest;
    }
}
