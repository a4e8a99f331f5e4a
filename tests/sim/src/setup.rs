//! What most simulations begin with, and what they are judged by.

use ntp_engine::conf;
use ntp_engine::settings::EngineConfig;

use crate::clock::Oscillator;
use crate::delay::Delay;
use crate::scenario::server;
use crate::server::Server;
use crate::trace::Moment;
use crate::world::World;

/// The settings of a configuration.
///
/// # Panics
/// When it is not valid.
#[must_use]
pub fn config(text: &str) -> EngineConfig {
    let parsed = conf::parse("simulation", text).expect("the configuration is valid");
    EngineConfig::from_config(&parsed.config)
}

/// The driver with a configuration.
///
/// # Panics
/// When it is not valid.
#[must_use]
pub fn world(text: &str, oscillator: Oscillator, servers: Vec<Server>, seed: u64) -> World {
    World::new(config(text), None, oscillator, servers, seed)
}

/// A clock 100 ppm fast and `ahead_s` ahead.
#[must_use]
pub fn clock(ahead_s: f64) -> Oscillator {
    Oscillator { ahead_s, ..Oscillator::default() }
}

/// A number of good servers, 192.0.2.1 and so on.
#[must_use]
pub fn servers(count: u8) -> Vec<Server> {
    (1..=count).map(|number| server(number, &Delay::queued(2e-4, 1e-4))).collect()
}

/// A `server` line for each of those, with options.
#[must_use]
pub fn lines(count: u8, options: &str) -> String {
    let line = |number| format!("server 192.0.2.{number} {options}\n");
    (1..=count).map(line).collect::<Vec<String>>().concat()
}

/// The largest error of the clock, seconds.
#[must_use]
pub fn largest_error_s(trace: &[Moment]) -> f64 {
    trace.iter().map(|moment| moment.clock_s.abs()).fold(0.0, f64::max)
}

/// The largest error of what was served, seconds.
#[must_use]
pub fn largest_served_error_s(trace: &[Moment]) -> f64 {
    trace.iter().filter_map(|moment| moment.served_s).map(f64::abs).fold(0.0, f64::max)
}
