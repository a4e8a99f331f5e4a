//! One guest, from boot to power-off.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Error, Result, anyhow};
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

/// How long it may take until its first process runs: five seconds on an idle machine.
const BOOT_PATIENCE: Duration = Duration::from_secs(60);

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

/// What a guest told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// All lines.
    pub lines: Vec<Line>,
    /// What became of a first guest that did not get to its first process, if that happened.
    pub first_try: Option<String>,
}

/// How a guest can fail.
enum Failure {
    /// Before anything of ours ran.
    AtBoot(Error),
    /// Later.
    AtWork(Error),
}

/// Plays `scenario` in a guest of `kernel` with the root file system `initrd`, and returns what the probe told.
/// The kernel's own messages go to the file `console`. A guest that did not get to its first process says nothing of
/// the daemon (an emulator that is kept from its work may lose a kernel's interrupts): another is started, once.
///
/// # Errors
/// The emulator can't be run, or the guest did not end by itself or not tell all; the error has its console.
pub fn play(
    emulator: &Emulator,
    kernel: &Kernel,
    initrd: &Path,
    scenario: &Scenario,
    console: &Path,
) -> Result<Told> {
    let run = || run_once(machine(emulator), kernel, initrd, scenario, console);
    match run() {
        Ok(lines) => Ok(Told { lines, first_try: None }),
        Err(Failure::AtWork(error)) => Err(error),
        Err(Failure::AtBoot(first)) => match run() {
            Ok(lines) => Ok(Told { lines, first_try: Some(format!("{first:#}")) }),
            Err(Failure::AtBoot(error) | Failure::AtWork(error)) => {
                Err(error.context("the second guest, as the first one did not boot"))
            }
        },
    }
}

fn run_once(
    mut command: Command,
    kernel: &Kernel,
    initrd: &Path,
    scenario: &Scenario,
    console: &Path,
) -> Result<Vec<Line>, Failure> {
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
    let with_console = |error: Error| error.context(console_of(console));
    let mut guest = Process::start("guest", &mut command).map_err(Failure::AtWork)?;
    let booted = guest.wait_for_line(&Line::Begin.write(), BOOT_PATIENCE);
    booted.map_err(|error| Failure::AtBoot(with_console(error)))?;
    let told = guest.wait(PATIENCE).map_err(|error| Failure::AtWork(with_console(error)))?;
    let lines: Vec<Line> = told.output.lines().filter_map(Line::read).collect();
    if lines.last() == Some(&Line::End) {
        return Ok(lines);
    }
    let early = anyhow!("the guest ended early ({})\n{}", told.status, told.output);
    Err(Failure::AtWork(with_console(early)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::SCENARIOS;
    use std::os::unix::fs::PermissionsExt;

    /// Plays with an emulator that is a script; `tries` is what it does the first, the second, ... time.
    fn played(name: &str, tries: &[&str]) -> (Result<Told>, usize) {
        let folder = std::env::temp_dir().join(format!("ntp-vm-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let cases = (1..).zip(tries).map(|(number, what)| format!("{number}) {what} ;;\n"));
        let count = folder.join("count");
        let script = format!(
            "#!/bin/sh\necho >> {0}\ncase $(wc -l < {0}) in\n{1}esac\n",
            count.display(),
            cases.collect::<String>()
        );
        let program = folder.join("emulator");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let kernel = Kernel {
            series: "6.1",
            release: "6.1".to_owned(),
            image: "image".into(),
            modules: "modules".into(),
        };
        let (scenario, console) = (&SCENARIOS[0], folder.join("console"));
        let emulator = Emulator::at(program);
        let told = play(&emulator, &kernel, Path::new("initrd"), scenario, &console);
        let count = fs::read_to_string(count).unwrap_or_default().lines().count();
        fs::remove_dir_all(&folder).unwrap();
        (told, count)
    }

    const BEGIN: &str = r#"echo '{"begin":true}'"#;
    const WHOLE: &str = r#"echo '{"begin":true}'; echo '{"end":true}'"#;

    #[test]
    fn guest_that_does_not_boot_is_started_again_once_and_that_is_told() {
        let (told, tries) = played("again", &["echo 'SeaBIOS'", WHOLE]);
        let told = told.unwrap();
        assert_eq!((told.lines, tries), (vec![Line::Begin, Line::End], 2));
        assert!(told.first_try.unwrap().contains("SeaBIOS"));
        let (told, tries) = played("never", &["exit 1", "exit 1", WHOLE]);
        assert!(told.is_err() && tries == 2, "{tries}");
    }

    #[test]
    fn guest_that_ends_early_after_it_began_is_a_failure_at_once() {
        let (told, tries) = played("early", &[BEGIN, WHOLE]);
        assert!(told.unwrap_err().to_string().contains("console") && tries == 1, "{tries}");
        let (told, tries) = played("whole", &[WHOLE]);
        assert!(told.unwrap().first_try.is_none() && tries == 1);
    }
}
