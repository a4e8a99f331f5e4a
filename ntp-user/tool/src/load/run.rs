//! A load test from its arguments to its report.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use ntp_common::load::Template;

use super::arguments::{GeneratorKind, LoadTest};
use super::frame::{Clients, Route, template};
use super::frames::{Frames, Replies};
use super::mix::{Kind, Mix};
use super::neighbour::{next_hop, station_of};
use super::outcome::{Outcome, Step};
use super::plan::{Plan, limit};
use super::prober::{self, Prober};
use super::progress::Progress;
use super::report::Report;
use super::request::{MAX_PAYLOAD, Requests, SigningKey, VARIATIONS};
use super::sockets::Sockets;
use super::target::{Surroundings, Target, judge};
use crate::conditions::{self, Conditions};

/// How many addresses ask that are to be denied.
const DENIED_CLIENTS: u64 = 256;

/// What sends, with what it needs to know of each step's requests.
pub enum Generator {
    /// Sockets of this process.
    Sockets(Sockets),
    /// Frames made in the kernel.
    Frames(Box<FrameGenerator>),
}

/// The generator of kernel frames and what its frames are made of.
pub struct FrameGenerator {
    frames: Frames,
    route: Route,
    requests: Requests,
    clients: Vec<(Kind, Clients)>,
}

/// A test that is ready to run.
pub struct Test {
    target: Target,
    generator: Generator,
    mix: Mix,
    regular: f64,
    probe: Option<Duration>,
    plan: Plan,
    clients: u64,
    latency_every: u32,
    progress: Progress,
}

/// The subcommand.
///
/// # Errors
/// The server is not to be put under load, or sending fails.
pub fn run(arguments: &LoadTest) -> Result<()> {
    let report = Test::open(arguments)?.run()?;
    if let Some(folder) = &arguments.save {
        report.save(folder)?;
    }
    if arguments.json {
        println!("{:#}", report.json());
    } else {
        print!("{}", report.text());
    }
    Ok(())
}

impl Test {
    /// Makes everything ready in the network namespace of this thread. Sends one request.
    ///
    /// # Errors
    /// The server is not to be put under load, the arguments do not go together, or what sends is not to be had.
    pub fn open(arguments: &LoadTest) -> Result<Self> {
        let surroundings = Surroundings::read();
        let target = judge(arguments.server, arguments.allow_remote, &surroundings);
        let target = target.map_err(anyhow::Error::msg)?;
        let requests = requests(arguments)?;
        let mut cpus = arguments.cpus.clone();
        if cpus.is_empty() {
            cpus.extend(conditions::cpus().first());
        }
        let generator = match arguments.generator {
            GeneratorKind::Sockets => {
                if arguments.regular > 0
                    || !arguments.vlan.is_empty()
                    || arguments.latency_every > 1
                {
                    bail!("--regular, --vlan and --latency-every are for `--generator frames`");
                }
                let (server, clients) = (target.address, arguments.clients);
                let denied = arguments.denied_from;
                Generator::Sockets(Sockets::open(server, clients, &cpus, requests, denied)?)
            }
            GeneratorKind::Frames => {
                let generator = FrameGenerator::open(arguments, target, requests, &cpus)?;
                Generator::Frames(Box::new(generator))
            }
        };
        Ok(Self {
            target,
            generator,
            mix: arguments.mix.clone(),
            regular: arguments.regular.into(),
            probe: (arguments.probe > 0).then(|| Duration::from_secs(1) / arguments.probe),
            plan: arguments.plan(),
            clients: arguments.clients,
            latency_every: arguments.latency_every,
            progress: Progress::new(!arguments.quiet),
        })
    }

    /// Runs all steps.
    ///
    /// # Errors
    /// Sending fails.
    pub fn run(&mut self) -> Result<Report> {
        let mut done: Vec<Outcome> = Vec::new();
        while let Some(step) = self.plan.next(&done) {
            self.progress.begin(step, done.len() + 1, self.plan.steps());
            let outcome = self.step(step)?;
            self.progress.end(&outcome);
            done.push(outcome);
        }
        self.progress.finish();
        let limit = match self.plan {
            Plan::Limit { loss, .. } => {
                let found = limit(&done, loss);
                let found =
                    found.and_then(|best| done.iter().position(|step| std::ptr::eq(step, best)));
                Some((loss, found))
            }
            Plan::Fixed(_) | Plan::Ramp { .. } => None,
        };
        Ok(Report {
            server: self.target.address,
            generator: self.generator.name(),
            clients: self.clients,
            latency_every: self.latency_every,
            conditions: Conditions::read(),
            steps: done,
            limit,
        })
    }

