//! Runs a program again and again on the requests of many clients.

use aya_ebpf::bindings::xdp_action::XDP_DROP;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, ProgramArray};
use aya_ebpf::programs::XdpContext;

use crate::FRAME_LEN;
use crate::fill::{IPV6_FRAME_LEN, fill};

/// Longest frame of a measurement.
const TEMPLATE_LEN: usize = 128;
/// Frames that a measurement goes round: requests of as many clients.
const TEMPLATES: u32 = 1024;
/// Most clients of [`again_many`].
const MAX_SENDERS: u32 = 1 << 20;
/// Where the checksum of an IPv4 header, the source address and the UDP checksum are in a frame.
const IP_CHECKSUM: usize = 24;
const SOURCE: usize = 26;
const UDP_CHECKSUM: usize = 40;

/// How far a measurement has come.
#[repr(C)]
struct Progress {
    rounds: u64,
    began_ns: u64,
    /// Clients of [`again_many`] that take turns, and whose turn it is.
    senders: u32,
    turn: u32,
}

/// What differs between the requests of clients, as it lies in a frame.
#[repr(C)]
struct Sender {
    address: u32,
    ip_checksum: u16,
    udp_checksum: u16,
}

#[map]
static FRAMES: Array<[u8; TEMPLATE_LEN]> = Array::with_max_entries(TEMPLATES, 0);

#[map]
static PROGRESS: Array<Progress> = Array::with_max_entries(1, 0);

/// Clients of [`again_many`], in the order of their turns.
#[map]
static SENDERS: Array<Sender> = Array::with_max_entries(MAX_SENDERS, MMAPABLE);

/// `BPF_F_MMAPABLE` of the kernel's uapi.
const MMAPABLE: u32 = 1 << 10;

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
    again::<IPV6_FRAME_LEN>(&context).unwrap_or(XDP_DROP)
}

/// As [`again_v4`], for more clients than there are templates: all send the first one's frame.
#[xdp]
pub fn again_many(context: XdpContext) -> u32 {
    many(&context).unwrap_or(XDP_DROP)
}

#[inline(always)]
fn many(context: &XdpContext) -> Option<u32> {
    // SAFETY: the entry is live, and only this CPU's test run uses it.
    let progress = unsafe { &mut *PROGRESS.get_ptr_mut(0)? };
    let template = FRAMES.get_ptr(0)?.cast::<u8>();
    let start = fill::<FRAME_LEN>(context, template)?;
    progress.turn += 1;
    if progress.turn >= progress.senders {
        progress.turn = 0;
    }
    // SAFETY: the entry is live, and nobody writes it during a measurement.
    let sender = unsafe { &*SENDERS.get_ptr(progress.turn)? };
    // SAFETY: `fill` checked that the frame is so long; the same holds for the stores below.
    unsafe { ((start + SOURCE) as *mut u32).write_unaligned(sender.address) };
    // SAFETY: as above.
    unsafe { ((start + IP_CHECKSUM) as *mut u16).write_unaligned(sender.ip_checksum) };
    // SAFETY: as above.
    unsafe { ((start + UDP_CHECKSUM) as *mut u16).write_unaligned(sender.udp_checksum) };
    go_on(context, progress)
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "only the lowest bits of the round count")]
fn again<const LEN: usize>(context: &XdpContext) -> Option<u32> {
    // SAFETY: the entry is live, and only this CPU's test run uses it.
    let progress = unsafe { &mut *PROGRESS.get_ptr_mut(0)? };
    progress.rounds += 1;
    let template = FRAMES.get_ptr(progress.rounds as u32 & (TEMPLATES - 1))?.cast::<u8>();
    fill::<LEN>(context, template)?;
    go_on(context, progress)
}

/// Runs the measured program.
#[inline(always)]
fn go_on(context: &XdpContext, progress: &mut Progress) -> Option<u32> {
    // The clock read keeps the measured program from waiting for these stores: frames lie in the cache.
    // SAFETY: the helper takes no arguments and has no precondition.
    progress.began_ns = unsafe { bpf_ktime_get_ns() };
    // SAFETY: the context is that of this run.
    unsafe { MEASURED.tail_call(context, 0) };
    None
}
