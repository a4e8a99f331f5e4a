//! Interleaved mode, the server's side: when the reply before really left, told with the next one. RFC 9769.
//!
//! A client gives the receive timestamp of that reply back as the origin of its next request, which is all
//! that a pair of timestamps is kept by: in a table of fixed size, the oldest giving way, each used once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ntp_common::respond::RECEIVE_MARK;
use ntp_common::wire::{HEADER_LEN, Mode, NEWEST_VERSION, version_of};

/// Pairs that are kept: 256 KiB. At 1,000 such requests a second each lasts for 16 s in the mean, and for as
/// long as a client's poll interval when there are fewer.
const PAIRS: usize = 1 << 14;

/// Where the timestamps are in a packet.
const ORIGIN: usize = 24;
const RECEIVE: usize = 32;
const TRANSMIT: usize = 40;

/// Timestamps of the replies before, of all workers.
#[derive(Debug)]
pub struct Exchanges {
    pairs: Box<[Pair]>,
}

/// A receive timestamp and when the reply left that told it; 0: nothing.
#[derive(Debug, Default)]
struct Pair {
    receive: AtomicU64,
    transmit: AtomicU64,
}

impl Exchanges {
    /// An empty table.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { pairs: (0..PAIRS).map(|_| Pair::default()).collect() })
    }

    /// Keeps when the reply with a receive timestamp left, or corrects it.
    pub fn keep(&self, receive: u64, transmit: u64) {
        let pair = self.pair(receive);
        // Between the stores nobody finds either.
        pair.receive.store(0, Ordering::Release);
        pair.transmit.store(transmit, Ordering::Release);
        pair.receive.store(receive, Ordering::Release);
    }

    /// Corrects when a reply left, if nobody asked meanwhile.
    pub fn correct(&self, receive: u64, transmit: u64) {
        if self.take(receive).is_some() {
            self.keep(receive, transmit);
        }
    }

    /// When the reply with a receive timestamp left; it is forgotten.
    fn take(&self, receive: u64) -> Option<u64> {
        let pair = self.pair(receive);
        if receive == 0 || pair.receive.load(Ordering::Acquire) != receive {
            return None;
        }
        let transmit = pair.transmit.load(Ordering::Acquire);
        // Fails when the pair was replaced or taken since it was found.
        let taken = pair.receive.compare_exchange(receive, 0, Ordering::AcqRel, Ordering::Relaxed);
        taken.ok().map(|_| transmit)
    }

    fn pair(&self, receive: u64) -> &Pair {
        // The lowest bits are fuzz and a mark: the product mixes them into the highest.
        let hash = receive.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - PAIRS.trailing_zeros());
        &self.pairs[usize::try_from(hash).unwrap_or_default() & (PAIRS - 1)]
    }

    /// How many pairs are kept, and the seconds from the oldest to the latest.
    #[must_use]
    pub fn kept(&self) -> (u64, u64) {
        let receives = self.pairs.iter().map(|pair| pair.receive.load(Ordering::Relaxed));
        let kept = receives.filter(|&receive| receive != 0);
        let spans = kept.map(|receive| (1, receive, receive));
        let all = spans.reduce(|one, other| (one.0 + 1, one.1.min(other.1), one.2.max(other.2)));
        all.map_or((0, 0), |(count, first, last)| (count, (last - first) >> 32))
    }

    /// Turns a basic reply into an interleaved one if the request asks for it and the reply before is known;
    /// whether it has. RFC 9769 section 2.
    pub fn interleave(&self, request: &[u8; HEADER_LEN], reply: &mut [u8; HEADER_LEN]) -> bool {
        if request[RECEIVE..TRANSMIT] == request[TRANSMIT..] {
            return false;
        }
        let Some(transmit) = self.take(word(request, ORIGIN)) else { return false };
        reply[ORIGIN..RECEIVE].copy_from_slice(&request[RECEIVE..TRANSMIT]);
        reply[TRANSMIT..].copy_from_slice(&transmit.to_be_bytes());
        true
    }
}

