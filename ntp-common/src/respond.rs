//! Makes the reply to a request: the one function that both paths answer with. RFC 5905 section 9.2.
//!
//! Nothing of a request but its version, poll and transmit timestamp reaches the reply.

use core::ops::Range;

use crate::checksum::Sum;
use crate::template::Template;
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

/// Where the origin timestamp is, which gives back what the client sent as its transmit timestamp.
const ORIGIN: Range<usize> = 24..32;

/// A reply.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// As it is sent.
    pub octets: [u8; HEADER_LEN],
    /// The sum, for a checksum, of all but the origin timestamp, which is the client's.
    pub sum: Sum,
}

/// Answers `request`, which [`crate::classify`] found to be a client's, with what a snapshot's replies hold.
///
/// `receive` and `transmit` are served time when the request arrived and when the reply leaves; `fuzz` are the random bits that
/// replace theirs ([`crate::snapshot::RefSnapshot::fuzz`]), except for [`RECEIVE_MARK`].
#[inline(always)]
#[must_use]
pub fn respond(
    request: &[u8; HEADER_LEN],
    template: &Template,
    receive: NtpTimestamp,
    transmit: NtpTimestamp,
    fuzz: u8,
) -> Reply {
    let fuzz = u64::from(fuzz);
    let echoed = echoed(request, template.min_poll);
    let receive = ((receive.to_bits() ^ fuzz) | RECEIVE_MARK).to_be();
    let transmit = ((transmit.to_bits() ^ fuzz) & !RECEIVE_MARK).to_be();
    let mut octets = [0; HEADER_LEN];
    put(&mut octets, 0, template.head | echoed);
    put(&mut octets, 8, template.root);
    put(&mut octets, 16, template.reference);
    put(&mut octets, 24, word(request, 40));
    put(&mut octets, 32, receive);
    put(&mut octets, 40, transmit);
    // Version and poll are not set in the template, and lie in the first half of the word.
    let sum = Sum::ZERO.add_folded(template.sum).add_u32(first_half(echoed));
    Reply { octets, sum: sum.add_u64(receive).add_u64(transmit) }
}

/// Version and poll of a request, with the poll raised to the minimum, as they lie in memory: whole words, as others would have
/// to be put together.
#[inline(always)]
fn echoed(request: &[u8; HEADER_LEN], min_poll: i64) -> u64 {
    let word = word(request, 0);
    // What lies below the exponent makes it no larger than one that is.
    let poll = (word.to_le() << 40).cast_signed();
    if poll >= min_poll {
        return word & (VERSION_BITS | POLL_BITS);
    }
    word & VERSION_BITS | (min_poll.cast_unsigned() >> 40).to_le() & POLL_BITS
}

/// The first four octets of a word in memory, whose others are zero.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the other half is zero")]
const fn first_half(word: u64) -> u32 {
    if cfg!(target_endian = "big") { (word >> 32) as u32 } else { word as u32 }
}

impl Reply {
    /// The reply with these octets.
    #[inline(always)]
    #[must_use]
    pub fn of(octets: [u8; HEADER_LEN]) -> Self {
        let sum = Sum::ZERO.add_octets(&octets[..ORIGIN.start]).add_octets(&octets[ORIGIN.end..]);
        Self { octets, sum }
    }

    /// The origin timestamp, which is not in the sum.
    #[inline(always)]
    #[must_use]
    pub fn origin(&self) -> &[u8] {
        &self.octets[ORIGIN]
    }

    /// The reply as that of a passive peer, for a request in symmetric active mode from a host that is no configured peer.
    /// RFC 5905 section 9.2.
    #[must_use]
    pub fn symmetric_passive(self) -> Self {
        let mut octets = self.octets;
        octets[0] = octets[0] & !7 | Mode::SymmetricPassive as u8;
        Self::of(octets)
    }

