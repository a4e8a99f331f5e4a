//! The programs that `cargo xtask bench prog` compares ours with: nothing at all, a reflector that swaps
//! addresses and ports, and a reflector that reads the clock once, which any answer must.
#![no_std]
#![no_main]
#![expect(missing_docs, reason = "the entry points that #[xdp] makes have none")]
#![expect(unreachable_pub, reason = "the loader finds entry points by their exported names")]
#![expect(clippy::inline_always, reason = "each program is one function, as the measured one is")]
#![expect(clippy::needless_pass_by_value, reason = "#[xdp] hands the context over by value")]

mod again;
mod fill;

use aya_ebpf::bindings::xdp_action::{XDP_PASS, XDP_TX};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

/// Ethernet, IPv4, UDP and NTP.
const FRAME_LEN: usize = 14 + 20 + 8 + 48;
const TYPE_IPV4: u16 = 0x0800u16.to_be();
const NTP_PORT: u16 = 123u16.to_be();

/// An Ethernet address, in parts that are loaded at once: six octets would be copied one by one.
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Station {
    high: u32,
    low: u16,
}

/// A plain request over IPv4.
#[repr(C, packed)]
struct Frame {
    destination_station: Station,
    source_station: Station,
    ether_type: u16,
    version_and_len: u8,
    ignored: [u8; 8],
    protocol: u8,
    checksum: u16,
    addresses: [u32; 2],
    ports: [u16; 2],
    len: u16,
    udp_checksum: u16,
    payload: [u64; 6],
}

const _: () = assert!(size_of::<Frame>() == FRAME_LEN);

/// Does nothing: what a run costs by itself.
#[xdp]
pub fn empty(_: XdpContext) -> u32 {
    XDP_PASS
}

/// Sends a request back as it came.
#[xdp]
pub fn reflect(context: XdpContext) -> u32 {
    turn_round(&context, |_| {}).unwrap_or(XDP_PASS)
}

/// Sends a request back with the time in it: in the place of the receive timestamp, as replies are told by the other one.
#[xdp]
pub fn reflect_clock(context: XdpContext) -> u32 {
    turn_round(&context, |frame| {
        // SAFETY: the helper takes no arguments and has no precondition.
        frame.payload[4] = unsafe { bpf_ktime_get_ns() };
    })
    .unwrap_or(XDP_PASS)
}

#[inline(always)]
fn turn_round(context: &XdpContext, change: impl FnOnce(&mut Frame)) -> Option<u32> {
    let start = context.data();
    if start + FRAME_LEN > context.data_end() {
        return None;
    }
    // SAFETY: the frame was checked to hold the whole type, which has no alignment.
    let frame = unsafe { &mut *(start as *mut Frame) };
    if frame.ether_type != TYPE_IPV4
        || frame.version_and_len != 0x45
        || frame.protocol != 17
        || frame.ports[1] != NTP_PORT
    {
        return None;
    }
    let (destination, source) = (frame.destination_station, frame.source_station);
    frame.destination_station = source;
    frame.source_station = destination;
    frame.addresses = [frame.addresses[1], frame.addresses[0]];
    frame.ports = [frame.ports[1], frame.ports[0]];
    change(frame);
    Some(XDP_TX)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
