//! One thread of the generator of sockets: sends what is due, takes what came, and never waits for a reply.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use ntp_common::load::{latency_ns, token};
use ntp_common::wire::{HEADER_LEN, Header, Mode, ReferenceId};

use super::mix::Kind;
use super::outcome::{Count, Step, histogram};
use super::request::{MAX_PAYLOAD, Requests};
use super::sockets::Client;
use crate::units::{nanos, whole};

/// Requests and replies in a system call.
const BATCH: usize = 32;
/// How long replies are waited for after the last request, unless all are there before.
const LINGER: Duration = Duration::from_secs(1);
/// A request may be late by so much before the schedule is moved.
const GRACE_NS: u64 = 10_000_000;
/// When nothing is due for so long, the thread sleeps instead of looking again.
const SLEEP_NS: u64 = 1_500_000;
/// Room for a reply; what is longer is cut off.
const REPLY_LEN: usize = 128;
/// Bits of a token that say the kind; those above say the run. The lowest is clear: it is set where an interleaved
/// request's receive timestamp comes back instead of its transmit timestamp.
const KIND_MASK: u64 = 0xe;
const INTERLEAVED: u64 = 1;
const LOW_BITS: u64 = KIND_MASK | INTERLEAVED;

const _: () = assert!(Kind::ALL.len() <= 8);

/// What a thread has done in a step.
pub(super) struct Sent {
    pub(super) seconds: f64,
    pub(super) counts: [Count; Kind::ALL.len()],
    pub(super) strange: u64,
    pub(super) failed: u64,
    pub(super) refused: u64,
    pub(super) stalls: u64,
    pub(super) stalled_ns: u64,
    pub(super) latency: Histogram<u64>,
}

/// The thread's state.
pub(super) struct Sender<'a> {
    clients: Vec<&'a mut Client>,
    /// Index of the client whose requests are to be denied.
    denied: Option<usize>,
    epoll: Epoll,
    requests: &'a Requests,
    turns: &'a [Kind],
    salt: u64,
    start: Instant,
    interval_ns: f64,
    /// Requests so far, of all kinds.
    total: u64,
    sent: Sent,
    buffers: Box<[[u8; MAX_PAYLOAD]; BATCH]>,
    outgoing: MultiHeaders<SockaddrStorage>,
    incoming: MultiHeaders<SockaddrStorage>,
}

