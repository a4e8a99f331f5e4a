//! The request that is out: the one whose reply is waited for, and what tells that reply from forgeries.

use std::net::SocketAddr;

use ntp_common::time::NtpTimestamp;
use ntp_common::wire::{HEADER_LEN, Header, NEWEST_VERSION};
use rand::Rng;

use crate::sample::ClockChange;
use crate::seams::{RequestId, Stamped};
use crate::seconds;

/// A request without a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Its number.
    pub(crate) id: RequestId,
    /// Whom it was sent to: the only one whose reply counts.
    pub(crate) to: SocketAddr,
    /// Its transmit timestamp: a random number that whoever did not see the request cannot know.
    pub(crate) nonce: NtpTimestamp,
    /// When it left (T1), once that is known.
    pub(crate) sent: Option<Stamped>,
}

impl Request {
    /// Makes a request with a new nonce.
    pub(crate) fn new(id: RequestId, to: SocketAddr, rng: &mut impl Rng) -> Self {
        // Zero means "unknown" on the wire: a server may give it back to anybody.
        let nonce = rng.next_u64().max(1);
        Self { id, to, nonce: NtpTimestamp::from_bits(nonce), sent: None }
    }

    /// The packet; `version` is 4 when not given.
    pub(crate) fn packet(&self, version: Option<u8>) -> [u8; HEADER_LEN] {
        let version = version.unwrap_or(NEWEST_VERSION);
        Header { version, ..Header::request(self.nonce) }.write()
    }

    /// Takes a time at which it left, unless a better one is known.
    pub(crate) fn stamp(&mut self, at: Stamped) {
        if self.sent.is_none_or(|known| at.by > known.by) {
            self.sent = Some(at);
        }
    }

    /// Moves the time at which it left onto the clock as it is since `change`.
    pub(crate) fn move_onto(&mut self, change: &ClockChange) {
        if let Some(sent) = &mut self.sent {
            sent.at = sent.at + seconds::duration(change.moved_s(sent.at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seams::StampedBy;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn time_of_a_request_that_is_out_follows_the_clock() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut request = Request::new(RequestId(0), "192.0.2.1:123".parse().unwrap(), &mut rng);
        let left = NtpTimestamp::from_bits(4_000_000_000 << 32);
        request.stamp(Stamped { at: left, by: StampedBy::Kernel });
        // Two seconds later the clock is made to run 10 % faster: it would have needed 2.2 s for them.
        let change = ClockChange { at: left + seconds::duration(2.0), step_s: 0.0, rate: 0.1 };
        request.move_onto(&change);
        let moved_s = seconds::of(request.sent.unwrap().at.since(left));
        assert!((moved_s + 0.2).abs() < 1e-9, "{moved_s}");
    }

    #[test]
    fn packet_has_the_version_that_was_asked_for() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let request = Request::new(RequestId(0), "192.0.2.1:123".parse().unwrap(), &mut rng);
        for (asked, version) in [(None, 4), (Some(3), 3), (Some(1), 1)] {
            let header = Header::read(&request.packet(asked));
            assert_eq!((header.version, header.transmit_timestamp), (version, request.nonce));
        }
    }
}
