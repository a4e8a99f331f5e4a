//! Frames, octet by octet: every header can be right or wrong in one way.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ntp_common::wire::HEADER_LEN;

/// The address that the tested server serves, IPv4.
pub(crate) const SERVER_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The address that the tested server serves, IPv6.
pub(crate) const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// A client, IPv4.
pub(crate) const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
/// A client, IPv6.
pub(crate) const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc11e, 0, 0, 0, 0, 7);

/// What stands in the UDP checksum field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UdpChecksum {
    /// The checksum.
    Right,
    /// Zero: none.
    None,
    /// The sum of the pseudo-header, for the hardware to complete.
    Partial,
    /// The checksum with one bit turned over.
    Wrong,
}

/// An IPv6 extension header: its protocol number and its octets but for the first.
pub(crate) type Extension = (u8, Vec<u8>);

/// A frame to be.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) stations: [[u8; 6]; 2],
    /// Types and tags of VLANs, the outermost first.
    pub(crate) vlans: Vec<(u16, u16)>,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) ttl: u8,
    pub(crate) protocol: u8,
    /// IPv4: flags and fragment offset.
    pub(crate) fragment: u16,
    /// IPv4 options, a multiple of four octets.
    pub(crate) options: Vec<u8>,
    /// IPv6 extension headers.
    pub(crate) extensions: Vec<Extension>,
    pub(crate) ports: (u16, u16),
    pub(crate) payload: Vec<u8>,
    pub(crate) checksum: UdpChecksum,
    /// Octets behind the datagram.
    pub(crate) trailer: Vec<u8>,
    /// Added to the length in the IP header.
    pub(crate) ip_len_error: i16,
    /// Added to the length in the UDP header.
    pub(crate) udp_len_error: i16,
}

/// A plain request of a version: 48 octets of which only the first and the transmit timestamp say anything.
pub(crate) fn request(version: u8, mode: u8) -> Vec<u8> {
    let mut payload = vec![0; HEADER_LEN];
    payload[0] = version << 3 | mode;
    payload[2] = 6;
    payload[40..].copy_from_slice(&0xe1f2_a3b4_c5d6_0718u64.to_be_bytes());
    payload
}

impl Frame {
    /// A plain request of version 4 over IPv4.
    pub(crate) fn v4() -> Self {
        Self {
            stations: [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]],
            vlans: Vec::new(),
            source: CLIENT_V4.into(),
            destination: SERVER_V4.into(),
            ttl: 64,
            protocol: 17,
            fragment: 0x4000,
            options: Vec::new(),
            extensions: Vec::new(),
            ports: (40_000, 123),
            payload: request(4, 3),
            checksum: UdpChecksum::Right,
            trailer: Vec::new(),
            ip_len_error: 0,
            udp_len_error: 0,
        }
    }

    /// A plain request of version 4 over IPv6.
    pub(crate) fn v6() -> Self {
        Self { source: CLIENT_V6.into(), destination: SERVER_V6.into(), ..Self::v4() }
    }

    /// The frame with something changed.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The frame as it goes over the wire.
    pub(crate) fn octets(&self) -> Vec<u8> {
        let mut frame = self.stations.concat();
        for &(ether_type, tag) in &self.vlans {
            frame.extend(ether_type.to_be_bytes());
            frame.extend(tag.to_be_bytes());
        }
        let datagram = self.datagram();
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                frame.extend([0x08, 0x00]);
                frame.extend(self.ipv4_header(source, destination, datagram.len()));
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                frame.extend([0x86, 0xdd]);
                frame.extend(self.ipv6_headers(source, destination, datagram.len()));
            }
            _ => panic!("a frame has addresses of one family"),
        }
        frame.extend(datagram);
        frame.extend(&self.trailer);
        frame
    }

    fn datagram(&self) -> Vec<u8> {
        let len = u16::try_from(8 + self.payload.len()).expect("a payload fits a datagram");
        let mut datagram = Vec::new();
        datagram.extend(self.ports.0.to_be_bytes());
        datagram.extend(self.ports.1.to_be_bytes());
        datagram.extend(len.wrapping_add_signed(self.udp_len_error).to_be_bytes());
        datagram.extend([0, 0]);
        datagram.extend(&self.payload);
        let mut pseudo = addresses(self.source, self.destination);
        pseudo.extend([0, 17]);
        pseudo.extend(len.to_be_bytes());
        let right = udp_checksum(&pseudo, &datagram);
        let checksum = match self.checksum {
            UdpChecksum::Right => right,
            UdpChecksum::None => 0,
            UdpChecksum::Partial => sum(&pseudo),
            UdpChecksum::Wrong => right ^ 0x0100,
        };
        datagram[6..8].copy_from_slice(&checksum.to_be_bytes());
        datagram
    }

    fn ipv4_header(&self, source: Ipv4Addr, destination: Ipv4Addr, payload: usize) -> Vec<u8> {
        let len = u16::try_from(20 + self.options.len() + payload).expect("a packet fits");
        let words = u8::try_from(5 + self.options.len() / 4).expect("few options");
        let mut header = vec![0x40 | words, 0];
        header.extend(len.wrapping_add_signed(self.ip_len_error).to_be_bytes());
        header.extend([0x12, 0x34]);
        header.extend(self.fragment.to_be_bytes());
        header.extend([self.ttl, self.protocol, 0, 0]);
        header.extend(source.octets());
        header.extend(destination.octets());
        header.extend(&self.options);
        let checksum = !sum(&header);
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        header
    }

    fn ipv6_headers(&self, source: Ipv6Addr, destination: Ipv6Addr, payload: usize) -> Vec<u8> {
        let following = self.extensions.iter().map(|extension| extension.0).chain([self.protocol]);
        let mut chain = Vec::new();
        for ((_, rest), next) in self.extensions.iter().zip(following.clone().skip(1)) {
            chain.push(next);
            chain.extend(rest);
        }
        let len = u16::try_from(chain.len() + payload).expect("a packet fits");
        let mut header = vec![0x60, 0, 0, 0];
        header.extend(len.wrapping_add_signed(self.ip_len_error).to_be_bytes());
        header.push(following.clone().next().expect("at least the protocol"));
        header.push(self.ttl);
        header.extend(source.octets());
        header.extend(destination.octets());
        header.extend(chain);
        header
    }
}

/// An extension header of `eights` times eight octets beyond the first eight, filled with padding.
pub(crate) fn extension(protocol: u8, eights: u8) -> Extension {
    let mut rest = vec![0; 7 + 8 * usize::from(eights)];
    rest[0] = eights;
    (protocol, rest)
}

fn addresses(source: IpAddr, destination: IpAddr) -> Vec<u8> {
    let octets = |address| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    [octets(source), octets(destination)].concat()
}

/// The checksum of a UDP datagram whose checksum field is zero. RFC 768.
pub(crate) fn udp_checksum(pseudo: &[u8], datagram: &[u8]) -> u16 {
    let sum = sum(&[pseudo, datagram].concat());
    if sum == 0xffff { 0xffff } else { !sum }
}

/// The sum in ones' complement of words in network order, an odd octet padded with zero. RFC 1071.
pub(crate) fn sum(octets: &[u8]) -> u16 {
    let total: u32 = octets
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    let folded = (total & 0xffff) + (total >> 16);
    u16::try_from((folded & 0xffff) + (folded >> 16)).expect("two folds leave 16 bits")
}
