//! The programs that `cargo xtask bench prog` compares ours with: nothing at all, a reflector that swaps
//! addresses and ports, and a reflector that reads the clock once, which any answer must.
#![no_std]
#![no_main]
#![expect(missing_docs, reason = "the entry points that #[xdp] makes have none")]
#![expect(unreachable_pub, reason = "the loader finds entry points by their exported names")]

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, ProgramArray};
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

/// Longest frame of a measurement.
const TEMPLATE_LEN: usize = 128;
/// Frames that a measurement goes round: requests of as many clients.
const TEMPLATES: u32 = 1024;

/// How far a measurement has come.
#[repr(C)]
struct Progress {
    rounds: u64,
    began_ns: u64,
}

#[map]
static FRAMES: Array<[u8; TEMPLATE_LEN]> = Array::with_max_entries(TEMPLATES, 0);

#[map]
static PROGRESS: Array<Progress> = Array::with_max_entries(1, 0);

/// The program that is measured.
#[map]
static MEASURED: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Begins a round: the kernel's test run gives a program its own output as the next input, which is no
/// request any more. Puts the next client's request there and runs the measured program on it.
#[xdp]
pub fn again_v4(context: XdpContext) -> u32 {
    again::<FRAME_LEN>(&context).unwrap_or(XDP_DROP)
}

/// As [`again_v4`], for frames with a VLAN tag.
#[xdp]
pub fn again_vlan(context: XdpContext) -> u32 {
    again::<{ FRAME_LEN + 4 }>(&context).unwrap_or(XDP_DROP)
}

/// As [`again_v4`], for IPv6.
#[xdp]
pub fn again_v6(context: XdpContext) -> u32 {
    again::<{ FRAME_LEN + 20 }>(&context).unwrap_or(XDP_DROP)
}

#[inline(always)]
fn again<const LEN: usize>(context: &XdpContext) -> Option<u32> {
    // SAFETY: the entry is live, and only this CPU's test run uses it.
    let progress = unsafe { &mut *PROGRESS.get_ptr_mut(0)? };
    progress.rounds += 1;
    let template = FRAMES.get_ptr(progress.rounds as u32 & (TEMPLATES - 1))?.cast::<u8>();
    let start = context.data();
    if start + LEN > context.data_end() {
        return None;
    }
    let words = LEN / 8;
    for index in 0..=words {
        // The last word overlaps the one before.
        let at = if index < words { index * 8 } else { LEN - 8 };
        // SAFETY: `at` + 8 is at most the length of a template.
        let word = unsafe { template.add(at).cast::<u64>().read_unaligned() };
        // SAFETY: `at` + 8 is at most `LEN`, which the frame was checked to have.
        unsafe { ((start + at) as *mut u64).write_unaligned(word) };
    }
    // The clock read keeps the measured program from waiting for these stores: frames lie in the cache.
    // SAFETY: the helper takes no arguments and has no precondition.
    progress.began_ns = unsafe { bpf_ktime_get_ns() };
    // SAFETY: the context is that of this run.
    let _ = unsafe { MEASURED.tail_call(context, 0) };
    None
}

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

/// Sends a request back with the time in it.
#[xdp]
pub fn reflect_clock(context: XdpContext) -> u32 {
    turn_round(&context, |frame| {
        // SAFETY: the helper takes no arguments and has no precondition.
        frame.payload[5] = unsafe { bpf_ktime_get_ns() };
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
