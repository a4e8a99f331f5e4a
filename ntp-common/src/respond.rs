//! Makes the reply to a request: the one function that both paths answer with. RFC 5905 section 9.2.
//!
//! Nothing of a request but its version, poll and transmit timestamp reaches the reply.

use crate::snapshot::RefSnapshot;
use crate::time::NtpTimestamp;
use crate::wire::{HEADER_LEN, LeapIndicator, Mode};

/// Every receive timestamp has its lowest bit set and every transmit timestamp has it clear, so that the
/// origin timestamp of a later request tells which of the two the client gives back: that of the transmit
/// timestamp in basic mode, that of the receive timestamp in interleaved mode. RFC 9769 section 2.
pub const RECEIVE_MARK: u64 = 1;

/// The version in the first eight octets of a packet, as they lie in memory.
const VERSION_BITS: u64 = u64::from_ne_bytes([7 << 3, 0, 0, 0, 0, 0, 0, 0]);
/// The poll exponent in the first eight octets of a packet, as they lie in memory.
const POLL_BITS: u64 = u64::from_ne_bytes([0, 0, 0xff, 0, 0, 0, 0, 0]);

/// Answers `request`, which [`crate::classify`] found to be a client's, from `snapshot`.
///
/// `receive` and `transmit` are served time when the request arrived and when the reply leaves; `fuzz`
/// replaces their bits below the precision of the clock, except for [`RECEIVE_MARK`].
#[inline(always)]
#[must_use]
pub fn respond(
    request: &[u8; HEADER_LEN],
    snapshot: &RefSnapshot,
    receive: NtpTimestamp,
    transmit: NtpTimestamp,
    fuzz: u8,
) -> [u8; HEADER_LEN] {
    let fuzz = u64::from(fuzz & snapshot.fuzz_mask);

    let mut reply = [0; HEADER_LEN];
    let head = snapshot.head.to_be() | echoed(request, snapshot.min_poll);
    reply[..8].copy_from_slice(&head.to_ne_bytes());
    put(&mut reply, 8, snapshot.root_at(receive));
    put(&mut reply, 16, snapshot.reference_timestamp);
    put(&mut reply, 24, word(request, 40));
    put(&mut reply, 32, (receive.to_bits() ^ fuzz) | RECEIVE_MARK);
    put(&mut reply, 40, (transmit.to_bits() ^ fuzz) & !RECEIVE_MARK);
    reply
}

/// Version and poll of a request, with the poll raised to the minimum, as they lie in memory: whole words, as others would have
/// to be put together.
#[inline(always)]
fn echoed(request: &[u8; HEADER_LEN], min_poll: i8) -> u64 {
    let word = word(request, 0).to_be();
    if request[2].cast_signed() >= min_poll {
        return word & (VERSION_BITS | POLL_BITS);
    }
    let min_poll = u64::from_ne_bytes([0, 0, min_poll.cast_unsigned(), 0, 0, 0, 0, 0]);
    word & VERSION_BITS | min_poll
}

/// Turns a reply into that of a passive peer, for a request in symmetric active mode from a host that is
/// no configured peer. RFC 5905 section 9.2.
pub fn make_symmetric_passive(reply: &mut [u8; HEADER_LEN]) {
    reply[0] = reply[0] & !7 | Mode::SymmetricPassive as u8;
}

/// Turns a reply into one that gives no time and tells the client to ask less often: not synchronised,
/// stratum 0, kiss code RATE. RFC 5905 section 7.4.
#[inline(always)]
pub fn make_kiss_rate(reply: &mut [u8; HEADER_LEN]) {
    // Whole words: of a reply that is held in registers, others would be cut out.
    const LEAP_AND_STRATUM: u64 = 0xc0ff << 48;
    let head = word(reply, 0) & !LEAP_AND_STRATUM;
    put(reply, 0, head | (LeapIndicator::Unsynchronised as u64) << 62);
    let root = word(reply, 8) >> 32 << 32;
    put(reply, 8, root | u64::from(u32::from_be_bytes(*b"RATE")));
}

#[inline(always)]
fn word(octets: &[u8; HEADER_LEN], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&octets[at..at + 8]);
    u64::from_be_bytes(word)
}

