//! What holds on any clock and any network, of which some are drawn at random.

use ntp_engine::conf;
use ntp_engine::settings::EngineConfig;
use ntp_sim::chance::Chance;
use ntp_sim::clock::Oscillator;
use ntp_sim::delay::Delay;
use ntp_sim::scenario::server;
use ntp_sim::server::Server;
use ntp_sim::world::World;

/// Worlds that are drawn.
const WORLDS: u64 = 100;
/// How long each is looked at, seconds.
const LENGTH_S: u32 = 12_000;

/// A value between two others, as likely in each of its powers of ten.
fn between(low: f64, high: f64, chance: &mut Chance) -> f64 {
    low * (high / low).powf(chance.uniform())
}

fn delay(chance: &mut Chance) -> Delay {
    let (base_s, jitter_s) = (between(1e-5, 0.05, chance), between(1e-6, 0.01, chance));
    let kind = chance.uniform();
    let tail = if kind < 0.3 {
        Delay::Pareto { scale_s: jitter_s, shape: between(1.2, 4.0, chance) }
    } else if kind < 0.5 {
        Delay::Spikes { scale_s: 10.0 * jitter_s, threshold: 3.0 }
    } else {
        Delay::Fixed(0.0)
    };
    Delay::queued(base_s, jitter_s) + tail
}

fn world(seed: u64) -> World {
    let chance = &mut Chance::new(seed, 9);
    let oscillator = Oscillator {
        frequency: 2e-4 * chance.normal(),
        wander: between(1e-11, 1e-8, chance),
        temperature: between(1e-10, 1e-7, chance),
        period_s: between(1e3, 1e5, chance),
        ahead_s: 0.3 * chance.normal(),
    };
    let servers: Vec<Server> = (0..=seed % 4)
        .filter_map(|number| u8::try_from(number).ok())
        .map(|number| {
            let paths = (delay(chance), delay(chance));
            let loss = if chance.happens(0.5) { 0.0 } else { 0.5 * chance.uniform() };
            Server { there: paths.0, back: paths.1, loss, ..server(number + 1, &Delay::Fixed(0.0)) }
        })
        .collect();
    let burst = if chance.happens(0.5) { "iburst" } else { "" };
    let lines = servers.iter().map(|s| format!("server {} {burst}\n", s.address.ip()));
    let text = lines.collect::<Vec<String>>().concat() + "makestep 1 3\n";
    let parsed = conf::parse("property", &text).expect("the configuration is valid");
    World::new(EngineConfig::from_config(&parsed.config), None, oscillator, servers, seed)
}

#[test]
fn served_time_is_never_further_off_than_the_root_distance_that_is_served_with_it() {
    for seed in 1..=WORLDS {
        let mut world = world(seed);
        for second in 0..LENGTH_S {
            world.run(1.0);
            let machine = world.machine();
            let Some(error_s) = machine.served_error_s() else { continue };
            let distance_s = machine.root_distance_s();
            assert!(
                error_s.abs() <= distance_s,
                "seed {seed}, {second} s: {error_s} s off, {distance_s} s said"
            );
        }
    }
}
