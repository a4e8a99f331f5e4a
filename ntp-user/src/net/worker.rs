//! Serves requests from one thread: receives a batch, decides about each packet, answers those that are due
//! an answer. Nothing is allocated on the way.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use ntp_common::counters::{KISSES, LEAKED, Reason};
use ntp_common::ratelimit::Verdict;
use ntp_common::respond::RECEIVE_MARK;
use ntp_common::snapshot::RefSnapshot;
use ntp_common::time::MonoNs;
use ntp_common::wire::HEADER_LEN;
use ntp_engine::auth::Keys;
use rand::RngExt;
use rand::rngs::ThreadRng;

use super::answer::{Request, admit, arrival, unsynchronised};
use super::batch::{Calls, INBOX_LEN, Inbox, Outbox, Packet};
use super::control::{Destination, Received};
use super::hardware::{Hardware, Stamps, Way};
use super::interleaved::{Exchanges, may_interleave, receive_of, transmit_of};
use super::timestamping::sent_packet;
use crate::clock::readings::{UnixTime, bracketed, monotonic};
use crate::serving::access_list::{AccessList, SharedAccess};
use crate::serving::clients::Clients;
use crate::serving::counters::WorkerCounters;
use crate::serving::ring::{OwnedPage, SnapshotReader};
use crate::serving::versioned::{Handle, Versioned};

/// What workers share.
#[derive(Clone)]
pub struct Shared {
    /// Where snapshots are published.
    pub page: Arc<OwnedPage>,
    /// Access rules in force.
    pub access: Arc<SharedAccess>,
    /// Symmetric keys in force.
    pub keys: Arc<Versioned<Keys>>,
    /// What is known of clients.
    pub clients: Arc<Clients>,
    /// Replies that clients in interleaved mode may ask about.
    pub exchanges: Arc<Exchanges>,
    /// The interfaces that stamp packets.
    pub(crate) hardware: Option<Arc<Hardware>>,
    /// Precision of the kernel's clock, log2 seconds.
    pub precision_log2: i8,
}

/// Serves requests.
pub struct Worker {
    snapshots: SnapshotReader<Arc<OwnedPage>>,
    access: Handle<AccessList>,
    keys: Handle<Keys>,
    clients: Arc<Clients>,
    exchanges: Arc<Exchanges>,
    hardware: Option<Arc<Hardware>>,
    has_stamps: bool,
    precision_log2: i8,
    counters: Arc<WorkerCounters>,
    rng: ThreadRng,
    inbox: Inbox,
    outbox: Outbox,
    due: Vec<Due>,
}

/// A reply that is due.
struct Due {
    request: Request,
    arrival: MonoNs,
    client: std::net::SocketAddr,
    asked: Option<Destination>,
}

/// The clocks when a batch had come in.
#[derive(Clone, Copy)]
struct Readings {
    mono: MonoNs,
    real: UnixTime,
}

impl Worker {
    /// A worker for the thread that calls this.
    #[must_use]
    pub fn new(shared: &Shared, counters: Arc<WorkerCounters>, calls: Calls) -> Self {
        Self {
            snapshots: SnapshotReader::new(Arc::clone(&shared.page)),
            access: Handle::new(Arc::clone(&shared.access)),
            keys: Handle::new(Arc::clone(&shared.keys)),
            clients: Arc::clone(&shared.clients),
            exchanges: Arc::clone(&shared.exchanges),
            hardware: shared.hardware.clone(),
            has_stamps: false,
            precision_log2: shared.precision_log2,
            counters,
            rng: rand::rng(),
            inbox: Inbox::new(calls),
            outbox: Outbox::new(calls, shared.hardware.is_some()),
            due: Vec::with_capacity(INBOX_LEN),
        }
    }

    /// Lets the kernel tell when replies leave that a client in interleaved mode may ask about, on sockets
    /// with [`super::timestamping::stamp_chosen`]; else it is told what the clock was shortly before.
    #[must_use]
    pub fn with_stamps(self, has_stamps: bool) -> Self {
        Self { has_stamps, ..self }
    }

    /// Reads what the kernel tells of replies that have left on a socket.
    pub fn read_stamps(&self, socket: BorrowedFd<'_>) {
        // Nobody is served while this is read: it ends, however much comes after.
        for _ in 0..INBOX_LEN {
            match sent_packet(socket) {
                Ok(Some((reply, report))) => self.correct(&reply, &report),
                Ok(None) => {}
                Err(_) => return,
            }
        }
    }

    fn correct(&self, reply: &[u8; HEADER_LEN], report: &Received) {
        let stamp = Stamps::new(self.hardware.as_deref()).at(report, Way::Out);
        let Some((stamp, _)) = stamp else { return };
        let (mono, real) = bracketed();
        let Some(snapshot) = self.snapshot(Readings { mono, real }) else { return };
        let left = snapshot.time_at(arrival(Some(stamp), mono, real, &snapshot));
        self.exchanges.correct(receive_of(reply), left.to_bits() & !RECEIVE_MARK);
    }

