//! Makes one request when one is due. The kernel runs it on frames of its own making, again and again, and sends
//! each that is redirected (`BPF_F_TEST_XDP_LIVE_FRAMES`, Linux 5.18). Frames are used again: whatever a server
//! left in one is written over.

use aya_ebpf::bindings::xdp_action::XDP_DROP;
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_xdp_adjust_tail};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use ntp_common::checksum::Sum;
use ntp_common::load::{
    FRAME_WORDS, KINDS, PACE_CLIENT_OFFSET, PACE_END_NS, PACE_GRACE_NS, PACE_INTERVAL, PACE_SALT,
    PACE_START_NS, PROGRESS_EARLY, PROGRESS_FAILED, PROGRESS_KIND, PROGRESS_MOVED_NS,
    PROGRESS_READ_NS, PROGRESS_SENT, PROGRESS_STALLS, Pace, Progress, SCHEDULE_LEN,
    TEMPLATE_CLIENTS, TEMPLATE_FRAME, TEMPLATE_IP_CHECKSUM_AT, TEMPLATE_IP_SUM, TEMPLATE_KIND,
    TEMPLATE_LAST, TEMPLATE_LEN, TEMPLATE_SOURCE, TEMPLATE_SOURCE_AT, TEMPLATE_STAMP_AT,
    TEMPLATE_UDP_AT, TEMPLATE_UDP_SUM, Template, client, source_port, token,
};

use crate::frame::Frame;
use crate::maps::{INTERFACE, PACE, PROGRESS, SCHEDULE, TEMPLATE};

/// Offset of the checksum in a UDP header.
const UDP_CHECKSUM: usize = 6;

#[xdp]
pub fn generate(context: XdpContext) -> u32 {
    next(&context).unwrap_or(XDP_DROP)
}

#[inline(always)]
fn next(context: &XdpContext) -> Option<u32> {
    let pace = PACE.get(0)?;
    // SAFETY: the entry is this CPU's, and only the run that this thread asked for uses it.
    let progress = unsafe { &mut *PROGRESS.get_ptr_mut(0)? };
    let due = due(pace, progress)?;
    let sent = progress[PROGRESS_SENT];
    #[expect(clippy::cast_possible_truncation, reason = "only the lowest bits count")]
    let template = TEMPLATE.get(*SCHEDULE.get(sent as u32 & (SCHEDULE_LEN - 1))?)?;
    #[expect(clippy::cast_possible_truncation, reason = "64 bits are a word of BPF")]
    let kind = template[TEMPLATE_KIND] as usize;
    if kind >= KINDS {
        return None;
    }
    progress[PROGRESS_SENT] = sent + 1;
    let of_kind = progress[PROGRESS_KIND + kind];
    progress[PROGRESS_KIND + kind] = of_kind + 1;
    let turn = of_kind + pace[PACE_CLIENT_OFFSET];
    let Some(()) = fill(context, template, turn, token(due, pace[PACE_SALT])) else {
        progress[PROGRESS_FAILED] += 1;
        return None;
    };
    INTERFACE.redirect(0, u64::from(XDP_DROP)).ok()
}

/// When the request that is to be sent now was due; `None` when none is. A generator that is behind does not read the
/// clock again for what was due when it last did.
#[inline(always)]
fn due(pace: &Pace, progress: &mut Progress) -> Option<u64> {
    let interval = pace[PACE_INTERVAL];
    let planned = pace[PACE_START_NS] + ((progress[PROGRESS_SENT] * interval) >> 16);
    let due = planned + progress[PROGRESS_MOVED_NS];
    let mut now = progress[PROGRESS_READ_NS];
    if now < due || interval == 0 {
        // SAFETY: the helper takes no arguments and has no precondition.
        now = unsafe { bpf_ktime_get_ns() };
        progress[PROGRESS_READ_NS] = now;
        if now >= pace[PACE_END_NS] {
            return None;
        }
        if interval == 0 {
            return Some(now);
        }
        if now < due {
            progress[PROGRESS_EARLY] += 1;
            return None;
        }
    }
    let late = now - due;
    if late <= pace[PACE_GRACE_NS] {
        return Some(due);
    }
    // A burst would measure what the server's queue holds, not what it answers.
    progress[PROGRESS_MOVED_NS] += late;
    progress[PROGRESS_STALLS] += 1;
    Some(now)
}

/// Fills the frame with the template's request of the client whose turn it is.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "64 bits are a word of BPF")]
#[expect(clippy::cast_possible_wrap, reason = "frames are far shorter than 2^31 octets")]
fn fill(context: &XdpContext, template: &Template, turn: u64, token: u64) -> Option<()> {
    let len = template[TEMPLATE_LEN] as usize;
    let mut frame = Frame::of(context);
    if frame.len() != len {
        let delta = len as i32 - frame.len() as i32;
        // SAFETY: the context is that of this run; a length that the frame cannot have is refused.
        let result = unsafe { bpf_xdp_adjust_tail(context.ctx, delta) };
        if result != 0 {
            return None;
        }
        frame = Frame::of(context);
    }
    copy(frame, template)?;

    let client = client(turn, template[TEMPLATE_CLIENTS]);
    let source = (template[TEMPLATE_SOURCE] as u32).wrapping_add(client).to_be();
    frame.write(template[TEMPLATE_SOURCE_AT] as usize, source)?;
    let ip_checksum_at = template[TEMPLATE_IP_CHECKSUM_AT] as usize;
    if ip_checksum_at != 0 {
        let sum = Sum::ZERO.add_u16(template[TEMPLATE_IP_SUM] as u16).add_u32(source);
        frame.write(ip_checksum_at, !sum.fold())?;
    }

    let udp_at = template[TEMPLATE_UDP_AT] as usize;
    let port = source_port(template[TEMPLATE_KIND] as usize, client).to_be();
    frame.write(udp_at, port)?;
    let mut sum = Sum::ZERO.add_u16(template[TEMPLATE_UDP_SUM] as u16).add_u32(source);
    let stamp_at = template[TEMPLATE_STAMP_AT] as usize;
    if stamp_at != 0 {
        let stamp = token.to_be();
        frame.write(stamp_at, stamp)?;
        sum = sum.add_u64(stamp);
    }
    frame.write(udp_at + UDP_CHECKSUM, sum.add_u16(port).udp_checksum())
}

/// Copies the template's octets, a word at a time; the last word overlaps the one before. Where that begins is read
/// from the template: made of the length here, the compiler would compare one number and use the other.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "64 bits are a word of BPF")]
fn copy(frame: Frame, template: &Template) -> Option<()> {
    for index in 0..FRAME_WORDS {
        if frame.write(index * 8, template[TEMPLATE_FRAME + index]).is_none() {
            break;
        }
    }
    let last = template[TEMPLATE_LAST] as usize;
    if last > (FRAME_WORDS - 1) * 8 {
        return None;
    }
    let words = template.as_ptr().cast::<u8>();
    // SAFETY: the offset is checked to leave eight octets of the template behind it.
    let octets = unsafe { words.add(TEMPLATE_FRAME * 8 + last) };
    // SAFETY: as above; BPF loads need no alignment.
    let word = unsafe { octets.cast::<u64>().read_unaligned() };
    frame.write(last, word)
}
