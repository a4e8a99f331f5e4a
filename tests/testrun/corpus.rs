//! Frames made by hand, each with what must become of it: every version and mode, VLAN tags, chains of IPv6
//! headers, options, fragments, wrong lengths, wrong checksums, codes and fields behind the header.

use std::net::{Ipv4Addr, Ipv6Addr};

use ntp_common::counters::Reason;

use crate::frame::{Frame, UdpChecksum, extension, request};

/// A frame and its fate: `None` is an answer.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) frame: Vec<u8>,
    pub(crate) fate: Option<Reason>,
}

/// All cases, for a server that allows everyone.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (family, frame) in [("IPv4", Frame::v4()), ("IPv6", Frame::v6())] {
        let mut add = |name: String, frame: Frame, fate| {
            cases.push(Case { name: format!("{family}: {name}"), frame: frame.octets(), fate });
        };
        versions_and_modes(&frame, &mut add);
        lengths(&frame, &mut add);
        timestamps(&frame, &mut add);
        links(&frame, &mut add);
        checksums(&frame, &mut add);
    }
    ipv4(&mut cases);
    ipv6(&mut cases);
    cut_short(&mut cases);
    cases
}

type Add<'a> = &'a mut dyn FnMut(String, Frame, Option<Reason>);

fn versions_and_modes(frame: &Frame, add: Add<'_>) {
    for version in 0..8 {
        for mode in 0..8 {
            for port in [123, 40_000] {
                let fate = match (version, mode) {
                    (0 | 5.., _) => Some(Reason::BadVersion),
                    (_, 3) => None,
                    (1, 0) if port != 123 => None,
                    (_, 0 | 6 | 7) => Some(Reason::BadMode),
                    (_, 1) => Some(Reason::Symmetric),
                    _ => Some(Reason::NotRequest),
                };
                let frame = frame.clone().with(|frame| {
                    frame.payload = request(version, mode);
                    frame.ports.0 = port;
                });
                add(format!("version {version}, mode {mode}, port {port}"), frame, fate);
            }
        }
    }
    for first in [0x23, 0x63, 0xa3, 0xe3] {
        let frame = frame.clone().with(|frame| frame.payload[0] = first);
        add(format!("leap indicator of the request in {first:#04x}"), frame, None);
    }
}

fn lengths(frame: &Frame, add: Add<'_>) {
    for len in [0, 1, 4, 12, 40, 44, 47] {
        let frame = frame.clone().with(|frame| frame.payload.truncate(len));
        add(format!("payload of {len} octets"), frame, Some(Reason::Short));
    }
    for extra in [1, 2, 3, 5, 19] {
        let frame = frame.clone().with(|frame| frame.payload.resize(48 + extra, 0xaa));
        add(format!("payload of 48 + {extra} octets"), frame, Some(Reason::BadLength));
    }
    for (extra, what) in [
        (4, "crypto-NAK"),
        (16, "extension field"),
        (20, "MAC with MD5"),
        (24, "MAC with SHA1"),
        (36, "MAC with SHA256"),
        (228, "extension fields"),
        (1352, "extension fields up to the MTU"),
    ] {
        let frame = frame.clone().with(|frame| frame.payload.resize(48 + extra, 0xaa));
        add(format!("{what}, {extra} octets"), frame, Some(Reason::Extension));
    }
    for (error, what) in [(1, "longer"), (-1, "shorter"), (-60, "negative"), (1000, "much longer")]
    {
        let udp = frame.clone().with(|frame| frame.udp_len_error = error);
        add(format!("UDP length {what} than the datagram"), udp, Some(Reason::Malformed));
        let ip = frame.clone().with(|frame| frame.ip_len_error = error);
        add(format!("IP length {what} than the packet"), ip, Some(Reason::Malformed));
    }
    for trailer in [1, 4, 18] {
        let frame = frame.clone().with(|frame| frame.trailer = vec![0; trailer]);
        add(format!("{trailer} octets behind the packet"), frame, Some(Reason::Malformed));
    }
}

