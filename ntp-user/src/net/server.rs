//! The user path: answers what XDP passes up, and everything where there is no XDP. Worker threads with
//! sockets of their own share the port; without threads, the timekeeping thread serves in between.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::Pid;
use ntp_common::counters::Counters;

use super::batch::{Calls, INBOX_LEN};
use super::timestamping::stamp_chosen;
use super::watched::Watched;
use super::worker::{Shared, Worker};
use crate::serving::counters::{WorkerCounters, service, sum};
use crate::serving::service::Service;

/// Serving threads.
pub struct WorkerThreads {
    stop: Arc<EventFd>,
    threads: Vec<JoinHandle<()>>,
    counters: Vec<Arc<WorkerCounters>>,
}

impl WorkerThreads {
    /// Starts a thread for each group of sockets, and keeps it on the CPU of `cpus` that has its number, if there is one.
    ///
    /// # Errors
    /// When a thread can't be made.
    pub fn start(groups: Vec<Vec<OwnedFd>>, shared: &Shared, cpus: &[u16]) -> io::Result<Self> {
        let stop = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        let mut started = Self { stop, threads: Vec::new(), counters: Vec::new() };
        started.add(groups, shared, cpus)?;
        Ok(started)
    }

    /// Starts more threads, as [`WorkerThreads::start`] does.
    ///
    /// # Errors
    /// When a thread can't be made.
    pub fn add(
        &mut self,
        groups: Vec<Vec<OwnedFd>>,
        shared: &Shared,
        cpus: &[u16],
    ) -> io::Result<()> {
        for (place, sockets) in groups.into_iter().enumerate() {
            let (number, counters) = (self.threads.len(), WorkerCounters::new());
            let (stop, shared) = (Arc::clone(&self.stop), shared.clone());
            let cpu = cpus.get(place).copied();
            self.counters.push(Arc::clone(&counters));
            let thread =
                thread::Builder::new().name(format!("serve-{number}")).spawn(move || {
                    cpu.into_iter().for_each(stay_on);
                    let has_stamps = sockets
                        .iter()
                        .all(|socket| stamp_chosen(socket, shared.hardware.is_some()));
                    let mut worker =
                        Worker::new(&shared, counters, Calls::Batched).with_stamps(has_stamps);
                    if let Err(error) = serve_until(&stop, &sockets, &mut worker) {
                        tracing::error!(%error, "A serving thread has ended");
                    }
                })?;
            self.threads.push(thread);
        }
        Ok(())
    }

    /// The counters of all threads together.
    #[must_use]
    pub fn counters(&self) -> Counters {
        sum(&self.counters)
    }

    /// How all threads serve.
    #[must_use]
    pub fn service(&self) -> Service {
        service(&self.counters)
    }

    /// How many threads there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.threads.len()
    }
}

impl Drop for WorkerThreads {
    fn drop(&mut self) {
        self.join();
    }
}

impl WorkerThreads {
    /// Lets all threads finish what they are doing, and gives what they have served.
    #[must_use]
    pub fn stop(mut self) -> Counters {
        self.join();
        self.counters()
    }

    fn join(&mut self) {
        if let Err(error) = self.stop.write(1) {
            tracing::error!(%error, "Serving threads can't be told to stop");
            return;
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("A serving thread had panicked");
            }
        }
    }
}

/// Keeps this thread on a CPU, if it may run there.
fn stay_on(cpu: u16) {
    let mut only = CpuSet::new();
    let kept = only.set(cpu.into()).and_then(|()| sched_setaffinity(Pid::from_raw(0), &only));
    match kept {
        Ok(()) => tracing::info!(cpu, "A serving thread stays on its CPU"),
        Err(error) => tracing::warn!(cpu, %error, "A serving thread runs on any CPU"),
    }
}

/// Serves until `stop` becomes readable, which it then stays: all threads see it.
fn serve_until(stop: &EventFd, sockets: &[OwnedFd], worker: &mut Worker) -> io::Result<()> {
    let mut watched: Vec<PollFd<'_>> =
        sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
    watched.push(PollFd::new(stop.as_fd(), PollFlags::POLLIN));
    loop {
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) => {}
            Err(nix::Error::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
        if watched[sockets.len()].any() == Some(true) {
            return Ok(());
        }
        for (socket, watched) in sockets.iter().zip(&watched) {
            if watched.any() == Some(true) {
                serve_batches(worker, socket)?;
            }
            if watched.revents().is_some_and(|events| events.contains(PollFlags::POLLERR)) {
                worker.read_stamps(socket.as_fd());
            }
        }
    }
}

