//! The sockets that commands come in on, each with a task that hands on what comes in.
//!
//! Invariant: what waits is bounded, so that a flood of commands delays commands and nothing else.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use ntp_engine::candm::MAX_REQUEST_LEN;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::net::batch::{Calls, Inbox};
use crate::net::control::Destination;
use crate::net::socket;
use crate::net::watched::Watched;

/// Commands that may wait for the timekeeping thread.
const QUEUE_LEN: usize = 16;

/// A packet that may be a command.
#[derive(Debug)]
pub(crate) struct Packet {
    /// Its octets; one more than the longest command has if it was longer.
    pub(crate) octets: Vec<u8>,
    /// Whom it came from.
    pub(crate) from: Sender,
}

/// Who sent a packet, and how they are answered.
#[derive(Clone, Debug)]
pub(crate) enum Sender {
    /// A process that reaches the Unix socket; with the path of its own.
    Local {
        /// The daemon's socket.
        socket: Arc<UnixDatagram>,
        /// The sender's.
        path: PathBuf,
    },
    /// Somebody on the network.
    Network {
        /// The daemon's socket.
        socket: Arc<OwnedFd>,
        /// The sender's address.
        address: SocketAddr,
        /// The address that was asked.
        asked: Option<Destination>,
    },
}

impl Sender {
    /// Sends a reply. One that can't be sent is lost: the sender asks again.
    pub(crate) fn reply(&self, octets: &[u8]) {
        let sent = match self {
            Self::Local { socket, path } => socket.send_to(octets, path).map(drop),
            Self::Network { socket, address, asked } => {
                socket::reply(socket.as_fd(), octets, *address, asked.as_ref())
            }
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "A command's reply could not be sent");
        }
    }

    /// The address on the network; `None`: a process of this host.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Local { .. } => None,
            Self::Network { address, .. } => Some(address.ip()),
        }
    }
}

/// All sockets together.
#[derive(Debug)]
pub(crate) struct Sockets {
    packets: mpsc::Receiver<Packet>,
    into: mpsc::Sender<Packet>,
    tasks: Vec<JoinHandle<()>>,
    /// The Unix socket's file, which is removed in the end.
    path: Option<PathBuf>,
}

impl Sockets {
    /// No socket yet.
    pub(crate) fn new() -> Self {
        let (into, packets) = mpsc::channel(QUEUE_LEN);
        Self { packets, into, tasks: Vec::new(), path: None }
    }

    /// Listens to UDP sockets; to be called within the runtime.
    ///
    /// # Errors
    /// When a socket can't be waited for.
    pub(crate) fn listen_to_network(&mut self, sockets: Vec<OwnedFd>) -> io::Result<()> {
        for socket in sockets {
            let socket = Arc::new(socket);
            let watched = Watched::new(Arc::clone(&socket))?;
            let into = self.into.clone();
            self.tasks.push(tokio::spawn(listen_to_network(socket, watched, into)));
        }
        Ok(())
    }

    /// Makes the Unix socket in its folder, in the place of one that nobody listens to, and listens to it; to
    /// be called within the runtime.
    ///
    /// # Errors
    /// When another process listens there, or the socket can't be made.
    pub(crate) fn listen_locally(&mut self, path: &Path) -> io::Result<()> {
        let socket = Arc::new(bind(path)?);
        self.path = Some(path.to_owned());
        let watched = Watched::new(Arc::clone(&socket))?;
        let into = self.into.clone();
        self.tasks.push(tokio::spawn(listen_locally(socket, watched, into)));
        Ok(())
    }

    /// The next packet. May be dropped before there is one.
    pub(crate) async fn next(&mut self) -> Option<Packet> {
        self.packets.recv().await
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        if let Some(path) = &self.path
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::debug!(%error, "The command socket can't be removed");
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixDatagram> {
    // A socket that nobody listens to any more refuses to be connected to.
    if UnixDatagram::unbound()?.connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixDatagram::bind(path)?;
    fcntl(&socket, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(socket)
}

async fn listen_locally(
    socket: Arc<UnixDatagram>,
    mut watched: Watched<Arc<UnixDatagram>>,
    into: mpsc::Sender<Packet>,
) {
    let mut buffer = [0; MAX_REQUEST_LEN + 1];
    while watched.readable().await.is_ok() {
        // One packet at a time: whatever comes, other tasks have their turn.
        let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
        // Nobody can answer a process whose socket has no name.
        let Some(path) = from.as_pathname() else { continue };
        let from = Sender::Local { socket: Arc::clone(&socket), path: path.to_owned() };
        if into.send(Packet { octets: buffer[..len].to_vec(), from }).await.is_err() {
            return;
        }
    }
}

async fn listen_to_network(
    socket: Arc<OwnedFd>,
    mut watched: Watched<Arc<OwnedFd>>,
    into: mpsc::Sender<Packet>,
) {
    let mut inbox = Inbox::new(Calls::Single);
    while watched.readable().await.is_ok() {
        if inbox.receive(socket.as_fd()).is_err() {
            continue;
        }
        let Some(packet) = inbox.packets().next() else { continue };
        let asked = packet.received.to;
        if asked.is_some_and(|asked| !asked.is_unicast) {
            continue;
        }
        let octets = &packet.octets[..packet.octets.len().min(MAX_REQUEST_LEN + 1)];
        let from = Sender::Network { socket: Arc::clone(&socket), address: packet.from, asked };
        if into.send(Packet { octets: octets.to_vec(), from }).await.is_err() {
            return;
        }
    }
}
