//! `cargo xtask setup`: makes a Debian machine able to build and test everything. Idempotent: what is there is
//! left alone, and when nothing is missing no package manager is called.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use nix::unistd::geteuid;

use crate::process::{capture, cargo, probe};
use crate::report::{Paint, paint, present, say, step};
use crate::toolchain::{self, Toolchain};
use crate::versions::{BPF_LINKER, BUILD_PACKAGES, GUEST_PACKAGES, LLVM_PREFIX, TEST_PACKAGES};
use crate::{guests, paths, peers, system};

/// How to build the eBPF object where Debian's packages are not to be had.
const ELSEWHERE: &str = "\
elsewhere than on Debian 12 the eBPF program builds with a nightly Rust:
  rustup toolchain install nightly --component rust-src
  cargo install bpf-linker --locked
and then `cargo xtask build-ebpf`. Everything but XDP builds without: `cargo build`.";

/// The task: everything that building, testing and demonstrating need.
///
/// # Errors
/// What building the eBPF objects needs is missing and could not be installed. What only tests need is
/// reported, and does not fail the task.
pub(crate) fn run() -> Result<()> {
    say(&paint(Paint::Strong, "Setting up"));
    let ebpf = ebpf_toolchain(Verbosity::Everything);
    test_tools(Verbosity::Everything);
    guest_tools(Verbosity::Everything);
    ebpf
}

/// Whether steps that have nothing to do are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// A line for each step.
    Everything,
    /// A line only for what is being installed or is missing.
    Changes,
}

/// Makes sure of what compiles eBPF, installing it when it is missing.
///
/// # Errors
/// It is missing and could not be installed; the error says what to do.
pub(crate) fn ensure_ebpf_toolchain() -> Result<Toolchain> {
    if let Some(toolchain) = Toolchain::find() {
        return Ok(toolchain);
    }
    ebpf_toolchain(Verbosity::Changes)?;
    Toolchain::find().ok_or_else(|| anyhow!("the set-up left no toolchain for eBPF\n{ELSEWHERE}"))
}

/// Makes sure of what tests need beside the eBPF toolchain; says what could not be had.
pub(crate) fn ensure_test_tools() {
    test_tools(Verbosity::Changes);
}

/// Makes sure of what guests need; says what could not be had.
pub(crate) fn ensure_guest_tools() {
    guest_tools(Verbosity::Changes);
}

fn guest_tools(verbosity: Verbosity) {
    let packages = || packages("guest packages", GUEST_PACKAGES, verbosity);
    try_each(&[("guest packages", &packages)]);
    guests::ensure(verbosity);
    system::ensure(verbosity);
}

fn ebpf_toolchain(verbosity: Verbosity) -> Result<()> {
    if let Some(Toolchain::Nightly { linker }) = Toolchain::find() {
        if verbosity == Verbosity::Everything {
            present("eBPF toolchain", &format!("nightly with rust-src, {}", linker.display()));
        }
        return Ok(());
    }
    packages("packages", BUILD_PACKAGES, verbosity)?;
    let compiler =
        toolchain::debian_compiler().map_err(|missing| anyhow!("{missing}\n{ELSEWHERE}"))?;
    if verbosity == Verbosity::Everything {
        present("eBPF compiler", &compiler);
    }
    linker(verbosity)
}

fn test_tools(verbosity: Verbosity) {
    try_each(&[
        ("test packages", &|| packages("test packages", TEST_PACKAGES, verbosity)),
        ("rustfmt", &|| component("rustfmt", "fmt", verbosity)),
        ("clippy", &|| component("clippy", "clippy", verbosity)),
        ("peers", &|| peers::ensure(verbosity)),
        ("prometheus", &|| peers::ensure_prometheus(verbosity)),
        ("lintian", &|| peers::ensure_lintian(verbosity)),
    ]);
}

/// Does one step after the other, and says what could not be had.
fn try_each(steps: &[(&str, &dyn Fn() -> Result<()>)]) {
    for (name, ensure) in steps {
        if let Err(error) = ensure() {
            present(name, &format!("{}: {error:#}", paint(Paint::Note, "absent")));
        }
    }
}

/// Installs those of Debian's `wanted` packages that are missing.
fn packages(name: &str, wanted: &[&str], verbosity: Verbosity) -> Result<()> {
    let missing = missing_packages(wanted);
    if missing.is_empty() {
        if verbosity == Verbosity::Everything {
            present(name, "installed");
        }
        return Ok(());
    }
    let list = missing.join(" ");
    if !Path::new("/etc/debian_version").exists() {
        bail!("not Debian, so these packages cannot be installed: {list}\n{ELSEWHERE}");
    }
    if !geteuid().is_root() {
        bail!(
            "not root, so these packages cannot be installed: {list}\nrun `sudo apt-get update && \
             sudo apt-get install --no-install-recommends {list}`, or this task as root"
        );
    }
    step(name, &format!("installing {list}"), || {
        apt(&["update"])?;
        let options = ["install", "--yes", "--no-install-recommends", "--no-remove"];
        apt(&[&options, missing.as_slice()].concat())
            .with_context(|| format!("Debian's package manager refused: {list}\n{ELSEWHERE}"))?;
        Ok("installed".to_owned())
    })
}

fn missing_packages<'a>(wanted: &[&'a str]) -> Vec<&'a str> {
    // dpkg-query fails when it does not know one of the packages, and still lists those that it knows.
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${Package} ${db:Status-Status}\n"])
        .args(wanted)
        .output();
    let listed = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let listed = listed.unwrap_or_default();
    let installed =
        |package: &str| listed.lines().any(|line| line == format!("{package} installed"));
    wanted.iter().copied().filter(|package| !installed(package)).collect()
}

fn apt(arguments: &[&str]) -> Result<String> {
    capture(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Builds the linker of eBPF objects into the project's own folder.
fn linker(verbosity: Verbosity) -> Result<()> {
    if toolchain::has_pinned_linker() {
        if verbosity == Verbosity::Everything {
            present("bpf-linker", BPF_LINKER);
        }
        return Ok(());
    }
    step("bpf-linker", &format!("building {BPF_LINKER}, which takes about a minute"), || {
        let mut install = cargo();
        install.args(["install", "bpf-linker", "--version", BPF_LINKER, "--locked", "--force"]);
        install
            .args(["--no-default-features", "--features", "llvm-22", "--root"])
            .arg(paths::tools());
        install.env("PATH", toolchain::path_with_llvm()).env("LLVM_SYS_221_PREFIX", LLVM_PREFIX);
        capture(&mut install).context("bpf-linker could not be built")?;
        if !toolchain::has_pinned_linker() {
            bail!("{} does not run", paths::bpf_linker().display());
        }
        Ok("built".to_owned())
    })
}

/// Adds a component of the Rust toolchain that `cargo SUBCOMMAND` needs.
fn component(name: &str, subcommand: &str, verbosity: Verbosity) -> Result<()> {
    let version = || probe(cargo().args([subcommand, "--version"]));
    if let Some(version) = version() {
        if verbosity == Verbosity::Everything {
            present(name, version.trim());
        }
        return Ok(());
    }
    step(name, "adding the component", || {
        capture(Command::new("rustup").args(["component", "add", name]))?;
        version().with_context(|| format!("`cargo {subcommand}` still does not run"))
    })
}
