//! The clocks and networks on which keeping a clock is compared.

use std::net::{Ipv4Addr, SocketAddr};

use ntp_engine::conf;
use ntp_engine::settings::EngineConfig;

use crate::clock::Oscillator;
use crate::delay::Delay;
use crate::figures::Figures;
use crate::server::Server;
use crate::trace::Trace;
use crate::world::World;

/// What chrony 4.9's development version came to, medians of 15 simulations with the same models.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chrony {
    /// Root mean square of the error, microseconds.
    pub rms_us: f64,
    /// 99th percentile, microseconds.
    pub p99_us: f64,
    /// Largest error, microseconds.
    pub max_us: f64,
    /// Root mean square of the frequency error, 10^-9.
    pub frequency_ppb: f64,
    /// Requests.
    pub packets: f64,
}

/// A clock, a network, and how long to look at them.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// Length, seconds.
    pub length_s: f64,
    /// Time before which errors don't count, seconds.
    pub settling_s: f64,
    /// The clock.
    pub oscillator: Oscillator,
    /// The servers.
    pub servers: Vec<Server>,
    /// Options of each `server` line.
    pub options: &'static str,
    /// The figures to compare with, where they were measured.
    pub chrony: Option<Chrony>,
}

impl Scenario {
    /// The configuration.
    ///
    /// # Errors
    /// The options are not those of a `server` line.
    pub fn config(&self) -> Result<EngineConfig, String> {
        let lines = self.servers.iter().map(|server| {
            format!(
                "server {} port {} {}\n",
                server.address.ip(),
                server.address.port(),
                self.options
            )
        });
        let text = lines.collect::<String>() + "makestep 1 3\n";
        conf::parse("scenario", &text)
            .map(|parsed| EngineConfig::from_config(&parsed.config))
            .map_err(|errors| format!("{errors:?}"))
    }

    /// Runs it.
    ///
    /// # Errors
    /// As [`Scenario::config`].
    pub fn run(&self, seed: u64) -> Result<(Trace, Figures), String> {
        let (oscillator, servers) = (self.oscillator.clone(), self.servers.clone());
        let mut world = World::new(self.config()?, None, oscillator, servers, seed);
        let trace = world.run(self.length_s);
        let packets = world.machine().packets;
        let figures = Figures::of(&trace, self.settling_s, packets);
        Ok((trace, figures))
    }
}

/// The address of the server with this number.
#[must_use]
pub fn address(number: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(192, 0, 2, number), 123))
}

/// A server behind a path with the same delay in both directions.
#[must_use]
pub fn server(number: u8, delay: &Delay) -> Server {
    Server::new(address(number), delay.clone(), delay.clone())
}

fn chrony(rms_us: f64, p99_us: f64, max_us: f64, frequency_ppb: f64, packets: f64) -> Chrony {
    Chrony { rms_us, p99_us, max_us, frequency_ppb, packets }
}

/// The clock and network that the others are variants of.
pub(crate) fn base() -> Scenario {
    Scenario {
        name: "base",
        length_s: 20_000.0,
        settling_s: 6_000.0,
        oscillator: Oscillator::default(),
        servers: vec![server(1, &Delay::queued(1e-4, 1e-4))],
        options: "",
        chrony: Some(chrony(113.0, 230.0, 238.0, 110.0, 52.0)),
    }
}

/// The base for twice as long.
pub(crate) fn long() -> Scenario {
    Scenario { length_s: 40_000.0, settling_s: 10_000.0, ..base() }
}

/// The scenarios that chrony was measured in.
#[must_use]
pub fn table() -> Vec<Scenario> {
    [clocks(), networks(), several_servers()].into_iter().flatten().collect()
}

