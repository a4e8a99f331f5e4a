//! Takes the replies at the client's interface: matched to requests by the token that they bring back, counted,
//! their latency put into a histogram, and dropped.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::xdp;
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::XdpContext;
use ntp_common::load::{
    EXPECTED_LATENCY_MASK, EXPECTED_MODE, EXPECTED_PORT, EXPECTED_SALT, EXPECTED_TOKEN_AT,
    SEEN_ANSWERED, SEEN_KISSED, SEEN_OTHER, SEEN_STRANGE, bucket, has_due, is_of_run, kind_of_port,
    latency_ns,
};

use crate::frame::Frame;
use crate::maps::{EXPECTED, LATENCY, SEEN};

const TYPE_IPV4: u16 = 0x0800u16.to_be();
const TYPE_IPV6: u16 = 0x86ddu16.to_be();
const TYPE_CUSTOMER_VLAN: u16 = 0x8100u16.to_be();
const TYPE_SERVICE_VLAN: u16 = 0x88a8u16.to_be();
const PROTOCOL_UDP: u8 = 17;

const ETHERNET_LEN: usize = 14;
const VLAN_LEN: usize = 4;
const MAX_VLANS: usize = 2;
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
const UDP_LEN: usize = 8;

/// Offsets in an NTP packet. RFC 5905 figure 8.
const STRATUM: usize = 1;
const REFERENCE_ID: usize = 12;

#[xdp]
pub fn sink(context: XdpContext) -> u32 {
    take(Frame::of(&context)).unwrap_or(XDP_PASS)
}

#[inline(always)]
fn take(frame: Frame) -> Option<u32> {
    let Some((kind, payload)) = to_us(frame) else {
        count(&SEEN, SEEN_OTHER);
        return None;
    };
    let expected = EXPECTED.get(0)?;
    #[expect(clippy::cast_possible_truncation, reason = "64 bits are a word of BPF")]
    let token_at = payload + expected[EXPECTED_TOKEN_AT] as usize;
    let mode = u64::from(frame.read::<u8>(payload)? & 7);
    let token = u64::from_be(frame.read(token_at)?);
    if mode != expected[EXPECTED_MODE] || !is_of_run(token, expected[EXPECTED_SALT]) {
        count(&SEEN, SEEN_STRANGE);
        return Some(XDP_DROP);
    }
    let is_kiss = mode == 4
        && frame.read::<u8>(payload + STRATUM)? == 0
        && frame.read::<u32>(payload + REFERENCE_ID)? != 0;
    if is_kiss {
        count(&SEEN, SEEN_KISSED + kind);
        return Some(XDP_DROP);
    }
    let answered = count(&SEEN, SEEN_ANSWERED + kind);
    if answered & expected[EXPECTED_LATENCY_MASK] == 0 && has_due(token) {
        // SAFETY: the helper takes no arguments and has no precondition.
        let now = unsafe { bpf_ktime_get_ns() };
        count(&LATENCY, bucket(latency_ns(token, now)));
    }
    Some(XDP_DROP)
}

/// Counts one in this CPU's counter, and gives what it was before.
#[inline(always)]
fn count(counters: &PerCpuArray<u64>, index: usize) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "a few thousand")]
    let Some(counter) = counters.get_ptr_mut(index as u32) else { return 0 };
    // SAFETY: the entry is this CPU's, and programs of one CPU do not interrupt each other.
    let counter = unsafe { &mut *counter };
    let before = *counter;
    *counter = before + 1;
    before
}

/// The kind of requests that a datagram of the server answers, and where its payload begins; `None` for what is
/// not for a port of ours.
#[inline(always)]
fn to_us(frame: Frame) -> Option<(usize, usize)> {
    let mut ether_type: u16 = frame.read(ETHERNET_LEN - 2)?;
    let mut at = ETHERNET_LEN;
    for _ in 0..MAX_VLANS {
        if ether_type != TYPE_CUSTOMER_VLAN && ether_type != TYPE_SERVICE_VLAN {
            break;
        }
        ether_type = frame.read(at + VLAN_LEN - 2)?;
        at += VLAN_LEN;
    }
    let udp = match ether_type {
        TYPE_IPV4 if frame.read::<u8>(at)? == 0x45 && frame.read::<u8>(at + 9)? == PROTOCOL_UDP => {
            at + IPV4_LEN
        }
        TYPE_IPV6 if frame.read::<u8>(at + 6)? == PROTOCOL_UDP => at + IPV6_LEN,
        _ => return None,
    };
    let from: u16 = frame.read(udp)?;
    if u64::from(from) != EXPECTED.get(0)?[EXPECTED_PORT] {
        return None;
    }
    let kind = kind_of_port(u16::from_be(frame.read(udp + 2)?))?;
    Some((kind, udp + UDP_LEN))
}
