//! The daemon in the guest, with the clock in its hands.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use ntp_lab::Process;
use ntp_lab::counters::Served;

use crate::network::{PEER, UPSTREAM_PORT};

const PROGRAM: &str = "/bin/ntp-xdpd";
const CONFIGURATION: &str = "/run/ntp.conf";
const DRIFT: &str = "/run/drift";

/// How long it may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What it says when it serves.
const READY: &str = "Answering in user space";

/// What it says of steps: its own, and other people's.
const STEPPED: &str = "System clock was stepped by";
const CHANGED: &str = "and not by us";

/// The daemon at work.
#[derive(Debug)]
pub(crate) struct Daemon(Process);

impl Daemon {
    /// Starts it with the upstream for its source, and `directives`.
    pub(crate) fn start(directives: &str) -> Result<Self> {
        let own = format!(
            "server {PEER} port {UPSTREAM_PORT} iburst minpoll 0 maxpoll 0\nmakestep 1 3\n\
             driftfile {DRIFT}\nallow\ncmdport 0\nbindcmdaddress /\npidfile /run/ntp.pid\n"
        );
        fs::write(CONFIGURATION, own + directives)?;
        Self::run(&[])
    }

    /// Starts it without any source and with `arguments`.
    pub(crate) fn start_alone(arguments: &[&str]) -> Result<Self> {
        let own = format!(
            "local\ndriftfile {DRIFT}\nallow\ncmdport 0\nbindcmdaddress /\npidfile /run/ntp.pid\n"
        );
        fs::write(CONFIGURATION, own)?;
        Self::run(arguments)
    }

    /// Starts it with `directives` and no others than it takes to run in a guest.
    pub(crate) fn start_with(directives: &str) -> Result<Self> {
        let own = "allow\ncmdport 0\nbindcmdaddress /\npidfile /run/ntp.pid\n";
        fs::write(CONFIGURATION, format!("{own}driftfile {DRIFT}\n{directives}"))?;
        Self::run(&[])
    }

    fn run(arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(PROGRAM);
        command.args(["-n", "-f", CONFIGURATION]).args(arguments);
        let mut process = Process::start("ntp-xdpd", &mut command)?;
        process.wait_for_line(READY, PATIENCE)?;
        Ok(Self(process))
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        self.0.log()
    }

    /// How often it has stepped the clock.
    pub(crate) fn steps(&self) -> usize {
        self.count(STEPPED)
    }

    /// How often it has said that somebody else did.
    pub(crate) fn foreign_steps(&self) -> usize {
        self.count(CHANGED)
    }

    /// What its two paths have done so far.
    pub(crate) fn served(&mut self) -> Result<Served> {
        let told = self.count(" served ");
        self.0.signal(Signal::SIGUSR1)?;
        Served::read(&self.0.wait_for_nth_line(told + 1, " served ", PATIENCE)?)
    }

    /// As [`Daemon::served`], once both paths together have answered `requests` since `before`: a thread of the
    /// daemon counts a request after the reply has left.
    pub(crate) fn served_since(&mut self, before: &Served, requests: u64) -> Result<Served> {
        let answered = |served: &Served| served.xdp.answered + served.user.answered;
        let end = Instant::now() + PATIENCE;
        loop {
            let served = self.served()?;
            if answered(&served) >= answered(before) + requests || Instant::now() > end {
                return Ok(served);
            }
        }
    }

    /// Ends it as a service manager does; returns its log.
    pub(crate) fn stop(self) -> Result<String> {
        Ok(self.0.stop()?.success()?.output)
    }

    /// Ends it without its knowing; returns its log.
    pub(crate) fn kill(self) -> Result<String> {
        self.0.signal(Signal::SIGKILL)?;
        Ok(self.0.wait(PATIENCE)?.output)
    }

    fn count(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }
}

/// Leaves a drift file that was written at this time of the system clock.
pub(crate) fn leave_drift_file(written: SystemTime) -> Result<()> {
    fs::write(DRIFT, "0.0 1.0\n")?;
    fs::File::options().write(true).open(DRIFT)?.set_modified(written)?;
    Ok(())
}

/// The frequency in the drift file and how far off it may be, ppm.
pub(crate) fn drift_ppm() -> Result<(f64, f64)> {
    let text = fs::read_to_string(DRIFT).context("there is no drift file")?;
    let numbers: Vec<f64> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
    match numbers.as_slice() {
        [drift, skew] => Ok((*drift, *skew)),
        _ => bail!("drift file: {text}"),
    }
}
