//! What the XDP program should do with a frame, written down a second time: in safe Rust, by slices, without
//! a thought of speed. What the frame says of NTP is decided by the functions that the daemon calls.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ntp_common::classify::{Class, classify};
use ntp_common::counters::{Family, Reason, answered_index};
use ntp_common::respond::respond;
use ntp_common::snapshot::RefSnapshot;
use ntp_common::time::{NtpDuration, NtpTimestamp};
use ntp_common::wire::{HEADER_LEN, version_of};

use crate::frame::{SERVER_V4, SERVER_V6, sum, udp_checksum};

/// From receive to transmit timestamp, units of 2^-32 s: what the program says of itself.
const TURNAROUND: NtpDuration = NtpDuration::from_bits(256);

/// What becomes of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Sent back, changed to this, and counted here.
    Answer { frame: Vec<u8>, counter: usize },
    /// Passed up unchanged or dropped, as the reason says.
    Refuse(Reason),
}

/// Who is allowed, by address.
pub(crate) type Access<'a> = &'a dyn Fn(IpAddr) -> bool;

/// What the program knows.
pub(crate) struct World<'a> {
    pub(crate) snapshot: RefSnapshot,
    pub(crate) is_valid: bool,
    pub(crate) access: Access<'a>,
}

/// The parts of a frame with a datagram to the served port.
struct Parts {
    ip: usize,
    udp: usize,
    source: IpAddr,
    class: Class,
}

/// Judges a frame; `receive` is served time when the program read its clock.
pub(crate) fn judge(frame: &[u8], world: &World<'_>, receive: NtpTimestamp) -> Verdict {
    match dissect(frame).and_then(|parts| answer(frame, &parts, world, receive)) {
        Ok(verdict) => verdict,
        Err(reason) => Verdict::Refuse(reason),
    }
}

fn dissect(frame: &[u8]) -> Result<Parts, Reason> {
    let mut at = 12;
    let mut tags = 0;
    loop {
        match be16(frame, at)? {
            0x8100 | 0x88a8 if tags == 2 => return Err(Reason::VlanDepth),
            0x8100 | 0x88a8 => (tags, at) = (tags + 1, at + 4),
            0x0800 => return dissect_v4(frame, at + 2),
            0x86dd => return dissect_v6(frame, at + 2),
            _ => return Err(Reason::NotNtp),
        }
    }
}

fn dissect_v4(frame: &[u8], ip: usize) -> Result<Parts, Reason> {
    let header = frame.get(ip..ip + 20).ok_or(Reason::Malformed)?;
    if header[9] != 17 {
        return Err(Reason::NotNtp);
    }
    match header[0] {
        0x45 => {}
        0x46..=0x4f => return Err(Reason::IpOptions),
        _ => return Err(Reason::Malformed),
    }
    if u16::from_be_bytes([header[6], header[7]]) & 0xbfff != 0 {
        return Err(Reason::Fragment);
    }
    let udp_len = i64::from(be16(frame, ip + 2)?) - 20;
    let source = Ipv4Addr::from(<[u8; 4]>::try_from(&header[12..16]).expect("four octets"));
    let destination = Ipv4Addr::from(<[u8; 4]>::try_from(&header[16..20]).expect("four octets"));
    let class = datagram(frame, ip + 20, udp_len)?;
    check_destination(frame, destination == SERVER_V4)?;
    Ok(Parts { ip, udp: ip + 20, source: source.into(), class })
}

fn dissect_v6(frame: &[u8], ip: usize) -> Result<Parts, Reason> {
    let header = frame.get(ip..ip + 40).ok_or(Reason::Malformed)?;
    if header[0] >> 4 != 6 {
        return Err(Reason::Malformed);
    }
    let mut rest = i64::from(be16(frame, ip + 4)?);
    let mut protocol = header[6];
    let mut at = ip + 40;
    for _ in 0..4 {
        if ![0, 43, 60].contains(&protocol) {
            break;
        }
        let extension = frame.get(at..at + 8).ok_or(Reason::Malformed)?;
        let len = (usize::from(extension[1]) + 1) * 8;
        (protocol, at, rest) = (extension[0], at + len, rest - i64::try_from(len).expect("small"));
    }
    match protocol {
        17 => {}
        44 => return Err(Reason::Fragment),
        0 | 43 | 60 => return Err(Reason::Ipv6Chain),
        _ => return Err(Reason::NotNtp),
    }
    let source = Ipv6Addr::from(<[u8; 16]>::try_from(&header[8..24]).expect("sixteen octets"));
    let destination =
        Ipv6Addr::from(<[u8; 16]>::try_from(&header[24..40]).expect("sixteen octets"));
    let class = datagram(frame, at, rest)?;
    check_destination(frame, destination == SERVER_V6)?;
    Ok(Parts { ip, udp: at, source: source.into(), class })
}

