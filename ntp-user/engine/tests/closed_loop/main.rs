//! The driver in a closed loop with a virtual clock and virtual servers: what it makes of the time, and what it
//! tells others of it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod clock;
mod log;
mod names;
mod packets;
mod seam;
mod serving;
mod state;
mod world;

use ntp_engine::conf;
use ntp_engine::settings::EngineConfig;
use state::{Oscillator, Server};
use world::World;

const A: &str = "192.0.2.1";
const B: &str = "192.0.2.2";
const C: &str = "192.0.2.3";

/// The settings of a configuration.
fn config(text: &str) -> EngineConfig {
    EngineConfig::from_config(&conf::parse("test.conf", text).unwrap().config)
}

/// A clock that is ahead of true time and runs too fast.
fn oscillator(ahead_s: f64, error_ppm: f64) -> Oscillator {
    Oscillator {
        error: error_ppm * 1e-6,
        wander: 1e-9,
        ahead_s,
        permitted: true,
        calculated: false,
    }
}

/// A world with good servers.
fn world(text: &str, oscillator: Oscillator, servers: &[&str]) -> World {
    let servers = servers.iter().map(|address| Server::new(address)).collect();
    World::new(7, config(text), None, oscillator, servers)
}

/// A world with one good server that is followed, and has been for ten minutes.
fn synchronised(more: &str) -> World {
    let text = format!("server {A} iburst\nmakestep 1 3\n{more}");
    let mut world = world(&text, oscillator(0.01, 20.0), &[A]);
    world.run(600.0);
    assert_eq!(world.states(), "*");
    world
}
