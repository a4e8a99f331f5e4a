//! chronyc's commands: the sockets that they come in on, who may give which, and what they are answered.
//!
//! Invariants: whoever reaches the Unix socket may do everything; who asks over the network may ask for what
//! `opencommands` names, and change nothing. No reply is longer than its request.

mod access;
mod by_hand;
mod clients;
mod dispatch;
mod folder;
mod limit;
mod network;
mod operate;
mod reports;
mod sockets;

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use ntp_engine::candm::{Asked, Code, Ignored, PacketTotals, Received, Reply, Status, receive};
use ntp_engine::conf::{Config, OpenCommand};
use ntp_engine::seams::Resolver;

use crate::access::TooManyRules;
use crate::event_loop::DaemonDriver;
use crate::owner::Owner;
use crate::resolver::{Families, Resolved};
use crate::tasks::Tasks;
use access::CommandAccess;
use limit::Limit;
pub(crate) use sockets::Packet;
use sockets::Sockets;

/// What takes privileges, done before they are dropped.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    network: Vec<OwnedFd>,
    path: Option<PathBuf>,
}

impl Prepared {
    /// Opens UDP sockets, and prepares the folder of the Unix socket for `owner`, whom the daemon will become.
    pub(crate) fn new(config: &Config, owner: Owner, families: Families) -> Self {
        let path = config.bindcmdaddress_path.as_ref().filter(|path| is_safe(path, owner));
        Self { network: network::open(config, families), path: path.cloned() }
    }
}

fn is_safe(path: &Path, owner: Owner) -> bool {
    let Some(folder) = path.parent() else { return false };
    match folder::prepare(folder, owner) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, "Disabled command socket {}", path.display());
            false
        }
    }
}

/// What the configuration has that some commands are about.
#[derive(Clone, Copy, Debug)]
struct Means {
    source_folders: bool,
}

impl Means {
    fn of(config: &Config) -> Self {
        Self { source_folders: !config.sourcedir.is_empty() }
    }
}

/// Commands: whence they come, and what is known of those who give them.
pub(crate) struct Commands {
    sockets: Sockets,
    access: CommandAccess,
    open: BTreeSet<OpenCommand>,
    limit: Option<Limit>,
    means: Means,
    totals: PacketTotals,
}

impl Commands {
    /// Listens, and has the hosts that rules name resolved; to be called within the runtime, once privileges
    /// are dropped.
    ///
    /// # Errors
    /// [`TooManyRules`].
    pub(crate) fn start(
        config: &Config,
        prepared: Prepared,
        resolver: &mut impl Resolver,
    ) -> Result<Self, TooManyRules> {
        let mut sockets = Sockets::new();
        if let Err(error) = sockets.listen_to_network(prepared.network) {
            tracing::error!(%error, "Commands over the network are not answered");
        }
        if let Some(path) = prepared.path
            && let Err(error) = sockets.listen_locally(&path)
        {
            tracing::error!(%error, "Could not open command socket on {}", path.display());
        }
        let rules = config.cmd_access.iter().map(|rule| rule.value.clone()).collect();
        let access = CommandAccess::new(rules)?;
        access.names().for_each(|name| resolver.resolve(name));
        Ok(Self {
            sockets,
            access,
            open: config.opencommands.clone(),
            limit: config.cmdratelimit.map(Limit::new),
            means: Means::of(config),
            totals: PacketTotals::default(),
        })
    }

    /// The next packet. May be dropped before there is one.
    pub(crate) async fn next(&mut self) -> Packet {
        match self.sockets.next().await {
            Some(packet) => packet,
            None => std::future::pending().await,
        }
    }

    /// Takes the address of a host that rules may name.
    pub(crate) fn host_resolved(&mut self, resolved: &Resolved) {
        self.access.host_resolved(resolved);
    }

    /// Does what a packet says, and answers it.
    pub(crate) fn take(&mut self, packet: &Packet, driver: &mut DaemonDriver, tasks: &mut Tasks) {
        if let Some(reply) = self.answer(packet, driver, tasks) {
            packet.from.reply(&reply);
        }
    }

    fn answer(
        &mut self,
        packet: &Packet,
        driver: &mut DaemonDriver,
        tasks: &mut Tasks,
    ) -> Option<Vec<u8>> {
        let from = packet.from.address();
        if from.is_some_and(|address| !self.access.admits(address)) {
            return None;
        }
        let received = receive(&packet.octets);
        if let Received::Ignored(Ignored::Length | Ignored::NotRequest) = received {
            return None;
        }
        self.totals.received += 1;
        if let Some(address) = from {
            tasks.clients.command(address, driver.now().mono);
        }
        if let (Some(limit), Some(address)) = (&mut self.limit, from)
            && !access::is_loopback(address)
            && !limit.admits(address, driver.now().mono)
        {
            self.totals.dropped += 1;
            return None;
        }
        match received {
            Received::Ignored(_) => None,
            Received::Refused(status, reply) => {
                tracing::debug!(?status, "Command refused");
                Some(reply)
            }
            Received::Asked(asked) => {
                let reply = self.carry_out(&asked, from.is_none(), driver, tasks);
                asked.answer(&reply)
            }
        }
    }

    fn carry_out(
        &mut self,
        asked: &Asked<'_>,
        has_all_rights: bool,
        driver: &mut DaemonDriver,
        tasks: &mut Tasks,
    ) -> Reply {
        let code: Code = asked.code();
        if !has_all_rights && !code.is_open(&self.open) {
            return Status::NotAuthorised.into();
        }
        match asked.request() {
            Ok(request) => dispatch::carry_out(&request, self, driver, tasks),
            Err(status) => status.into(),
        }
    }
}
