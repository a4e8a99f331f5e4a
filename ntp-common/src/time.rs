//! Types of time. Timestamps wrap (an NTP era lasts 136 years and differences stay right across its end);
//! durations saturate (a duration out of range must stay large, never turn small or change its sign).

use core::ops::{Add, Neg, Sub};

/// Seconds from the NTP epoch (1900-01-01) to the Unix epoch (1970-01-01). RFC 5905 section 6.
pub const UNIX_EPOCH_IN_NTP_SECONDS: i64 = 2_208_988_800;

/// Nanoseconds in a second.
pub const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Seconds in an NTP era.
const ERA_SECONDS: i64 = 1 << 32;

/// A point in time in the 64-bit NTP timestamp format: seconds of the current era and a 32-bit fraction.
/// Zero means "unknown". RFC 5905 section 6.
///
/// Arithmetic wraps: the difference of two timestamps less than 68 years apart is right in any era.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct NtpTimestamp(u64);

impl NtpTimestamp {
    /// The timestamp that means "unknown".
    pub const UNKNOWN: Self = Self(0);

    /// Makes a timestamp of its 64 bits (32.32 fixed point, host byte order).
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits (32.32 fixed point, host byte order).
    #[inline(always)]
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Converts seconds and nanoseconds since the Unix epoch; `nanoseconds` is below 1,000,000,000.
    #[must_use]
    pub const fn from_unix(seconds: i64, nanoseconds: u32) -> Self {
        let seconds = seconds.wrapping_add(UNIX_EPOCH_IN_NTP_SECONDS).cast_unsigned();
        let fraction = ((nanoseconds as u64) << 32) / NANOS_PER_SECOND;
        Self((seconds << 32).wrapping_add(fraction))
    }

    /// Converts to seconds and nanoseconds since the Unix epoch, in the era that puts the result within
    /// 68 years of `pivot_seconds` (also since the Unix epoch). The nanoseconds are rounded down.
    #[must_use]
    pub const fn to_unix(self, pivot_seconds: i64) -> (i64, u32) {
        let in_era = (self.0 >> 32).cast_signed() - UNIX_EPOCH_IN_NTP_SECONDS;
        let past_pivot = in_era.wrapping_sub(pivot_seconds).wrapping_add(ERA_SECONDS / 2);
        let seconds =
            past_pivot.rem_euclid(ERA_SECONDS).wrapping_add(pivot_seconds) - ERA_SECONDS / 2;
        let nanoseconds = ((self.0 & 0xffff_ffff) * NANOS_PER_SECOND) >> 32;
        (seconds, nanoseconds as u32)
    }

    /// The signed time from `earlier` to `self`, right when they are less than 68 years apart.
    #[inline(always)]
    #[must_use]
    pub const fn since(self, earlier: Self) -> NtpDuration {
        NtpDuration(self.0.wrapping_sub(earlier.0).cast_signed())
    }

    /// Whether the timestamp is the one that means "unknown".
    #[inline(always)]
    #[must_use]
    pub const fn is_unknown(self) -> bool {
        self.0 == 0
    }
}

impl Add<NtpDuration> for NtpTimestamp {
    type Output = Self;

    #[inline(always)]
    fn add(self, duration: NtpDuration) -> Self {
        Self(self.0.wrapping_add(duration.0.cast_unsigned()))
    }
}

impl Sub<NtpDuration> for NtpTimestamp {
    type Output = Self;

    #[inline(always)]
    fn sub(self, duration: NtpDuration) -> Self {
        Self(self.0.wrapping_sub(duration.0.cast_unsigned()))
    }
}

/// A signed length of time, 32.32 fixed point, within +-68 years. Arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct NtpDuration(i64);

impl NtpDuration {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest duration: what saturating arithmetic ends at.
    pub const MAX: Self = Self(i64::MAX);

    /// Makes a duration of units of 2^-32 s.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: i64) -> Self {
        Self(bits)
    }

    /// The duration in units of 2^-32 s.
    #[inline(always)]
    #[must_use]
    pub const fn to_bits(self) -> i64 {
        self.0
    }

    /// Converts nanoseconds, to the nearest unit of 2^-32 s.
    #[must_use]
    pub const fn from_nanos(nanoseconds: i64) -> Self {
        let scaled = (nanoseconds as i128) << 32;
        let half = (NANOS_PER_SECOND / 2) as i128;
        let rounded = (scaled + half).div_euclid(NANOS_PER_SECOND as i128);
        Self::saturated(rounded)
    }

    /// The duration in nanoseconds, to the nearest.
    #[must_use]
    pub const fn to_nanos(self) -> i64 {
        let scaled = self.0 as i128 * NANOS_PER_SECOND as i128 + (1 << 31);
        #[expect(clippy::cast_possible_truncation, reason = "2^31 s are 2.1e18 ns, within i64")]
        let nanoseconds = (scaled >> 32) as i64;
        nanoseconds
    }

    const fn saturated(bits: i128) -> Self {
        if bits > i64::MAX as i128 {
            return Self(i64::MAX);
        }
        if bits < i64::MIN as i128 {
            return Self(i64::MIN);
        }
        #[expect(clippy::cast_possible_truncation, reason = "its range was checked above")]
        Self(bits as i64)
    }

    /// The magnitude.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }
}

