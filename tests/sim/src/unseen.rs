//! Clocks and networks that nothing in the estimator was chosen by.

use crate::clock::{Oscillator, Shift};
use crate::delay::Delay;
use crate::scenario::{Scenario, address, base, long, server};
use crate::server::{Outage, Server};

/// All of them.
#[must_use]
pub fn unseen() -> Vec<Scenario> {
    [tails(), routes(), clocks(), others()].into_iter().flatten().collect()
}

fn unseen_in(name: &'static str, servers: Vec<Server>) -> Scenario {
    Scenario { name, servers, chrony: None, ..long() }
}

fn unseen_with(name: &'static str, oscillator: Oscillator) -> Scenario {
    Scenario { oscillator, ..unseen_in(name, base().servers) }
}

/// The base's clock, with changes of its frequency: when, seconds; by how much; how fast, seconds.
fn shifting(shifts: &[(f64, f64, f64)]) -> Oscillator {
    let shift = |&(at_s, by, time_constant_s): &_| Shift { at_s, by, time_constant_s };
    Oscillator { shifts: shifts.iter().map(shift).collect(), ..Oscillator::default() }
}

/// What packets wait is not exponential.
fn tails() -> Vec<Scenario> {
    let pareto = Delay::Fixed(2e-3) + Delay::Pareto { scale_s: 2e-4, shape: 1.3 };
    let lognormal = Delay::Fixed(5e-3) + Delay::LogNormal { median_s: 2e-4, deviation: 1.5 };
    let busy = |period_s, part_s, mean_s| {
        let delay = Box::new(Delay::Exponential(mean_s));
        Delay::Periodic { period_s, part_s, delay }
    };
    let quiet = || Delay::queued(5e-3, 1e-4);
    // Busy times of many lengths, as in self-similar traffic.
    let busy = busy(97.0, 30.0, 1e-3) + busy(613.0, 200.0, 2e-3) + busy(3_701.0, 900.0, 5e-3);
    let slow = Delay::queued(0.01, 3e-3);
    vec![
        unseen_in("heavy-tails", vec![server(1, &pareto)]),
        unseen_in("lognormal", vec![server(1, &lognormal)]),
        unseen_in("congestion", vec![Server::new(address(1), quiet(), quiet() + busy)]),
        unseen_in("asym-wan", vec![Server::new(address(1), Delay::queued(0.01, 2e-4), slow)]),
    ]
}

/// Paths change, or are cut.
fn routes() -> Vec<Scenario> {
    let route = |start_s| Delay::From { start_s, delay: Box::new(Delay::Fixed(1e-3)) };
    let wide = || Delay::queued(5e-3, 2e-4);
    let outage = Outage { period_s: 1_000.0, from_s: 200.0, to_s: 600.0 };
    let cut = Server { outage: Some(outage), ..server(1, &Delay::queued(1e-4, 1e-4)) };
    vec![
        unseen_in("route-longer", vec![server(1, &(wide() + route(20_000.0)))]),
        unseen_in(
            "one-way-longer",
            vec![Server::new(address(1), wide(), wide() + route(20_000.0))],
        ),
        unseen_in("loss-bursts", vec![cut]),
    ]
}

/// Clocks change in other ways than a random walk.
fn clocks() -> Vec<Scenario> {
    let flicker = Oscillator { wander: 0.0, flicker: 2e-9, ..Oscillator::default() };
    let warm = [(12_000.0, 1e-6, 600.0), (20_000.0, -1e-6, 600.0), (30_000.0, 2e-6, 600.0)];
    let day = Oscillator {
        wander: 1e-10,
        temperature: 1e-6,
        period_s: 86_400.0,
        ..Oscillator::default()
    };
    vec![
        unseen_with("flicker", flicker),
        unseen_with("warm-ups", shifting(&warm)),
        unseen_with("jump", shifting(&[(20_000.0, 3e-6, 0.1)])),
        Scenario { length_s: 172_800.0, ..unseen_with("two-days", day) },
    ]
}

/// Other distances, intervals and numbers of servers.
fn others() -> Vec<Scenario> {
    let lan = Oscillator { wander: 1e-11, ahead_s: 1e-3, ..Oscillator::default() };
    let paths = [
        (1e-4, 2e-5),
        (1e-4, 1e-4),
        (3e-4, 2e-4),
        (1e-3, 2e-4),
        (2e-3, 1e-3),
        (5e-3, 2e-3),
        (0.01, 2e-3),
        (0.02, 5e-3),
    ];
    let eight = || {
        let paths = (1..).zip(paths);
        paths.map(|(number, (base_s, jitter_s))| server(number, &Delay::queued(base_s, jitter_s)))
    };
    let short = |name, options, servers| Scenario {
        length_s: 2_000.0,
        settling_s: 500.0,
        options,
        ..unseen_in(name, servers)
    };
    vec![
        Scenario {
            oscillator: lan,
            ..unseen_in("hardware-lan", vec![server(1, &Delay::queued(5e-6, 1e-6))])
        },
        short("minpoll-0", "minpoll 0 maxpoll 0", base().servers),
        short("start-iburst", "iburst", base().servers),
        Scenario {
            length_s: 20_000.0,
            settling_s: 6_000.0,
            ..unseen_in("eight-servers", eight().collect())
        },
        short("eight-busy", "minpoll 0 maxpoll 0", eight().collect()),
    ]
}
