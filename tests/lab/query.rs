//! A minimal NTP client: one request, one reply, what they tell of the server's clock. RFC 5905 section 8.

use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use ntp_common::time::{NtpDuration, NtpTimestamp};
use ntp_common::wire::{HEADER_LEN, Header, Mode, NEWEST_VERSION, NTP_PORT};

use crate::Host;
use crate::peers::Seen;

/// An extension field that needs no answer and changes nothing: room for a checksum's complement, as long as
/// a field must be that no code follows. RFC 7821 section 3.2, RFC 7822 section 7.5.
pub const EXTENSION_FIELD: [u8; 28] = {
    let mut field = [0; 28];
    [field[0], field[1]] = 0x2005_u16.to_be_bytes();
    field[3] = 28;
    field
};

/// More than any reply to our requests may have.
const MOST_OCTETS: usize = 2048;

/// A client's socket in the network of a host, bound to one address and connected to one server.
#[derive(Debug)]
pub struct Client {
    socket: UdpSocket,
}

/// What a server said, and when.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// The reply's header.
    pub header: Header,
    /// The server's clock less ours: positive when our clock is behind.
    pub offset: NtpDuration,
    /// How long the packets were under way, there and back.
    pub delay: NtpDuration,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<T> {
    /// The server replied.
    Answered(T),
    /// Nothing came in time.
    Silence,
    /// The server's host said that nobody listens there.
    Refused,
}

impl<T> Reply<T> {
    /// What was answered.
    ///
    /// # Errors
    /// Nothing was.
    pub fn answered(self) -> Result<T> {
        match self {
            Self::Answered(answer) => Ok(answer),
            Self::Silence => bail!("no reply"),
            Self::Refused => bail!("port unreachable"),
        }
    }
}

impl Client {
    /// Opens a client in `host` for the NTP server at `server`; the kernel chooses the source address.
    ///
    /// # Errors
    /// There is no route, or no socket is to be had.
    pub fn open(host: &Host, server: impl Into<IpAddr>) -> Result<Self> {
        let server = server.into();
        let any: IpAddr = match server {
            IpAddr::V4(_) => [0; 4].into(),
            IpAddr::V6(_) => [0; 16].into(),
        };
        Self::between(host, any, SocketAddr::new(server, NTP_PORT))
    }

    /// Opens a client in `host` with the source address `source`.
    ///
    /// # Errors
    /// The host does not have that address, there is no route, or no socket is to be had.
    pub fn between(host: &Host, source: IpAddr, server: SocketAddr) -> Result<Self> {
        host.enter(|| Self::here(source, server))
    }

    /// Opens a client in this thread's own network.
    ///
    /// # Errors
    /// There is no such address or no route, or no socket is to be had.
    pub fn here(source: IpAddr, server: SocketAddr) -> Result<Self> {
        let socket =
            UdpSocket::bind((source, 0)).with_context(|| format!("cannot bind {source}"))?;
        socket.connect(server).with_context(|| format!("no route to {server}"))?;
        Ok(Self { socket })
    }

    /// Sends a plain request of version 4 and waits for its reply; replies to other requests are passed over.
    ///
    /// # Errors
    /// The socket fails, or the reply is none of an NTP server.
    pub fn query(&self, timeout: Duration) -> Result<Reply<Answer>> {
        self.query_with(&[], timeout)
    }

    /// As [`Client::query`], with `trailer` behind the request's header: extension fields or a code.
    ///
    /// # Errors
    /// The socket fails, or the reply is none of an NTP server.
    pub fn query_with(&self, trailer: &[u8], timeout: Duration) -> Result<Reply<Answer>> {
        self.query_as(NEWEST_VERSION, trailer, timeout)
    }

