//! Puts a request into a frame.

use aya_ebpf::programs::XdpContext;

use crate::FRAME_LEN;

/// An IPv6 frame.
pub(crate) const IPV6_FRAME_LEN: usize = FRAME_LEN + 20;
/// A UDP header and a plain request.
const UDP_AND_PAYLOAD: usize = 8 + 48;

/// Puts a template into the frame, and gives where that begins: the verifier knows the length of this pointer alone.
///
/// Fields are stored as a server loads them: a load that takes from two stores waits until both are in the
/// cache, behind all stores before them. A frame that came from a device is in the cache already.
#[inline(always)]
pub(crate) fn fill<const LEN: usize>(context: &XdpContext, template: *const u8) -> Option<usize> {
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