    /// The reply as one that gives no time and tells the client to ask less often: not synchronised, stratum 0, kiss code RATE.
    /// RFC 5905 section 7.4.
    #[inline(always)]
    #[must_use]
    pub fn kiss_rate(self) -> Self {
        // Whole words: of a reply that is held in registers, others would be cut out.
        const LEAP_AND_STRATUM: u64 = u64::from_ne_bytes([0xc0, 0xff, 0, 0, 0, 0, 0, 0]);
        const UNSYNCHRONISED: u64 =
            u64::from_ne_bytes([(LeapIndicator::Unsynchronised as u8) << 6, 0, 0, 0, 0, 0, 0, 0]);
        const REFERENCE_ID: u64 = u64::from_ne_bytes([0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        const RATE: u64 = u64::from_ne_bytes([0, 0, 0, 0, b'R', b'A', b'T', b'E']);
        let mut octets = self.octets;
        let head = word(&octets, 0) & !LEAP_AND_STRATUM | UNSYNCHRONISED;
        put(&mut octets, 0, head);
        let root = word(&octets, 8) & !REFERENCE_ID | RATE;
        put(&mut octets, 8, root);
        Self::of(octets)
    }
}

/// A word as it lies in memory.
#[inline(always)]
fn word(octets: &[u8; HEADER_LEN], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&octets[at..at + 8]);
    u64::from_ne_bytes(word)
}

#[inline(always)]
fn put(octets: &mut [u8; HEADER_LEN], at: usize, word: u64) {
    octets[at..at + 8].copy_from_slice(&word.to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{RefSnapshot, head};
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

    fn template() -> Template {
        snapshot().template_at(at(100))
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
            let reply =
                Header::read(&respond(&request.write(), &template(), at(100), at(101), 0).octets);
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
            let template = snapshot.template_at(at(1));
            let reply = respond(&request.write(), &template, at(1), at(1), 0);
            assert_eq!(Header::read(&reply.octets).poll, given, "asked {asked}, minimum {minimum}");
        }
    }

    #[test]
    fn passive_peer_differs_in_the_mode_alone() {
        let request = Header::request(at(1)).write();
        let server = respond(&request, &template(), at(1), at(1), 0);
        let passive = Header::read(&server.symmetric_passive().octets);
        assert_eq!(passive.mode, Mode::SymmetricPassive);
        assert_eq!(Header { mode: Mode::Server, ..passive }.write(), server.octets);
    }

    #[test]
    fn kiss_differs_in_leap_stratum_and_reference_id_alone() {
        let request = Header::request(at(1)).write();
        let server = respond(&request, &template(), at(1), at(1), 0);
        let read = Header::read(&server.kiss_rate().octets);
        assert_eq!((read.leap, read.stratum), (LeapIndicator::Unsynchronised, 0));
        assert_eq!(read.reference_id, ReferenceId(u32::from_be_bytes(*b"RATE")));
        let Header { leap, stratum, reference_id, .. } = Header::read(&server.octets);
        assert_eq!(Header { leap, stratum, reference_id, ..read }.write(), server.octets);
    }

    proptest! {
        #[test]
        fn sum_is_that_of_all_octets_but_the_origin_timestamp(
            octets in proptest::array::uniform32(any::<u8>()), min_poll: i8, receive: u64, transmit: u64,
            head: u64, root: u64, reference: u64,
        ) {
            let mut request = [0; HEADER_LEN];
            request[..32].copy_from_slice(&octets);
            let head = head & 0xc7ff_00ff_ffff_ffff;
            let template = Template::new(head, root, reference, min_poll);
            let (receive, transmit) = (NtpTimestamp::from_bits(receive), NtpTimestamp::from_bits(transmit));
            let reply = respond(&request, &template, receive, transmit, 0);
            for reply in [reply, reply.kiss_rate(), reply.symmetric_passive()] {
                let sum = Sum::ZERO.add_octets(&reply.octets[..24]).add_octets(&reply.octets[32..]);
                prop_assert_eq!(reply.sum.udp_checksum(), sum.udp_checksum());
            }
        }

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
                &template(),
                NtpTimestamp::from_bits(receive),
                NtpTimestamp::from_bits(transmit),
                fuzz,
            )
            .octets;
            prop_assert_eq!(reply(&requests[0]), reply(&requests[1]));
        }

        #[test]
        fn fuzz_stays_below_the_precision_and_keeps_the_mark(receive: u64, transmit: u64, fuzz: u8) {
            let request = Header::request(NtpTimestamp::from_bits(7)).write();
            let (receive, transmit) = (NtpTimestamp::from_bits(receive), NtpTimestamp::from_bits(transmit));
            let reply = respond(&request, &template(), receive, transmit, snapshot().fuzz(fuzz));
            let reply = Header::read(&reply.octets);
            prop_assert!((reply.receive_timestamp.to_bits() ^ receive.to_bits()) < 128);
            prop_assert!((reply.transmit_timestamp.to_bits() ^ transmit.to_bits()) < 128);
            prop_assert_eq!(reply.receive_timestamp.to_bits() & 1, 1);
            prop_assert_eq!(reply.transmit_timestamp.to_bits() & 1, 0);
        }
    }
}