/// `len` is how long the IP header says that the datagram at `at` is.
fn datagram(frame: &[u8], at: usize, len: i64) -> Result<Class, Reason> {
    let udp = frame.get(at..at + 8).ok_or(Reason::Malformed)?;
    if u16::from_be_bytes([udp[2], udp[3]]) != 123 {
        return Err(Reason::NotNtp);
    }
    let there = frame.len() - at;
    let udp_len = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
    if usize::try_from(len).ok() != Some(there) || udp_len != there {
        return Err(Reason::Malformed);
    }
    let Some(header) = frame[at + 8..].first_chunk::<HEADER_LEN>() else {
        return Err(Reason::Short);
    };
    match classify(header, there - 8, u16::from_be_bytes([udp[0], udp[1]])) {
        Class::NotRequest(reason) | Class::Hostile(reason) => Err(reason),
        class @ (Class::Plain | Class::Involved(_)) => Ok(class),
    }
}

fn check_destination(frame: &[u8], is_served: bool) -> Result<(), Reason> {
    if is_served && frame[0] & 1 == 0 { Ok(()) } else { Err(Reason::NotLocal) }
}

fn answer(
    frame: &[u8],
    parts: &Parts,
    world: &World<'_>,
    receive: NtpTimestamp,
) -> Result<Verdict, Reason> {
    let (ip, udp, len) = (parts.ip, parts.udp, frame.len() - parts.udp);
    let address_len = if parts.source.is_ipv4() { 4 } else { 16 };
    let addresses = if address_len == 4 { ip + 12 } else { ip + 8 };
    let mut pseudo = frame[addresses..addresses + 2 * address_len].to_vec();
    pseudo.extend([0, 17]);
    pseudo.extend(u16::try_from(len).expect("a frame is short").to_be_bytes());
    // The kernel checks the sum of what goes up to the daemon.
    if matches!(parts.class, Class::Plain) {
        check_checksum(&frame[udp..], &pseudo, address_len == 4)?;
    }
    if !(world.access)(parts.source) {
        return Err(Reason::AccessDenied);
    }
    if let Class::Involved(reason) = parts.class {
        return Err(reason);
    }
    if !world.is_valid {
        return Err(Reason::NoSnapshot);
    }

    let mut reply = frame.to_vec();
    reply[..12].rotate_left(6);
    reply[addresses..addresses + 2 * address_len].rotate_left(address_len);
    reply[udp..udp + 4].rotate_left(2);
    if address_len == 4 {
        set_ttl(&mut reply[ip..ip + 20]);
    } else {
        reply[ip + 7] = 64;
    }
    let request = frame[udp + 8..].first_chunk::<HEADER_LEN>().expect("a whole header");
    let template = world.snapshot.template_at(receive);
    let packet = respond(request, &template, receive, receive + TURNAROUND, 0);
    reply[udp + 8..].copy_from_slice(&packet.octets);
    reply[udp + 6..udp + 8].fill(0);
    let checksum = udp_checksum(&pseudo, &reply[udp..]);
    reply[udp + 6..udp + 8].copy_from_slice(&checksum.to_be_bytes());
    let family = if address_len == 4 { Family::V4 } else { Family::V6 };
    let counter = answered_index(family, version_of(request[0]));
    Ok(Verdict::Answer { frame: reply, counter })
}

/// RFC 768: zero is "none", in IPv4 alone (RFC 8200 section 8.1). A field with the sum of the pseudo-header is
/// one that the hardware would have completed.
fn check_checksum(datagram: &[u8], pseudo: &[u8], may_lack: bool) -> Result<(), Reason> {
    let field = u16::from_be_bytes([datagram[6], datagram[7]]);
    let lacks = may_lack && field == 0;
    let is_whole = sum(&[pseudo, datagram].concat()) == 0xffff;
    if lacks || is_whole || field == sum(pseudo) { Ok(()) } else { Err(Reason::Checksum) }
}

/// Sets the time to live, and changes the header's checksum by as much: RFC 1624 equation 3. A checksum that
/// was wrong stays wrong; the header of a packet that lived as long before is not touched.
fn set_ttl(header: &mut [u8]) {
    if header[8] == 64 {
        return;
    }
    let old = u16::from_be_bytes([header[8], header[9]]);
    let new = u16::from_be_bytes([64, header[9]]);
    let checksum = u16::from_be_bytes([header[10], header[11]]);
    let sum: Vec<u8> = [!checksum, !old, new].iter().flat_map(|word| word.to_be_bytes()).collect();
    header[10..12].copy_from_slice(&(!crate::frame::sum(&sum)).to_be_bytes());
    header[8] = 64;
}

fn be16(frame: &[u8], at: usize) -> Result<u16, Reason> {
    let octets = frame.get(at..at + 2).ok_or(Reason::Malformed)?;
    Ok(u16::from_be_bytes([octets[0], octets[1]]))
}