impl Add for NtpDuration {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for NtpDuration {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for NtpDuration {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

/// A non-negative length of time in the 32-bit NTP short format (16.16 seconds): root delay and root
/// dispersion on the wire. RFC 5905 section 6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct NtpShort(u32);

impl NtpShort {
    /// One second: what an unsynchronised server gives as its root delay and dispersion.
    pub const SECOND: Self = Self(1 << 16);

    /// Makes a duration of units of 2^-16 s.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The duration in units of 2^-16 s.
    #[inline(always)]
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// Converts nanoseconds, rounding up: an error bound is never understated. Saturates at 65,536 s.
    #[must_use]
    pub const fn from_nanos_up(nanoseconds: u64) -> Self {
        let scaled = ((nanoseconds as u128) << 16).div_ceil(NANOS_PER_SECOND as u128);
        if scaled > u32::MAX as u128 {
            return Self(u32::MAX);
        }
        #[expect(clippy::cast_possible_truncation, reason = "its range was checked above")]
        Self(scaled as u32)
    }

    /// The duration in nanoseconds, rounded down.
    #[must_use]
    pub const fn to_nanos(self) -> u64 {
        (self.0 as u64 * NANOS_PER_SECOND) >> 16
    }
}

/// A reading of `CLOCK_MONOTONIC`, nanoseconds since boot: follows frequency steering, never steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct MonoNs(pub u64);

impl MonoNs {
    /// The reading `nanoseconds` later; saturates.
    #[must_use]
    pub const fn after(self, nanoseconds: u64) -> Self {
        Self(self.0.saturating_add(nanoseconds))
    }

    /// Nanoseconds from `earlier` to `self`; zero when `earlier` is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unix_epoch_is_2208988800_seconds_into_the_first_era() {
        let epoch = NtpTimestamp::from_unix(0, 0);
        assert_eq!(epoch.to_bits(), 2_208_988_800 << 32);
        assert_eq!(NtpTimestamp::from_unix(0, 500_000_000).to_bits() & 0xffff_ffff, 1 << 31);
    }

    #[test]
    fn difference_is_right_across_the_end_of_the_first_era() {
        // 2036-02-07 06:28:16 UTC is the first second of era 1.
        let before = NtpTimestamp::from_unix(2_085_978_495, 0);
        let after = NtpTimestamp::from_unix(2_085_978_497, 0);
        assert_eq!(after.to_bits() >> 32, 1);
        assert_eq!(after.since(before).to_nanos(), 2_000_000_000);
        assert_eq!(after.to_unix(2_085_978_495), (2_085_978_497, 0));
    }

    #[test]
    fn short_format_rounds_up_and_saturates() {
        assert_eq!(NtpShort::from_nanos_up(0).to_bits(), 0);
        assert_eq!(NtpShort::from_nanos_up(1).to_bits(), 1);
        assert_eq!(NtpShort::from_nanos_up(1_000_000_000), NtpShort::SECOND);
        assert_eq!(NtpShort::from_nanos_up(u64::MAX).to_bits(), u32::MAX);
    }

    #[test]
    fn durations_saturate_and_keep_their_sign() {
        assert_eq!(NtpDuration::from_nanos(i64::MAX).to_bits(), i64::MAX);
        assert_eq!(NtpDuration::MAX + NtpDuration::from_nanos(1), NtpDuration::MAX);
        assert!(NtpDuration::from_bits(i64::MIN).abs() > NtpDuration::ZERO);
    }

    proptest! {
        #[test]
        fn unix_time_survives_the_round_trip(
            seconds in -1_000_000_000i64..10_000_000_000,
            nanoseconds in 0u32..1_000_000_000,
            pivot_offset in -2_000_000_000i64..2_000_000_000,
        ) {
            let timestamp = NtpTimestamp::from_unix(seconds, nanoseconds);
            let (back_seconds, back_nanoseconds) = timestamp.to_unix(seconds + pivot_offset);
            prop_assert_eq!(back_seconds, seconds);
            prop_assert!(nanoseconds - back_nanoseconds <= 1);
        }

        #[test]
        fn adding_a_difference_gets_there(a: u64, b: u64) {
            let (a, b) = (NtpTimestamp::from_bits(a), NtpTimestamp::from_bits(b));
            prop_assert_eq!(a + b.since(a), b);
            prop_assert_eq!(b - b.since(a), a);
        }

        #[test]
        fn nanoseconds_survive_the_round_trip(nanoseconds in -2_000_000_000_000_000_000i64..2_000_000_000_000_000_000) {
            prop_assert_eq!(NtpDuration::from_nanos(nanoseconds).to_nanos(), nanoseconds);
        }
    }
}
