//! The project's own daemon: built, started, asked for its counters, ended.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;

use crate::built::{Profile, build};
use crate::counters::{Served, TOLD};
use crate::{Finished, Host, Lab, Process, run};

/// The program.
const PROGRAM: &str = "ntp-xdpd";

/// How long it may take to start.
const START: Duration = Duration::from_secs(10);

/// What it says when it is serving.
const READY: &str = "Answering in user space";

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
        let [program] = build(profile, [PROGRAM])?;
        Ok(Self { program })
    }

    /// The file that it is in.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
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

    /// Has it read another configuration.
    ///
    /// # Errors
    /// It can't be written, or the daemon is gone.
    pub fn reload(&self, lab: &Lab, host: &Host, directives: &str) -> Result<()> {
        configuration(lab, host, directives)?;
        self.process.signal(Signal::SIGHUP)
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

/// The daemon's command socket, while it runs in `host` with directives that say nothing else.
#[must_use]
pub fn command_socket(lab: &Lab, host: &Host) -> PathBuf {
    lab.folder().join(format!("cmd-{}", host.name())).join("daemon.sock")
}

/// Writes a configuration that uses no file and no port of the machine's own.
fn configuration(lab: &Lab, host: &Host, directives: &str) -> Result<PathBuf> {
    let pidfile = pidfile(lab, host);
    let socket = command_socket(lab, host);
    let own = [
        ("pidfile", pidfile.display().to_string()),
        ("cmdport", "0".to_owned()),
        ("bindcmdaddress", socket.display().to_string()),
    ];
    // An address for commands says nothing of the socket.
    let is_said = |name: &str| {
        let form = if name == "bindcmdaddress" { "bindcmdaddress /" } else { name };
        directives.lines().any(|line| line.starts_with(form))
    };
    let own = own.iter().filter(|(name, _)| !is_said(name));
    let own: Vec<String> = own.map(|(name, value)| format!("{name} {value}\n")).collect();
    lab.file(&format!("{PROGRAM}-{}.conf", host.name()), &(directives.to_owned() + &own.concat()))
}

/// In the foreground, without the clock.
fn arguments(configuration: &Path) -> [&std::ffi::OsStr; 4] {
    ["-n".as_ref(), "-x".as_ref(), "-f".as_ref(), configuration.as_os_str()]
}
