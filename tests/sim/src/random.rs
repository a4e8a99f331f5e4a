//! Worlds drawn at random: a configuration, a clock, servers and paths, and what happens to them.

use std::fmt::Write as _;

use ntp_engine::conf;
use ntp_engine::settings::EngineConfig;

use crate::chance::Chance;
use crate::clock::{Oscillator, Shift};
use crate::delay::Delay;
use crate::scenario::server;
use crate::server::{Outage, Server};
use crate::world::World;

/// Longest time that a world is looked at, seconds.
const LONGEST_S: f64 = 12_000.0;
/// Most samples of all sources together, so that no world takes long.
const MOST_SAMPLES: f64 = 3_000.0;

/// A world that was drawn.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// What it was drawn by.
    pub seed: u64,
    /// The configuration, as in chrony.conf.
    pub text: String,
    /// The clock.
    pub oscillator: Oscillator,
    /// The servers.
    pub servers: Vec<Server>,
    /// Shortest poll interval of a source, log2 seconds.
    minpoll_log2: i8,
}

impl Drawn {
    /// Draws the world of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let chance = &mut Chance::new(seed, 9);
        let oscillator = oscillator(chance);
        let count = *pick(&[1, 1, 2, 3, 4, 5, 8], chance);
        let mut servers: Vec<Server> = (1..=count).map(|number| path(number, chance)).collect();
        lie(&mut servers, chance);
        let minpoll_log2 = *pick(&[6, 6, 6, 4, 2, 0, -1], chance);
        let options: Vec<String> = servers.iter().map(|_| options(minpoll_log2, chance)).collect();
        let lines = servers
            .iter()
            .zip(options)
            .map(|(server, options)| format!("server {}{options}\n", server.address.ip()));
        let text = lines.collect::<String>() + &directives(chance);
        Self { seed, text, oscillator, servers, minpoll_log2 }
    }

    /// How long it is looked at, seconds.
    #[must_use]
    pub fn length_s(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let sources = self.servers.len() as f64;
        (MOST_SAMPLES / sources * f64::from(self.minpoll_log2).exp2()).min(LONGEST_S).floor()
    }

    /// Starts the driver in it.
    ///
    /// # Errors
    /// The configuration is not valid, which would be a fault of this module.
    pub fn world(&self) -> Result<World, String> {
        let parsed = conf::parse("random", &self.text)
            .map_err(|errors| format!("{errors:?}: {}", self.text))?;
        let config = EngineConfig::from_config(&parsed.config);
        Ok(World::new(config, None, self.oscillator.clone(), self.servers.clone(), self.seed))
    }
}

/// A value between two others, as likely in each of its powers of ten.
fn between(low: f64, high: f64, chance: &mut Chance) -> f64 {
    low * (high / low).powf(chance.uniform())
}

/// One of several values.
fn pick<'a, T>(values: &'a [T], chance: &mut Chance) -> &'a T {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a small count, rounded up"
    )]
    let index = (chance.uniform() * values.len() as f64).ceil() as usize - 1;
    &values[index.min(values.len() - 1)]
}

fn oscillator(chance: &mut Chance) -> Oscillator {
    let ahead_s = *pick(&[1e-3, 0.3, 0.3, 20.0], chance) * chance.normal();
    Oscillator {
        frequency: 2e-4 * chance.normal(),
        wander: between(1e-11, 1e-8, chance),
        temperature: between(1e-10, 1e-7, chance),
        period_s: between(1e3, 1e5, chance),
        ahead_s,
        flicker: *pick(&[0.0, 0.0, 1e-9, 1e-8], chance),
        shifts: (0..*pick(&[0, 0, 1, 3], chance)).map(|_| shift(chance)).collect(),
    }
}

/// A change of the frequency that stays below what a clock is trusted to do, 1 ppm.
fn shift(chance: &mut Chance) -> Shift {
    let (at_s, time_constant_s) = (LONGEST_S * chance.uniform(), between(1.0, 1000.0, chance));
    Shift { at_s, by: 2e-7 * chance.normal(), time_constant_s }
}