impl<'a> Sender<'a> {
    pub(super) fn new(
        clients: &'a mut [Client],
        denied: Option<&'a mut Client>,
        requests: &'a Requests,
        turns: &'a [Kind],
        salt: u64,
        step: Step,
        threads: usize,
    ) -> Result<Self> {
        let mut clients: Vec<&mut Client> = clients.iter_mut().collect();
        let denied = denied.map(|client| {
            clients.push(client);
            clients.len() - 1
        });
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        for (index, client) in clients.iter().enumerate() {
            epoll.add(client.socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
        }
        Ok(Self {
            clients,
            denied,
            epoll,
            requests,
            turns,
            salt: salt & !LOW_BITS,
            start: Instant::now(),
            interval_ns: step.rate.map_or(0.0, |rate| 1e9 / rate * threads as f64),
            total: 0,
            sent: Sent::new(),
            buffers: Box::new([[0; MAX_PAYLOAD]; BATCH]),
            outgoing: MultiHeaders::preallocate(BATCH, None),
            incoming: MultiHeaders::preallocate(BATCH, None),
        })
    }

    /// Sends for `duration`, and takes replies for a moment longer.
    pub(super) fn run(mut self, duration: Duration) -> Result<Sent> {
        self.start = Instant::now();
        let end_ns = nanos(duration);
        let mut turn = 0;
        loop {
            let now_ns = self.now_ns();
            if now_ns >= end_ns {
                break;
            }
            let due = self.due(now_ns);
            let mut wait_ns = 0;
            if due == 0 {
                wait_ns = self.due_ns(self.total).saturating_sub(now_ns).min(end_ns - now_ns);
            } else {
                turn = (turn + 1) % self.clients.len();
                self.send(turn, due)?;
            }
            self.receive(wait_ns > SLEEP_NS)?;
        }
        self.sent.seconds = self.start.elapsed().as_secs_f64();
        let patience = Instant::now() + LINGER;
        while Instant::now() < patience && !self.sent.is_complete() {
            self.receive(true)?;
        }
        Ok(self.sent)
    }

    fn now_ns(&self) -> u64 {
        nanos(self.start.elapsed())
    }

    /// When a request is due, nanoseconds from the start.
    fn due_ns(&self, number: u64) -> u64 {
        whole(number as f64 * self.interval_ns) + self.sent.stalled_ns
    }

    /// How many requests are due, at most a batch. Moves the schedule when it is too far behind.
    fn due(&mut self, now_ns: u64) -> usize {
        if self.interval_ns <= 0.0 {
            return BATCH;
        }
        let late_ns = now_ns.saturating_sub(self.due_ns(self.total));
        if late_ns > GRACE_NS + whole(self.interval_ns) {
            self.sent.stalls += 1;
            self.sent.stalled_ns += late_ns;
        }
        (0..BATCH).take_while(|&more| self.due_ns(self.total + more as u64) <= now_ns).count()
    }

    /// Sends `count` requests of the client `index`; those that are to be denied in calls of their own.
    fn send(&mut self, index: usize, count: usize) -> Result<()> {
        let is_denied = |kind: Kind| kind == Kind::Denied;
        let kinds: Vec<Kind> = (0..count)
            .map(|more| self.turns[whole_index(self.total + more as u64, self.turns.len())])
            .collect();
        // All at once as long as they are from the same socket.
        let same = kinds.iter().take_while(|kind| is_denied(**kind) == is_denied(kinds[0])).count();
        let index = match self.denied {
            Some(denied) if is_denied(kinds[0]) => denied,
            Some(denied) if index == denied => 0,
            Some(_) | None => index,
        };
        let mut lens = [0; BATCH];
        for (more, kind) in kinds[..same].iter().enumerate() {
            let number = self.total + more as u64;
            let due = if self.interval_ns > 0.0 { self.due_ns(number) } else { self.now_ns() };
            let token = token(due, self.salt | (*kind as u64) << 1);
            let (origin, variation) = (self.clients[index].origin, whole_index(number, 1 << 16));
            lens[more] =
                self.requests.write(*kind, variation, origin, token, &mut self.buffers[more]);
        }
        let accepted = self.hand_over(index, &lens[..same])?;
        for kind in &kinds[..accepted] {
            self.sent.counts[*kind as usize].sent += 1;
        }
        self.total += accepted as u64;
        Ok(())
    }

    /// Gives the filled buffers to the kernel; says how many it took.
    fn hand_over(&mut self, index: usize, lens: &[usize]) -> Result<usize> {
        let slices: Vec<[IoSlice<'_>; 1]> = lens
            .iter()
            .zip(self.buffers.iter())
            .map(|(&len, buffer)| [IoSlice::new(&buffer[..len])])
            .collect();
        let addresses = vec![None; lens.len()];
        let descriptor = self.clients[index].socket.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        match sendmmsg(descriptor, &mut self.outgoing, &slices, addresses, [], flags) {
            Ok(results) => Ok(results.count()),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(Errno::ECONNREFUSED) => {
                self.sent.refused += 1;
                Ok(0)
            }
            Err(Errno::ENOBUFS | Errno::EPERM) => {
                self.sent.failed += 1;
                Ok(0)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes what came; waits up to a millisecond for something if it `may_sleep`.
    fn receive(&mut self, may_sleep: bool) -> Result<()> {
        let mut events = [EpollEvent::empty(); BATCH];
        let timeout = if may_sleep { EpollTimeout::from(1u8) } else { EpollTimeout::ZERO };
        let ready = match self.epoll.wait(&mut events, timeout) {
            Err(Errno::EINTR) => 0,
            ready => ready?,
        };
        for event in &events[..ready] {
            self.receive_from(usize::try_from(event.data())?)?;
        }
        Ok(())
    }

    fn receive_from(&mut self, index: usize) -> Result<()> {
        let mut buffers = [[0; REPLY_LEN]; BATCH];
        let mut lens = [0; BATCH];
        let descriptor = self.clients[index].socket.as_raw_fd();
        let count = {
            let mut slices: Vec<[IoSliceMut<'_>; 1]> =
                buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
            let flags = MsgFlags::MSG_DONTWAIT;
            match recvmmsg(descriptor, &mut self.incoming, slices.iter_mut(), flags, None) {
                Ok(results) => {
                    let counted = results.zip(&mut lens).map(|(result, len)| *len = result.bytes);
                    counted.count()
                }
                Err(Errno::ECONNREFUSED) => {
                    self.sent.refused += 1;
                    0
                }
                Err(Errno::EAGAIN | Errno::EINTR) => 0,
                Err(error) => return Err(error.into()),
            }
        };
        let now_ns = self.now_ns();
        for (buffer, len) in buffers.iter().zip(&lens[..count]) {
            self.take(index, &buffer[..*len], now_ns);
        }
        Ok(())
    }

    /// Matches a reply to its request by the token that it brings back.
    fn take(&mut self, index: usize, packet: &[u8], now_ns: u64) {
        let header = packet.first_chunk::<HEADER_LEN>().map(Header::read);
        let header = header.filter(|header| header.mode == Mode::Server);
        let known = header.and_then(|header| {
            let token = header.origin_timestamp.to_bits() & !INTERLEAVED;
            Some((header, token, self.kind(token)?))
        });
        let Some((header, token, kind)) = known else {
            self.sent.strange += 1;
            return;
        };
        self.clients[index].origin = header.receive_timestamp.to_bits();
        let count = &mut self.sent.counts[kind as usize];
        if header.stratum == 0 && header.reference_id != ReferenceId::NONE {
            count.kissed += 1;
            return;
        }
        count.answered += 1;
        self.sent.latency.saturating_record(latency_ns(token, now_ns).max(1));
    }

    /// The kind that a token of this run says.
    fn kind(&self, token: u64) -> Option<Kind> {
        let is_ours = (token ^ self.salt) & 0xffff & !LOW_BITS == 0;
        let kind = Kind::ALL.into_iter().find(|kind| (*kind as u64) << 1 == token & KIND_MASK)?;
        is_ours.then_some(kind)
    }
}

impl Sent {
    /// Whether everything that deserves an answer has one.
    fn is_complete(&self) -> bool {
        let mut kinds = Kind::ALL.into_iter().zip(&self.counts);
        kinds.all(|(kind, count)| {
            !kind.expects_answer() || count.answered + count.kissed >= count.sent
        })
    }

    fn new() -> Self {
        Self {
            seconds: 0.0,
            counts: [Count::default(); Kind::ALL.len()],
            strange: 0,
            failed: 0,
            refused: 0,
            stalls: 0,
            stalled_ns: 0,
            latency: histogram(),
        }
    }
}

/// `number` modulo `len`.
fn whole_index(number: u64, len: usize) -> usize {
    usize::try_from(number % len.max(1) as u64).unwrap_or_default()
}
