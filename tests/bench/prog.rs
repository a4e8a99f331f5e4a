//! `cargo xtask bench prog`: what an answer costs, in nanoseconds a packet through the kernel's test run, beside
//! programs that do less. Ratios are against a reflector that reads the clock once, which any answer must.
//!
//! Every program is run through the same one, which first puts a client's request into the frame; what that
//! costs is measured with an empty program in the same rounds and taken off.

#[path = "../testrun/again.rs"]
mod again;
#[path = "../testrun/frame.rs"]
#[expect(dead_code, reason = "the tests make more kinds of frames")]
mod frame;
#[path = "../testrun/kernel.rs"]
#[expect(dead_code, reason = "the tests look at the frames that come back")]
mod kernel;
#[path = "prog/scale.rs"]
mod scale;
#[path = "prog/subjects.rs"]
mod subjects;
#[path = "../testrun/world.rs"]
#[expect(dead_code, reason = "the tests ask the server for more")]
mod world;

use std::io::IsTerminal;

use anyhow::{Context, Result, bail, ensure};
use ntp_common::counters::{Reason, answered};

use again::Again;
use subjects::{Measured, Requests, Subject, subjects};
use world::running;

/// Measurements of each program, one after the other so that all meet the same conditions.
const ROUNDS: usize = 41;
/// Runs in a measurement, of which the fastest counts: whatever else the machine does only adds.
const RUNS: usize = 8;
/// Packets in a run.
const PACKETS: u32 = 20_000;

const XDP_TX: u32 = 3;
const BASELINE: &str = "reflect_clock";
/// The argument that asks for [`scale`].
const SCALE: &str = "scale";

/// What a program costs, nanoseconds a packet.
struct Measurements {
    name: &'static str,
    /// In each round.
    ns: Vec<f64>,
    /// As it counts.
    cost_ns: f64,
}

impl Measurements {
    /// Of which a quarter of the rounds took no longer counts.
    fn new(name: &'static str, ns: Vec<f64>) -> Self {
        let cost_ns = lower_quartile(ns.iter().copied());
        Self { name, ns, cost_ns }
    }

    /// Of which that counts what a quarter of the rounds took no longer for, each part by itself: among differences, a quarter would
    /// be those of rounds in which a neighbour on the machine made what is taken off take longer.
    fn of_rounds(name: &'static str, rounds: &[Round]) -> Self {
        let quartile = |part: fn(&Round) -> f64| lower_quartile(rounds.iter().map(part));
        let cost_ns = quartile(|round| round.whole) - quartile(|round| round.around)
            + quartile(|round| round.bare);
        Self { name, ns: rounds.iter().map(Round::cost).collect(), cost_ns }
    }
}

/// One measurement of a program, nanoseconds a packet.
struct Round {
    /// The test run alone.
    bare: f64,
    /// With what puts requests into the frame.
    around: f64,
    /// With the program, too.
    whole: f64,
}

impl Round {
    fn cost(&self) -> f64 {
        self.whole - self.around + self.bare
    }
}

fn main() -> Result<()> {
    let json = std::env::args().any(|argument| argument == "--json");
    if let Err(reason) = ntp_lab::rights::load_bpf() {
        bail!("cannot measure: {reason}");
    }
    let mut bench = Bench(Again::load()?);
    let mut subjects = subjects()?;
    let only: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if only == [SCALE] {
        subjects.retain(|one| scale::SUBJECTS.contains(&one.name));
        let results = scale::measure(&mut subjects)?;
        if json {
            print_scale_json(&results)?;
        } else {
            print_scale_table(&results);
        }
        return Ok(());
    }
    if let Some(unknown) = only.iter().find(|only| subjects.iter().all(|one| one.name != **only)) {
        let names: Vec<&str> = subjects.iter().map(|subject| subject.name).collect();
        bail!("nothing is called {unknown}: there is {}", names.join(", "));
    }
    if !only.is_empty() {
        subjects.retain(|one| one.name == BASELINE || only.iter().any(|only| one.name == only));
    }
    let results = bench.measure(&mut subjects, std::io::stderr().is_terminal())?;
    if json { print_json(&results) } else { print_table(&results) }
}

/// The measurement.
struct Bench(Again);

impl Bench {
    fn measure(&mut self, subjects: &mut [Subject], progress: bool) -> Result<Vec<Measurements>> {
        for subject in &mut *subjects {
            check(subject)?;
            self.warm_up(subject)?;
        }
        let mut results: Vec<Vec<Round>> = subjects.iter().map(|_| Vec::new()).collect();
        for round in 0..ROUNDS {
            if progress {
                eprint!("\rround {} of {ROUNDS}", round + 1);
            }
            for (subject, result) in subjects.iter_mut().zip(&mut results) {
                result.push(self.round(subject)?);
            }
        }
        if progress {
            eprintln!();
        }
        subjects.iter().try_for_each(check_counters)?;
        let results = subjects.iter().zip(&results);
        Ok(results.map(|(subject, rounds)| Measurements::of_rounds(subject.name, rounds)).collect())
    }

