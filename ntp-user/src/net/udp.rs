//! The transport of requests: every request leaves from a new socket with a port that nobody could guess,
//! which hears from the source alone and is closed when the next request leaves. RFC 8633 section 3.3,
//! RFC 9109. What goes to a peer leaves from the served port, from a socket that is connected to the peer: the
//! kernel hands it the peer's packets, and those of all others to who serves the port.
//!
//! Invariant: a source has one socket at most. What comes in is handed over through a channel of fixed length.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use ntp_engine::seams::{Clock, Port, RequestId, SourceId, Stamped, StampedBy, Transport};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::batch::{Calls, Inbox, Packet};
use super::hardware::{Stamper, Way};
use super::socket::{self, Manner};
use super::timestamping::{just_sent_at, sent_at, stamp_both, stamp_received};
use super::watched::Watched;
use crate::resolver::Families;

/// Packets and timestamps that may wait for the engine.
const QUEUE_LEN: usize = 64;

/// Octets of the longest reply that is handed on: a header, a code, extension fields.
const MAX_REPLY_LEN: usize = 1280;

/// Timestamps of requests that may come late, one after the other, before they are no longer asked for:
/// each of them costs the event loop a registration that it does not get back.
const MAX_LATE_STAMPS: u32 = 8;

/// Where requests leave from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalEnd {
    /// Over IPv4; unspecified: the kernel chooses.
    pub v4: Ipv4Addr,
    /// Over IPv6; unspecified: the kernel chooses.
    pub v6: Ipv6Addr,
    /// The port; 0: another one for each request.
    pub port: u16,
    /// Address families of use.
    pub families: Families,
    /// The manner of requests.
    pub manner: Manner,
    /// Where packets to peers leave from.
    pub served: Served,
}

/// The addresses and the port that are served, from which packets go to peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Over IPv4; unspecified: the kernel chooses.
    pub v4: Ipv4Addr,
    /// Over IPv6; unspecified: the kernel chooses.
    pub v6: Ipv6Addr,
    /// The port; 0: none is served, and a peer that wants to be asked is not heard.
    pub port: u16,
    /// The manner of what is served.
    pub manner: Manner,
}

/// What happened on the socket of a source.
#[derive(Debug)]
pub enum Incoming {
    /// A packet came in.
    Packet {
        /// The source whose socket it came in on.
        source: SourceId,
        /// Whom it came from.
        from: SocketAddr,
        /// The address that it was sent to, if the kernel tells.
        to: Option<IpAddr>,
        /// Its octets.
        octets: Vec<u8>,
        /// When it arrived.
        at: Stamped,
    },
    /// The kernel told when a request left.
    Sent {
        /// The source it went to.
        source: SourceId,
        /// Which request.
        request: RequestId,
        /// When it left.
        at: Stamped,
    },
}

/// Sends requests, and receives what comes back.
#[derive(Debug)]
pub struct UdpTransport {
    local: LocalEnd,
    stamper: Stamper,
    listeners: BTreeMap<SourceId, Listener>,
    incoming: mpsc::Sender<Incoming>,
    /// Timestamps of requests that did not come at once, one after the other.
    late_stamps: u32,
}

/// The task that waits for a source's socket; it ends with this value.
#[derive(Debug)]
struct Listener {
    task: JoinHandle<()>,
    /// The socket once more, and what it awaits, where packets go on leaving from it.
    lasting: Option<(OwnedFd, Awaited)>,
}

/// The packet of which the kernel will still tell when it left.
type Awaited = Arc<Mutex<Option<RequestId>>>;

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl LocalEnd {
    /// Where a packet leaves from.
    fn end(&self, from: Port, to: IpAddr) -> SocketAddr {
        let (v4, v6, port) = match from {
            Port::New => (self.v4, self.v6, self.port),
            Port::Served => (self.served.v4, self.served.v6, self.served.port),
        };
        let ip = match to {
            IpAddr::V4(_) => IpAddr::V4(v4),
            IpAddr::V6(_) => IpAddr::V6(v6),
        };
        SocketAddr::new(ip, port)
    }

    /// The manner in which it leaves.
    fn manner(&self, from: Port) -> &Manner {
        match from {
            Port::New => &self.manner,
            Port::Served => &self.served.manner,
        }
    }
}