fn clocks() -> Vec<Scenario> {
    let clock = |oscillator: Oscillator| Scenario { oscillator, ..base() };
    vec![
        Scenario {
            name: "quiet-lan",
            servers: vec![server(1, &Delay::queued(1e-4, 1e-5))],
            chrony: Some(chrony(11.6, 22.6, 23.1, 11.0, 45.0)),
            ..clock(Oscillator { wander: 1e-10, ahead_s: 0.05, ..Oscillator::default() })
        },
        base(),
        Scenario {
            name: "fixed-poll-4",
            length_s: 8_000.0,
            settling_s: 2_000.0,
            options: "minpoll 4 maxpoll 4",
            chrony: Some(chrony(10.2, 25.2, 26.6, 94.0, 495.0)),
            ..base()
        },
        Scenario {
            name: "large-wander",
            chrony: Some(chrony(140.0, 366.0, 514.0, 2736.0, 308.0)),
            ..clock(Oscillator { wander: 1e-7, ..Oscillator::default() })
        },
        Scenario {
            name: "freq-500ppm",
            chrony: Some(chrony(113.0, 228.0, 232.0, 109.0, 52.0)),
            ..clock(Oscillator { frequency: 5e-4, ..Oscillator::default() })
        },
        Scenario {
            name: "temperature",
            oscillator: Oscillator {
                wander: 1e-10,
                temperature: 3e-7,
                period_s: 5_400.0,
                ..Oscillator::default()
            },
            chrony: Some(chrony(97.0, 286.0, 322.0, 595.0, 279.0)),
            ..long()
        },
    ]
}

fn networks() -> Vec<Scenario> {
    let lossy = Server { loss: 0.7, ..server(1, &Delay::queued(1e-4, 1e-4)) };
    let (there, back) = (Delay::queued(1e-4, 3e-5), Delay::queued(1e-4, 9.7e-4));
    let spikes = Delay::queued(1e-4, 1e-4) + Delay::Spikes { scale_s: 0.05, threshold: 4.0 };
    vec![
        Scenario {
            name: "large-jitter",
            servers: vec![server(1, &Delay::queued(1e-4, 0.1))],
            oscillator: Oscillator { ahead_s: 1.0, ..Oscillator::default() },
            chrony: Some(chrony(16_730.0, 31_035.0, 31_405.0, 7_833.0, 51.0)),
            ..base()
        },
        Scenario {
            name: "asym-jitter",
            servers: vec![Server::new(address(1), there, back)],
            chrony: Some(chrony(92.0, 233.0, 234.0, 156.0, 99.0)),
            ..long()
        },
        Scenario {
            name: "wan",
            servers: vec![server(1, &Delay::queued(0.01, 2e-3))],
            chrony: Some(chrony(517.0, 924.0, 941.0, 126.0, 65.0)),
            ..long()
        },
        Scenario {
            name: "loss-70",
            servers: vec![lossy],
            chrony: Some(chrony(229.0, 599.0, 625.0, 235.0, 109.0)),
            ..long()
        },
        Scenario {
            name: "spikes",
            servers: vec![server(1, &spikes)],
            chrony: Some(chrony(124.0, 273.0, 282.0, 145.0, 52.0)),
            ..base()
        },
    ]
}

fn several_servers() -> Vec<Scenario> {
    let near = Delay::queued(1e-4, 1e-4);
    let wrong = Server { ahead_s: 0.05, ..server(3, &near) };
    vec![
        Scenario {
            name: "three-servers",
            servers: vec![
                server(1, &Delay::queued(1e-4, 1e-4)),
                server(2, &Delay::queued(2e-4, 5e-4)),
                server(3, &Delay::queued(1e-3, 2e-3)),
            ],
            chrony: Some(chrony(136.0, 292.0, 294.0, 127.0, 150.0)),
            ..base()
        },
        Scenario {
            name: "falseticker",
            servers: vec![server(1, &near), server(2, &near), wrong],
            chrony: Some(chrony(131.0, 250.0, 250.0, 88.0, 156.0)),
            ..base()
        },
    ]
}