    /// Serves what has come in on a socket, one batch at most, and gives the number of packets.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing has come in.
    pub fn serve(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let received = self.inbox.receive(socket)?;
        let (mono, real) = bracketed();
        let readings = Readings { mono, real };
        let snapshot = self.snapshot(readings);
        self.admit_all(snapshot.as_ref(), readings);
        if let Some(snapshot) = snapshot {
            self.answer_all(&snapshot, socket);
        }
        Ok(received)
    }

    /// What is served; `None` when it was replaced faster than it could be read.
    fn snapshot(&self, now: Readings) -> Option<RefSnapshot> {
        let snapshot = self.snapshots.read()?;
        if snapshot.is_valid_at(now.mono) {
            return Some(snapshot);
        }
        Some(unsynchronised(now.mono, now.real, self.precision_log2))
    }

    /// Decides about all packets of the batch.
    fn admit_all(&mut self, snapshot: Option<&RefSnapshot>, now: Readings) {
        self.due.clear();
        let (access, keys) = (self.access.latest(), self.keys.latest());
        let mut stamps = Stamps::new(self.hardware.as_deref());
        for packet in self.inbox.packets() {
            let admitted = if packet.is_truncated {
                Err(Reason::BadLength)
            } else {
                admit(packet.octets, packet.from, packet.received.to.as_ref(), access)
            };
            let due = admitted.and_then(|request| {
                let snapshot = snapshot.ok_or(Reason::SnapshotBusy)?;
                let is_kiss = charge(&self.clients, &self.counters, &packet, now.mono)?;
                // The dearest check comes last.
                let request = request.authenticate(packet.octets, keys)?;
                let stamp = stamps.at(&packet.received, Way::In).map(|(stamp, _)| stamp);
                Ok(Due::new(Request { is_kiss, ..request }, &packet, (now, stamp), snapshot))
            });
            match due {
                Ok(due) => self.due.push(due),
                Err(reason) => self.counters.silent(reason),
            }
        }
    }

    /// Answers the requests that were admitted.
    fn answer_all(&mut self, snapshot: &RefSnapshot, socket: BorrowedFd<'_>) {
        // The keys that the requests were checked with.
        let (outbox, counters, keys) = (&mut self.outbox, &self.counters, self.keys.held());
        let exchanges = &self.exchanges;
        let mut stamped = 0;
        for due in self.due.chunks(outbox.capacity()) {
            let fuzz: u64 = self.rng.random();
            let transmit = monotonic();
            for (reply, fuzz) in due.iter().zip(fuzz.to_ne_bytes()) {
                let request = &reply.request;
                let mut octets = request.reply(snapshot, reply.arrival, transmit, fuzz);
                let is_kept = may_interleave(&request.header) && !request.is_kiss;
                if is_kept {
                    let left = transmit_of(&octets);
                    if exchanges.interleave(&request.header, &mut octets) {
                        counters.service.interleaved();
                    }
                    exchanges.keep(receive_of(&octets), left);
                }
                let is_stamped = is_kept && self.has_stamps;
                stamped += usize::from(is_stamped);
                outbox.push(reply.client, reply.asked.as_ref(), is_stamped, |buffer| {
                    request.seal(&octets, keys, buffer)
                });
            }
            outbox.send(socket, |index, is_sent| {
                if is_sent {
                    count(&due[index], transmit, counters);
                } else {
                    counters.silent(Reason::NotSent);
                }
            });
        }
        if stamped > 0 {
            self.read_stamps(socket);
        }
    }
}

/// Counts a reply that was sent.
fn count(due: &Due, transmit: MonoNs, counters: &WorkerCounters) {
    let request = &due.request;
    if request.is_kiss {
        return counters.add(KISSES);
    }
    counters.answered(request.family, request.version());
    counters.service.answered(transmit.since(due.arrival));
    if request.is_authenticated() {
        counters.service.authenticated();
    }
}

/// Charges the client; whether it is told to ask less often.
fn charge(
    clients: &Clients,
    counters: &WorkerCounters,
    packet: &Packet<'_>,
    now: MonoNs,
) -> Result<bool, Reason> {
    match clients.request(packet.from.ip(), now) {
        Verdict::Answer => Ok(false),
        Verdict::Leak => {
            counters.add(LEAKED);
            Ok(false)
        }
        Verdict::Kiss => Ok(true),
        Verdict::Drop => Err(Reason::RateLimited),
    }
}

impl Due {
    /// `stamp` is when it came in, if that is known.
    fn new(
        request: Request,
        packet: &Packet<'_>,
        (now, stamp): (Readings, Option<UnixTime>),
        snapshot: &RefSnapshot,
    ) -> Self {
        Self {
            request,
            arrival: arrival(stamp, now.mono, now.real, snapshot),
            client: packet.from,
            asked: packet.received.to,
        }
    }
}

const _: () =
    assert!(super::batch::OUTBOX_LEN <= size_of::<u64>(), "a byte of fuzz for each reply");
