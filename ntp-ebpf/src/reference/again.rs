//! Runs a program again and again on the requests of many clients.

use aya_ebpf::bindings::xdp_action::XDP_DROP;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, ProgramArray};
use aya_ebpf::programs::XdpContext;

use crate::FRAME_LEN;

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
#[expect(clippy::cast_possible_truncation, reason = "only the lowest bits of the round count")]
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
        let octets = unsafe { template.add(at) };
        // SAFETY: as above.
        let word = unsafe { octets.cast::<u64>().read_unaligned() };
        // SAFETY: `at` + 8 is at most `LEN`, which the frame was checked to have.
        unsafe { ((start + at) as *mut u64).write_unaligned(word) };
    }
    // The clock read keeps the measured program from waiting for these stores: frames lie in the cache.
    // SAFETY: the helper takes no arguments and has no precondition.
    progress.began_ns = unsafe { bpf_ktime_get_ns() };
    // SAFETY: the context is that of this run.
    unsafe { MEASURED.tail_call(context, 0) };
    None
}
