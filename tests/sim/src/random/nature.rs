//! Clocks, servers and networks that are drawn. Servers that do not lie are off by no more than they say.

use ntp_engine::engine::Drift;

use super::{between, pick};
use crate::chance::Chance;
use crate::clock::{Oscillator, Shift};
use crate::delay::Delay;
use crate::scenario::server;
use crate::server::{Outage, Server};

pub(super) fn oscillator(longest_s: f64, chance: &mut Chance) -> Oscillator {
    let ahead_s = *pick(&[1e-3, 0.3, 0.3, 20.0], chance) * chance.normal();
    Oscillator {
        frequency: 2e-4 * chance.normal(),
        wander: between(1e-11, 1e-8, chance),
        temperature: between(1e-10, 1e-7, chance),
        period_s: between(1e3, 1e5, chance),
        ahead_s,
        flicker: *pick(&[0.0, 0.0, 1e-9, 1e-8], chance),
        shifts: (0..*pick(&[0, 0, 1, 3], chance)).map(|_| shift(longest_s, chance)).collect(),
        slips: Vec::new(),
    }
}

/// A change of the frequency that stays below what a clock is trusted to do, 1 ppm.
fn shift(longest_s: f64, chance: &mut Chance) -> Shift {
    let (at_s, time_constant_s) = (longest_s * chance.uniform(), between(1.0, 1000.0, chance));
    Shift { at_s, by: 2e-7 * chance.normal(), time_constant_s }
}

/// What an earlier run may have left of the clock's frequency: about as wrong as it says.
pub(super) fn drift(oscillator: &Oscillator, chance: &mut Chance) -> Drift {
    let skew_ppm = between(0.1, 10.0, chance);
    let wrong_ppm = skew_ppm * (2.0 * chance.uniform() - 1.0);
    Drift { frequency_ppm: oscillator.frequency * 1e6 + wrong_ppm, skew_ppm }
}

/// One to eight servers, and whether some of them lie.
pub(super) fn servers(longest_s: f64, chance: &mut Chance) -> (Vec<Server>, bool) {
    let count = *pick(&[1, 1, 2, 3, 4, 5, 8], chance);
    let mut servers: Vec<Server> =
        (1..=count).map(|number| path(number, longest_s, chance)).collect();
    let lying = chance.happens(0.4) && count > 2;
    if lying {
        lie(&mut servers, chance);
    }
    (servers, lying)
}

fn delay(longest_s: f64, chance: &mut Chance) -> Delay {
    let (base_s, jitter_s) = (between(1e-5, 0.05, chance), between(1e-7, 0.01, chance));
    let kind = chance.uniform();
    let tail = if kind < 0.2 {
        Delay::Pareto { scale_s: jitter_s, shape: between(1.2, 4.0, chance) }
    } else if kind < 0.4 {
        Delay::Spikes { scale_s: 10.0 * jitter_s, threshold: 3.0 }
    } else if kind < 0.5 {
        let longer = Box::new(Delay::Fixed(between(1e-5, 0.05, chance)));
        Delay::From { start_s: chance.uniform() * longest_s, delay: longer }
    } else if kind < 0.6 {
        let period_s = between(100.0, 5000.0, chance);
        let queue = Box::new(Delay::Exponential(10.0 * jitter_s));
        Delay::Periodic { period_s, part_s: period_s * chance.uniform(), delay: queue }
    } else {
        Delay::Fixed(0.0)
    };
    Delay::queued(base_s, jitter_s) + tail
}

/// A server that says how far it may be off, behind a path of any kind.
fn path(number: u8, longest_s: f64, chance: &mut Chance) -> Server {
    let there = delay(longest_s, chance);
    let back = if chance.happens(0.4) { there.clone() } else { delay(longest_s, chance) };
    let loss = if chance.happens(0.6) { 0.0 } else { 0.8 * chance.uniform() };
    let duplicated = if chance.happens(0.8) { 0.0 } else { 0.5 * chance.uniform() };
    let outage = chance.happens(0.2).then(|| {
        let period_s = between(500.0, 10_000.0, chance);
        let from_s = 0.5 * period_s * chance.uniform();
        Outage { period_s, from_s, to_s: from_s + 0.5 * period_s * chance.uniform() }
    });
    let dispersion_s = if chance.happens(0.5) { 0.0 } else { between(1e-6, 0.03, chance) };
    let mut server =
        Server { there, back, loss, duplicated, outage, ..server(number, &Delay::Fixed(0.0)) };
    server.dispersion_s = dispersion_s;
    server.ahead_s = dispersion_s * (2.0 * chance.uniform() - 1.0);
    server.stratum = *pick(&[1, 1, 2, 3, 12], chance);
    server.interleaves = chance.happens(0.5);
    server.late_s = if chance.happens(0.7) { 0.0 } else { between(1e-6, 2e-3, chance) };
    server.wakes_s = if chance.happens(0.9) { 0.0 } else { between(1e-4, 0.05, chance) };
    server
}

/// Lets less than half of the servers be wrong, by more than any delay explains. The others always answer then: a
/// minority that is alone to be heard can't be told from the truth.
fn lie(servers: &mut [Server], chance: &mut Chance) {
    let liars = servers.len().saturating_sub(1) / 2;
    for (index, server) in servers.iter_mut().enumerate() {
        if index < liars {
            let sign = if chance.happens(0.5) { 1.0 } else { -1.0 };
            server.ahead_s = sign * between(1.0, 1000.0, chance);
        } else {
            (server.loss, server.outage) = (0.0, None);
            // With `local orphan` servers of a high stratum don't vote.
            server.stratum = server.stratum.min(3);
        }
    }
}
