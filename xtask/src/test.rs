//! `cargo xtask test`: every check of the project, stage by stage, with one account at the end.
//!
//! Invariant: a stage that cannot run says so by name and counts as skipped; none passes silently.

mod output;
mod stage;
mod tally;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::report::{Paint, elapsed, paint};
use crate::{build_ebpf, setup};
use stage::{Objects, Stage};
pub(crate) use tally::Tally;

/// What to test.
#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Run this stage alone; may be given more than once
    #[arg(long, value_name = "STAGE")]
    only: Vec<Stage>,
}

/// A stage that was run.
struct Done {
    name: &'static str,
    tally: Tally,
    time: Duration,
}

/// The task. The exit code tells whether anything failed.
pub(crate) fn run(arguments: &TestArguments) -> ExitCode {
    let chosen = |stage: &Stage| arguments.only.is_empty() || arguments.only.contains(stage);
    let stages: Vec<Stage> = Stage::value_variants().iter().copied().filter(chosen).collect();

    setup::ensure_test_tools();
    let mut done = Vec::new();
    let mut objects = Objects::NotWanted;
    if stages.iter().any(|stage| stage.wants_objects()) {
        done.push(timed("build", || {
            let (tally, built) = build_objects();
            objects = built;
            tally
        }));
    }
    for stage in stages {
        done.push(timed(stage.name(), || {
            stage.run(&objects).unwrap_or_else(|error| {
                println!("{}: {error:#}", paint(Paint::Bad, "failed"));
                Tally::failed()
            })
        }));
    }
    account(&done)
}

fn timed(name: &'static str, work: impl FnOnce() -> Tally) -> Done {
    println!("\n{}", paint(Paint::Strong, &format!("== {name}")));
    let start = Instant::now();
    let tally = work();
    let time = start.elapsed();
    println!("-- {name}: {tally}, took {}", elapsed(time));
    Done { name, tally, time }
}

/// Builds the eBPF objects. No toolchain is a reason to skip; objects that do not build or load are failures.
fn build_objects() -> (Tally, Objects) {
    let toolchain = match setup::ensure_ebpf_toolchain() {
        Ok(toolchain) => toolchain,
        Err(error) => {
            let skipped = Tally::skipped(&format!("no eBPF toolchain: {error:#}"));
            return (skipped, Objects::Missing("there is no eBPF toolchain"));
        }
    };
    let built: Result<()> = build_ebpf::build(&toolchain);
    match built {
        Ok(()) => (Tally::passed(), Objects::Built(toolchain)),
        Err(error) => {
            println!("{}: {error:#}", paint(Paint::Bad, "failed"));
            (Tally::failed(), Objects::Missing("the eBPF objects did not build"))
        }
    }
}

/// Prints the table and, last and alone on its line, the sum.
fn account(done: &[Done]) -> ExitCode {
    println!("\n{}", paint(Paint::Strong, "== account"));
    println!("  {:<12}{:>8}{:>8}{:>9}{:>14}", "stage", "passed", "failed", "skipped", "time");
    for Done { name, tally, time } in done {
        let line = format!(
            "  {name:<12}{:>8}{:>8}{:>9}{:>14}",
            tally.passed,
            tally.failed,
            tally.skipped,
            elapsed(*time)
        );
        println!("{}", if tally.failed > 0 { paint(Paint::Bad, &line) } else { line });
    }
    let sum: Tally = done.iter().map(|stage| stage.tally).sum();
    println!("{sum}");
    if sum.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