    /// Lets every client ask twice, so that the table knows all of them.
    fn warm_up(&mut self, subject: &mut Subject) -> Result<()> {
        let Requests::Many(senders) = &subject.requests else { return Ok(()) };
        let asked = u32::try_from(2 * senders.len())?;
        let frame = self.set_requests(&subject.requests)?;
        if let Measured::Server(server) = &mut subject.program {
            self.0.set_measured(&server.descriptor()?)?;
            self.0.run(subject.wrapper, &frame, asked)?;
        }
        Ok(())
    }

    /// One measurement of a program, and of everything around it.
    fn round(&mut self, subject: &mut Subject) -> Result<Round> {
        let frame = self.set_requests(&subject.requests)?;
        let empty = self.0.program("empty")?;
        let program = match &mut subject.program {
            Measured::Reference(name) => self.0.program(name)?,
            Measured::Server(server) => {
                // A snapshot lasts for 100 s, which a busy machine takes longer than.
                server.page.publish(&running());
                server.descriptor()?
            }
        };
        // The kernel takes some 20 ms to replace the measured program: it waits until no CPU runs the former one.
        let bare = self.fastest("empty", &frame)?;
        self.0.set_measured(&empty)?;
        let around = self.fastest(subject.wrapper, &frame)?;
        self.0.set_measured(&program)?;
        let whole = self.fastest(subject.wrapper, &frame)?;
        Ok(Round { bare, around, whole })
    }

    /// Nanoseconds a packet of the fastest of some runs.
    fn fastest(&mut self, program: &str, frame: &[u8]) -> Result<f64> {
        let mut fastest = f64::INFINITY;
        for _ in 0..RUNS {
            fastest = fastest.min(self.0.run(program, frame, PACKETS)?);
        }
        Ok(fastest)
    }

    /// Hands requests over, and gives a frame to begin with.
    fn set_requests(&mut self, requests: &Requests) -> Result<Vec<u8>> {
        match requests {
            Requests::Frames(frames) => {
                self.0.set_frames(frames)?;
                Ok(frames[0].clone())
            }
            Requests::Many(senders) => self.0.set_senders(senders),
        }
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
        let counted = server.counters();
        let all: u64 = counted.iter().sum();
        ensure!(answered(&counted) == all, "{}: some requests are not answered", subject.name);
        ensure!(counted[Reason::RateLimited as usize] == 0, "{}: limited", subject.name);
    }
    Ok(())
}

/// A quarter of the rounds took no longer: what a neighbour on the machine does to half of all rounds does not count.
fn lower_quartile(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 4]
}

/// Ratio of the quartiles to that of the baseline.
fn rows(results: &[Measurements]) -> Result<Vec<(&'static str, f64, f64)>> {
    let baseline = results.iter().find(|result| result.name == BASELINE).context("baseline")?;
    let ratio = |result: &Measurements| result.cost_ns / baseline.cost_ns;
    Ok(results.iter().map(|result| (result.name, result.cost_ns, ratio(result))).collect())
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
        "ns a packet through the kernel's test run, lower quartiles of {ROUNDS} rounds of {PACKETS}\n"
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

fn print_scale_json(results: &[(Measurements, Measurements)]) -> Result<()> {
    let rows: Vec<_> = results
        .iter()
        .map(|(alone, both)| {
            let (alone_ns, both_ns) = (alone.cost_ns, both.cost_ns);
            serde_json::json!({
                "name": both.name, "value": both_ns, "unit": "ns", "ratio": both_ns / alone_ns,
                "against": "one CPU",
            })
        })
        .collect();
    println!("{}", serde_json::to_string_pretty(&rows)?);
    Ok(())
}

fn print_scale_table(results: &[(Measurements, Measurements)]) {
    println!("ns a packet on each of two CPUs that answer at the same time, and on one alone\n");
    println!("{:>7}  {:>6}  {:>6}  program", "ratio", "both", "alone");
    for (alone, both) in results {
        let (alone_ns, both_ns) = (alone.cost_ns, both.cost_ns);
        let ratio = both_ns / alone_ns;
        println!("{ratio:>6.2}x  {both_ns:>6.0}  {alone_ns:>6.0}  {}", both.name);
    }
    println!("\nratios are of both to alone: 1 where no CPU waits for another");
}
