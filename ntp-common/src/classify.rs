//! Decides what becomes of an NTP packet that arrived at the served port. Both paths ask the same function.

use crate::counters::Reason;
use crate::respond::RECEIVE_MARK;
use crate::wire::{HEADER_LEN, Mode, NEWEST_VERSION, NTP_PORT, version_of};

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A client's request with nothing after its header: may be answered, if access rules allow.
    Plain,
    /// A request that takes more than the XDP program has: access rules hold, then the user path answers.
    Involved(Reason),
    /// No request: passed up, whatever the access rules say, since it may belong to one of our sources.
    NotRequest(Reason),
    /// Never answered by anyone.
    Hostile(Reason),
}

/// Classifies a packet with a whole header. `payload_len` is the length of the UDP payload, at least
/// [`HEADER_LEN`]; what is shorter is [`Reason::Short`].
#[inline(always)]
#[must_use]
pub fn classify(header: &[u8; HEADER_LEN], payload_len: usize, source_port: u16) -> Class {
    // What nearly all requests are, in one comparison.
    if header[0] & !(3 << 6) == USUAL && payload_len == HEADER_LEN {
        return plain_or_interleaved(header);
    }
    let version = version_of(header[0]);
    if version.wrapping_sub(1) >= NEWEST_VERSION {
        return Class::Hostile(Reason::BadVersion);
    }
    // A comparison of its own: matching all modes at once costs every request four times as much.
    if header[0] & 7 != Mode::Client as u8 {
        match Mode::from_octet(header[0]) {
            // RFC 1059 has no mode field: a client of version 1 sends zero there, from a port of its own.
            Mode::Reserved if version == 1 && source_port != NTP_PORT => {}
            Mode::SymmetricActive => return Class::NotRequest(Reason::Symmetric),
            Mode::SymmetricPassive | Mode::Server | Mode::Broadcast => {
                return Class::NotRequest(Reason::NotRequest);
            }
            Mode::Reserved | Mode::Client | Mode::Control | Mode::Private => {
                return Class::Hostile(Reason::BadMode);
            }
        }
    }
    if payload_len != HEADER_LEN {
        if payload_len & 3 != 0 {
            return Class::Hostile(Reason::BadLength);
        }
        return Class::Involved(Reason::Extension);
    }
    if version == NEWEST_VERSION { plain_or_interleaved(header) } else { Class::Plain }
}

/// The first octet of a client's request of the newest version, without the leap indicator.
const USUAL: u8 = NEWEST_VERSION << 3 | Mode::Client as u8;

/// What a client's request of the newest version is: its origin timestamp tells.
#[inline(always)]
fn plain_or_interleaved(header: &[u8; HEADER_LEN]) -> Class {
    if u64::from(header[31]) & RECEIVE_MARK != 0 {
        Class::Involved(Reason::Interleaved)
    } else {
        Class::Plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(first: u8, payload_len: usize, source_port: u16, expected: Class) {
        let mut header = [0; HEADER_LEN];
        header[0] = first;
        let class = classify(&header, payload_len, source_port);
        assert_eq!(
            class, expected,
            "first octet {first:#04x}, {payload_len} octets, {source_port}"
        );
    }

    #[test]
    fn requests_of_versions_1_to_4_are_plain() {
        for version in 1..=4 {
            check(version << 3 | 3, 48, 40_000, Class::Plain);
            check(version << 3 | 3, 48, NTP_PORT, Class::Plain);
        }
    }

    #[test]
    fn version_1_without_a_mode_is_a_request_unless_it_comes_from_the_ntp_port() {
        check(1 << 3, 48, 40_000, Class::Plain);
        check(1 << 3, 48, NTP_PORT, Class::Hostile(Reason::BadMode));
        check(2 << 3, 48, 40_000, Class::Hostile(Reason::BadMode));
    }

    #[test]
    fn versions_0_and_5_to_7_are_hostile() {
        for version in [0, 5, 6, 7] {
            check(version << 3 | 3, 48, 40_000, Class::Hostile(Reason::BadVersion));
        }
    }

    #[test]
    fn modes_other_than_client_are_no_plain_requests() {
        for (mode, class) in [
            (0, Class::Hostile(Reason::BadMode)),
            (1, Class::NotRequest(Reason::Symmetric)),
            (2, Class::NotRequest(Reason::NotRequest)),
            (4, Class::NotRequest(Reason::NotRequest)),
            (5, Class::NotRequest(Reason::NotRequest)),
            (6, Class::Hostile(Reason::BadMode)),
            (7, Class::Hostile(Reason::BadMode)),
        ] {
            check(4 << 3 | mode, 48, 40_000, class);
        }
    }

    #[test]
    fn longer_packets_are_involved_when_their_length_is_a_multiple_of_four() {
        for len in [52, 68, 72, 100, 1000] {
            check(0x23, len, 40_000, Class::Involved(Reason::Extension));
        }
        for len in [49, 50, 51, 53] {
            check(0x23, len, 40_000, Class::Hostile(Reason::BadLength));
        }
    }

    #[test]
    fn origin_with_its_lowest_bit_set_may_be_interleaved_in_version_4_only() {
        for (first, class) in [(0x23, Class::Involved(Reason::Interleaved)), (0x1b, Class::Plain)] {
            let mut header = [0; HEADER_LEN];
            header[0] = first;
            header[31] = 1;
            assert_eq!(classify(&header, 48, 40_000), class);
            header[31] = 2;
            assert_eq!(classify(&header, 48, 40_000), Class::Plain);
        }
    }
}
