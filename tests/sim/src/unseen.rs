//! Clocks and networks that nothing in the estimator was chosen by.

mod chrony;

use crate::clock::{Oscillator, Shift, Slip};
use crate::delay::Delay;
use crate::scenario::{Scenario, address, base, long, server};
use crate::server::{Outage, Server, Straying};

/// All of them.
#[must_use]
pub fn unseen() -> Vec<Scenario> {
    let kinds = [tails(), routes(), clocks(), others(), links(), shapes(), jumps(), intervals()];
    let all = kinds.into_iter().chain([together()]).flatten();
    all.chain(servers_that_stray())
        .chain(slow_changes())
        .map(|it| Scenario { chrony: chrony::chrony(it.name), ..it })
        .collect()
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

/// Kinds of links: a satellite, a wireless one that saves power, a cellular one.
fn links() -> Vec<Scenario> {
    let saving = Delay::Sometimes { probability: 0.3, delay: Box::new(Delay::Uniform(0.1)) };
    let air = || Delay::queued(1e-3, 5e-4);
    let to_space = Delay::queued(0.28, 5e-3);
    let cellular = Server::new(address(1), Delay::queued(0.025, 0.01), Delay::queued(0.02, 5e-3));
    let stepped = slips(&[(15_000.0, 0.02), (25_000.0, -0.03)]);
    let nearly_deaf = Server { loss: 0.9, ..server(1, &Delay::queued(1e-4, 1e-4)) };
    vec![
        unseen_in("satellite", vec![Server::new(address(1), to_space, Delay::queued(0.28, 0.015))]),
        unseen_in("wifi", vec![Server::new(address(1), air(), air() + saving)]),
        Scenario { oscillator: stepped, ..unseen_in("cellular", vec![cellular]) },
        unseen_in("loss-90", vec![nearly_deaf]),
    ]
}

/// Other distributions of what packets wait.
fn shapes() -> Vec<Scenario> {
    let bell = Delay::LogNormal { median_s: 5e-3, deviation: 0.1 };
    let even = Delay::Fixed(1e-3) + Delay::Uniform(1e-3);
    let queues = Delay::Sum(vec![Delay::Exponential(1e-4); 4]) + Delay::Fixed(1e-3);
    let mild = Server::new(address(1), Delay::queued(1e-3, 1e-3), Delay::queued(1e-3, 3e-4));
    vec![
        unseen_in("bell", vec![server(1, &bell)]),
        unseen_in("even", vec![server(1, &even)]),
        unseen_in("four-queues", vec![server(1, &queues)]),
        unseen_in("mild-asymmetry", vec![mild]),
        unseen_in("jitter-10ms", vec![server(1, &Delay::queued(5e-3, 0.01))]),
    ]
}

/// The base's clock, put forward at once: when, seconds; by how much, seconds. Nobody is told.
fn slips(slips: &[(f64, f64)]) -> Oscillator {
    let slip = |&(at_s, by_s): &_| Slip { at_s, by_s };
    Oscillator { slips: slips.iter().map(slip).collect(), ..Oscillator::default() }
}

/// Clocks that jump, or change by much.
fn jumps() -> Vec<Scenario> {
    let quiet = |oscillator| Oscillator { wander: 1e-10, ..oscillator };
    let sine = |temperature, period_s| {
        quiet(Oscillator { temperature, period_s, ..Oscillator::default() })
    };
    let wide = || vec![server(1, &Delay::queued(0.01, 1e-3))];
    let wander = |wander| Oscillator { wander, ..Oscillator::default() };
    let flicker = Oscillator { wander: 0.0, flicker: 1e-8, ..Oscillator::default() };
    vec![
        unseen_with("vm-jumps", slips(&[(15_000.0, 5e-3), (25_000.0, -8e-3), (32_000.0, 5e-3)])),
        unseen_with("vm-100ppm", shifting(&[(20_000.0, 1e-4, 0.1)])),
        unseen_with("temperature-step", quiet(shifting(&[(20_000.0, 5e-6, 1_800.0)]))),
        unseen_with("large-sine", sine(2e-6, 3_600.0)),
        Scenario { oscillator: sine(1e-6, 7_200.0), ..unseen_in("sine-wan", wide()) },
        unseen_with("perfect-clock", wander(1e-11)),
        unseen_with("restless-clock", wander(1e-8)),
        Scenario {
            oscillator: wander(1e-8),
            ..unseen_in("restless-wan", vec![server(1, &Delay::queued(0.01, 2e-3))])
        },
        Scenario { oscillator: flicker, ..unseen_in("flicker-wan", wide()) },
        Scenario {
            length_s: 4_000.0,
            settling_s: 1_000.0,
            ..unseen_with(
                "cold-1ppm",
                Oscillator { frequency: 1e-6, ahead_s: 1e-3, ..wander(1e-9) },
            )
        },
    ]
}

/// Intervals that are given.
fn intervals() -> Vec<Scenario> {
    let wan = || vec![server(1, &Delay::queued(0.01, 2e-3))];
    let lan = || server(1, &Delay::queued(1e-4, 2e-5));
    let quiet = Oscillator { wander: 1e-10, ..Oscillator::default() };
    let late = Server { duplicated: 0.3, ..server(1, &Delay::queued(0.01, 0.5)) };
    let every = |name, options, length_s, servers| Scenario {
        length_s,
        settling_s: length_s / 4.0,
        options,
        ..unseen_in(name, servers)
    };
    vec![
        every("poll-3", "minpoll 3 maxpoll 3", 8_000.0, base().servers),
        every("poll-6", "minpoll 6 maxpoll 6", 20_000.0, base().servers),
        every("poll-10", "minpoll 10 maxpoll 10", 40_000.0, base().servers),
        every("wan-poll-6", "minpoll 6 maxpoll 6", 40_000.0, wan()),
        Scenario {
            oscillator: quiet,
            ..every("lan-poll-0", "minpoll 0 maxpoll 0", 4_000.0, vec![lan()])
        },
        // Replies come twice and in another order.
        every("disorder", "minpoll 0 maxpoll 0", 4_000.0, vec![late]),
    ]
}

/// Several servers that don't agree, or all do.
fn together() -> Vec<Scenario> {
    let path = |number, there_s, back_s, jitter_s| {
        let (there, back) = (Delay::queued(there_s, jitter_s), Delay::queued(back_s, jitter_s));
        Server::new(address(number), there, back)
    };
    let near = |number| server(number, &Delay::queued(1e-4, 1e-4));
    let wide = vec![
        path(1, 0.01, 0.012, 1e-3),
        path(2, 0.02, 0.015, 2e-3),
        path(3, 0.015, 0.015, 2e-3),
        path(4, 0.03, 0.04, 1e-3),
        path(5, 0.05, 0.05, 5e-3),
    ];
    vec![
        unseen_in("two-asymmetric", vec![path(1, 5e-3, 9e-3, 2e-4), path(2, 8e-3, 6e-3, 2e-4)]),
        unseen_in("two-near", (1..=2).map(near).collect()),
        unseen_in("four-near", (1..=4).map(near).collect()),
        unseen_in("five-wan", wide),
    ]
}

/// Servers whose own clocks are not perfect.
fn servers_that_stray() -> Vec<Scenario> {
    let near = || server(1, &Delay::queued(1e-3, 5e-5));
    let straying = |deviation_s, time_constant_s| Server {
        straying: Straying::by(deviation_s, time_constant_s),
        ..near()
    };
    let three = (1..=3).map(|number| Server {
        straying: Straying::by(1e-4, 1000.0),
        ..server(number, &Delay::queued(1e-3, 5e-5))
    });
    vec![
        unseen_in("noisy-server", vec![straying(2e-4, 0.0)]),
        unseen_in("straying-server", vec![straying(1e-4, 600.0)]),
        unseen_in("slowly-straying", vec![straying(1e-3, 10_000.0)]),
        unseen_in("three-straying", three.collect()),
    ]
}

/// Delays that change slowly, or back and forth.
fn slow_changes() -> Vec<Scenario> {
    let queue = || Delay::queued(5e-3, 1e-4);
    let flap = |by_s| Delay::Periodic {
        period_s: 2_300.0,
        part_s: 700.0,
        delay: Box::new(Delay::Fixed(by_s)),
    };
    let daily = |height_s| Delay::Triangle { period_s: 20_000.0, height_s };
    let coalesced = Delay::Fixed(2e-5) + Delay::Uniform(5e-5);
    let quiet = Oscillator { wander: 1e-10, ..Oscillator::default() };
    let wild = Oscillator { wander: 1e-6, ..Oscillator::default() };
    let half = Server { loss: 0.5, ..server(1, &Delay::queued(0.02, 2e-3)) };
    vec![
        unseen_in("flapping", vec![server(1, &(queue() + flap(5e-3)))]),
        unseen_in("flapping-back", vec![Server::new(address(1), queue(), queue() + flap(1e-3))]),
        unseen_in("daily-delay", vec![server(1, &(queue() + daily(0.01)))]),
        unseen_in("daily-asymmetry", vec![Server::new(address(1), queue(), queue() + daily(2e-3))]),
        Scenario {
            oscillator: quiet,
            ..unseen_in(
                "coalesced",
                vec![Server::new(address(1), Delay::queued(2e-5, 2e-6), coalesced)],
            )
        },
        unseen_with("wild-clock", wild),
        unseen_in("loss-50-wan", vec![half]),
    ]
}