/// Serves full batches as long as they come, but not so long that another socket would be starved.
fn serve_batches(worker: &mut Worker, socket: &OwnedFd) -> io::Result<()> {
    const MAX_BATCHES: usize = 16;
    for _ in 0..MAX_BATCHES {
        match worker.serve(socket.as_fd()) {
            Ok(INBOX_LEN) => {}
            Ok(_) => break,
            Err(error) if is_passing(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether a socket is still good for use after an error: nothing to read, a signal, or a shortage of memory.
fn is_passing(error: &io::Error) -> bool {
    let errno = error.raw_os_error().unwrap_or_default();
    matches!(errno, libc::EAGAIN | libc::EINTR | libc::ENOMEM | libc::ENOBUFS | libc::ENETDOWN)
}

/// Serves on the timekeeping thread.
pub struct InlineServer {
    sockets: Vec<Watched<OwnedFd>>,
    worker: Worker,
    counters: Arc<WorkerCounters>,
}

impl InlineServer {
    /// Watches the sockets; to be called within the runtime.
    ///
    /// # Errors
    /// When a socket can't be watched.
    pub fn new(sockets: Vec<OwnedFd>, shared: &Shared) -> io::Result<Self> {
        let counters = WorkerCounters::new();
        let worker = Worker::new(shared, Arc::clone(&counters), Calls::Single);
        let sockets = sockets.into_iter().map(Watched::new).collect::<io::Result<_>>()?;
        Ok(Self { sockets, worker, counters })
    }

    /// Watches more sockets; to be called within the runtime.
    ///
    /// # Errors
    /// When a socket can't be watched.
    pub fn add(&mut self, sockets: Vec<OwnedFd>) -> io::Result<()> {
        let sockets = sockets.into_iter().map(Watched::new).collect::<io::Result<Vec<_>>>()?;
        self.sockets.extend(sockets);
        Ok(())
    }

    /// Waits for a packet and serves it; never returns when there is no socket. May be dropped while it
    /// waits.
    pub async fn serve_one(&mut self) {
        let Some(ready) = next_readable(&mut self.sockets).await else { return };
        let served = self.sockets[ready].get().and_then(|socket| self.worker.serve(socket.as_fd()));
        if let Err(error) = served
            && !is_passing(&error)
        {
            tracing::error!(%error, "A server socket was lost");
            self.sockets.remove(ready);
        }
    }

    /// What was served.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters.read()
    }

    /// How it serves.
    #[must_use]
    pub fn service(&self) -> Service {
        self.counters.service.read()
    }
}

/// The index of a socket with something to read; `None` when one was lost, which is removed.
async fn next_readable(sockets: &mut Vec<Watched<OwnedFd>>) -> Option<usize> {
    let waits = sockets.iter_mut().map(|socket| Box::pin(socket.readable()));
    let mut waits: Vec<_> = waits.collect();
    let (index, outcome) = std::future::poll_fn(|context| {
        for (index, wait) in waits.iter_mut().enumerate() {
            if let std::task::Poll::Ready(outcome) = wait.as_mut().poll(context) {
                return std::task::Poll::Ready((index, outcome));
            }
        }
        std::task::Poll::Pending
    })
    .await;
    drop(waits);
    match outcome {
        Ok(()) => Some(index),
        Err(error) => {
            tracing::error!(%error, "A server socket was lost");
            sockets.remove(index);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::AccessRules;
    use crate::clock::readings::{UnixTime, monotonic};
    use crate::net::interleaved::Exchanges;
    use crate::net::server_socket::{ServerAddresses, open};
    use crate::net::socket::Manner;
    use crate::serving::access_list::{AccessList, SharedAccess};
    use crate::serving::clients::Clients;
    use crate::serving::ring::{OwnedPage, SnapshotWriter};
    use crate::serving::versioned::Versioned;
    use nix::sys::socket::{Shutdown, shutdown};
    use ntp_common::counters::{Reason, answered};
    use ntp_common::ratelimit::ClientRules;
    use ntp_common::snapshot::{RefSnapshot, head};
    use ntp_common::time::{NANOS_PER_SECOND, NtpShort, NtpTimestamp};
    use ntp_common::wire::{HEADER_LEN, Header, LeapIndicator, Mode};
    use ntp_engine::auth::Keys;
    use std::net::{SocketAddr, UdpSocket};
    use std::os::fd::AsRawFd as _;
    use std::time::Duration;

    struct Served {
        shared: Shared,
        address: SocketAddr,
        groups: Vec<Vec<OwnedFd>>,
    }

    fn served(address: &str, threads: usize) -> Served {
        let address: SocketAddr = address.parse().unwrap();
        let port =
            UdpSocket::bind(SocketAddr::new(address.ip(), 0)).unwrap().local_addr().unwrap().port();
        let mut rules = AccessRules::default();
        rules.lay("127.0.0.1/32".parse().unwrap(), true, false);
        rules.lay("::1/128".parse().unwrap(), true, false);
        let shared = Shared {
            page: OwnedPage::new(),
            access: SharedAccess::new(AccessList::compile(&rules).unwrap()),
            keys: Versioned::new(Keys::default()),
            clients: Clients::on_heap(ClientRules::new(16, [3, 5])),
            exchanges: Exchanges::new(),
            hardware: None,
            precision_log2: -25,
        };
        let address = SocketAddr::new(address.ip(), port);
        let wanted = ServerAddresses {
            addresses: vec![address],
            sockets_each: threads,
            cpus: Vec::new(),
            manner: Manner::ANY,
        };
        Served { shared, address, groups: open(&wanted).unwrap() }
    }

    fn publish(shared: &Shared) {
        let now = monotonic();
        SnapshotWriter::new(Arc::clone(&shared.page)).publish(&RefSnapshot {
            base_ns: now.0,
            base_ntp: UnixTime::now().to_ntp().to_bits(),
            valid_until_ns: now.0 + 10 * NANOS_PER_SECOND,
            head: head(LeapIndicator::Normal, 2, -25, NtpShort::from_bits(7)),
            ..RefSnapshot::INVALID
        });
    }

    fn ask(from: &str, server: SocketAddr, packet: &[u8]) -> Option<Vec<u8>> {
        let client = UdpSocket::bind(from).unwrap();
        client.connect(server).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        client.send(packet).unwrap();
        let mut buffer = [0; 2048];
        client.recv(&mut buffer).ok().map(|len| buffer[..len].to_vec())
    }

    fn reply_to(from: &str, server: SocketAddr, request: &Header) -> Option<Header> {
        ask(from, server, &request.write())
            .map(|octets| Header::read(octets.first_chunk().unwrap()))
    }

    #[test]
    fn threads_answer_over_both_families_and_count() {
        for (address, client) in [("127.0.0.1:0", "127.0.0.1:0"), ("[::1]:0", "[::1]:0")] {
            let Served { shared, address, groups } = served(address, 2);
            publish(&shared);
            let threads = WorkerThreads::start(groups, &shared, &[]).unwrap();
            for number in 1..=20 {
                let request = Header::request(NtpTimestamp::from_bits(number));
                let before = UnixTime::now().to_ntp();
                let reply = reply_to(client, address, &request).unwrap();
                let after = UnixTime::now().to_ntp();
                assert_eq!((reply.mode, reply.stratum), (Mode::Server, 2));
                assert_eq!(reply.origin_timestamp.to_bits(), number);
                assert!(reply.receive_timestamp.since(before).to_nanos() > -1_000);
                assert!(reply.transmit_timestamp.since(reply.receive_timestamp).to_nanos() >= 0);
                assert!(after.since(reply.transmit_timestamp).to_nanos() > -1_000);
            }
            assert_eq!(answered(&threads.stop()), 20);
        }
    }

    #[test]
    fn inline_server_answers_and_is_silent_to_the_denied() {
        let Served { shared, address, mut groups } = served("127.0.0.1:0", 1);
        publish(&shared);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut server = InlineServer::new(groups.remove(0), &shared).unwrap();
            let request = Header::request(NtpTimestamp::from_bits(5));
            let clients = thread::spawn(move || {
                ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.1:0"]
                    .map(|client| reply_to(client, address, &request).is_some())
            });
            while !clients.is_finished() {
                let _timed_out =
                    tokio::time::timeout(Duration::from_millis(50), server.serve_one()).await;
            }
            assert_eq!(clients.join().unwrap(), [true, false, true]);
            let counters = server.counters();
            assert_eq!(answered(&counters), 2);
            assert_eq!(counters[Reason::AccessDenied as usize], 1);
        });
    }

    #[test]
    fn reply_that_the_network_refuses_is_counted_and_not_as_an_answer() {
        let Served { shared, address, groups } = served("127.0.0.1:0", 1);
        publish(&shared);
        for calls in [Calls::Batched, Calls::Single] {
            let counters = WorkerCounters::new();
            let mut worker = Worker::new(&shared, Arc::clone(&counters), calls);
            let socket = &groups[0][0];
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            let request = Header::request(NtpTimestamp::from_bits(5)).write();
            // It says that the socket is not connected, and lets it send no more all the same.
            let _ = shutdown(socket.as_raw_fd(), Shutdown::Write);
            client.send_to(&request, address).unwrap();
            assert_eq!(worker.serve(socket.as_fd()).unwrap(), 1);
            let counters = counters.read();
            assert_eq!((counters[Reason::NotSent as usize], answered(&counters)), (1, 0));
        }
    }

    #[test]
    fn without_a_valid_snapshot_the_reply_says_not_synchronised() {
        let Served { shared, address, groups } = served("127.0.0.1:0", 1);
        let _threads = WorkerThreads::start(groups, &shared, &[]).unwrap();
        let request = Header::request(NtpTimestamp::from_bits(5));
        let reply = reply_to("127.0.0.1:0", address, &request).unwrap();
        assert_eq!((reply.leap, reply.stratum), (LeapIndicator::Unsynchronised, 0));
        let error = UnixTime::now().to_ntp().since(reply.transmit_timestamp).to_nanos();
        assert!((-1_000..100_000_000).contains(&error), "{error}");
    }

    #[test]
    fn reply_is_never_longer_than_a_header_whatever_the_request_carries() {
        let Served { shared, address, groups } = served("127.0.0.1:0", 1);
        publish(&shared);
        let threads = WorkerThreads::start(groups, &shared, &[]).unwrap();
        let mut packet = Header::request(NtpTimestamp::from_bits(5)).write().to_vec();
        packet.extend([0x12, 0x34, 0x03, 0xe8]);
        packet.resize(HEADER_LEN + 1000, 0);
        assert_eq!(ask("127.0.0.1:0", address, &packet).unwrap().len(), HEADER_LEN);
        packet.resize(4000, 0);
        assert_eq!(ask("127.0.0.1:0", address, &packet), None);
        assert_eq!(threads.counters()[Reason::BadLength as usize], 1);
        assert_eq!(ask("127.0.0.1:0", address, &packet[..20]), None);
        assert_eq!(threads.counters()[Reason::Short as usize], 1);
    }

    #[test]
    fn interleaved_replies_tell_when_the_reply_before_left() {
        let Served { shared, address, groups } = served("127.0.0.1:0", 1);
        publish(&shared);
        let threads = WorkerThreads::start(groups, &shared, &[]).unwrap();
        let ask_header = |origin, receive, transmit| {
            let mut header = Header::request(NtpTimestamp::from_bits(transmit));
            header.origin_timestamp = origin;
            header.receive_timestamp = NtpTimestamp::from_bits(receive);
            Header::read(
                ask("127.0.0.1:0", address, &header.write()).unwrap().first_chunk().unwrap(),
            )
        };
        let first = ask_header(NtpTimestamp::from_bits(0), 0, 2);
        // The first that gives a receive timestamp back is answered in basic mode.
        let second = ask_header(first.receive_timestamp, 3, 4);
        assert_eq!(second.origin_timestamp.to_bits(), 4);
        let third = ask_header(second.receive_timestamp, 5, 6);
        assert_eq!(third.origin_timestamp.to_bits(), 5);
        let late = third.transmit_timestamp.since(second.transmit_timestamp).to_nanos();
        // The kernel takes its stamp after the daemon has read the clock, and before the next request.
        assert!(late > 0, "{late} ns");
        assert!(third.transmit_timestamp.since(third.receive_timestamp).to_bits() < 0);
        drop(threads);
    }
}
