//! `cargo xtask bench WHAT`: measures, beside programs that do less.

use std::process::Command;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::process::{cargo, show};
use crate::setup::Verbosity;
use crate::{build_ebpf, paths, peers, report};

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
        /// Print an array of {"name", "value", "unit", "ratio", "against"} instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Nanoseconds a packet on two CPUs that answer at the same time, beside one alone
    Scale {
        /// Print an array of {"name", "value", "unit", "ratio", "against"} instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Nanoseconds a request, all on one CPU: generator, server and sink, beside a bare reflector
    Inline(Load),
    /// Answers a second of ours on two CPUs, beside chrony; and clients among a flood
    Live(Tried),
    /// Answers a second of every server that is there, under the same load
    Peers {
        #[command(flatten)]
        tried: Tried,
        /// Build ntpd-rs first, with `cargo install`, which takes minutes
        #[arg(long)]
        install: bool,
    },
    /// The offset error of a prober while the server is under load, beside chrony
    Quality(Load),
    /// Answers a second of one CPU: the user path beside chrony and a bare responder, XDP, and generic XDP
    User(Tried),
}

/// Options of the benchmarks that try again what a busy machine spoils.
#[derive(Clone, Copy, Debug, Args)]
struct Tried {
    #[command(flatten)]
    load: Load,
    /// How often each rate, or each server, is tried; the best counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    tries: u8,
}

/// Options of the benchmarks that put servers under load.
#[derive(Clone, Copy, Debug, Args)]
struct Load {
    /// Print an array of {"name", "value", "unit", "ratio", "against"} instead of a table
    #[arg(long)]
    json: bool,
}

/// The task.
///
/// # Errors
/// The objects or the benchmark can't be built, or the kernel does not run them.
pub(crate) fn run(arguments: &BenchArguments) -> Result<()> {
    match arguments.bench {
        Bench::Prog { json } => prog(&[], json),
        Bench::Scale { json } => prog(&["scale"], json),
        Bench::Inline(load) => under_load("inline", load, None),
        Bench::Live(Tried { load, tries }) => under_load("live", load, Some(tries)),
        Bench::Peers { tried: Tried { load, tries }, install } => {
            if load.json {
                report::divert_to_stderr();
            }
            peers::ensure_servers(install)?;
            under_load("peers", load, Some(tries))
        }
        Bench::Quality(load) => under_load("quality", load, None),
        Bench::User(Tried { load, tries }) => under_load("user", load, Some(tries)),
    }
}

/// Builds everything, and runs a benchmark before all else that the machine does.
fn under_load(name: &str, Load { json }: Load, tries: Option<u8>) -> Result<()> {
    if json {
        report::divert_to_stderr();
    }
    build_ebpf::run()?;
    peers::ensure(Verbosity::Changes)?;
    let bench = ["bench", "--quiet", "--package", "ntp-xdp-tests", "--bench", "load"];
    show(cargo().args(bench).arg("--no-run"))?;
    let cargo = cargo();
    let mut command = Command::new("nice");
    command.args(["-n", "-20"]).arg(cargo.get_program()).args(bench).args(["--", name]);
    command.current_dir(paths::workspace()).env_remove("LD_LIBRARY_PATH");
    if json {
        command.arg("--json");
    }
    if let Some(tries) = tries {
        command.arg("--tries").arg(tries.to_string());
    }
    show(&mut command)
}

/// Builds everything, and runs the benchmark of programs.
fn prog(what: &[&str], json: bool) -> Result<()> {
    if json {
        report::divert_to_stderr();
    }
    build_ebpf::run()?;
    let mut command = cargo();
    command.args(["bench", "--quiet", "--package", "ntp-xdp-tests", "--bench", "prog", "--"]);
    command.args(what);
    if json {
        command.arg("--json");
    }
    show(&mut command)
}
