//! The 48-byte NTP header, field by field. RFC 5905 section 7.3.
//!
//! Reading never fails: every bit pattern is a header. What may be done with one is decided in
//! [`crate::classify`] (requests) and by the engine's sources (replies).

use crate::time::{NtpShort, NtpTimestamp};

/// Octets in an NTP header without extension fields and message authentication code.
pub const HEADER_LEN: usize = 48;

/// The UDP port of NTP. RFC 5905 section 7.2.
pub const NTP_PORT: u16 = 123;

/// The newest protocol version, which the server answers at most with.
pub const NEWEST_VERSION: u8 = 4;

/// Leap indicator: what happens at the end of the current UTC month. RFC 5905 section 7.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LeapIndicator {
    /// Nothing.
    Normal = 0,
    /// The last minute has 61 seconds.
    Insert = 1,
    /// The last minute has 59 seconds.
    Delete = 2,
    /// The clock is not synchronised.
    Unsynchronised = 3,
}

impl LeapIndicator {
    /// Reads the two highest bits of the first octet.
    #[must_use]
    pub const fn from_octet(octet: u8) -> Self {
        match octet >> 6 {
            0 => Self::Normal,
            1 => Self::Insert,
            2 => Self::Delete,
            _ => Self::Unsynchronised,
        }
    }
}

/// Association mode. RFC 5905 section 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Mode {
    /// Unspecified; NTP version 1 clients send it (RFC 1059 has no mode field).
    Reserved = 0,
    /// A peer that polls us.
    SymmetricActive = 1,
    /// A peer's answer.
    SymmetricPassive = 2,
    /// A client's request.
    Client = 3,
    /// A server's reply.
    Server = 4,
    /// A broadcast server's packet.
    Broadcast = 5,
    /// An NTP control message. RFC 9327.
    Control = 6,
    /// Private use: never answered.
    Private = 7,
}

impl Mode {
    /// Reads the three lowest bits of the first octet.
    #[inline(always)]
    #[must_use]
    pub const fn from_octet(octet: u8) -> Self {
        match octet & 7 {
            0 => Self::Reserved,
            1 => Self::SymmetricActive,
            2 => Self::SymmetricPassive,
            3 => Self::Client,
            4 => Self::Server,
            5 => Self::Broadcast,
            6 => Self::Control,
            _ => Self::Private,
        }
    }
}

/// Protocol version of a packet whose first octet this is, 0 to 7.
#[inline(always)]
#[must_use]
pub const fn version_of(octet: u8) -> u8 {
    octet >> 3 & 7
}

/// What a server is synchronised to: an IPv4 address, a hash of an IPv6 address, four letters of a
/// reference clock, or a kiss code. RFC 5905 section 7.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct ReferenceId(pub u32);

impl ReferenceId {
    /// Not synchronised.
    pub const NONE: Self = Self(0);
    /// chrony's identifier of time that is smoothed: 127.127.1.255.
    pub const SMOOTHED: Self = Self(0x7f7f_01ff);
    /// chrony's identifier of a clock that is served by `local`: 127.127.1.1.
    pub const LOCAL: Self = Self(0x7f7f_0101);

    /// Makes an identifier of its four octets in the order of the wire.
    #[must_use]
    pub const fn from_octets(octets: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(octets))
    }

    /// The four octets in the order of the wire: a kiss code when the stratum is 0.
    #[must_use]
    pub const fn to_octets(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

/// An NTP header. RFC 5905 section 7.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Leap indicator.
    pub leap: LeapIndicator,
    /// Protocol version, 0 to 7.
    pub version: u8,
    /// Association mode.
    pub mode: Mode,
    /// Stratum; 0 is a kiss code or an unsynchronised server.
    pub stratum: u8,
    /// Poll interval, log2 seconds.
    pub poll: i8,
    /// Precision of the sender's clock, log2 seconds.
    pub precision: i8,
    /// Round-trip delay to the reference clock.
    pub root_delay: NtpShort,
    /// Dispersion to the reference clock.
    pub root_dispersion: NtpShort,
    /// What the sender is synchronised to.
    pub reference_id: ReferenceId,
    /// When the sender's clock was last corrected.
    pub reference_timestamp: NtpTimestamp,
    /// T1: the transmit timestamp of the request, given back.
    pub origin_timestamp: NtpTimestamp,
    /// T2: when the request arrived.
    pub receive_timestamp: NtpTimestamp,
    /// T3: when this packet left.
    pub transmit_timestamp: NtpTimestamp,
}

