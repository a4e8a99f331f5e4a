//! The clock of the fast path: one read of `CLOCK_MONOTONIC` an answer.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use ntp_common::time::{MonoNs, NtpDuration};

/// From the clock read to the hand-over to the driver, 2^-32 s: 60 ns. A second read would cost more than
/// the time that it measures. More than any fuzz, so that a reply never leaves before its request came.
pub(crate) const TURNAROUND: NtpDuration = NtpDuration::from_bits(1 << 8);

/// Reads the monotonic clock.
#[inline(always)]
pub(crate) fn now() -> MonoNs {
    // SAFETY: the helper takes no arguments and has no precondition.
    MonoNs(unsafe { bpf_ktime_get_ns() })
}