fn delay(chance: &mut Chance) -> Delay {
    let (base_s, jitter_s) = (between(1e-5, 0.05, chance), between(1e-7, 0.01, chance));
    let kind = chance.uniform();
    let tail = if kind < 0.2 {
        Delay::Pareto { scale_s: jitter_s, shape: between(1.2, 4.0, chance) }
    } else if kind < 0.4 {
        Delay::Spikes { scale_s: 10.0 * jitter_s, threshold: 3.0 }
    } else if kind < 0.5 {
        let longer = Box::new(Delay::Fixed(between(1e-5, 0.05, chance)));
        Delay::From { start_s: chance.uniform() * LONGEST_S, delay: longer }
    } else if kind < 0.6 {
        let period_s = between(100.0, 5000.0, chance);
        let queue = Box::new(Delay::Exponential(10.0 * jitter_s));
        Delay::Periodic { period_s, part_s: period_s * chance.uniform(), delay: queue }
    } else {
        Delay::Fixed(0.0)
    };
    Delay::queued(base_s, jitter_s) + tail
}

/// A true server behind a path of any kind.
fn path(number: u8, chance: &mut Chance) -> Server {
    let there = delay(chance);
    let back = if chance.happens(0.4) { there.clone() } else { delay(chance) };
    let loss = if chance.happens(0.6) { 0.0 } else { 0.8 * chance.uniform() };
    let duplicated = if chance.happens(0.8) { 0.0 } else { 0.5 * chance.uniform() };
    let outage = chance.happens(0.2).then(|| {
        let period_s = between(500.0, 10_000.0, chance);
        let from_s = 0.5 * period_s * chance.uniform();
        Outage { period_s, from_s, to_s: from_s + 0.5 * period_s * chance.uniform() }
    });
    Server { there, back, loss, duplicated, outage, ..server(number, &Delay::Fixed(0.0)) }
}

/// Lets less than half of the servers be wrong, by more than any delay explains. The others always answer then: a
/// minority that is alone to be heard can't be told from the truth.
fn lie(servers: &mut [Server], chance: &mut Chance) {
    let liars = servers.len().saturating_sub(1) / 2;
    let lying = chance.happens(0.4);
    for (index, server) in servers.iter_mut().enumerate().filter(|_| lying) {
        if index < liars {
            let sign = if chance.happens(0.5) { 1.0 } else { -1.0 };
            server.ahead_s = sign * between(1.0, 1000.0, chance);
        } else {
            (server.loss, server.outage) = (0.0, None);
        }
    }
}

fn options(minpoll_log2: i8, chance: &mut Chance) -> String {
    let mut options = String::new();
    if minpoll_log2 != 6 {
        let _ = write!(options, " minpoll {minpoll_log2}");
    }
    if minpoll_log2 < 6 && chance.happens(0.5) {
        let _ = write!(options, " maxpoll {}", minpoll_log2 + *pick(&[0, 1, 3], chance));
    } else if chance.happens(0.2) {
        let _ = write!(options, " maxpoll {}", pick(&[6, 8, 14], chance));
    }
    for (option, probability) in [(" iburst", 0.5), (" prefer", 0.1), (" polltarget 20", 0.1)] {
        if chance.happens(probability) {
            options += option;
        }
    }
    options
}

fn directives(chance: &mut Chance) -> String {
    let steps = ["makestep 1 3", "makestep 1 3", "makestep 0.1 -1", "makestep 0.01 1", ""];
    let slews = ["", "", "maxslewrate 500", "maxslewrate 1000", "maxslewrate 100000"];
    let doubts = ["", "", "maxupdateskew 5", "maxupdateskew 100"];
    let sources = ["", "", "", "minsources 2"];
    let lists: [&[&str]; 4] = [&steps, &slews, &doubts, &sources];
    lists.map(|list| *pick(list, chance)).join("\n")
}