/// What a task knows of the source whose packets it waits for.
struct Wait {
    source: SourceId,
    to: SocketAddr,
    stamper: Stamper,
    incoming: mpsc::Sender<Incoming>,
    awaited: Awaited,
}

impl UdpTransport {
    /// A transport without any socket, and the end where what it receives comes out.
    #[must_use]
    pub fn new(local: LocalEnd, stamper: Stamper) -> (Self, mpsc::Receiver<Incoming>) {
        let (incoming, receiver) = mpsc::channel(QUEUE_LEN);
        (Self { local, stamper, listeners: BTreeMap::new(), incoming, late_stamps: 0 }, receiver)
    }

    /// A socket for one request. It is not connected: an error that comes back would unhinge the event
    /// loop's watch of it, and tells nothing that silence does not.
    fn open(&self, from: Port, to: SocketAddr) -> io::Result<OwnedFd> {
        if !self.local.families.include(to.ip()) {
            return Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT));
        }
        let socket = socket::udp(to)?;
        socket::tell_destination(&socket, to.ip())?;
        self.local.manner(from).apply(&socket, to.ip())?;
        let local = self.local.end(from, to.ip());
        if local.port() != 0 {
            socket::set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
        }
        if local.port() != 0 || !local.ip().is_unspecified() {
            socket::bind(&socket, local)?;
        }
        if local.port() != 0 || from == Port::Served {
            // The port is shared: only a connected socket hears from its own source alone.
            socket::connect(&socket, to)?;
        }
        Ok(socket)
    }

    /// Sends from a socket, and gives when the packet left, and whether the kernel will still tell.
    fn send_from(
        &mut self,
        socket: &OwnedFd,
        packet: &[u8],
        to: Option<SocketAddr>,
        stamps: bool,
    ) -> io::Result<(Stamped, bool)> {
        let read = Stamped { at: self.stamper.now(), by: StampedBy::Daemon };
        socket::send(socket.as_fd(), packet, to)?;
        let wait_ms = self.stamper.wait_ms();
        let stamp = if stamps { just_sent_at(socket.as_fd(), wait_ms) } else { None };
        let is_late = stamps && stamp.is_none();
        self.late_stamps = if is_late { self.late_stamps + 1 } else { 0 };
        let stamp = stamp.and_then(|stamp| self.stamper.stamped(&stamp, Way::Out));
        Ok((stamp.unwrap_or(read), is_late))
    }

    /// Asks for timestamps of what leaves, unless they keep coming late.
    fn stamp(&self, socket: &OwnedFd) -> bool {
        if self.late_stamps < MAX_LATE_STAMPS {
            stamp_both(socket, self.stamper.has_hardware())
        } else {
            stamp_received(socket);
            false
        }
    }

    /// Sends to a peer, from the socket that it has, or gets.
    fn send_to_peer(
        &mut self,
        source: SourceId,
        request: RequestId,
        to: SocketAddr,
        packet: &[u8],
    ) -> io::Result<Stamped> {
        let lasting = self.listeners.get(&source).and_then(|listener| listener.lasting.as_ref());
        let (socket, awaited) = match lasting {
            Some((socket, awaited)) => (socket.try_clone()?, Arc::clone(awaited)),
            None => (self.open(Port::Served, to)?, Awaited::default()),
        };
        let is_new = lasting.is_none();
        let stamps = if is_new { self.stamp(&socket) } else { self.late_stamps < MAX_LATE_STAMPS };
        if stamps && !is_new {
            // What is still told of an earlier packet must not be taken for this one's.
            while sent_at(socket.as_fd())?.is_some() {}
        }
        let (left, is_late) = self.send_from(&socket, packet, None, stamps)?;
        *awaited.lock().unwrap_or_else(PoisonError::into_inner) = is_late.then_some(request);
        if is_new {
            let lasting = Some((socket.try_clone()?, Arc::clone(&awaited)));
            self.listen(source, to, socket, awaited, lasting)?;
        }
        Ok(left)
    }

    fn listen(
        &mut self,
        source: SourceId,
        to: SocketAddr,
        socket: OwnedFd,
        awaited: Awaited,
        lasting: Option<(OwnedFd, Awaited)>,
    ) -> io::Result<()> {
        let (stamper, incoming) = (self.stamper.clone(), self.incoming.clone());
        let wait = Wait { source, to, stamper, incoming, awaited };
        let task = tokio::spawn(wait.listen(Watched::new(socket)?));
        self.listeners.insert(source, Listener { task, lasting });
        Ok(())
    }
}