    /// As [`Client::query_with`], with a request of `version`.
    ///
    /// # Errors
    /// The socket fails, or the reply is none of an NTP server.
    pub fn query_as(
        &self,
        version: u8,
        trailer: &[u8],
        timeout: Duration,
    ) -> Result<Reply<Answer>> {
        let cookie = NtpTimestamp::from_bits(random());
        let header = Header { version, ..Header::request(cookie) };
        let request = [&header.write(), trailer].concat();
        let deadline = Instant::now() + timeout;
        let sent = now();
        self.send(&request)?;
        let mut reply = self.receive(timeout)?;
        loop {
            let arrived = now();
            let octets = match reply {
                Reply::Answered(octets) => octets,
                Reply::Silence => return Ok(Reply::Silence),
                Reply::Refused => return Ok(Reply::Refused),
            };
            let octets: [u8; HEADER_LEN] = octets
                .as_slice()
                .try_into()
                .with_context(|| format!("a reply of {} octets", octets.len()))?;
            let header = Header::read(&octets);
            if header.mode != Mode::Server {
                bail!("a reply of mode {:?}", header.mode);
            }
            if header.origin_timestamp == cookie {
                return Ok(Reply::Answered(Answer::new(header, sent, arrived)));
            }
            reply = self.receive(deadline.saturating_duration_since(Instant::now()))?;
        }
    }

    /// Sends `packet` as it is.
    ///
    /// # Errors
    /// The socket fails.
    pub fn send(&self, packet: &[u8]) -> Result<()> {
        match self.socket.send(packet) {
            // An earlier packet's "port unreachable" is told by the next call.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                self.socket.send(packet)?;
            }
            sent => {
                sent?;
            }
        }
        Ok(())
    }

    /// Waits for whatever comes first.
    ///
    /// # Errors
    /// The socket fails.
    pub fn receive(&self, timeout: Duration) -> Result<Reply<Vec<u8>>> {
        let until = Instant::now() + timeout;
        let mut octets = vec![0; MOST_OCTETS];
        loop {
            // A timeout of zero would mean for ever.
            let left = until.saturating_duration_since(Instant::now());
            self.socket.set_read_timeout(Some(left.max(Duration::from_micros(1))))?;
            return match self.socket.recv(&mut octets) {
                Ok(length) => {
                    octets.truncate(length);
                    Ok(Reply::Answered(octets))
                }
                // Signals end waiting with a timeout, whatever their handlers ask for: signal(7).
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    Ok(Reply::Silence)
                }
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(Reply::Refused),
                Err(error) => Err(error).context("cannot receive"),
            };
        }
    }
}

impl Answer {
    /// What was measured, as other clients tell it.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "offsets and delays are small")]
    pub fn seen(&self) -> Seen {
        let seconds = |duration: NtpDuration| duration.to_nanos() as f64 * 1e-9;
        Seen {
            offset_s: seconds(self.offset),
            delay_s: Some(seconds(self.delay)),
            stratum: self.header.stratum,
            reference_id: Some(self.header.reference_id),
        }
    }

    /// RFC 5905 section 8: theta = ((T2 - T1) + (T3 - T4)) / 2, delta = (T4 - T1) - (T3 - T2).
    fn new(header: Header, sent: NtpTimestamp, arrived: NtpTimestamp) -> Self {
        let (t2, t3) = (header.receive_timestamp, header.transmit_timestamp);
        let sum = t2.since(sent) + t3.since(arrived);
        let offset = NtpDuration::from_bits(sum.to_bits() / 2);
        let delay = arrived.since(sent) - t3.since(t2);
        Self { header, offset, delay }
    }
}

/// A number that nobody can guess: the standard library's hash keys are random.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

fn now() -> NtpTimestamp {
    // A clock before 1970 is one that the tests have nothing to say about.
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    NtpTimestamp::from_unix(time.as_secs().cast_signed(), time.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> NtpTimestamp {
        NtpTimestamp::from_unix(1_700_000_000, 0)
            + NtpDuration::from_nanos(milliseconds * 1_000_000)
    }

    #[test]
    fn server_that_is_ahead_has_a_positive_offset() {
        let header = Header {
            receive_timestamp: at(1010),
            transmit_timestamp: at(1012),
            ..Header::request(at(0))
        };
        let answer = Answer::new(header, at(0), at(22));
        assert_eq!(answer.offset.to_nanos(), 1_000_000_000);
        assert_eq!(answer.delay.to_nanos(), 20_000_000);
    }
}