fn timestamps(frame: &Frame, add: Add<'_>) {
    for version in 1..=4 {
        for (origin, is_marked) in [(1, true), (0x8000_0000_0000_0001, true), (2, false)] {
            let frame = frame.clone().with(|frame| {
                frame.payload = request(version, 3);
                frame.payload[24..32].copy_from_slice(&u64::to_be_bytes(origin));
            });
            let fate = (is_marked && version == 4).then_some(Reason::Interleaved);
            add(format!("version {version}, origin {origin:#x}"), frame, fate);
        }
    }
    for (name, octet) in [("zeros", 0x00), ("ones", 0xff)] {
        let frame = frame.clone().with(|frame| frame.payload[40..].fill(octet));
        add(format!("transmit timestamp of {name}"), frame, None);
    }
    for poll in [0x00, 0x06, 0x11, 0x7f, 0x80, 0xfa, 0xff] {
        let frame = frame.clone().with(|frame| frame.payload[2] = poll);
        add(format!("poll {poll:#04x}"), frame, None);
    }
    let filled = frame.clone().with(|frame| {
        frame.payload[1] = 16;
        frame.payload[3..24].fill(0x5a);
        frame.payload[32..40].fill(0xa5);
    });
    add("all other fields filled".into(), filled, None);
}

fn links(frame: &Frame, add: Add<'_>) {
    for (name, vlans, fate) in [
        ("one tag", vec![(0x8100, 5)], None),
        ("one tag with priority", vec![(0x8100, 0xe005)], None),
        ("one service tag", vec![(0x88a8, 5)], None),
        ("two tags", vec![(0x88a8, 5), (0x8100, 6)], None),
        ("two customer tags", vec![(0x8100, 5), (0x8100, 6)], None),
        ("three tags", vec![(0x88a8, 5), (0x8100, 6), (0x8100, 7)], Some(Reason::VlanDepth)),
        ("a tag of another protocol", vec![(0x9100, 5)], Some(Reason::NotNtp)),
    ] {
        add(name.into(), frame.clone().with(|frame| frame.vlans = vlans), fate);
    }
    for (name, station) in [
        ("broadcast", [0xff; 6]),
        ("multicast", [0x01, 0x00, 0x5e, 0x00, 0x01, 0x01]),
        ("IPv6 multicast", [0x33, 0x33, 0, 0, 1, 1]),
    ] {
        let frame = frame.clone().with(|frame| frame.stations[0] = station);
        add(format!("to a {name} station"), frame, Some(Reason::NotLocal));
    }
    for (ports, name, fate) in [
        ((123, 123), "from the NTP port", None),
        ((1, 123), "from port 1", None),
        ((40_000, 124), "to another port", Some(Reason::NotNtp)),
        ((123, 40_000), "to a client", Some(Reason::NotNtp)),
        ((40_000, 0x7b00), "to the port with its octets swapped", Some(Reason::NotNtp)),
    ] {
        add(name.into(), frame.clone().with(|frame| frame.ports = ports), fate);
    }
    for protocol in [1, 6, 58, 132] {
        let frame = frame.clone().with(|frame| frame.protocol = protocol);
        add(format!("protocol {protocol}"), frame, Some(Reason::NotNtp));
    }
    for ttl in [1, 63, 64, 128, 255] {
        add(format!("time to live {ttl}"), frame.clone().with(|frame| frame.ttl = ttl), None);
    }
}

fn checksums(frame: &Frame, add: Add<'_>) {
    let is_v4 = frame.source.is_ipv4();
    let without = (!is_v4).then_some(Reason::Checksum);
    for (name, checksum, fate) in [
        ("no UDP checksum", UdpChecksum::None, without),
        ("UDP checksum left to the hardware", UdpChecksum::Partial, None),
        ("wrong UDP checksum", UdpChecksum::Wrong, Some(Reason::Checksum)),
    ] {
        add(name.into(), frame.clone().with(|frame| frame.checksum = checksum), fate);
    }
    // A datagram that sums to zero has 0xffff in the field.
    let zero_sum = frame.clone().with(|frame| {
        let plain = frame.octets();
        let at = plain.len() - 48 - 2;
        let checksum = u16::from_be_bytes([plain[at], plain[at + 1]]);
        frame.payload[4..6].copy_from_slice(&checksum.to_be_bytes());
    });
    assert_eq!(zero_sum.octets()[zero_sum.octets().len() - 50..][..2], [0xff, 0xff]);
    add("UDP checksum of all ones".into(), zero_sum, None);
}

