//! Runs a program again and again on the requests of many clients.

use aya_ebpf::bindings::xdp_action::XDP_DROP;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, ProgramArray};
use aya_ebpf::programs::XdpContext;

use crate::FRAME_LEN;

/// An IPv6 frame.
const IPV6_FRAME_LEN: usize = FRAME_LEN + 20;
/// A UDP header and a plain request.
const UDP_AND_PAYLOAD: usize = 8 + 48;
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

/// Puts a template into the frame, and gives where that begins: the verifier knows the length of this pointer alone.
///
/// Fields are stored as a server loads them: a load that takes from two stores waits until both are in the
/// cache, behind all stores before them. A frame that came from a device is in the cache already.
#[inline(always)]
fn fill<const LEN: usize>(context: &XdpContext, template: *const u8) -> Option<usize> {
    let start = context.data();
    if start + LEN > context.data_end() {
        return None;
    }
    let udp = LEN - UDP_AND_PAYLOAD;
    let ip = udp - if LEN == IPV6_FRAME_LEN { 40 } else { 20 };
    let frame = Copied { template, start };
    for (at, octets) in [(0, 4), (4, 2), (6, 4), (10, 2), (12, 2)] {
        frame.copy(at, octets);
    }
    for at in (14..ip).step_by(2) {
        frame.copy(at, 2);
    }
    frame.copy(ip, 8);
    let address = if LEN == IPV6_FRAME_LEN { 8 } else { 4 };
    for at in (ip + 8..udp).step_by(address) {
        frame.copy(at, address);
    }
    for (at, octets) in [(0, 4), (4, 2), (6, 2)] {
        frame.copy(udp + at, octets);
    }
    for at in (udp + 8..LEN).step_by(8) {
        frame.copy(at, 8);
    }
    Some(start)
}

/// A frame that is being filled.
struct Copied {
    template: *const u8,
    start: usize,
}

impl Copied {
    /// Copies eight, four or two octets, which lie within the frame and the template.
    #[inline(always)]
    fn copy(&self, at: usize, octets: usize) {
        match octets {
            8 => self.copy_as::<u64>(at),
            4 => self.copy_as::<u32>(at),
            _ => self.copy_as::<u16>(at),
        }
    }

    #[inline(always)]
    fn copy_as<T>(&self, at: usize) {
        // SAFETY: a template is longer.
        let source = unsafe { self.template.add(at) }.cast::<T>();
        // SAFETY: as above.
        let octets = unsafe { source.read_unaligned() };
        // SAFETY: the frame was checked to be longer, too.
        unsafe { ((self.start + at) as *mut T).write_unaligned(octets) };
    }
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
