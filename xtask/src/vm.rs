//! `cargo xtask vm`: the daemon in guests of other kernels, where it may set the clock; and the stage of
//! `cargo xtask test` that plays all of that.
//!
//! Invariant: what could not be played is skipped by name, with the reason; none passes silently.

mod service;

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::PossibleValuesParser;
use ntp_lab::{Profile, build};
use ntp_vm::emulator::Emulator;
use ntp_vm::image::Contents;
use ntp_vm::kernel::{Kernel, SERIES, folder};
use ntp_vm::scenario::{SCENARIOS, Scenario};
use ntp_vm::service::SERVICE;
use ntp_vm::verdict::{Outcome, Verdict};
use ntp_vm::{devices, guest, image};
use serde_json::{Value, json};

use crate::report::{self, Paint, elapsed, paint, present, say};
use crate::test::Tally;
use crate::{build_ebpf, setup};

/// What to play, and on what.
#[derive(Debug, Default, Args)]
pub(crate) struct VmArguments {
    /// Play this scenario alone
    #[arg(value_parser = PossibleValuesParser::new(names()))]
    scenario: Option<String>,
    /// Play on this kernel alone
    #[arg(long, value_parser = PossibleValuesParser::new(SERIES))]
    kernel: Option<String>,
    /// Play every scenario on every kernel, not only those that depend on the kernel
    #[arg(long)]
    everything: bool,
    /// Print what was measured as JSON; everything else goes to standard error
    #[arg(long)]
    json: bool,
}

/// What depends on the kernel, and is played on all. The rest is played on the newest alone, unless more is asked for.
const ON_EVERY_KERNEL: [&str; 6] = ["xdp", "xdp-hardware-time", "days-off", "slew", "leap", "rtc"];

/// Whoever prints an outcome.
static PRINTING: Mutex<()> = Mutex::new(());

/// A scenario that is to be played on a kernel.
struct Guest<'a> {
    scenario: &'static Scenario,
    series: &'static str,
    play: Box<dyn Fn() -> Verdict + Send + Sync + 'a>,
}

/// A scenario that was to be played on a kernel.
struct Played {
    scenario: &'static Scenario,
    series: &'static str,
    verdict: Verdict,
    time: Duration,
}

/// A kernel with the root file system of its guests.
struct Ready {
    emulator: Emulator,
    kernel: Kernel,
    initrd: PathBuf,
    /// Why there is no module of devices, if there is none.
    no_devices: Option<String>,
}

