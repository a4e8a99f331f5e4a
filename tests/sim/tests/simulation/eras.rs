//! The ends of the ranges of time formats: the era of NTP timestamps ends on 7 February 2036, that of a signed 32-bit
//! `time_t` on 19 January 2038.

use ntp_common::time::NtpTimestamp;
use ntp_engine::conf;
use ntp_engine::settings::EngineConfig;
use ntp_sim::clock::Oscillator;
use ntp_sim::delay::Delay;
use ntp_sim::scenario::server;
use ntp_sim::world::World;

/// Seconds of NTP timestamps at the two ends: 2^32, which is 0, and 2^31 s after 1970.
const ENDS: [(&str, u32); 2] = [("2036", 0), ("2038", 61_505_152)];

/// A world that starts `before_s` before an end, with a clock that is ahead.
fn world(end: u32, before_s: u32, ahead_s: f64, seed: u64) -> World {
    let servers = vec![server(1, &Delay::queued(2e-4, 1e-4))];
    let text = "server 192.0.2.1 iburst\nmakestep 1 3\n";
    let parsed = conf::parse("era", text).expect("the configuration is valid");
    let config = EngineConfig::from_config(&parsed.config);
    let start = NtpTimestamp::from_bits(u64::from(end.wrapping_sub(before_s)) << 32);
    let oscillator = Oscillator { ahead_s, ..Oscillator::default() };
    World::starting(start, config, None, oscillator, servers, seed)
}

#[test]
fn clock_is_kept_and_served_across_the_end_of_an_era() {
    for (name, end) in ENDS {
        for seed in 1..=3 {
            let mut world = world(end, 3000, 0.01, seed);
            world.run(2000.0);
            let trace = world.run(2000.0);
            for moment in &trace {
                assert!(moment.clock_s.abs() < 1e-3, "{name} {seed}: {moment:?}");
                let served_s = moment.served_s.expect("time is served all along");
                assert!(served_s.abs() < 1e-3, "{name} {seed}: {moment:?}");
            }
            let machine = world.machine();
            assert!(machine.steps.is_empty(), "{name} {seed}: {:?}", machine.steps);
            assert!(machine.backward.is_empty(), "{name} {seed}: {:?}", machine.backward);
        }
    }
}

#[test]
fn clock_that_is_in_another_era_than_true_time_is_stepped_into_it() {
    for (name, end) in ENDS {
        // True time is before the end and the clock behind it, or the other way round.
        for (before_s, ahead_s) in [(50, 100.0), (u32::MAX - 49, -100.0)] {
            let mut world = world(end, before_s, ahead_s, 1);
            let trace = world.run(300.0);
            let last = trace.last().expect("300 seconds");
            assert!(last.clock_s.abs() < 1e-3, "{name} {ahead_s}: {last:?}");
            let steps = &world.machine().steps;
            assert!((steps[0].1 + ahead_s).abs() < 0.1, "{name} {ahead_s}: {steps:?}");
        }
    }
}
