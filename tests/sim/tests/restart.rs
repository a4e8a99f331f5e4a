//! A daemon that is started anew goes on where it was.

use ntp_engine::conf;
use ntp_engine::settings::EngineConfig;
use ntp_sim::clock::Oscillator;
use ntp_sim::delay::Delay;
use ntp_sim::scenario::server;
use ntp_sim::world::World;

fn config() -> EngineConfig {
    let text = "server 192.0.2.1 iburst\ndriftfile /drift\nallow\n";
    EngineConfig::from_config(&conf::parse("restart", text).expect("it is valid").config)
}

/// Largest error of what is served in the first seconds after a restart, and when that began, seconds.
fn after_restart(remembers: bool, seed: u64) -> (f64, f64) {
    let servers = vec![server(1, &Delay::queued(0.01, 2e-3))];
    let mut world = World::new(config(), None, Oscillator::default(), servers, seed);
    world.run(20_000.0);
    let from_s = world.machine().clock.now_s() + 3.0;
    world.restart(config(), 3.0, remembers, seed + 100);
    let trace = world.run(5.0);
    let served = || trace.iter().filter(|moment| moment.served_s.is_some());
    let first_s = served().next().map_or(f64::INFINITY, |moment| moment.at_s - from_s);
    let worst_s =
        served().filter_map(|moment| moment.served_s).fold(0.0, |a: f64, b| a.max(b.abs()));
    (worst_s, first_s)
}

fn median_s(remembers: bool) -> f64 {
    let mut worst_s: Vec<f64> = (1..=9).map(|seed| after_restart(remembers, seed).0).collect();
    worst_s.sort_by(f64::total_cmp);
    worst_s[4]
}

#[test]
fn restarted_daemon_that_remembers_is_as_right_as_before_with_the_first_reply() {
    let (fresh_s, remembering_s) = (median_s(false), median_s(true));
    assert!(remembering_s * 2.0 < fresh_s, "{remembering_s} {fresh_s}");
    for seed in 1..=9 {
        let (_, first_s) = after_restart(true, seed);
        assert!(first_s < 2.0, "{seed}: {first_s}");
    }
}