fn ipv4(cases: &mut Vec<Case>) {
    let mut add = |name: &str, frame: Frame, fate| {
        cases.push(Case { name: format!("IPv4: {name}"), frame: frame.octets(), fate });
    };
    for (name, fragment, fate) in [
        ("may be fragmented", 0x0000, None),
        ("may not be fragmented", 0x4000, None),
        ("more fragments", 0x2000, Some(Reason::Fragment)),
        ("last fragment", 0x0010, Some(Reason::Fragment)),
        ("reserved flag", 0x8000, Some(Reason::Fragment)),
    ] {
        add(name, Frame::v4().with(|frame| frame.fragment = fragment), fate);
    }
    for len in [4, 8, 40] {
        let frame = Frame::v4().with(|frame| frame.options = vec![1; len]);
        add(&format!("{len} octets of options"), frame, Some(Reason::IpOptions));
    }
    for destination in [
        Ipv4Addr::new(192, 0, 2, 2),
        Ipv4Addr::BROADCAST,
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::new(224, 0, 1, 1),
    ] {
        let frame = Frame::v4().with(|frame| frame.destination = destination.into());
        add(&format!("to {destination}"), frame, Some(Reason::NotLocal));
    }
    for (name, first) in [("version 5", 0x55), ("header of 16 octets", 0x44), ("version 0", 0x05)] {
        let mut frame = Frame::v4().octets();
        frame[14] = first;
        cases.push(Case { name: format!("IPv4: {name}"), frame, fate: Some(Reason::Malformed) });
    }
    let mut corrupt = Frame::v4().with(|frame| frame.ttl = 63).octets();
    corrupt[24] ^= 1;
    cases.push(Case {
        name: "IPv4: wrong header checksum stays wrong".into(),
        frame: corrupt,
        fate: None,
    });
}

fn ipv6(cases: &mut Vec<Case>) {
    let mut add = |name: &str, frame: Frame, fate| {
        cases.push(Case { name: format!("IPv6: {name}"), frame: frame.octets(), fate });
    };
    for count in 1..=6 {
        let fate = (count > 4).then_some(Reason::Ipv6Chain);
        let frame = Frame::v6().with(|frame| frame.extensions = vec![extension(60, 0); count]);
        add(&format!("{count} destination options"), frame, fate);
    }
    for eights in [1, 2, 7, 31] {
        let frame = Frame::v6().with(|frame| frame.extensions = vec![extension(60, eights)]);
        add(&format!("an extension header of {} octets", 8 + 8 * u16::from(eights)), frame, None);
    }
    let all = vec![extension(0, 0), extension(60, 1), extension(43, 2), extension(60, 0)];
    add("all kinds of extension headers", Frame::v6().with(|frame| frame.extensions = all), None);
    for (kind, fate) in [
        (0, None),
        (43, None),
        (60, None),
        (44, Some(Reason::Fragment)),
        (50, Some(Reason::NotNtp)),
        (51, Some(Reason::NotNtp)),
        (59, Some(Reason::NotNtp)),
        (135, Some(Reason::NotNtp)),
    ] {
        let frame = Frame::v6().with(|frame| frame.extensions = vec![extension(kind, 0)]);
        add(&format!("extension header {kind}"), frame, fate);
    }
    let hidden = vec![extension(60, 0), extension(44, 0)];
    let frame = Frame::v6().with(|frame| frame.extensions = hidden);
    add("fragment header behind options", frame, Some(Reason::Fragment));
    for destination in [Ipv6Addr::UNSPECIFIED, "2001:db8::2".parse().expect("an address")] {
        let frame = Frame::v6().with(|frame| frame.destination = destination.into());
        add(&format!("to {destination}"), frame, Some(Reason::NotLocal));
    }
    let mut frame = Frame::v6().octets();
    frame[14] = 0x40;
    cases.push(Case { name: "IPv6: version 4".into(), frame, fate: Some(Reason::Malformed) });
    let mut frame = Frame::v6().octets();
    frame[15..18].fill(0xff);
    cases.push(Case { name: "IPv6: class and flow label".into(), frame, fate: None });
}

/// Every frame that is cut off somewhere, down to the Ethernet header: no part of it is read that is not
/// there. The lengths in its headers are then too large.
fn cut_short(cases: &mut Vec<Case>) {
    for (family, frame) in [
        ("IPv4", Frame::v4()),
        ("IPv6", Frame::v6()),
        ("VLAN", Frame::v4().with(|frame| frame.vlans = vec![(0x88a8, 1), (0x8100, 2)])),
    ] {
        let whole = frame.octets();
        for len in 14..whole.len() {
            let name = format!("{family}: cut off after {len} octets");
            cases.push(Case { name, frame: whole[..len].to_vec(), fate: Some(Reason::Malformed) });
        }
    }
    let mut arp = Frame::v4().octets();
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    cases.push(Case { name: "ARP".into(), frame: arp, fate: Some(Reason::NotNtp) });
}