#[inline(always)]
fn put(octets: &mut [u8; HEADER_LEN], at: usize, word: u64) {
    octets[at..at + 8].copy_from_slice(&word.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::head;
    use crate::time::NtpShort;
    use crate::wire::{Header, ReferenceId};
    use proptest::prelude::*;

    fn snapshot() -> RefSnapshot {
        RefSnapshot {
            base_ntp: 100 << 32,
            valid_until_ns: u64::MAX,
            head: head(LeapIndicator::Normal, 2, -25, NtpShort::from_bits(0x123)),
            root_dispersion: 0x456,
            reference_id: 0x0a00_0001,
            reference_timestamp: 99 << 32,
            fuzz_mask: 0x7f,
            ..RefSnapshot::INVALID
        }
    }

    fn at(seconds: u64) -> NtpTimestamp {
        NtpTimestamp::from_bits(seconds << 32)
    }

    #[test]
    fn reply_carries_the_snapshot_and_echoes_version_poll_and_transmit_timestamp() {
        for version in 1..=4 {
            let mut request = Header::request(NtpTimestamp::from_bits(0xdead_beef));
            request.version = version;
            request.poll = 6;
            let reply = Header::read(&respond(&request.write(), &snapshot(), at(100), at(101), 0));
            assert_eq!((reply.version, reply.mode, reply.poll), (version, Mode::Server, 6));
            assert_eq!((reply.leap, reply.stratum), (LeapIndicator::Normal, 2));
            assert_eq!(reply.precision, -25);
            assert_eq!(reply.root_delay.to_bits(), 0x123);
            assert_eq!(reply.root_dispersion.to_bits(), 0x456);
            assert_eq!(reply.reference_id, ReferenceId(0x0a00_0001));
            assert_eq!(reply.reference_timestamp, at(99));
            assert_eq!(reply.origin_timestamp.to_bits(), 0xdead_beef);
            assert_eq!(reply.receive_timestamp.to_bits(), 100 << 32 | 1);
            assert_eq!(reply.transmit_timestamp, at(101));
        }
    }

    #[test]
    fn poll_is_raised_to_the_servers_minimum() {
        let mut request = Header::request(at(1));
        for (asked, minimum, given) in [(3, 6, 6), (6, 3, 6), (-6, 0, 0), (-6, -7, -6)] {
            request.poll = asked;
            let snapshot = RefSnapshot { min_poll: minimum, ..snapshot() };
            let reply = Header::read(&respond(&request.write(), &snapshot, at(1), at(1), 0));
            assert_eq!(reply.poll, given, "asked {asked}, minimum {minimum}");
        }
    }

    #[test]
    fn passive_peer_differs_in_the_mode_alone() {
        let request = Header::request(at(1)).write();
        let server = respond(&request, &snapshot(), at(1), at(1), 0);
        let mut passive = server;
        make_symmetric_passive(&mut passive);
        assert_eq!(Header::read(&passive).mode, Mode::SymmetricPassive);
        assert_eq!(Header { mode: Mode::Server, ..Header::read(&passive) }.write(), server);
    }

    #[test]
    fn kiss_differs_in_leap_stratum_and_reference_id_alone() {
        let request = Header::request(at(1)).write();
        let server = respond(&request, &snapshot(), at(1), at(1), 0);
        let mut kiss = server;
        make_kiss_rate(&mut kiss);
        let read = Header::read(&kiss);
        assert_eq!((read.leap, read.stratum), (LeapIndicator::Unsynchronised, 0));
        assert_eq!(read.reference_id, ReferenceId(u32::from_be_bytes(*b"RATE")));
        let Header { leap, stratum, reference_id, .. } = Header::read(&server);
        assert_eq!(Header { leap, stratum, reference_id, ..read }.write(), server);
    }

    proptest! {
        #[test]
        fn nothing_else_of_the_request_reaches_the_reply(
            a in proptest::array::uniform32(any::<u8>()),
            b in proptest::array::uniform32(any::<u8>()),
            transmitted: u64, receive: u64, transmit: u64, fuzz: u8,
        ) {
            let mut requests = [[0; HEADER_LEN]; 2];
            for (request, noise) in requests.iter_mut().zip([a, b]) {
                request[..32].copy_from_slice(&noise);
                request[0] = 0x23;
                request[2] = 6;
                request[40..].copy_from_slice(&transmitted.to_be_bytes());
            }
            let reply = |request| respond(
                request,
                &snapshot(),
                NtpTimestamp::from_bits(receive),
                NtpTimestamp::from_bits(transmit),
                fuzz,
            );
            prop_assert_eq!(reply(&requests[0]), reply(&requests[1]));
        }

        #[test]
        fn fuzz_stays_below_the_precision_and_keeps_the_mark(receive: u64, transmit: u64, fuzz: u8) {
            let request = Header::request(NtpTimestamp::from_bits(7)).write();
            let (receive, transmit) = (NtpTimestamp::from_bits(receive), NtpTimestamp::from_bits(transmit));
            let reply = Header::read(&respond(&request, &snapshot(), receive, transmit, fuzz));
            prop_assert!((reply.receive_timestamp.to_bits() ^ receive.to_bits()) < 128);
            prop_assert!((reply.transmit_timestamp.to_bits() ^ transmit.to_bits()) < 128);
            prop_assert_eq!(reply.receive_timestamp.to_bits() & 1, 1);
            prop_assert_eq!(reply.transmit_timestamp.to_bits() & 1, 0);
        }
    }
}
