//! The generator of sockets: runs anywhere, without privileges. Each client is a socket with a port of its own;
//! requests are sent and replies taken in batches (`sendmmsg`, `recvmmsg`).

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread::{self, ScopedJoinHandle};

use anyhow::{Context, Result, bail};

use super::mix::{Kind, deal};
use super::outcome::{Count, Outcome, Step};
use super::request::Requests;
use super::sender::{Sender, Sent};
use crate::conditions;

/// Most clients: each is an open file.
pub const MAX_CLIENTS: u64 = 4096;
/// Turns until the order of kinds repeats itself.
const TURNS: usize = 4096;

/// The sockets of all clients, a set for each thread.
pub struct Sockets {
    threads: Vec<Vec<Client>>,
    denied: Option<Client>,
    cpus: Vec<usize>,
    requests: Requests,
    salt: u64,
}

/// A client.
pub(super) struct Client {
    pub(super) socket: UdpSocket,
    /// The receive timestamp of the last reply: what an interleaved request refers to.
    pub(super) origin: u64,
}

impl Client {
    fn open(server: SocketAddr, source: Option<IpAddr>) -> Result<Self> {
        let any: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let source = source.unwrap_or(any);
        let socket =
            UdpSocket::bind((source, 0)).with_context(|| format!("cannot bind {source}"))?;
        socket.connect(server).with_context(|| format!("no route to {server}"))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, origin: 0 })
    }
}

impl Sockets {
    /// Opens `clients` sockets towards `server`, shared by threads on `cpus`; requests that are to be denied come from
    /// `denied`, and from the first thread.
    ///
    /// # Errors
    /// There are too many clients, or a socket is not to be had.
    pub fn open(
        server: SocketAddr,
        clients: u64,
        cpus: &[usize],
        requests: Requests,
        denied: Option<IpAddr>,
    ) -> Result<Self> {
        if clients > MAX_CLIENTS {
            bail!(
                "sockets play at most {MAX_CLIENTS} clients; `--generator frames` plays 10,000,000"
            );
        }
        let mut threads: Vec<Vec<Client>> = cpus.iter().map(|_| Vec::new()).collect();
        for index in 0..usize::try_from(clients)?.max(cpus.len()) {
            threads[index % cpus.len()].push(Client::open(server, None)?);
        }
        let denied = denied.map(|source| Client::open(server, Some(source))).transpose()?;
        let salt = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
        Ok(Self { threads, denied, cpus: cpus.to_vec(), requests, salt })
    }

    /// Sends a step and waits for its replies; `watch` is called meanwhile and returns when the function that it is
    /// given says so.
    ///
    /// # Errors
    /// A socket fails, or the server's host says that nobody listens there.
    pub fn step(
        &mut self,
        step: Step,
        shares: &[(Kind, f64)],
        watch: impl FnOnce(&dyn Fn() -> bool),
    ) -> Result<Outcome> {
        let weights: Vec<f64> = shares.iter().map(|(_, share)| *share).collect();
        let turns: Vec<Kind> = deal(&weights, TURNS).iter().map(|&index| shares[index].0).collect();
        let Self { threads, denied, cpus, requests, salt } = self;
        let (count, requests, salt) = (threads.len(), &*requests, *salt);
        let mut denied = denied.as_mut();
        let ended = thread::scope(|scope| {
            let mut running = Vec::new();
            for (clients, &mut cpu) in threads.iter_mut().zip(cpus) {
                let (denied, turns) = (denied.take(), turns.as_slice());
                running.push(scope.spawn(move || {
                    conditions::pin(cpu)?;
                    Sender::new(clients, denied, requests, turns, salt, step, count)?
                        .run(step.duration)
                }));
            }
            watch(&|| running.iter().all(ScopedJoinHandle::is_finished));
            let ended = running
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| bail!("a sender panicked")));
            ended.collect::<Result<Vec<Sent>>>()
        })?;
        sum(step, &ended)
    }
}

/// What all threads have done.
fn sum(step: Step, ended: &[Sent]) -> Result<Outcome> {
    let mut outcome = Outcome::new(step);
    let mut refused = 0;
    for sent in ended {
        outcome.seconds = outcome.seconds.max(sent.seconds);
        outcome.strange += sent.strange;
        outcome.failed += sent.failed;
        outcome.stalls += sent.stalls;
        outcome.stalled_ns += sent.stalled_ns;
        outcome.latency.add(&sent.latency)?;
        refused += sent.refused;
    }
    for (index, kind) in Kind::ALL.into_iter().enumerate() {
        let counts = ended.iter().map(|sent| sent.counts[index]);
        let count = counts.fold(Count::default(), |sum, count| Count {
            sent: sum.sent + count.sent,
            answered: sum.answered + count.answered,
            kissed: sum.kissed + count.kissed,
        });
        if count != Count::default() {
            outcome.kinds.push((kind, count));
        }
    }
    if refused > 0 && outcome.answered() == 0 {
        bail!("the server's host says that nobody listens at that port");
    }
    Ok(outcome)
}
