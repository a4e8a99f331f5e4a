//! What scenarios have in hand: the line to the host, true time, the peer, the daemon.

use anyhow::{Result, ensure};
use ntp_lab::query::Client;
use ntp_vm::line::Line;

use crate::daemon::Daemon;
use crate::machine::Wire;
use crate::network::{self, Peer};
use crate::truth::{Instant, Truth, seconds};
use crate::watch::{LOOK, settled_after};
use crate::{client, upstream};

/// How long the daemon may take until it says that it is synchronised, seconds.
const SYNCHRONISATION_S: f64 = 30.0;

/// The guest.
#[derive(Debug)]
pub(crate) struct Guest {
    wire: Wire,
    logs: Vec<String>,
}

/// True time served by an upstream, and the peer's clients.
#[derive(Debug)]
pub(crate) struct World {
    /// True time.
    pub(crate) truth: Truth,
    /// Clients of the daemon.
    pub(crate) v4: Client,
    pub(crate) v6: Client,
    pub(crate) vlan: Client,
}

impl Guest {
    pub(crate) fn new(wire: Wire) -> Self {
        Self { wire, logs: Vec::new() }
    }

    /// Tells the host.
    pub(crate) fn tell(&mut self, line: &Line) {
        self.wire.tell(line);
    }

    /// Tells a figure.
    pub(crate) fn figure(&mut self, name: &str, value: f64) {
        self.tell(&Line::Figure { name: name.to_owned(), value });
    }

    /// Tells a number of things.
    pub(crate) fn count(&mut self, name: &str, count: usize) {
        self.figure(name, f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    }

    /// Keeps a daemon's log for the end.
    pub(crate) fn keep(&mut self, log: String) {
        self.logs.push(log);
    }

    /// Plays with a daemon, and keeps its log whatever comes of it.
    pub(crate) fn with<T>(
        &mut self,
        mut daemon: Daemon,
        play: impl FnOnce(&mut Self, &mut Daemon) -> Result<T>,
    ) -> Result<T> {
        let played = play(self, &mut daemon);
        if played.is_err() {
            self.keep(daemon.log());
            return played;
        }
        self.keep(daemon.stop()?);
        played
    }

    /// Tells the logs, and that this is all.
    pub(crate) fn end(&mut self) {
        for log in std::mem::take(&mut self.logs) {
            log.lines().for_each(|line| self.tell(&Line::Log(line.to_owned())));
        }
        self.tell(&Line::End);
        self.wire.drain();
    }
}

impl World {
    /// Sets the network up, and an upstream that tells `truth`.
    pub(crate) fn open(truth: Truth) -> Result<Self> {
        let Peer { upstream, v4, v6, vlan } = network::set_up()?;
        upstream::serve(upstream, truth);
        Ok(Self { truth, v4, v6, vlan })
    }

    /// The system clock less true time, seconds.
    pub(crate) fn offset_s(&self) -> f64 {
        seconds(self.truth.offset())
    }

    /// Waits until the daemon says that it is synchronised.
    pub(crate) fn synchronised(&self) -> Result<()> {
        let start = self.truth.now();
        loop {
            let told = client::ask(&self.v4, &self.truth, &[])?;
            if told.is_some_and(|told| told.header.stratum != 0) {
                return Ok(());
            }
            let waited_s = self.truth.now().since(start);
            ensure!(waited_s < SYNCHRONISATION_S, "not synchronised in {SYNCHRONISATION_S} s");
            std::thread::sleep(LOOK);
        }
    }

    /// As [`settled_after`].
    pub(crate) fn settled_after(
        &self,
        since: Instant,
        meanwhile: impl FnMut() -> Result<()>,
    ) -> Result<f64> {
        settled_after(&self.truth, since, meanwhile)
    }
}
