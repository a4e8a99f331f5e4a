//! The headers as they lie in a frame, and what the plainest of them look like. Words that are looked at
//! together are fields of their own, so that they take one load and one comparison.

use ntp_common::counters::Reason;
use ntp_common::wire::HEADER_LEN;

use crate::udp::UdpHeader;
use crate::walk::Bounds;

/// Protocol number of UDP.
pub(crate) const PROTOCOL_UDP: u8 = 17;

/// UDP length of a plain request.
pub(crate) const PLAIN_UDP_LEN: usize = size_of::<PlainDatagram>();

const _: () = assert!(PLAIN_UDP_LEN == ntp_common::maps::PLAIN_UDP_LEN as usize);

/// An Ethernet address, in parts that are loaded at once: six octets would be copied one by one.
#[repr(C, packed)]
pub(crate) struct Station {
    pub(crate) high: u32,
    pub(crate) low: u16,
}

/// An IPv4 header without options. Its first eight octets are one word: version, length of the header,
/// class, length, identification, fragment.
#[repr(C, packed)]
pub(crate) struct Ipv4Header {
    pub(crate) start: u64,
    pub(crate) ttl: u8,
    pub(crate) protocol: u8,
    pub(crate) checksum: u16,
    pub(crate) source: u32,
    pub(crate) destination: u32,
}

/// An IPv6 header. Its first eight octets are one word: version, class, flow label, length of the payload,
/// next header, hop limit.
#[repr(C, packed)]
pub(crate) struct Ipv6Header {
    pub(crate) start: u64,
    pub(crate) source: [u64; 2],
    pub(crate) destination: [u64; 2],
}

/// A datagram with a plain NTP packet.
#[repr(C, packed)]
pub(crate) struct PlainDatagram {
    pub(crate) udp: UdpHeader,
    pub(crate) payload: [u8; HEADER_LEN],
}

/// An IPv4 packet with a plain NTP packet.
#[repr(C, packed)]
pub(crate) struct PlainIpv4 {
    pub(crate) ip: Ipv4Header,
    pub(crate) datagram: PlainDatagram,
}

impl Ipv4Header {
    /// Whether the header has no options, is of no fragment and of a packet that is as long as a plain
    /// request. The type of service and the identification do not matter, nor does Don't Fragment.
    #[inline(always)]
    pub(crate) fn is_plain(&self) -> bool {
        const MASK: u64 = u64::from_ne_bytes([0xff, 0, 0xff, 0xff, 0, 0, 0xbf, 0xff]);
        const PLAIN: u64 =
            u64::from_ne_bytes([0x45, 0, 0, size_of::<PlainIpv4>() as u8, 0, 0, 0, 0]);
        self.start & MASK == PLAIN && self.protocol == PROTOCOL_UDP
    }
}

impl Ipv6Header {
    #[inline(always)]
    pub(crate) fn version(&self) -> u8 {
        self.octet(0) >> 4
    }

    #[inline(always)]
    pub(crate) fn payload_len(&self) -> usize {
        usize::from(u16::from_be_bytes([self.octet(4), self.octet(5)]))
    }

    #[inline(always)]
    pub(crate) fn next_header(&self) -> u8 {
        self.octet(6)
    }

    #[inline(always)]
    fn octet(&self, index: usize) -> u8 {
        self.start.to_ne_bytes()[index]
    }

    /// Whether UDP follows at once and the payload is as long as a plain request.
    #[inline(always)]
    pub(crate) fn is_plain(&self) -> bool {
        const MASK: u64 = u64::from_ne_bytes([0xf0, 0, 0, 0, 0xff, 0xff, 0xff, 0]);
        const PLAIN: u64 =
            u64::from_ne_bytes([0x60, 0, 0, 0, 0, PLAIN_UDP_LEN as u8, PROTOCOL_UDP, 0]);
        self.start & MASK == PLAIN
    }

    /// Sets the hop limit.
    #[inline(always)]
    pub(crate) fn set_hop_limit(&mut self, hops: u8) {
        const MASK: u64 = u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]);
        self.start = self.start & MASK | u64::from_ne_bytes([0, 0, 0, 0, 0, 0, 0, hops]);
    }
}

/// Sends the frame back where it came from.
#[inline(always)]
pub(crate) fn swap_stations(frame: Bounds) -> Result<(), Reason> {
    let stations: *mut [Station; 2] = frame.at(frame.start)?;
    // SAFETY: `Bounds::at` gave the pointer, and the type has no alignment.
    let [destination, source] = unsafe { &mut *stations };
    let (high, low) = (destination.high, destination.low);
    destination.high = source.high;
    destination.low = source.low;
    source.high = high;
    source.low = low;
    Ok(())
}
