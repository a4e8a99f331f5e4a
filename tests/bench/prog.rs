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
#[path = "prog/subjects.rs"]
mod subjects;
#[path = "../testrun/world.rs"]
#[expect(dead_code, reason = "the tests ask the server for more")]
mod world;

use std::io::IsTerminal;
use std::os::fd::BorrowedFd;

use anyhow::{Context, Result, bail, ensure};
use aya::maps::{Array, Map, ProgramArray};
use aya::programs::{ProgramFd, Xdp};
use aya::{Ebpf, EbpfLoader};
use ntp_common::counters::{Reason, answered};

use kernel::{Runner, descriptor, read_object};
use subjects::{Measured, Requests, Subject, subjects};

/// Measurements of each program, one after the other so that all meet the same conditions.
const ROUNDS: usize = 41;
/// Runs in a measurement, of which the fastest counts: whatever else the machine does only adds.
const RUNS: usize = 8;
/// Packets in a run.
const PACKETS: u32 = 20_000;
const TEMPLATE_LEN: usize = 128;

const XDP_TX: u32 = 3;
const BASELINE: &str = "reflect_clock";

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
            self.warm_up(subject)?;
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
        subjects.iter().try_for_each(check_counters)?;
        Ok(results)
    }

    /// Lets every client ask once, so that the table knows all of them.
    fn warm_up(&mut self, subject: &mut Subject) -> Result<()> {
        let Requests::Many(senders) = &subject.requests else { return Ok(()) };
        let asked = u32::try_from(2 * senders.len())?;
        self.set_requests(&subject.requests)?;
        let frame = subject.requests.first();
        if let Measured::Server(server) = &mut subject.program {
            self.set_measured(&server.descriptor()?)?;
            self.run_reference(subject.wrapper, &frame, asked)?;
        }
        Ok(())
    }

    /// One measurement of a program, less what everything around it takes.
    fn round(&mut self, subject: &mut Subject) -> Result<f64> {
        self.set_requests(&subject.requests)?;
        let frame = subject.requests.first();
        let empty = self.reference_fd("empty")?;
        let program = match &mut subject.program {
            Measured::Reference(name) => self.reference_fd(name)?,
            Measured::Server(server) => server.descriptor()?,
        };
        let [mut bare, mut around, mut whole] = [f64::INFINITY; 3];
        for _ in 0..RUNS {
            bare = bare.min(self.run_reference("empty", &frame, PACKETS)?);
            self.set_measured(&empty)?;
            around = around.min(self.run_reference(subject.wrapper, &frame, PACKETS)?);
            self.set_measured(&program)?;
            whole = whole.min(self.run_reference(subject.wrapper, &frame, PACKETS)?);
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

    fn set_requests(&mut self, requests: &Requests) -> Result<()> {
        match requests {
            Requests::Frames(frames) => self.set_frames(frames),
            Requests::Many(senders) => {
                self.set_frames(&[requests.first()])?;
                self.set_senders(senders)
            }
        }
    }

    /// Hands the clients over, and lets the first begin.
    fn set_senders(&mut self, senders: &[u64]) -> Result<()> {
        let map = self.reference.map("SENDERS").context("map SENDERS")?;
        let Map::Array(map) = map else { bail!("SENDERS is no array") };
        subjects::write_senders(map.fd(), senders)?;
        let map = self.reference.map_mut("PROGRESS").context("map PROGRESS")?;
        let mut map: Array<_, [u64; 3]> = Array::try_from(map)?;
        let [rounds, began_ns, turn] = map.get(&0, 0)?;
        let turn = u64::from(u32::try_from(senders.len())?) | turn >> 32 << 32;
        Ok(map.set(0, [rounds, began_ns, turn], 0)?)
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
    fn run_reference(&mut self, name: &str, frame: &[u8], packets: u32) -> Result<f64> {
        let program =
            self.reference.program_mut(name).with_context(|| format!("program {name}"))?;
        let program: BorrowedFd<'_> = descriptor(program.try_into()?)?;
        Ok(self.runner.run(program, frame, packets)?.duration_ns.into())
    }
}

/// A measurement of something that does not answer would be one of nothing.
fn check(subject: &mut Subject) -> Result<()> {
    if let (Measured::Server(server), Requests::Frames(frames)) =
        (&mut subject.program, &subject.requests)
    {
        for frame in frames {
            let action = server.run(frame)?.action;
            ensure!(action == XDP_TX, "{}: a request is not answered", subject.name);
        }
    }
    Ok(())
}

/// As [`check`], for all requests together.
fn check_counters(subject: &Subject) -> Result<()> {
    if let Measured::Server(server) = &subject.program {
        let counted = server.counters()?;
        let all: u64 = counted.iter().sum();
        ensure!(answered(&counted) == all, "{}: some requests are not answered", subject.name);
        ensure!(counted[Reason::RateLimited as usize] == 0, "{}: limited", subject.name);
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
        .map(|(name, ns, ratio)| {
            serde_json::json!({
                "name": name, "value": ns, "unit": "ns", "ratio": ratio, "against": BASELINE,
            })
        })
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