impl Header {
    /// A client's request of the newest version with nothing in it but `transmit_timestamp`, which is a
    /// random number: the packet shows nothing of the client's clock.
    #[must_use]
    pub const fn request(transmit_timestamp: NtpTimestamp) -> Self {
        Self {
            leap: LeapIndicator::Normal,
            version: NEWEST_VERSION,
            mode: Mode::Client,
            stratum: 0,
            poll: 0,
            precision: 0,
            root_delay: NtpShort::from_bits(0),
            root_dispersion: NtpShort::from_bits(0),
            reference_id: ReferenceId::NONE,
            reference_timestamp: NtpTimestamp::UNKNOWN,
            origin_timestamp: NtpTimestamp::UNKNOWN,
            receive_timestamp: NtpTimestamp::UNKNOWN,
            transmit_timestamp,
        }
    }

    /// Reads a header off the wire.
    #[must_use]
    pub fn read(octets: &[u8; HEADER_LEN]) -> Self {
        Self {
            leap: LeapIndicator::from_octet(octets[0]),
            version: version_of(octets[0]),
            mode: Mode::from_octet(octets[0]),
            stratum: octets[1],
            poll: octets[2].cast_signed(),
            precision: octets[3].cast_signed(),
            root_delay: NtpShort::from_bits(read_u32(octets, 4)),
            root_dispersion: NtpShort::from_bits(read_u32(octets, 8)),
            reference_id: ReferenceId(read_u32(octets, 12)),
            reference_timestamp: read_timestamp(octets, 16),
            origin_timestamp: read_timestamp(octets, 24),
            receive_timestamp: read_timestamp(octets, 32),
            transmit_timestamp: read_timestamp(octets, 40),
        }
    }

    /// Writes the header as it goes over the wire.
    #[must_use]
    pub fn write(&self) -> [u8; HEADER_LEN] {
        let mut octets = [0; HEADER_LEN];
        octets[0] = (self.leap as u8) << 6 | (self.version & 7) << 3 | self.mode as u8;
        octets[1] = self.stratum;
        octets[2] = self.poll.cast_unsigned();
        octets[3] = self.precision.cast_unsigned();
        octets[4..8].copy_from_slice(&self.root_delay.to_bits().to_be_bytes());
        octets[8..12].copy_from_slice(&self.root_dispersion.to_bits().to_be_bytes());
        octets[12..16].copy_from_slice(&self.reference_id.to_octets());
        octets[16..24].copy_from_slice(&self.reference_timestamp.to_bits().to_be_bytes());
        octets[24..32].copy_from_slice(&self.origin_timestamp.to_bits().to_be_bytes());
        octets[32..40].copy_from_slice(&self.receive_timestamp.to_bits().to_be_bytes());
        octets[40..48].copy_from_slice(&self.transmit_timestamp.to_bits().to_be_bytes());
        octets
    }
}

fn read_u32(octets: &[u8; HEADER_LEN], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&octets[at..at + 4]);
    u32::from_be_bytes(word)
}

fn read_timestamp(octets: &[u8; HEADER_LEN], at: usize) -> NtpTimestamp {
    let mut word = [0; 8];
    word.copy_from_slice(&octets[at..at + 8]);
    NtpTimestamp::from_bits(u64::from_be_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_fields_where_rfc_5905_puts_them() {
        let mut octets = [0u8; HEADER_LEN];
        octets[0] = 0b11_100_011;
        octets[1] = 2;
        octets[2] = 6;
        octets[3] = 0xe9;
        octets[6] = 1;
        octets[9] = 2;
        octets[12..16].copy_from_slice(b"GPS\0");
        octets[47] = 7;
        let header = Header::read(&octets);
        assert_eq!(header.leap, LeapIndicator::Unsynchronised);
        assert_eq!((header.version, header.mode), (4, Mode::Client));
        assert_eq!((header.stratum, header.poll, header.precision), (2, 6, -23));
        assert_eq!(header.root_delay.to_bits(), 0x100);
        assert_eq!(header.root_dispersion.to_bits(), 0x2_0000);
        assert_eq!(header.reference_id.to_octets(), *b"GPS\0");
        assert_eq!(header.transmit_timestamp.to_bits(), 7);
    }

    #[test]
    fn request_shows_nothing_of_the_client() {
        let octets = Header::request(NtpTimestamp::from_bits(0x0102_0304_0506_0708)).write();
        assert_eq!(octets[0], 0x23);
        assert!(octets[1..40].iter().all(|&octet| octet == 0));
        assert_eq!(octets[40..], [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    proptest! {
        #[test]
        fn every_bit_pattern_survives_the_round_trip(octets in proptest::array::uniform32(any::<u8>()), rest in proptest::array::uniform16(any::<u8>())) {
            let mut packet = [0; HEADER_LEN];
            packet[..32].copy_from_slice(&octets);
            packet[32..].copy_from_slice(&rest);
            prop_assert_eq!(Header::read(&packet).write(), packet);
        }
    }
}
