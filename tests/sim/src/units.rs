//! Seconds as floating-point numbers, from and to the fixed-point types of the engine.

use ntp_common::time::{NtpDuration, NtpTimestamp};

/// Units of [`NtpDuration`] in a second: 2^32.
const UNITS: f64 = 4_294_967_296.0;

/// Seconds as a duration; saturates.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, as durations do")]
pub fn duration(seconds: f64) -> NtpDuration {
    NtpDuration::from_bits((seconds * UNITS).round() as i64)
}

/// A duration in seconds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "53 bits: exact below 24 days")]
pub fn seconds(duration: NtpDuration) -> f64 {
    duration.to_bits() as f64 / UNITS
}

/// The first second of 2026, where simulations begin unless they say otherwise.
pub const START: NtpTimestamp = NtpTimestamp::from_bits(3_976_214_400 << 32);
