//! `cargo xtask bench prog`: what an answer costs, in nanoseconds a packet through the kernel's test run, beside
//! programs that do less. Ratios are against a reflector that reads the clock once, which any answer must.
//!
//! Every program is run through the same one, which first puts a client's request into the frame; what that
//! costs is measured with an empty program in the same round and taken off.

#[path = "../testrun/frame.rs"]
#[expect(dead_code, reason = "the tests make more kinds of frames")]
mod frame;
#[path = "../testrun/kernel.rs"]
#[expect(dead_code, reason = "the tests look at the frames that come back")]
mod kernel;
#[path = "../testrun/world.rs"]
#[expect(dead_code, reason = "the tests ask the server for more")]
mod world;

use std::io::IsTerminal;
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;

use anyhow::{Context, Result, bail, ensure};
use aya::maps::{Array, ProgramArray};
use aya::programs::{ProgramFd, Xdp};
use aya::{Ebpf, EbpfLoader};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

use frame::Frame;
use kernel::{Runner, descriptor, read_object};
use world::{Server, running};

/// Measurements of each program, one after the other so that all meet the same conditions.
const ROUNDS: usize = 41;
/// Runs in a measurement, of which the fastest counts: whatever else the machine does only adds.
const RUNS: usize = 8;
/// Packets in a run.
const PACKETS: u32 = 20_000;
/// Clients that take turns.
const CLIENTS: usize = 1024;
const TEMPLATE_LEN: usize = 128;

const XDP_TX: u32 = 3;
const BASELINE: &str = "reflect_clock";

/// What is measured: a program on the requests of clients.
struct Subject {
    name: &'static str,
    wrapper: &'static str,
    frames: Vec<Vec<u8>>,
    program: Measured,
}

enum Measured {
    Reference(&'static str),
    Server(Server),
}

/// Nanoseconds a packet, in each round.
struct Measurements {
    name: &'static str,
    ns: Vec<f64>,
}

fn main() -> Result<()> {
    let json = std::env::args().any(|argument| argument == "--json");
    if let Err(reason) = ntp_lab::rights::load_bpf() {
        bail!("cannot measure: {reason}");
    }
    let mut bench = Bench::load()?;
    let mut subjects = subjects()?;
    let results = bench.measure(&mut subjects, std::io::stderr().is_terminal())?;
    if json { print_json(&results) } else { print_table(&results) }
}

fn subjects() -> Result<Vec<Subject>> {
    let mut random = ChaCha12Rng::seed_from_u64(1);
    let mut clients = || (0..CLIENTS).map(|_| random.random::<u32>()).collect::<Vec<_>>();
    let plain = clients();
    let v4 = frames(&Frame::v4(), &plain);
    let reference = |name| Subject {
        name,
        wrapper: "again_v4",
        frames: v4.clone(),
        program: Measured::Reference(name),
    };
    let mut subjects = vec![reference("empty"), reference("reflect"), reference(BASELINE)];
    let vlan = Frame::v4().with(|frame| frame.vlans = vec![(0x8100, 5)]);
    for (name, wrapper, frames) in [
        ("answer_v4", "again_v4", v4.clone()),
        ("answer_v6", "again_v6", frames(&Frame::v6(), &plain)),
        ("answer_vlan", "again_vlan", frames(&vlan, &plain)),
    ] {
        let program = Measured::Server(server()?);
        subjects.push(Subject { name, wrapper, frames, program });
    }
    for (name, count) in [("answer_v4_acl100", 100), ("answer_v4_acl10k", 10_000)] {
        let rules = prefixes(&mut random, count);
        let mut server = server()?;
        let rules_text: Vec<String> =
            rules.iter().map(|(address, len)| format!("{address}/{len}")).collect();
        let rules_in_force: Vec<(&str, bool)> =
            rules_text.iter().map(|rule| (rule.as_str(), true)).collect();
        server.allow(&rules_in_force)?;
        let clients = clients_of(&mut random, &rules);
        let frames = frames(&Frame::v4(), &clients);
        subjects.push(Subject {
            name,
            wrapper: "again_v4",
            frames,
            program: Measured::Server(server),
        });
    }
    Ok(subjects)
}

fn server() -> Result<Server> {
    let mut server = Server::load()?;
    server.page.publish(&running());
    Ok(server)
}

/// Prefixes as a large site has them: half of them of 24 bits, others shorter and longer.
fn prefixes(random: &mut impl Rng, count: usize) -> Vec<(Ipv4Addr, u32)> {
    let lengths = [16, 20, 22, 24, 24, 24, 24, 28, 32];
    (0..count)
        .map(|_| {
            let len: u32 = lengths[random.random_range(0..lengths.len())];
            let mask = u32::MAX << (32 - len);
            (Ipv4Addr::from_bits(random.random::<u32>() & mask), len)
        })
        .collect()
}

/// Addresses within the prefixes: all are answered, so that all runs do the same work.
fn clients_of(random: &mut impl Rng, prefixes: &[(Ipv4Addr, u32)]) -> Vec<u32> {
    (0..CLIENTS)
        .map(|_| {
            let (network, len) = prefixes[random.random_range(0..prefixes.len())];
            let host = u64::from(random.random::<u32>()) & ((1u64 << (32 - len)) - 1);
            network.to_bits() | u32::try_from(host).expect("below 2^32")
        })
        .collect()
}

/// A request from each client: in IPv6, the client's number is the end of its address.
fn frames(template: &Frame, clients: &[u32]) -> Vec<Vec<u8>> {
    let with_client = |&client: &u32| {
        let mut frame = template.clone();
        frame.source = match frame.source {
            std::net::IpAddr::V4(_) => Ipv4Addr::from_bits(client).into(),
            std::net::IpAddr::V6(address) => {
                std::net::Ipv6Addr::from_bits(address.to_bits() | u128::from(client)).into()
            }
        };
        frame.octets()
    };
    clients.iter().map(with_client).collect()
}

/// The reference programs and the maps of the measurement.
struct Bench {
    reference: Ebpf,
    runner: Runner,
}

impl Bench {
    fn load() -> Result<Self> {
        let mut reference = EbpfLoader::new().load(&read_object("reference.o")?)?;
        for (name, program) in reference.programs_mut() {
            let program: &mut Xdp = program.try_into()?;
            program.load().with_context(|| format!("program {name}"))?;
        }
        Ok(Self { reference, runner: Runner::new() })
    }