impl Transport for UdpTransport {
    fn send(
        &mut self,
        source: SourceId,
        request: RequestId,
        (from, to): (Port, SocketAddr),
        packet: &[u8],
        _clock: &dyn Clock,
    ) -> io::Result<Stamped> {
        if from == Port::Served {
            return self.send_to_peer(source, request, to, packet);
        }
        self.close(source);
        let socket = self.open(from, to)?;
        let stamps = self.stamp(&socket);
        let unconnected = (self.local.port == 0).then_some(to);
        let (left, is_late) = self.send_from(&socket, packet, unconnected, stamps)?;
        let awaited = Arc::new(Mutex::new(is_late.then_some(request)));
        self.listen(source, to, socket, awaited, None)?;
        Ok(left)
    }

    fn close(&mut self, source: SourceId) {
        self.listeners.remove(&source);
    }

    fn has_route(&self, to: SocketAddr) -> bool {
        // A socket can only be connected along a route.
        let connect = |socket| {
            self.local.manner.apply(&socket, to.ip())?;
            socket::connect(&socket, to)
        };
        self.local.families.include(to.ip()) && socket::udp(to).and_then(connect).is_ok()
    }
}

impl Wait {
    /// Hands on what comes in, until the task is aborted or nobody takes it any more.
    async fn listen(mut self, mut socket: Watched<OwnedFd>) {
        let mut inbox = Inbox::new(Calls::Single);
        loop {
            match self.next(&mut socket, &mut inbox).await {
                Ok(incoming) => {
                    if self.incoming.send(incoming).await.is_err() {
                        return;
                    }
                }
                Err(error) if socket.get().is_err() => {
                    tracing::warn!(source = self.source.0, %error, "Socket of a source was lost");
                    return;
                }
                Err(error) => tracing::trace!(source = self.source.0, %error, "Nothing was read"),
            }
        }
    }

    /// The next thing that happens on the socket.
    async fn next(
        &mut self,
        socket: &mut Watched<OwnedFd>,
        inbox: &mut Inbox,
    ) -> io::Result<Incoming> {
        loop {
            socket.readable().await?;
            if let Some(incoming) = self.late_stamp(socket.get()?)? {
                return Ok(incoming);
            }
            inbox.receive(socket.get()?.as_fd())?;
            let now = self.stamper.now();
            if let Some(packet) = inbox.packets().find(|packet| self.expects(packet)) {
                let stamped = self.stamper.stamped(&packet.received, Way::In);
                let at = stamped.unwrap_or(Stamped { at: now, by: StampedBy::Daemon });
                let (source, from, octets) = (self.source, packet.from, packet.octets.to_vec());
                let to = packet.received.to.map(|to| to.address);
                return Ok(Incoming::Packet { source, from, to, octets, at });
            }
        }
    }

    /// The late timestamp of a packet that left.
    fn late_stamp(&self, socket: &OwnedFd) -> io::Result<Option<Incoming>> {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(request) = *awaited else { return Ok(None) };
        let Some(stamp) = sent_at(socket.as_fd())? else { return Ok(None) };
        *awaited = None;
        let at = self.stamper.stamped(&stamp, Way::Out);
        Ok(at.map(|at| Incoming::Sent { source: self.source, request, at }))
    }

