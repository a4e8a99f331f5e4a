//! `cargo xtask bench WHAT`: measures, beside programs that do less.

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::process::{cargo, show};
use crate::{build_ebpf, report};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Nanoseconds a packet through the kernel's test run, beside reference programs
    Prog {
        /// Print an array of {"name", "ns", "ratio"} instead of a table
        #[arg(long)]
        json: bool,
    },
}

/// The task.
///
/// # Errors
/// The objects or the benchmark can't be built, or the kernel does not run them.
pub(crate) fn run(arguments: &BenchArguments) -> Result<()> {
    match arguments.bench {
        Bench::Prog { json } => prog(json),
    }
}

fn prog(json: bool) -> Result<()> {
    if json {
        report::divert_to_stderr();
    }
    build_ebpf::run()?;
    let mut command = cargo();
    command.args(["bench", "--quiet", "--package", "ntp-xdp-tests", "--bench", "prog", "--"]);
    if json {
        command.arg("--json");
    }
    show(&mut command)
}
