//! The way through a frame to the datagram: Ethernet, up to two VLAN tags, IPv4, or IPv6 with up to four
//! extension headers.
//!
//! Every access lies behind a comparison with the end of the frame: the kernel's verifier refuses others.
//! Nothing is written here.

use aya_ebpf::programs::XdpContext;
use ntp_common::counters::Reason;

use crate::headers::{Ipv6Header, PLAIN_UDP_LEN, PROTOCOL_UDP};

/// Ethernet header: two addresses and a type.
const ETHERNET_LEN: usize = 14;
const VLAN_LEN: usize = 4;
const MAX_VLANS: usize = 2;
const MAX_EXTENSIONS: usize = 4;

const TYPE_IPV4: u16 = 0x0800u16.to_be();
const TYPE_IPV6: u16 = 0x86ddu16.to_be();
const TYPE_CUSTOMER_VLAN: u16 = 0x8100u16.to_be();
const TYPE_SERVICE_VLAN: u16 = 0x88a8u16.to_be();

const PROTOCOL_HOP_BY_HOP: u8 = 0;
const PROTOCOL_ROUTING: u8 = 43;
const PROTOCOL_FRAGMENT: u8 = 44;
const PROTOCOL_DESTINATION: u8 = 60;

/// Where the frame begins and ends, as addresses.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Bounds {
    #[inline(always)]
    pub(crate) fn of(context: &XdpContext) -> Self {
        Self { start: context.data(), end: context.data_end() }
    }

    /// A pointer to a `T` at `address`, when the frame holds all of it.
    #[inline(always)]
    pub(crate) fn at<T>(self, address: usize) -> Result<*mut T, Reason> {
        if address + size_of::<T>() > self.end {
            return Err(Reason::Malformed);
        }
        Ok(address as *mut T)
    }
}

/// Where the IP header begins.
pub(crate) enum Network {
    V4(usize),
    V6(usize),
}

/// Walks over the Ethernet header and VLAN tags.
#[inline(always)]
pub(crate) fn network(frame: Bounds) -> Result<Network, Reason> {
    let mut ether_type = read_u16(frame.at(frame.start + ETHERNET_LEN - 2)?);
    let mut next = frame.start + ETHERNET_LEN;
    // What most frames are is asked first.
    if ether_type == TYPE_IPV4 {
        return Ok(Network::V4(next));
    }
    for _ in 0..MAX_VLANS {
        if ether_type != TYPE_CUSTOMER_VLAN && ether_type != TYPE_SERVICE_VLAN {
            break;
        }
        ether_type = read_u16(frame.at(next + VLAN_LEN - 2)?);
        next += VLAN_LEN;
    }
    match ether_type {
        TYPE_IPV4 => Ok(Network::V4(next)),
        TYPE_IPV6 => Ok(Network::V6(next)),
        TYPE_CUSTOMER_VLAN | TYPE_SERVICE_VLAN => Err(Reason::VlanDepth),
        _ => Err(Reason::NotNtp),
    }
}

#[inline(always)]
fn read_u16(address: *mut u16) -> u16 {
    // SAFETY: `Bounds::at` gave the pointer; BPF loads need no alignment here.
    unsafe { address.read_unaligned() }
}

/// Where the UDP header behind an IPv6 header begins, and how many octets the IPv6 header gives it.
#[inline(always)]
pub(crate) fn behind_ipv6(
    frame: Bounds,
    header: *mut Ipv6Header,
) -> Result<(usize, usize), Reason> {
    // SAFETY: `Bounds::at` gave the pointer, and the type has no alignment.
    let ip = unsafe { &*header };
    let mut next = header as usize + size_of::<Ipv6Header>();
    if ip.is_plain() {
        return Ok((next, PLAIN_UDP_LEN));
    }
    if ip.version() != 6 {
        return Err(Reason::Malformed);
    }
    let mut rest = ip.payload_len();
    let mut protocol = ip.next_header();
    for _ in 0..MAX_EXTENSIONS {
        match protocol {
            PROTOCOL_HOP_BY_HOP | PROTOCOL_ROUTING | PROTOCOL_DESTINATION => {}
            _ => break,
        }
        let extension: *mut [u8; 8] = frame.at(next)?;
        // SAFETY: `Bounds::at` gave the pointer.
        let [following, eights, ..] = unsafe { *extension };
        let len = (usize::from(eights) + 1) * 8;
        protocol = following;
        next += len;
        rest = rest.wrapping_sub(len);
    }
    match protocol {
        PROTOCOL_UDP => Ok((next, rest)),
        PROTOCOL_FRAGMENT => Err(Reason::Fragment),
        PROTOCOL_HOP_BY_HOP | PROTOCOL_ROUTING | PROTOCOL_DESTINATION => Err(Reason::Ipv6Chain),
        _ => Err(Reason::NotNtp),
    }
}
