//! The servers that are measured, each started alone and kept on one CPU.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ntp_lab::peers::{self, Chronyd, Ntpd, NtpdRs};
use ntp_lab::{Daemon, NtpXdpd, Passing, Process};

use crate::field::{Field, LAN, Polling, SERVER_CPU};
use crate::offload::receive_offload;
use crate::responder;
use crate::tasks::Tasks;

/// Serves its own clock to everybody.
const LOCAL: &str = "local stratum 5\nallow\n";

/// A kind of server.
#[derive(Clone)]
pub(crate) enum Kind {
    /// Ours.
    Ours(NtpXdpd),
    /// chrony's.
    Chronyd(Chronyd),
    /// ntpsec's.
    Ntpd(Ntpd),
    /// ntpd-rs.
    NtpdRs(NtpdRs),
    /// A loop that receives, stamps and sends batches, and does nothing else.
    Responder,
}

/// A server with its name in the table.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What follows the directives that make it serve, of those servers whose configuration is chrony's.
    pub(crate) directives: String,
}

/// A server at work.
pub(crate) struct Running {
    program: Program,
    tasks: Tasks,
    // A frame of the generator arrives only where the interface has an XDP program; this one passes all.
    _passing: Option<Passing>,
}

enum Program {
    Daemon(Daemon),
    Process(Process),
}

impl Candidate {
    /// Ours with XDP.
    pub(crate) fn xdp(name: &'static str, daemon: &NtpXdpd, directives: &str) -> Self {
        let directives = format!("xdp {LAN} mode native\n{directives}");
        Self { name, kind: Kind::Ours(daemon.clone()), directives }
    }

    /// Ours with the program behind the driver, as for interfaces whose drivers run none.
    pub(crate) fn generic(name: &'static str, daemon: &NtpXdpd, directives: &str) -> Self {
        let directives = format!("xdp {LAN} mode generic\n{directives}");
        Self { name, kind: Kind::Ours(daemon.clone()), directives }
    }

    /// Ours without XDP.
    pub(crate) fn user(name: &'static str, daemon: &NtpXdpd, threads: usize) -> Self {
        let directives = format!("serverthreads {threads}\n");
        Self { name, kind: Kind::Ours(daemon.clone()), directives }
    }

    /// The same under another name, with more directives.
    pub(crate) fn with(&self, name: &'static str, directives: &str) -> Self {
        let directives = format!("{}{directives}", self.directives);
        Self { name, kind: self.kind.clone(), directives }
    }

    /// The ways in which the link is polled on two CPUs of which one may suit it best, the likelier one first.
    pub(crate) fn pollings(&self) -> &'static [Polling] {
        if self.is_native() {
            &[Polling::ByThread]
        } else {
            &[Polling::Steered, Polling::SteeredBothWays]
        }
    }

    fn is_native(&self) -> bool {
        self.directives.contains("mode native")
    }

    fn is_generic(&self) -> bool {
        self.directives.contains("mode generic")
    }

    /// Starts it in `field`, and keeps it and what polls its interface on the server's CPU.
    pub(crate) fn start(&self, field: &Field) -> Result<Running> {
        self.start_on(field, SERVER_CPU)
    }

    /// As [`Candidate::start`], on another CPU.
    pub(crate) fn start_on(&self, field: &Field, cpu: usize) -> Result<Running> {
        let running = self.start_anywhere(field)?;
        running.tasks.pin(cpu).with_context(|| format!("cannot pin {}", self.name))?;
        Ok(running)
    }

    /// As [`Candidate::start`], on whatever CPUs it chooses.
    pub(crate) fn start_anywhere(&self, field: &Field) -> Result<Running> {
        if self.is_generic() {
            field.server.enter(|| receive_offload(LAN))?;
        }
        let has_xdp = self.is_native() || self.is_generic();
        let passing = (!has_xdp).then(|| Passing::attach(&field.server, LAN)).transpose()?;
        let (lab, host) = (&field.lab, &field.server);
        let directives = format!("{LOCAL}{}", self.directives);
        let program = match &self.kind {
            Kind::Ours(daemon) => Program::Daemon(daemon.start(lab, host, &directives)?),
            Kind::Chronyd(chronyd) => Program::Process(chronyd.serve(lab, host, &directives)?),
            Kind::Ntpd(ntpd) => Program::Process(ntpd.serve(lab, host)?),
            Kind::NtpdRs(ntpd) => Program::Process(ntpd.serve(lab, host)?),
            Kind::Responder => Program::Process(responder::start(host)?),
        };
        let pid = match &program {
            Program::Daemon(daemon) => daemon.id(),
            Program::Process(process) => process.id(),
        };
        let tasks = Tasks::of_process(pid).and(field.poll()?);
        Ok(Running { program, tasks, _passing: passing })
    }
}

impl Running {
    /// Ends it.
    pub(crate) fn stop(self) -> Result<()> {
        let ended = match self.program {
            Program::Daemon(daemon) => daemon.stop(),
            Program::Process(process) => process.stop(),
        };
        // Programs without a handler of their own are ended by the signal.
        ended.map(|_| ())
    }
}

/// The peers that are there, and the names of those that are not with what would bring them.
pub(crate) fn others() -> (Vec<Candidate>, Vec<String>) {
    let mut found = Vec::new();
    let mut absent = Vec::new();
    let mut add = |name: &'static str, kind: Option<Kind>, how: &str| match kind {
        Some(kind) => found.push(Candidate { name, kind, directives: String::new() }),
        None => absent.push(format!("{name} is not installed: {how}")),
    };
    let setup = "`cargo xtask setup` unpacks it";
    add("chronyd", peers::chronyd().map(Kind::Chronyd), setup);
    add(
        "ntpsec",
        peers::ntpd().map(Kind::Ntpd),
        "`cargo xtask bench peers` unpacks it from Debian's package",
    );
    let how = "`cargo xtask bench peers --install` builds it";
    add("ntpd-rs", peers::ntpd_rs().map(Kind::NtpdRs), how);
    found.push(bare_responder());
    (found, absent)
}

/// The loop that does nothing but respond.
pub(crate) fn bare_responder() -> Candidate {
    Candidate { name: "bare responder", kind: Kind::Responder, directives: String::new() }
}

/// chrony's daemon, without which there is nothing to compare with.
pub(crate) fn chronyd() -> Result<Candidate> {
    let (found, absent) = others();
    let chronyd = found.into_iter().find(|candidate| candidate.name == "chronyd");
    ensure!(chronyd.is_some(), "{}", absent.join("; "));
    chronyd.context("chronyd")
}

/// How long a server is given to come to itself.
pub(crate) const SETTLE: Duration = Duration::from_millis(500);
