//! A client that asks at a low rate beside the load, and measures as a good client does: with the kernel's time of
//! sending and of arrival.

use std::io::{IoSliceMut, Result as IoResult};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, TimestampingFlag, recvmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;
use ntp_common::time::{NtpDuration, NtpTimestamp};
use ntp_common::wire::{HEADER_LEN, Header, Mode};

use super::outcome::Probe;
use super::target::Target;

/// How long a reply is waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// The prober at work.
pub struct Prober {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Probed>,
    interval: Duration,
    same_clock: bool,
}

/// Requests sent, and offset and round trip of those answered, nanoseconds.
type Probed = (u64, Vec<(i64, u64)>);

impl Prober {
    /// Begins to ask `target` every `interval`, in the network namespace of this thread.
    ///
    /// # Errors
    /// No socket is to be had.
    pub fn start(target: Target, interval: Duration) -> Result<Self> {
        let asker = Asker::open(target.address).context("prober")?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut measured = Vec::new();
            let (mut sent, mut due) = (0, Instant::now());
            while !told.load(Ordering::Relaxed) {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                sent += 1;
                measured.extend(asker.ask());
                // A prober that waited for a reply goes on from there; the histogram makes up for it.
                due = (due + interval).max(Instant::now());
            }
            (sent, measured)
        });
        Ok(Self { stop, thread, interval, same_clock: target.scope.shares_clock() })
    }

    /// Ends it and gives what it saw.
    ///
    /// # Errors
    /// Its thread panicked.
    pub fn stop(self) -> Result<Probe> {
        self.stop.store(true, Ordering::Relaxed);
        let (sent, measured) = self.thread.join().map_err(|_| anyhow!("the prober panicked"))?;
        Ok(Probe::of(&measured, sent, self.same_clock, self.interval))
    }
}

/// Asks `server` once, from the network namespace of this thread.
///
/// # Errors
/// It does not answer.
pub fn ask_once(server: SocketAddr) -> Result<()> {
    let asker = Asker::open(server)?;
    // The first request may be lost to the search for the neighbour's address.
    let answer = (0..3).find_map(|_| asker.ask());
    answer.map(|_| ()).with_context(|| format!("no reply from {server}"))
}

struct Asker {
    socket: UdpSocket,
}

impl Asker {
    fn open(server: SocketAddr) -> Result<Self> {
        let any: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(server).with_context(|| format!("no route to {server}"))?;
        let flags = TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE
            | TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE
            | TimestampingFlag::SOF_TIMESTAMPING_TX_SOFTWARE
            | TimestampingFlag::SOF_TIMESTAMPING_OPT_TSONLY;
        setsockopt(&socket, sockopt::Timestamping, &flags).context("kernel timestamps")?;
        Ok(Self { socket })
    }

    /// Asks once. Gives offset (positive when our clock is behind) and round trip, nanoseconds.
    fn ask(&self) -> Option<(i64, u64)> {
        let cookie = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
        let request = Header::request(NtpTimestamp::from_bits(cookie)).write();
        let deadline = Instant::now() + PATIENCE;
        let asked = wall_clock();
        self.socket.send(&request).ok()?;
        // The kernel tells the time of sending at once, or not at all.
        let sent = self.receive(MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT);
        let sent = sent.ok().and_then(|(_, time)| time).unwrap_or(asked);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            self.socket.set_read_timeout(Some(left.max(Duration::from_micros(1)))).ok()?;
            let (reply, arrived) = self.receive(MsgFlags::empty()).ok()?;
            let header = Header::read(&reply?);
            if header.mode == Mode::Server && header.origin_timestamp.to_bits() == cookie {
                return Some(measure(&header, sent, arrived.unwrap_or_else(wall_clock)));
            }
        }
    }

    /// Takes a packet with the kernel's time of it.
    fn receive(
        &self,
        flags: MsgFlags,
    ) -> IoResult<(Option<[u8; HEADER_LEN]>, Option<NtpTimestamp>)> {
        let mut buffer = [0; HEADER_LEN];
        let mut room = nix::cmsg_space!([TimeSpec; 3], [u8; 128]);
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let descriptor = self.socket.as_raw_fd();
        let message = recvmsg::<SockaddrStorage>(descriptor, &mut slices, Some(&mut room), flags)?;
        let time = message.cmsgs()?.find_map(|control| {
            let ControlMessageOwned::ScmTimestampsns(times) = control else { return None };
            Some(timestamp(times.system))
        });
        let is_whole = message.bytes == HEADER_LEN;
        Ok((is_whole.then_some(buffer), time))
    }
}

/// RFC 5905 section 8: theta = ((T2 - T1) + (T3 - T4)) / 2, delta = (T4 - T1) - (T3 - T2).
fn measure(header: &Header, sent: NtpTimestamp, arrived: NtpTimestamp) -> (i64, u64) {
    let (t2, t3) = (header.receive_timestamp, header.transmit_timestamp);
    let sum = t2.since(sent) + t3.since(arrived);
    let trip = arrived.since(sent) - t3.since(t2);
    let offset = NtpDuration::from_bits(sum.to_bits() / 2).to_nanos();
    (offset, trip.to_nanos().max(0).unsigned_abs())
}

fn timestamp(time: TimeSpec) -> NtpTimestamp {
    NtpTimestamp::from_unix(time.tv_sec(), u32::try_from(time.tv_nsec()).unwrap_or_default())
}

fn wall_clock() -> NtpTimestamp {
    // A clock before 1970 is one that nothing can be said about.
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    NtpTimestamp::from_unix(time.as_secs().cast_signed(), time.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::target::Scope;

    #[test]
    fn offset_is_positive_when_our_clock_is_behind() {
        let at = |ms: i64| {
            NtpTimestamp::from_unix(1_700_000_000, 0) + NtpDuration::from_nanos(ms * 1_000_000)
        };
        let header = Header {
            receive_timestamp: at(110),
            transmit_timestamp: at(112),
            ..Header::request(at(0))
        };
        assert_eq!(measure(&header, at(0), at(22)), (100_000_000, 20_000_000));
    }

    #[test]
    fn replies_on_loopback_are_measured_with_the_kernels_times() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let target = Target { address: server.local_addr().unwrap(), scope: Scope::Own };
        let prober = Prober::start(target, Duration::from_millis(1)).unwrap();
        for _ in 0..20 {
            let mut request = [0; HEADER_LEN];
            let (_, from) = server.recv_from(&mut request).unwrap();
            let now = wall_clock();
            let reply = Header {
                mode: Mode::Server,
                origin_timestamp: Header::read(&request).transmit_timestamp,
                receive_timestamp: now,
                transmit_timestamp: now,
                ..Header::request(now)
            };
            server.send_to(&reply.write(), from).unwrap();
        }
        let probe = prober.stop().unwrap();
        assert!(probe.answered >= 19, "{probe:?}");
        // The server's reading lies between sending and arrival: an offset is at most half the round trip.
        let (error, trip) = (probe.error.max(), probe.round_trip.max());
        assert!(error <= trip / 2 + trip / 100 + 2, "{error} of {trip}");
    }
}