    /// Whether a packet may be an answer: anybody can send to the port that a request left from.
    fn expects(&self, packet: &Packet<'_>) -> bool {
        let is_from_source =
            (packet.from.ip(), packet.from.port()) == (self.to.ip(), self.to.port());
        is_from_source && !packet.is_truncated && packet.octets.len() <= MAX_REPLY_LEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::DaemonClock;
    use crate::clock::follow::FollowClock;
    use crate::net::server_socket::{ServerAddresses, open};
    use ntp_common::wire::HEADER_LEN;
    use std::net::UdpSocket;
    use std::time::Duration;

    const ANYWHERE: LocalEnd = LocalEnd {
        v4: Ipv4Addr::UNSPECIFIED,
        v6: Ipv6Addr::UNSPECIFIED,
        port: 0,
        families: Families::Both,
        manner: Manner::ANY,
        served: Served {
            v4: Ipv4Addr::UNSPECIFIED,
            v6: Ipv6Addr::UNSPECIFIED,
            port: 0,
            manner: Manner::ANY,
        },
    };

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .unwrap();
        runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(10), test).await.unwrap() });
    }

    fn server() -> UdpSocket {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        server
    }

    async fn next_packet(
        incoming: &mut mpsc::Receiver<Incoming>,
    ) -> (SocketAddr, Vec<u8>, Stamped) {
        loop {
            if let Incoming::Packet { from, octets, at, .. } = incoming.recv().await.unwrap() {
                return (from, octets, at);
            }
        }
    }

    #[test]
    fn request_and_reply_are_stamped_by_the_kernel_in_their_order() {
        run(async {
            let clock = DaemonClock::Follow(FollowClock::start());
            let (mut transport, mut incoming) =
                UdpTransport::new(ANYWHERE, Stamper::kernel(clock.time_base()));
            let server = server();
            let to = server.local_addr().unwrap();
            let before = clock.now().time;
            let sent = transport
                .send(SourceId(1), RequestId(1), (Port::New, to), &[7; HEADER_LEN], &clock)
                .unwrap();
            let mut buffer = [0; 100];
            let (len, client) = server.recv_from(&mut buffer).unwrap();
            assert_eq!(buffer[..len], [7; HEADER_LEN]);
            for reply in [[8; HEADER_LEN], [9; HEADER_LEN]] {
                server.send_to(&reply, client).unwrap();
                let (from, octets, at) = next_packet(&mut incoming).await;
                assert_eq!((from, octets.as_slice()), (to, reply.as_slice()));
                assert_eq!((sent.by, at.by), (StampedBy::Kernel, StampedBy::Kernel));
                assert!(sent.at.since(before).to_nanos() >= -1_000);
                assert!(at.at.since(sent.at).to_nanos() > 0);
            }
        });
    }

    #[test]
    fn each_request_leaves_from_a_port_of_its_own_and_the_last_one_alone_is_heard() {
        run(async {
            let clock = DaemonClock::Follow(FollowClock::start());
            let (mut transport, mut incoming) =
                UdpTransport::new(ANYWHERE, Stamper::kernel(clock.time_base()));
            let server = server();
            let to = server.local_addr().unwrap();
            let mut clients = Vec::new();
            for request in 1..=2 {
                let packet = [u8::try_from(request).unwrap(); HEADER_LEN];
                transport
                    .send(SourceId(1), RequestId(request), (Port::New, to), &packet, &clock)
                    .unwrap();
                clients.push(server.recv_from(&mut [0; 100]).unwrap().1);
            }
            assert_ne!(clients[0], clients[1]);
            tokio::task::yield_now().await;
            for (octet, client) in (1..).zip(&clients) {
                let _refused = server.send_to(&[octet; HEADER_LEN], client);
            }
            assert_eq!(next_packet(&mut incoming).await.1, [2; HEADER_LEN]);
        });
    }

    #[test]
    fn packets_from_anybody_but_the_source_are_not_handed_on() {
        run(async {
            let clock = DaemonClock::Follow(FollowClock::start());
            let (mut transport, mut incoming) =
                UdpTransport::new(ANYWHERE, Stamper::kernel(clock.time_base()));
            let (server, stranger) = (server(), server());
            let to = server.local_addr().unwrap();
            transport
                .send(SourceId(1), RequestId(1), (Port::New, to), &[7; HEADER_LEN], &clock)
                .unwrap();
            let client = server.recv_from(&mut [0; 100]).unwrap().1;
            stranger.send_to(&[6; HEADER_LEN], client).unwrap();
            server.send_to(&[8; MAX_REPLY_LEN + 4], client).unwrap();
            server.send_to(&[9; HEADER_LEN], client).unwrap();
            assert_eq!(next_packet(&mut incoming).await.1, [9; HEADER_LEN]);
        });
    }

    #[test]
    fn sources_with_one_port_hear_each_from_its_own_server() {
        run(async {
            let free = server().local_addr().unwrap().port();
            let clock = DaemonClock::Follow(FollowClock::start());
            let local = LocalEnd { port: free, ..ANYWHERE };
            let (mut transport, mut incoming) =
                UdpTransport::new(local, Stamper::kernel(clock.time_base()));
            let servers = [server(), server()];
            for (number, server) in (1..).zip(&servers) {
                let to = server.local_addr().unwrap();
                let packet = [7; HEADER_LEN];
                transport
                    .send(SourceId(number), RequestId(1), (Port::New, to), &packet, &clock)
                    .unwrap();
            }
            for (number, server) in (1..).zip(&servers) {
                let client = server.recv_from(&mut [0; 100]).unwrap().1;
                assert_eq!(client.port(), free);
                server.send_to(&[8; HEADER_LEN], client).unwrap();
                let Some(Incoming::Packet { source, from, .. }) = incoming.recv().await else {
                    panic!("no packet")
                };
                assert_eq!((source, from), (SourceId(number), server.local_addr().unwrap()));
            }
        });
    }

    #[test]
    fn addresses_of_a_family_that_is_not_of_use_are_not_sent_to() {
        run(async {
            let clock = DaemonClock::Follow(FollowClock::start());
            let local = LocalEnd { families: Families::V6, ..ANYWHERE };
            let (mut transport, _incoming) =
                UdpTransport::new(local, Stamper::kernel(clock.time_base()));
            let to = server().local_addr().unwrap();
            let sent = transport.send(
                SourceId(1),
                RequestId(1),
                (Port::New, to),
                &[7; HEADER_LEN],
                &clock,
            );
            assert_eq!(sent.unwrap_err().raw_os_error(), Some(libc::EAFNOSUPPORT));
        });
    }

    #[test]
    fn requests_may_leave_from_the_served_port() {
        run(async {
            let port = server().local_addr().unwrap().port();
            let wanted = ServerAddresses {
                addresses: vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))],
                sockets_each: 2,
                cpus: Vec::new(),
                manner: Manner::ANY,
            };
            let _serving = open(&wanted).unwrap();
            let clock = DaemonClock::Follow(FollowClock::start());
            let local = LocalEnd { port, ..ANYWHERE };
            let (mut transport, mut incoming) =
                UdpTransport::new(local, Stamper::kernel(clock.time_base()));
            let server = server();
            let to = server.local_addr().unwrap();
            transport
                .send(SourceId(1), RequestId(1), (Port::New, to), &[7; HEADER_LEN], &clock)
                .unwrap();
            let client = server.recv_from(&mut [0; 100]).unwrap().1;
            assert_eq!(client.port(), port);
            server.send_to(&[9; HEADER_LEN], client).unwrap();
            assert_eq!(next_packet(&mut incoming).await.1, [9; HEADER_LEN]);
        });
    }
}
