//! `cargo xtask fuzz`: octets of all kinds, guided by what they reach. Stable Rust compiles the instruments in; the
//! fuzzer itself is LLVM's, which a C++ compiler builds.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::paths;
use crate::process::{capture, cargo, probe, show};

/// Folders of `tests/fuzz/corpus`, one for each kind of input.
const CORPUS: &str = "tests/fuzz/corpus";

/// How long each kind is tried when it is to be quick, seconds.
const QUICK_S: u32 = 60;

/// Longest input, octets.
const LONGEST: u32 = 4096;

/// Most memory that one input may take, MiB.
const MEMORY_MIB: u32 = 1024;

/// What libFuzzer is told of the code: which edges were taken, and what was compared.
const INSTRUMENTS: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

/// What to try, and for how long.
#[derive(Debug, Args)]
pub(crate) struct FuzzArguments {
    /// A minute for each kind
    #[arg(long)]
    quick: bool,
    /// Seconds for each kind; with --quick: 60
    #[arg(long, default_value_t = 600)]
    seconds: u32,
    /// Kinds of input: folders of tests/fuzz/corpus; all of them unless some are named
    kinds: Vec<String>,
}

/// The task. The exit status is 1 when something was found; the input is then named.
///
/// # Errors
/// The fuzzer can't be built.
pub(crate) fn run(arguments: &FuzzArguments) -> Result<ExitCode> {
    if probe(Command::new("c++").arg("--version")).is_none() {
        bail!("there is no C++ compiler, which builds libFuzzer (Debian: g++)");
    }
    let fuzzer = build()?;
    let seconds = if arguments.quick { QUICK_S } else { arguments.seconds };
    let mut found = 0;
    for kind in kinds(&arguments.kinds)? {
        found += u32::from(!try_kind(&fuzzer, &kind, seconds)?);
    }
    println!("{found} kinds of input with a finding");
    Ok(if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The kinds that were named, or all.
fn kinds(named: &[String]) -> Result<Vec<String>> {
    let folder = paths::workspace().join(CORPUS);
    let mut known = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        known.push(entry?.file_name().to_string_lossy().into_owned());
    }
    known.sort();
    if let Some(unknown) = named.iter().find(|kind| !known.contains(kind)) {
        bail!("`{unknown}` is none of {}", known.join(", "));
    }
    Ok(if named.is_empty() { known } else { named.to_vec() })
}

/// Builds the fuzzer, and gives its path.
fn build() -> Result<std::path::PathBuf> {
    let root = paths::workspace();
    let version = capture(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc does not say for which host it is")?;
    let target = root.join("target/fuzz");
    let mut command = cargo();
    command.args(["build", "--quiet", "--release", "--manifest-path"]);
    command.arg(root.join("tests/fuzz/targets/Cargo.toml"));
    // Of a named target, build scripts and macros are spared the instruments.
    command.args(["--target", host]).arg("--target-dir").arg(&target);
    command.env("CARGO_ENCODED_RUSTFLAGS", INSTRUMENTS.join("\x1f")).env_remove("RUSTFLAGS");
    show(&mut command)?;
    Ok(target.join(host).join("release/fuzz"))
}

/// Tries one kind for so long; whether nothing was found.
fn try_kind(fuzzer: &Path, kind: &str, seconds: u32) -> Result<bool> {
    let root = paths::workspace();
    let work = root.join("target/fuzz/work").join(kind);
    fs::create_dir_all(&work)?;
    let artifacts = root.join("target/fuzz/found").join(kind);
    fs::create_dir_all(&artifacts)?;
    let mut command = Command::new(fuzzer);
    command.env("NTP_FUZZ", kind).arg(&work).arg(root.join(CORPUS).join(kind));
    command.arg(format!("-artifact_prefix={}/", artifacts.display())).args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={LONGEST}"),
        format!("-rss_limit_mb={MEMORY_MIB}"),
        "-timeout=5".to_owned(),
        "-print_final_stats=1".to_owned(),
    ]);
    let output = command.output().context("cannot run the fuzzer")?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let number = |name: &str| {
        let line = log.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()).unwrap_or("?").to_owned()
    };
    let executed = number("stat::number_of_executed_units:");
    let added = number("stat::new_units_added:");
    if output.status.success() {
        println!(
            "{kind:<14} {executed} inputs in {seconds} s, {added} of them new ways: no finding"
        );
        return Ok(true);
    }
    let told = log.lines().filter(|line| {
        ["panicked at", "ERROR:", "Test unit written to"].iter().any(|part| line.contains(part))
    });
    println!("{kind:<14} FOUND after {executed} inputs:");
    told.for_each(|line| println!("    {line}"));
    Ok(false)
}
