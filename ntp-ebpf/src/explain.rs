//! Why a frame is not answered: the slow way through the headers, for the frames that the fast way did not
//! take. It never answers and writes nothing.

use aya_ebpf::programs::XdpContext;
use ntp_common::classify::{Class, classify};
use ntp_common::counters::Reason;
use ntp_common::wire::HEADER_LEN;

use crate::access;
use crate::headers::{Ipv4Header, Ipv6Header, PROTOCOL_UDP};
use crate::maps::{SERVING, served_port};
use crate::request::{check_destination, local};
use crate::udp::UdpHeader;
use crate::walk::{self, Bounds, Network};

/// Gives the reason for which a frame is not answered.
#[inline(always)]
pub(crate) fn explain(context: &XdpContext) -> Reason {
    match reason(Bounds::of(context)) {
        Ok(reason) | Err(reason) => reason,
    }
}

#[inline(always)]
fn reason(frame: Bounds) -> Result<Reason, Reason> {
    match walk::network(frame)? {
        Network::V4(at) => {
            let header: *mut Ipv4Header = frame.at(at)?;
            // SAFETY: `Bounds::at` gave the pointer, and the type has no alignment.
            let ip = unsafe { &*header };
            let len = behind_ipv4(ip)?;
            let reason = reason_of(frame, at + size_of::<Ipv4Header>(), len)?;
            let page = SERVING.get();
            check_destination(frame, local(page).has_v4(ip.destination))?;
            access::check_v4(page, ip.source)?;
            Ok(reason)
        }
        Network::V6(at) => {
            let header: *mut Ipv6Header = frame.at(at)?;
            let (next, len) = walk::behind_ipv6(frame, header)?;
            // SAFETY: `Bounds::at` gave the pointer, and the type has no alignment.
            let ip = unsafe { &*header };
            let reason = reason_of(frame, next, len)?;
            let page = SERVING.get();
            check_destination(frame, local(page).has_v6(ip.destination))?;
            access::check_v6(page, ip.source)?;
            Ok(reason)
        }
    }
}

/// Gives the length of the datagram behind an IPv4 header, by the word of that header.
#[inline(always)]
fn behind_ipv4(ip: &Ipv4Header) -> Result<usize, Reason> {
    let start = ip.start.to_ne_bytes();
    if ip.protocol != PROTOCOL_UDP {
        return Err(Reason::NotNtp);
    }
    if start[0] != 0x45 {
        let has_options = start[0] >> 4 == 4 && start[0] & 0xf > 5;
        return Err(if has_options { Reason::IpOptions } else { Reason::Malformed });
    }
    // Don't Fragment may be set; More Fragments and an offset may not.
    if start[6] & 0xbf | start[7] != 0 {
        return Err(Reason::Fragment);
    }
    let total_len = usize::from(u16::from_be_bytes([start[2], start[3]]));
    Ok(total_len.wrapping_sub(size_of::<Ipv4Header>()))
}

/// Gives the reason for which the datagram at `at`, which is `len` octets long by the word of the IP header, is not answered
/// here, if the access rules allow its sender.
///
/// # Errors
/// The reason, whatever they say.
#[inline(always)]
fn reason_of(frame: Bounds, at: usize, len: usize) -> Result<Reason, Reason> {
    let udp: *mut UdpHeader = frame.at(at)?;
    // SAFETY: `Bounds::at` gave the pointer, and the type has no alignment.
    let udp = unsafe { &*udp };
    if udp.destination_port() != served_port() {
        return Err(Reason::NotNtp);
    }
    let udp_len = usize::from(u16::from_be(udp.len));
    // Octets behind the datagram would go back to whoever sent them; the kernel cuts them off.
    let is_consistent = udp_len == len && frame.end - at == len && len >= size_of::<UdpHeader>();
    // Before the lengths are looked at, or the compiler would know that the payload is there and leave
    // out the comparison that the verifier insists on.
    let Ok(payload) = frame.at::<[u8; HEADER_LEN]>(at + size_of::<UdpHeader>()) else {
        return Err(if is_consistent { Reason::Short } else { Reason::Malformed });
    };
    if !is_consistent {
        return Err(Reason::Malformed);
    }
    // SAFETY: `Bounds::at` gave the pointer.
    let payload = unsafe { &*payload };
    match classify(payload, len - size_of::<UdpHeader>(), udp.source_port()) {
        Class::NotRequest(reason) | Class::Hostile(reason) => Err(reason),
        Class::Involved(reason) => Ok(reason),
        // The fast way takes every frame in which nothing is found here.
        Class::Plain => Ok(Reason::Malformed),
    }
}