/// The task. The exit code tells whether anything failed.
///
/// # Errors
/// Something could not be built.
pub(crate) fn run(arguments: &VmArguments) -> Result<ExitCode> {
    if arguments.json {
        report::divert_to_stderr();
    }
    let no_xdp = match setup::ensure_ebpf_toolchain() {
        Ok(toolchain) => build_ebpf::build(&toolchain).map(|()| None)?,
        Err(error) => Some(format!("no eBPF toolchain: {error:#}")),
    };
    let played = play(arguments, no_xdp.as_deref())?;
    let tally: Tally = played.iter().map(Played::tally).sum();
    if arguments.json {
        let all: Vec<Value> = played.iter().map(Played::json).collect();
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        println!("{tally}");
    }
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The stage: everything on every kernel. `no_xdp` says why there is no XDP program, if there is none.
///
/// # Errors
/// Something could not be built.
pub(crate) fn check(no_xdp: Option<&str>) -> Result<Tally> {
    let played = play(&VmArguments::default(), no_xdp)?;
    Ok(played.iter().map(Played::tally).sum())
}

fn play(arguments: &VmArguments, no_xdp: Option<&str>) -> Result<Vec<Played>> {
    setup::ensure_guest_tools();
    let programs = match guest::emulator() {
        Ok(emulator) => Ok((emulator, build(Profile::Dev, ["ntp-xdpd", "guest-probe"])?)),
        Err(why) => Err(why),
    };
    let mut kernels = Vec::new();
    for series in SERIES.into_iter().filter(|series| is_chosen(arguments.kernel.as_ref(), series)) {
        let ready = match &programs {
            Ok((emulator, [daemon, probe])) => prepare(emulator, series, daemon, probe)?,
            Err(why) => Err(why.clone()),
        };
        kernels.push((series, ready));
    }
    let mut guests: Vec<Guest<'_>> = service::guest(arguments, no_xdp)?.into_iter().collect();
    for (series, ready) in &kernels {
        let is_played = |it: &&Scenario| match &arguments.scenario {
            Some(name) => name == it.name,
            None => {
                arguments.everything
                    || arguments.kernel.is_some()
                    || Some(series) == SERIES.last()
                    || ON_EVERY_KERNEL.contains(&it.name)
            }
        };
        let scenarios = SCENARIOS.iter().filter(is_played);
        guests.extend(scenarios.map(|scenario| Guest {
            scenario,
            series,
            play: Box::new(move || play_on(ready, scenario, no_xdp)),
        }));
    }
    // One after the other where guests that take each other's CPU would be late.
    let (patient, others): (Vec<_>, Vec<_>) =
        guests.iter().partition(|guest| guest.scenario.is_patient);
    let mut all: Vec<Played> = others.into_iter().map(Guest::play).collect();
    all.extend(side_by_side(&patient));
    Ok(all)
}

/// Plays guests on all processors, one on each at a time.
fn side_by_side(guests: &[&Guest<'_>]) -> Vec<Played> {
    let next = AtomicUsize::new(0);
    let work = || -> Vec<Played> {
        let taken = std::iter::from_fn(|| guests.get(next.fetch_add(1, Ordering::Relaxed)));
        taken.map(|guest| guest.play()).collect()
    };
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        let played = threads.into_iter().flat_map(|thread| match thread.join() {
            Ok(played) => played,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        played.collect()
    })
}

/// Plays a scenario on a kernel, if it can be.
fn play_on(
    ready: &Result<Ready, String>,
    scenario: &'static Scenario,
    no_xdp: Option<&str>,
) -> Verdict {
    match ready {
        Ok(ready) => match ready.missing(scenario, no_xdp) {
            None => ready.play(scenario),
            Some(why) => Verdict::skipped(why.to_owned()),
        },
        Err(why) => Verdict::skipped(why.clone()),
    }
}

/// The names of all scenarios.
fn names() -> impl Iterator<Item = &'static str> {
    SCENARIOS.iter().chain([&SERVICE]).map(|scenario| scenario.name)
}

fn is_chosen(chosen: Option<&String>, name: &str) -> bool {
    chosen.is_none_or(|chosen| chosen == name)
}

/// Finds the kernel of `series` and makes the root file system of its guests; or says why there is none.
fn prepare(
    emulator: &Emulator,
    series: &'static str,
    daemon: &Path,
    probe: &Path,
) -> Result<Result<Ready, String>> {
    let kernel = match Kernel::find(series) {
        Ok(kernel) => kernel,
        Err(error) => return Ok(Err(format!("{error:#}"))),
    };
    let folder = folder();
    let initrd = folder.join(format!("initrd-{series}"));
    // Headers that are not to be had are a reason to skip; a module that does not compile against them is a fault.
    let module = match devices::headers(&kernel) {
        Ok(_) => Ok(devices::build(&kernel)?),
        Err(error) => Err(format!("{error:#}")),
    };
    let devices = module.as_deref().ok();
    fs::write(&initrd, image::make(&kernel, Contents { probe, daemon, devices }, &folder)?)
        .with_context(|| format!("cannot write {}", initrd.display()))?;
    say(&paint(Paint::Strong, &format!("Guests of Linux {}", kernel.release)));
    Ok(Ok(Ready { emulator: emulator.clone(), kernel, initrd, no_devices: module.err() }))
}

impl Ready {
    /// Why `scenario` can't be played, if it can't.
    fn missing<'a>(&'a self, scenario: &Scenario, no_xdp: Option<&'a str>) -> Option<&'a str> {
        let no_xdp = no_xdp.filter(|_| scenario.uses_xdp);
        no_xdp.or(self.no_devices.as_deref().filter(|_| scenario.uses_devices))
    }

    fn play(&self, scenario: &'static Scenario) -> Verdict {
        let console = format!("console-{}-{}", self.kernel.series, scenario.name);
        let told = guest::play(
            &self.emulator,
            &self.kernel,
            &self.initrd,
            scenario,
            &folder().join(console),
        );
        told.map_or_else(
            |error| Verdict::failed(format!("{error:#}")),
            |told| Verdict::new(scenario, told),
        )
    }
}

impl Guest<'_> {
    /// Plays, and prints what became of it.
    fn play(&self) -> Played {
        let start = Instant::now();
        let verdict = (self.play)();
        let Self { scenario, series, .. } = *self;
        let played = Played { scenario, series, verdict, time: start.elapsed() };
        played.print();
        played
    }
}

impl Played {
    /// Prints a line, and below it what else there is to say, all of it together.
    fn print(&self) {
        let _alone = PRINTING.lock();
        let name = format!("{} {}", self.series, self.scenario.name);
        let Verdict { outcome, first_try, figures, log } = &self.verdict;
        let (said, took) = (self.scenario.sentence, elapsed(self.time));
        match outcome {
            Outcome::Passed => {
                present(&name, &format!("{said}: {}, took {took}", paint(Paint::Good, "ok")));
            }
            Outcome::Skipped(why) => {
                present(&name, &format!("{}: {why}", paint(Paint::Note, "skipped")));
            }
            Outcome::Failed(faults) => {
                present(&name, &format!("{said}: {}, took {took}", paint(Paint::Bad, "failed")));
                let faults = faults.join("\n");
                say(&format!("{faults}\nfigures: {figures:?}\n{}", log.join("\n")));
            }
        }
        if let Some(why) = first_try {
            say(&format!("the first guest did not boot, and another was started: {why}"));
        }
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        match self.verdict.outcome {
            Outcome::Passed => tally.passed = 1,
            Outcome::Failed(_) => tally.failed = 1,
            Outcome::Skipped(_) => tally.skipped = 1,
        }
        tally
    }

    fn json(&self) -> Value {
        let (outcome, said) = match &self.verdict.outcome {
            Outcome::Passed => ("passed", Vec::new()),
            Outcome::Failed(faults) => ("failed", faults.clone()),
            Outcome::Skipped(why) => ("skipped", vec![why.clone()]),
        };
        json!({
            "scenario": self.scenario.name,
            "kernel": self.series,
            "outcome": outcome,
            "said": said,
            "figures": self.verdict.figures,
            "first_guest_did_not_boot": self.verdict.first_try,
            "took_s": self.time.as_secs_f64(),
        })
    }
}
