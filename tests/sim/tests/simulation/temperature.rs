//! A clock whose temperature is known is kept better.

use std::f64::consts::TAU;

use ntp_engine::conf;
use ntp_engine::settings::EngineConfig;
use ntp_engine::tempcomp::Compensation;
use ntp_sim::clock::Oscillator;
use ntp_sim::delay::Delay;
use ntp_sim::scenario::server;
use ntp_sim::world::World;

const AMPLITUDE_PPM: f64 = 2.0;
const PERIOD_S: f64 = 3600.0;

/// Root mean square of what is served after the start, seconds. The temperature is looked at every ten seconds.
fn rms_s(compensates: bool, seed: u64) -> f64 {
    let text = "server 192.0.2.1 iburst minpoll 6 maxpoll 8\nallow\n";
    let config = EngineConfig::from_config(&conf::parse("heat", text).expect("it is valid").config);
    let oscillator = Oscillator {
        temperature: AMPLITUDE_PPM * 1e-6,
        period_s: PERIOD_S,
        wander: 1e-10,
        ..Oscillator::default()
    };
    let servers = vec![server(1, &Delay::queued(1e-4, 1e-4))];
    let mut world = World::new(config, None, oscillator, servers, seed);
    let (mut squares, mut count) = (0.0, 0.0);
    for step in 0..2000 {
        let at_s = f64::from(step) * 10.0;
        if compensates {
            let ppm = -AMPLITUDE_PPM * (TAU * (at_s + 5.0) / PERIOD_S).sin();
            world.driver_mut().compensate(Compensation { temperature: 0.0, ppm });
        }
        for moment in world.run(10.0).iter().filter(|moment| moment.at_s > 6000.0) {
            squares += moment.served_s.unwrap_or(f64::INFINITY).powi(2);
            count += 1.0;
        }
    }
    assert_eq!(world.machine().steps, [], "0.1 s is slewed");
    (squares / count).sqrt()
}

#[test]
fn compensated_clock_is_several_times_as_right_and_nothing_is_stepped() {
    for seed in 1..=3 {
        let (plain_s, compensated_s) = (rms_s(false, seed), rms_s(true, seed));
        assert!(compensated_s * 2.0 < plain_s, "{seed}: {compensated_s} {plain_s}");
    }
}

#[test]
fn compensation_is_no_news_of_the_clocks_own_rate() {
    let text = "server 192.0.2.1 iburst\nallow\n";
    let config = EngineConfig::from_config(&conf::parse("heat", text).expect("it is valid").config);
    let oscillator = Oscillator { frequency: 1e-4, wander: 0.0, ..Oscillator::default() };
    let mut world = World::new(config, None, oscillator, Vec::new(), 1);
    world.run(10.0);
    let before = world.machine().clock.rate_error();
    let tracking = |world: &World| world.driver().engine().tracking(world.driver().now());
    let known_ppm = tracking(&world).frequency_ppm;
    for ppm in [5.0, -3.0, 0.0, 9.0] {
        world.driver_mut().compensate(Compensation { temperature: 20.0, ppm });
        let faster_ppm = (world.machine().clock.rate_error() - before) * 1e6;
        assert!((faster_ppm - ppm).abs() < 1e-2, "{ppm}: {faster_ppm}");
        assert!((tracking(&world).frequency_ppm - known_ppm).abs() < 1e-2, "{ppm}");
    }
}
