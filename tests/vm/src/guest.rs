//! One guest, from boot to power-off.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ntp_lab::{Process, run};

use crate::emulator::{EMULATOR, Emulator, PACKAGE};
use crate::kernel::Kernel;
use crate::line::Line;
use crate::scenario::Scenario;

/// The environment variable of the guest's first process that names the scenario: the kernel passes on what it
/// does not know of its command line.
pub const SCENARIO: &str = "scenario";

/// How long a guest may run. The longest scenario takes a minute on an idle machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// The interfaces, in the order in which the guest finds them. QEMU's hub takes no frames larger than a packet,
/// so nothing of segmentation and coalescing is offered: the driver refuses XDP beside them.
const INTERFACES: [(&str, &str); 2] = [("one", "52:54:00:12:34:01"), ("two", "52:54:00:12:34:02")];
const NO_OFFLOADS: &str = "guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off";

/// What guests are run by here.
///
/// # Errors
/// They can't be run, and why.
pub fn emulator() -> Result<Emulator, String> {
    if !cfg!(target_arch = "x86_64") {
        return Err("guests are built for x86-64 only".to_owned());
    }
    let missing = |program: &str, package: &str| {
        format!("there is no `{program}` (package {package}, `cargo xtask setup`)")
    };
    let tried = run(Command::new("ip").arg("-Version"), Duration::from_secs(10));
    if !tried.is_ok_and(|tried| tried.status.success()) {
        return Err(missing("ip", "iproute2"));
    }
    Emulator::find().ok_or_else(|| missing(EMULATOR, PACKAGE))
}

/// Plays `scenario` in a guest of `kernel` with the root file system `initrd`, and returns what the probe told.
/// The kernel's own messages go to the file `console`.
///
/// # Errors
/// The emulator can't be run, or the guest did not end by itself or not tell all; the error has its console.
pub fn play(
    emulator: &Emulator,
    kernel: &Kernel,
    initrd: &Path,
    scenario: &Scenario,
    console: &Path,
) -> Result<Vec<Line>> {
    let mut command = machine(emulator);
    command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initrd);
    // The counter that all clocks of the guest share is the emulator's; the kernel need not doubt it. And on a
    // machine that is busy, the timer's interrupts may come too late for the kernel to believe in it.
    let words = "console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check";
    command.args(["-append", &format!("{words} {SCENARIO}={}", scenario.name)]);
    command.args(["-rtc", &format!("base={},clock=vm", scenario.starts)]);
    command.arg("-serial").arg(format!("file:{}", console.display())).args(["-serial", "stdio"]);
    for (name, mac) in INTERFACES {
        command.args(["-netdev", &format!("hubport,id={name},hubid=0")]);
        let device = format!("virtio-net-pci,netdev={name},mac={mac},romfile=,{NO_OFFLOADS}");
        command.args(["-device", &device]);
    }
    let told = Process::start("guest", &mut command)?.wait(PATIENCE);
    let told = told.with_context(|| console_of(console))?;
    let lines: Vec<Line> = told.output.lines().filter_map(Line::read).collect();
    if lines.last() != Some(&Line::End) {
        bail!("the guest ended early ({})\n{}\n{}", told.status, told.output, console_of(console));
    }
    Ok(lines)
}

/// A machine with two processors and no devices but those that are asked for.
fn machine(emulator: &Emulator) -> Command {
    let mut command = emulator.start();
    command.args(["-nodefaults", "-display", "none"]);
    command.args(["-no-reboot", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"]);
    command.args(["-smp", "2", "-m", "512"]);
    command
}

fn console_of(file: &Path) -> String {
    let text = fs::read(file).unwrap_or_default();
    format!("{}: {}", file.display(), String::from_utf8_lossy(&text))
}
