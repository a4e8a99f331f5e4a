//! The stages, in the order in which they are run: cheap and telling ones first.

use anyhow::Result;
use clap::ValueEnum;
use ntp_lab::rights;

use super::output::{self, Detail};
use super::tally::Tally;
use crate::process::{cargo, probe, show};
use crate::report::{Paint, paint};
use crate::toolchain::Toolchain;
use crate::{build_ebpf, tidy, vm};

/// A stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    /// rustfmt
    Format,
    /// clippy with warnings denied, of the daemon and of the eBPF program; cargo-deny
    Lint,
    /// sizes of files, what they open with, trailing blanks
    Tidy,
    /// unit, property and documentation tests
    Unit,
    /// the XDP program through the kernel's test run
    Testrun,
    /// network namespaces with real peers
    E2e,
    /// guests of other kernels, whose clock is set
    Guests,
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

impl Objects {
    /// Why there are none, if there are none.
    fn missing(&self) -> Option<&'static str> {
        match self {
            Self::Missing(why) => Some(why),
            Self::NotWanted | Self::Built(_) => None,
        }
    }
}

impl Stage {
    /// Whether the eBPF objects are built before it.
    pub(crate) fn wants_objects(self) -> bool {
        match self {
            Self::Lint | Self::Testrun | Self::E2e | Self::Guests => true,
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
            Self::Guests => "guests",
        }
    }

    /// Runs the stage.
    ///
    /// # Errors
    /// A program that it needs could not be started.
    pub(crate) fn run(self, objects: &Objects) -> Result<Tally> {
        match self {
            Self::Format => Ok(check(show(cargo().args(["fmt", "--all", "--check"])))),
            Self::Lint => {
                let lints = [lint_daemon(), lint_ebpf(objects), lint_dependencies(), advisories()];
                Ok(lints.into_iter().sum())
            }
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
            Self::Guests => vm::check(objects.missing()),
        }
    }
}

fn lint_daemon() -> Tally {
    let mut clippy = cargo();
    // `--all-targets` leaves out the tests that plain `cargo test` does.
    clippy.args(["clippy", "--quiet", "--all-targets", "--test", "*", "--", "--deny", "warnings"]);
    check(show(&mut clippy))
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

/// What cargo-deny says where it is not installed.
const NO_CARGO_DENY: &str = "cargo-deny is not installed (`cargo install cargo-deny`)";

/// Licences and origins of what is built in: `deny.toml`.
fn lint_dependencies() -> Tally {
    if probe(cargo().args(["deny", "--version"])).is_none() {
        return Tally::skipped(&format!("dependencies: {NO_CARGO_DENY}"));
    }
    check(show(cargo().args([
        "deny",
        "--log-level",
        "error",
        "check",
        "bans",
        "licenses",
        "sources",
    ])))
}

/// Known holes in what is built in, by a list that is fetched.
fn advisories() -> Tally {
    if probe(cargo().args(["deny", "--version"])).is_none() {
        return Tally::skipped(&format!("advisories: {NO_CARGO_DENY}"));
    }
    if probe(cargo().args(["deny", "fetch", "db"])).is_none() {
        return Tally::skipped("advisories: the list can't be fetched");
    }
    check(show(cargo().args(["deny", "--log-level", "error", "check", "advisories"])))
}

// Every stage selects the same packages, the default members: else cargo would compile what they share once for
// each selection, with other features.

fn unit() -> Result<Tally> {
    tests(&["--no-fail-fast"], Detail::Trouble)
}

fn kernel_tests(name: &str) -> Result<Tally> {
    tests(&["--test", name], Detail::Everything)
}

fn tests(arguments: &[&str], detail: Detail) -> Result<Tally> {
    // Compiled by themselves, since cargo can be quiet about that only if the tests are, too.
    let compiled = check(show(cargo().args(["test", "--quiet", "--no-run"]).args(arguments)));
    if compiled.failed > 0 {
        return Ok(compiled);
    }
    output::run(cargo().arg("test").args(arguments), detail)
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
