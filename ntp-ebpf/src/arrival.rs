//! When a request came in: at the read of the clock, or, where the interface took a timestamp, at that.
//!
//! The driver is asked by a call of the kernel (`bpf_xdp_metadata_rx_timestamp`) that only a program bound to one
//! interface may make. The object has functions in its place, and the daemon, which loads the program for an interface,
//! puts the call there: so every kernel takes the object.

use core::arch::asm;
use core::ptr::read_volatile;

use aya_ebpf::bindings::xdp_md;
use ntp_common::arrival::{Arrival, ArrivalCounters, InterfaceClock, MAX_CLOCKS};
use ntp_common::snapshot::scale;
use ntp_common::time::{MonoNs, NtpTimestamp};

use crate::maps::{ARRIVALS, CLOCKS};

/// Who says when a request came in.
pub(crate) trait Receiver: Copy {
    /// When it did, given that it was `time` when the clock was read at `now`; `multiplier` is the snapshot's.
    fn received(self, time: NtpTimestamp, multiplier: u64, now: MonoNs) -> NtpTimestamp;
}

/// The program itself.
#[derive(Clone, Copy)]
pub(crate) struct Program;

impl Receiver for Program {
    #[inline(always)]
    fn received(self, time: NtpTimestamp, _: u64, _: MonoNs) -> NtpTimestamp {
        time
    }
}

/// The interface, of the packet with this context, where that adds up.
#[derive(Clone, Copy)]
pub(crate) struct Interface(pub(crate) *mut xdp_md);

impl Receiver for Interface {
    #[inline(always)]
    fn received(self, time: NtpTimestamp, multiplier: u64, now: MonoNs) -> NtpTimestamp {
        let slot = clock_slot() & (MAX_CLOCKS as u64 - 1);
        let (age_ns, arrival) = match age_ns(self.0, slot as u32, now) {
            Ok(age_ns) => (age_ns, Arrival::Hardware),
            Err(arrival) => (0, arrival),
        };
        if let Some(counters) = ARRIVALS.get_ptr_mut(slot as u32) {
            count(counters, arrival);
        }
        NtpTimestamp::from_bits(time.to_bits().wrapping_sub(scale(age_ns, multiplier)))
    }
}

#[inline(always)]
fn count(counters: *mut ArrivalCounters, arrival: Arrival) {
    // SAFETY: the pointer is to this CPU's live entry, which no other program of it writes meanwhile.
    let counters = unsafe { &mut *counters };
    let value = &mut counters[arrival as usize & (counters.len() - 1)];
    *value = value.wrapping_add(1);
}

/// How old the packet is by the word of its interface.
#[inline(always)]
fn age_ns(context: *mut xdp_md, slot: u32, now: MonoNs) -> Result<u64, Arrival> {
    let mut stamp_ns = 0;
    // Drivers that know of no time for this packet say so, or give none.
    if hardware_stamp(context, &raw mut stamp_ns) != 0 || stamp_ns == 0 {
        return Err(Arrival::Absent);
    }
    clock(slot).ok_or(Arrival::ClockUnknown)?.age_ns(stamp_ns, now)
}

/// What the daemon tells of the clock; `None` while it is changing that.
#[inline(always)]
fn clock(slot: u32) -> Option<InterfaceClock> {
    let slot = CLOCKS.get_ptr(slot)?;
    // SAFETY: the entry is live; the daemon writes it word by word.
    let before = unsafe { read_volatile(&raw const (*slot).sequence) };
    // SAFETY: as above. Loads are not reordered: see `crate::snapshot`.
    let words = unsafe { read_volatile(&raw const (*slot).words) };
    // SAFETY: as above.
    let after = unsafe { read_volatile(&raw const (*slot).sequence) };
    let is_whole = before == after && before & 1 == 0;
    is_whole.then(|| InterfaceClock::from_words(&words))
}

/// Stands for the call of the driver, which writes a time, nanoseconds of the interface's clock: that there is none
/// (`-EOPNOTSUPP`). The daemon replaces the one instruction.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn hardware_stamp(context: *mut xdp_md, stamp_ns: *mut u64) -> i64 {
    let result;
    // SAFETY: sets a register. What it is told to use and to change is what the call in its place does.
    unsafe { asm!("r0 = -95", in("r1") context, in("r2") stamp_ns, out("r0") result) };
    result
}

/// Stands for the number of the interface's clock. The daemon replaces the one instruction.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn clock_slot() -> u64 {
    let slot;
    // SAFETY: sets a register.
    unsafe { asm!("r0 = 0", out("r0") slot) };
    slot
}