    fn measure(&mut self, subjects: &mut [Subject], progress: bool) -> Result<Vec<Measurements>> {
        for subject in &mut *subjects {
            check(subject)?;
        }
        let mut results: Vec<_> = subjects
            .iter()
            .map(|subject| Measurements { name: subject.name, ns: Vec::new() })
            .collect();
        for round in 0..ROUNDS {
            if progress {
                eprint!("\rround {} of {ROUNDS}", round + 1);
            }
            for (subject, result) in subjects.iter_mut().zip(&mut results) {
                result.ns.push(self.round(subject)?);
            }
        }
        if progress {
            eprintln!();
        }
        Ok(results)
    }

    /// One measurement of a program, less what everything around it takes.
    fn round(&mut self, subject: &mut Subject) -> Result<f64> {
        self.set_frames(&subject.frames)?;
        let frame = subject.frames[0].clone();
        let empty = self.reference_fd("empty")?;
        let program = match &mut subject.program {
            Measured::Reference(name) => self.reference_fd(name)?,
            Measured::Server(server) => server.descriptor()?,
        };
        let [mut bare, mut around, mut whole] = [f64::INFINITY; 3];
        for _ in 0..RUNS {
            bare = bare.min(self.run_reference("empty", &frame)?);
            self.set_measured(&empty)?;
            around = around.min(self.run_reference(subject.wrapper, &frame)?);
            self.set_measured(&program)?;
            whole = whole.min(self.run_reference(subject.wrapper, &frame)?);
        }
        Ok(whole - around + bare)
    }

    fn reference_fd(&mut self, name: &str) -> Result<ProgramFd> {
        Ok(self.xdp(name)?.fd()?.try_clone()?)
    }

    fn xdp(&mut self, name: &str) -> Result<&mut Xdp> {
        let program =
            self.reference.program_mut(name).with_context(|| format!("program {name}"))?;
        Ok(program.try_into()?)
    }

    fn set_frames(&mut self, frames: &[Vec<u8>]) -> Result<()> {
        let map = self.reference.map_mut("FRAMES").context("map FRAMES")?;
        let mut map: Array<_, [u8; TEMPLATE_LEN]> = Array::try_from(map)?;
        for (index, frame) in (0..).zip(frames) {
            let mut template = [0; TEMPLATE_LEN];
            template[..frame.len()].copy_from_slice(frame);
            map.set(index, template, 0)?;
        }
        Ok(())
    }

    fn set_measured(&mut self, program: &ProgramFd) -> Result<()> {
        let map = self.reference.map_mut("MEASURED").context("map MEASURED")?;
        Ok(ProgramArray::try_from(map)?.set(0, program, 0)?)
    }

    /// Runs a program and gives its nanoseconds a packet.
    fn run_reference(&mut self, name: &str, frame: &[u8]) -> Result<f64> {
        let program =
            self.reference.program_mut(name).with_context(|| format!("program {name}"))?;
        let program: BorrowedFd<'_> = descriptor(program.try_into()?)?;
        Ok(self.runner.run(program, frame, PACKETS)?.duration_ns.into())
    }
}

/// A measurement of something that does not answer would be one of nothing.
fn check(subject: &mut Subject) -> Result<()> {
    if let Measured::Server(server) = &mut subject.program {
        for frame in &subject.frames {
            let action = server.run(frame)?.action;
            ensure!(action == XDP_TX, "{}: a request is not answered", subject.name);
        }
    }
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Ratio of the medians to that of the baseline.
fn rows(results: &[Measurements]) -> Result<Vec<(&'static str, f64, f64)>> {
    let baseline = results.iter().find(|result| result.name == BASELINE).context("baseline")?;
    let baseline = median(&baseline.ns);
    Ok(results
        .iter()
        .map(|result| (result.name, median(&result.ns), median(&result.ns) / baseline))
        .collect())
}

fn print_json(results: &[Measurements]) -> Result<()> {
    let rows: Vec<_> = rows(results)?
        .into_iter()
        .map(|(name, ns, ratio)| serde_json::json!({ "name": name, "ns": ns, "ratio": ratio }))
        .collect();
    println!("{}", serde_json::to_string_pretty(&rows)?);
    Ok(())
}

fn print_table(results: &[Measurements]) -> Result<()> {
    println!(
        "ns a packet through the kernel's test run, medians of {ROUNDS} rounds of {PACKETS}\n"
    );
    println!("{:>7}  {:>6}  {:>6}  {:>6}  program", "ratio", "ns", "min", "max");
    for ((name, ns, ratio), result) in rows(results)?.into_iter().zip(results) {
        let min = result.ns.iter().copied().fold(f64::INFINITY, f64::min);
        let max = result.ns.iter().copied().fold(0.0, f64::max);
        println!("{ratio:>6.2}x  {ns:>6.0}  {min:>6.0}  {max:>6.0}  {name}");
    }
    println!("\nratios are against {BASELINE}: a reflector that reads the clock once");
    Ok(())
}
