//! Seconds as the floating-point numbers that the discipline calculates with, from and to the fixed-point
//! types that timestamps are kept in.

use ntp_common::time::{MonoNs, NANOS_PER_SECOND, NtpDuration, NtpShort};

/// Units of [`NtpDuration`] in a second: 2^32.
const UNITS: f64 = 4_294_967_296.0;

/// The duration in seconds.
#[expect(clippy::cast_precision_loss, reason = "53 bits: exact below 24 days, 0.1 us at 34 years")]
pub(crate) fn of(duration: NtpDuration) -> f64 {
    duration.to_bits() as f64 / UNITS
}

/// The duration of `seconds`; saturates, and is zero for what is not a number.
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, as durations do")]
pub(crate) fn duration(seconds: f64) -> NtpDuration {
    NtpDuration::from_bits((seconds * UNITS).round() as i64)
}

/// The duration times a factor near 1, without the loss of going through seconds.
pub(crate) fn times(duration: NtpDuration, factor: f64) -> NtpDuration {
    duration + self::duration(of(duration) * (factor - 1.0))
}

/// An error bound in the format of the wire, rounded up; saturates.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
pub(crate) fn short(seconds: f64) -> NtpShort {
    NtpShort::from_nanos_up((seconds * 1e9).ceil() as u64)
}

/// A duration off the wire in seconds.
pub(crate) fn of_short(short: NtpShort) -> f64 {
    f64::from(short.to_bits()) / 65_536.0
}

/// Seconds from `earlier` to `later`; zero when `earlier` is not earlier.
#[expect(clippy::cast_precision_loss, reason = "exact below 104 days")]
pub(crate) fn between(earlier: MonoNs, later: MonoNs) -> f64 {
    later.since(earlier) as f64 / NANOS_PER_SECOND as f64
}

/// The reading `seconds` after `from`, rounded up so that a timer is never early; saturates.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
pub(crate) fn after(from: MonoNs, seconds: f64) -> MonoNs {
    from.after((seconds * 1e9).ceil() as u64)
}
