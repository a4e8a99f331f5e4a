//! The project's own daemon: built, started, asked for its counters, ended.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::counters::{Served, TOLD};
use crate::{Finished, Host, Lab, Process, run};

/// The daemon's package and its program.
const PACKAGE: &str = "ntp-user";
const PROGRAM: &str = "ntp-xdpd";

/// How long it may take to start.
const START: Duration = Duration::from_secs(10);

/// What it says when it is serving.
const READY: &str = "Answering in user space";

/// How it is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// As tests are.
    Dev,
    /// As users run it.
    Release,
}

/// The program.
#[derive(Clone, Debug)]
pub struct NtpXdpd {
    program: PathBuf,
}

/// The program at work. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    accounts: usize,
}

/// The workspace's root folder.
#[must_use]
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

impl NtpXdpd {
    /// Builds it, as `cargo build` does.
    ///
    /// # Errors
    /// It does not compile.
    pub fn build(profile: Profile) -> Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "--bin", PROGRAM]);
        match profile {
            // With a test, and of all packages, so that cargo chooses the features that it compiles tests with,
            // and has no dependency to compile once more.
            Profile::Dev => command.args(["--test", "e2e"]),
            Profile::Release => command.args(["--release", "--package", PACKAGE]),
        };
        command.args(["--message-format", "json-render-diagnostics"]);
        command.current_dir(workspace()).stderr(Stdio::inherit());
        let output = command.output().context("cannot run cargo")?;
        if !output.status.success() {
            bail!("{PROGRAM} does not build ({})", output.status);
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let program = text.lines().filter_map(executable).next_back();
        Ok(Self { program: program.with_context(|| format!("cargo built no {PROGRAM}"))? })
    }

    /// A command that runs it in `host`; arguments may follow.
    #[must_use]
    pub fn command(&self, host: &Host) -> Command {
        host.daemon(&self.program)
    }

    /// As [`NtpXdpd::command`], without `capabilities`, as `setpriv` names them.
    #[must_use]
    pub fn command_without(&self, host: &Host, capabilities: &[&str]) -> Command {
        host.daemon_without(capabilities, &self.program)
    }

    /// Starts it in `host`, with `directives` for its configuration, and waits until it serves.
    ///
    /// # Errors
    /// It does not start; the error has what it said.
    pub fn start(&self, lab: &Lab, host: &Host, directives: &str) -> Result<Daemon> {
        Daemon::start(lab, host, self.command(host), directives)
    }

    /// Starts it in `host` as a process in the background, which is for the caller to end: see [`pidfile`].
    ///
    /// # Errors
    /// It does not start, or its starter does not end.
    pub fn start_in_background(&self, lab: &Lab, host: &Host, directives: &str) -> Result<()> {
        let mut command = self.command(host);
        command.args(["-x", "-f"]).arg(configuration(lab, host, directives)?);
        run(&mut command, START)?.success()?;
        Ok(())
    }

    /// Runs it in `host` with a configuration that it is to refuse.
    ///
    /// # Errors
    /// It does not end by itself.
    pub fn refuse(&self, lab: &Lab, host: &Host, directives: &str) -> Result<Finished> {
        Self::refuse_as(lab, host, self.command(host), directives)
    }

    /// As [`NtpXdpd::refuse`], with a command that lacks only arguments.
    ///
    /// # Errors
    /// It does not end by itself.
    pub fn refuse_as(
        lab: &Lab,
        host: &Host,
        mut command: Command,
        directives: &str,
    ) -> Result<Finished> {
        run(command.args(arguments(&configuration(lab, host, directives)?)), START)
    }
}

impl Daemon {
    /// Starts `command`, which lacks only arguments, and waits until it serves.
    ///
    /// # Errors
    /// It does not start; the error has what it said.
    pub fn start(lab: &Lab, host: &Host, mut command: Command, directives: &str) -> Result<Self> {
        command.args(arguments(&configuration(lab, host, directives)?));
        let mut process = Process::start(PROGRAM, &mut command)?;
        process.wait_for_line(READY, START)?;
        Ok(Self { process, accounts: 0 })
    }

    /// The number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// All that it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits until it has logged a line that has `text` in it, and returns that line.
    ///
    /// # Errors
    /// It ended without, or `within` passed; the error has what it logged.
    pub fn wait_for_line(&mut self, text: &str, within: Duration) -> Result<String> {
        self.process.wait_for_line(text, within)
    }

    /// What it says that its paths have done, which it is asked for with SIGUSR1.
    ///
    /// # Errors
    /// It does not say.
    pub fn served(&mut self) -> Result<Served> {
        self.process.signal(Signal::SIGUSR1)?;
        self.accounts += 1;
        Served::read(&self.process.wait_for_nth_line(self.accounts, TOLD, START)?)
    }

    /// Asks it to end and waits for that.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn stop(self) -> Result<Finished> {
        self.process.stop()
    }

    /// Ends it without its knowing (SIGKILL).
    ///
    /// # Errors
    /// The kernel refuses, or it does not end.
    pub fn kill(self) -> Result<Finished> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.wait(START)
    }
}

/// The file with the number of the daemon's process, while it runs in `host`.
#[must_use]
pub fn pidfile(lab: &Lab, host: &Host) -> PathBuf {
    lab.folder().join(format!("{PROGRAM}-{}.pid", host.name()))
}

/// Writes a configuration that uses no file and no port of the machine's own.
fn configuration(lab: &Lab, host: &Host, directives: &str) -> Result<PathBuf> {
    let pidfile = pidfile(lab, host);
    let own = format!("pidfile {}\ncmdport 0\nbindcmdaddress /\n", pidfile.display());
    lab.file(&format!("{PROGRAM}-{}.conf", host.name()), &(directives.to_owned() + &own))
}

/// In the foreground, without the clock.
fn arguments(configuration: &Path) -> [&std::ffi::OsStr; 4] {
    ["-n".as_ref(), "-x".as_ref(), "-f".as_ref(), configuration.as_os_str()]
}

/// The program's path, if one of cargo's messages is of the program.
fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_ours = message.pointer("/target/name")? == PROGRAM;
    is_ours.then_some(PathBuf::from(message.get("executable")?.as_str()?))
}
