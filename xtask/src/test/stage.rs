//! The stages, in the order in which they are run: cheap and telling ones first.

use anyhow::Result;
use clap::ValueEnum;
use ntp_lab::rights;

use super::output::{self, Detail};
use super::tally::Tally;
use crate::process::{cargo, show};
use crate::report::{Paint, paint};
use crate::toolchain::Toolchain;
use crate::{build_ebpf, tidy};

/// The packages with unit and property tests.
const UNIT_PACKAGES: [&str; 4] = ["ntp-common", "ntp-engine", "ntp-user", "xtask"];

/// The package of the tests that need the kernel.
const KERNEL_TESTS: &str = "ntp-xdp-tests";

/// A stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    /// rustfmt
    Format,
    /// clippy with warnings denied, of the daemon and of the eBPF program
    Lint,
    /// sizes of files, what they open with, trailing blanks
    Tidy,
    /// unit, property and documentation tests
    Unit,
    /// the XDP program through the kernel's test run
    Testrun,
    /// network namespaces with real peers
    E2e,
}

/// The eBPF objects, as far as the stages care.
#[derive(Debug)]
pub(crate) enum Objects {
    /// No chosen stage needs them.
    NotWanted,
    /// Fresh, in `target/bpf`.
    Built(Toolchain),
    /// Not to be had, and why.
    Missing(&'static str),
}

impl Stage {
    /// Whether the eBPF objects are built before it.
    pub(crate) fn wants_objects(self) -> bool {
        match self {
            Self::Lint | Self::Testrun | Self::E2e => true,
            Self::Format | Self::Tidy | Self::Unit => false,
        }
    }

    /// As in `--only`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Lint => "lint",
            Self::Tidy => "tidy",
            Self::Unit => "unit",
            Self::Testrun => "testrun",
            Self::E2e => "e2e",
        }
    }

    /// Runs the stage.
    ///
    /// # Errors
    /// A program that it needs could not be started.
    pub(crate) fn run(self, objects: &Objects) -> Result<Tally> {
        match self {
            Self::Format => Ok(check(show(cargo().args(["fmt", "--all", "--check"])))),
            Self::Lint => Ok([lint_daemon(), lint_ebpf(objects)].into_iter().sum()),
            Self::Tidy => tidy::check(),
            Self::Unit => unit(),
            Self::Testrun => Ok(match (objects, rights::load_bpf()) {
                (Objects::Missing(why), _) => Tally::skipped(&format!("testrun: {why}")),
                (_, Err(why)) => Tally::skipped(&format!("testrun: {why}")),
                (_, Ok(())) => kernel_tests("testrun")?,
            }),
            Self::E2e => Ok(match rights::make_namespaces() {
                Err(why) => Tally::skipped(&format!("e2e: {why}")),
                Ok(()) => kernel_tests("e2e")?,
            }),
        }
    }
}

fn lint_daemon() -> Tally {
    check(show(cargo().args(["clippy", "--quiet", "--all-targets", "--", "--deny", "warnings"])))
}

fn lint_ebpf(objects: &Objects) -> Tally {
    match objects {
        Objects::Built(toolchain) if toolchain.has_clippy() => {
            let mut clippy = toolchain.cargo("clippy");
            clippy.args(["--quiet", "--package", build_ebpf::PACKAGE, "--", "--deny", "warnings"]);
            check(show(&mut clippy))
        }
        Objects::Built(_) => Tally::skipped("clippy of the eBPF program: package rust-web-clippy"),
        Objects::Missing(why) => Tally::skipped(&format!("clippy of the eBPF program: {why}")),
        Objects::NotWanted => Tally::default(),
    }
}

fn unit() -> Result<Tally> {
    let mut unit = cargo();
    unit.args(["test", "--no-fail-fast"]);
    for package in UNIT_PACKAGES {
        unit.args(["--package", package]);
    }
    let mut library = cargo();
    library.args(["test", "--package", KERNEL_TESTS, "--lib"]);
    let tallies =
        [output::run(&mut unit, Detail::Trouble)?, output::run(&mut library, Detail::Trouble)?];
    Ok(tallies.into_iter().sum())
}

fn kernel_tests(name: &str) -> Result<Tally> {
    let mut tests = cargo();
    tests.args(["test", "--package", KERNEL_TESTS, "--test", name]);
    output::run(&mut tests, Detail::Everything)
}

fn check(outcome: Result<()>) -> Tally {
    match outcome {
        Ok(()) => Tally::passed(),
        Err(error) => {
            println!("{}: {error:#}", paint(Paint::Bad, "failed"));
            Tally::failed()
        }
    }
}