/// Whether the next request of a client may be in interleaved mode, or this one is: it gives a receive
/// timestamp of ours back.
#[must_use]
pub fn may_interleave(request: &[u8; HEADER_LEN]) -> bool {
    let is_client = Mode::from_octet(request[0]) == Mode::Client;
    let is_marked = word(request, ORIGIN) & RECEIVE_MARK != 0;
    is_client && version_of(request[0]) == NEWEST_VERSION && is_marked
}

/// The receive timestamp of a reply.
#[must_use]
pub fn receive_of(reply: &[u8; HEADER_LEN]) -> u64 {
    word(reply, RECEIVE)
}

/// The transmit timestamp of a reply.
#[must_use]
pub fn transmit_of(reply: &[u8; HEADER_LEN]) -> u64 {
    word(reply, TRANSMIT)
}

fn word(octets: &[u8; HEADER_LEN], at: usize) -> u64 {
    octets[at..].first_chunk().map_or(0, |word| u64::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(origin: u64, receive: u64, transmit: u64) -> [u8; HEADER_LEN] {
        let mut packet = [0; HEADER_LEN];
        packet[0] = 0x23;
        for (at, word) in [(ORIGIN, origin), (RECEIVE, receive), (TRANSMIT, transmit)] {
            packet[at..at + 8].copy_from_slice(&word.to_be_bytes());
        }
        packet
    }

    fn check(exchanges: &Exchanges, asked: [u64; 3], told: [u64; 3]) {
        let [origin, receive, transmit] = asked;
        let mut reply = request(transmit, 71, 80);
        let is_told = exchanges.interleave(&request(origin, receive, transmit), &mut reply);
        assert_eq!(is_told, told[0] != transmit, "asked {asked:?}");
        let words = [ORIGIN, RECEIVE, TRANSMIT].map(|at| word(&reply, at));
        assert_eq!(words, told, "asked {asked:?}");
    }

    #[test]
    fn reply_before_is_told_once() {
        let exchanges = Exchanges::new();
        assert_eq!(exchanges.kept(), (0, 0));
        exchanges.keep(41, 50);
        exchanges.keep(3 << 32 | 0x33, 50);
        assert_eq!(exchanges.kept(), (2, 3));
        check(&exchanges, [41, 60, 61], [60, 71, 50]);
        check(&exchanges, [41, 60, 61], [61, 71, 80]);
        assert_eq!(exchanges.kept(), (1, 0));
    }

    #[test]
    fn requests_that_ask_for_nothing_get_a_basic_reply() {
        let exchanges = Exchanges::new();
        exchanges.keep(41, 50);
        check(&exchanges, [43, 60, 61], [61, 71, 80]);
        check(&exchanges, [0, 60, 61], [61, 71, 80]);
        check(&exchanges, [41, 61, 61], [61, 71, 80]);
        check(&exchanges, [41, 60, 61], [60, 71, 50]);
    }

    #[test]
    fn kernels_time_replaces_the_daemons_unless_it_was_used() {
        let exchanges = Exchanges::new();
        exchanges.keep(41, 50);
        exchanges.correct(41, 52);
        check(&exchanges, [41, 60, 61], [60, 71, 52]);
        exchanges.correct(41, 54);
        check(&exchanges, [41, 60, 61], [61, 71, 80]);
    }

    #[test]
    fn marked_origins_of_version_4_clients_may_interleave() {
        assert!(may_interleave(&request(41, 0, 0)));
        assert!(!may_interleave(&request(40, 0, 0)));
        for first in [0x1b, 0x21, 0x24] {
            let mut packet = request(41, 0, 0);
            packet[0] = first;
            assert!(!may_interleave(&packet));
        }
    }

    #[test]
    fn table_holds_no_more_than_it_was_made_for() {
        let exchanges = Exchanges::new();
        for receive in 1..=4 * PAIRS as u64 {
            exchanges.keep(receive << 20 | 1, receive);
        }
        let kept =
            (1..=4 * PAIRS as u64).filter(|&r| exchanges.take(r << 20 | 1).is_some()).count();
        assert!((PAIRS / 2..=PAIRS).contains(&kept), "{kept}");
    }
}