    /// Sends one step, with the prober beside it.
    ///
    /// # Errors
    /// Sending fails.
    pub fn step(&mut self, step: Step) -> Result<Outcome> {
        let prober = self.probe.map(|interval| Prober::start(self.target, interval)).transpose()?;
        let shares = self.mix.shares(step.rate.unwrap_or(f64::INFINITY), self.regular);
        let watch = |is_done: &dyn Fn() -> bool| self.progress.watch(is_done);
        let outcome = match &mut self.generator {
            Generator::Sockets(sockets) => sockets.step(step, &shares, watch),
            Generator::Frames(generator) => generator.step(step, &shares, watch),
        };
        let probe = prober.map(Prober::stop).transpose()?;
        Ok(Outcome { probe, ..outcome? })
    }
}

impl Generator {
    fn name(&self) -> &'static str {
        match self {
            Self::Sockets(_) => "sockets",
            Self::Frames(generator) if generator.frames.is_native() => {
                "kernel frames, sink in the driver"
            }
            Self::Frames(_) => "kernel frames, sink in the kernel (generic XDP)",
        }
    }
}

impl FrameGenerator {
    fn open(
        arguments: &LoadTest,
        target: Target,
        requests: Requests,
        cpus: &[usize],
    ) -> Result<Self> {
        let interface = arguments.interface.as_deref();
        let interface = interface.context("`--generator frames` needs --interface")?;
        let first = arguments.clients_from.context(
            "`--generator frames` needs --clients-from: the first of the addresses that requests come from, \
             to which the server must have a route by way of this machine",
        )?;
        // The sink first: a veth pair hands over what an XDP program sends back only where the other end has one too.
        let (port, every) = (target.address.port(), arguments.latency_every);
        let frames = Frames::open(interface, port, Replies::Ntp, every, cpus)?;
        // This also makes the neighbour known.
        prober::ask_once(target.address).context("the server does not answer a single request")?;
        let route = Route {
            stations: [
                arguments.station.map_or_else(|| next_hop(target.address.ip(), interface), Ok)?,
                station_of(interface)?,
            ],
            vlans: arguments.vlan.clone(),
            server: target.address,
        };
        let mut clients = vec![(Kind::Plain, Clients { first, count: arguments.clients })];
        if let Some(first) = arguments.denied_from {
            clients.push((Kind::Denied, Clients { first, count: DENIED_CLIENTS }));
        }
        if arguments.regular > 0 {
            let first = arguments.regular_from.context("--regular needs --regular-from")?;
            clients.push((Kind::Regular, Clients { first, count: arguments.regular.into() }));
        }
        Ok(Self { frames, route, requests, clients })
    }

    fn step(
        &mut self,
        step: Step,
        shares: &[(Kind, f64)],
        watch: impl FnOnce(&dyn Fn() -> bool),
    ) -> Result<Outcome> {
        let mut templates = Vec::new();
        for &(kind, share) in shares {
            let made = self.templates(kind)?;
            let each = share / made.len() as f64;
            templates.extend(made.into_iter().map(|template| (template, each)));
        }
        self.frames.load(&templates)?;
        self.frames.step(step, watch)
    }

    /// The requests of a kind.
    fn templates(&self, kind: Kind) -> Result<Vec<Template>> {
        let clients = self.clients.iter().find(|(other, _)| *other == kind);
        let (_, clients) = clients.or(self.clients.first()).context("no clients")?;
        let (variations, is_stamped) = match kind {
            Kind::Garbage => (VARIATIONS, false),
            Kind::Mac => (1, false),
            Kind::Plain | Kind::Interleaved | Kind::Denied | Kind::Regular => (1, true),
        };
        let token = self.frames.fixed_token();
        let made = (0..variations).map(|variation| {
            let mut payload = [0; MAX_PAYLOAD];
            let len = self.requests.write(kind, variation, token, token, &mut payload);
            template(&self.route, *clients, kind, &payload[..len], is_stamped)
        });
        made.collect::<Result<_, String>>().map_err(anyhow::Error::msg)
    }
}

/// What requests are made of; an error where the mix asks for what is not given.
fn requests(arguments: &LoadTest) -> Result<Requests> {
    let key = match (&arguments.keyfile, arguments.key) {
        (Some(file), Some(number)) => Some(SigningKey::read(file, number)?),
        (None, _) | (_, None) => None,
    };
    if arguments.mix.has(Kind::Mac) && key.is_none() {
        bail!("`mac` in the mix needs --keyfile and --key");
    }
    if arguments.mix.has(Kind::Denied) && arguments.denied_from.is_none() {
        bail!("`denied` in the mix needs --denied-from: an address that the server denies");
    }
    Ok(Requests { key })
}
