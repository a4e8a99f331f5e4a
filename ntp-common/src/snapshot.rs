//! The snapshot that the daemon publishes: what time it is, how sure the daemon is, and until when that may
//! be relied on. Both paths make every answer from one.
//!
//! Time is extrapolated from `CLOCK_MONOTONIC`, which follows the same frequency steering as
//! `CLOCK_REALTIME` but never steps. Past [`RefSnapshot::valid_until_ns`] nothing is answered from it.
//!
//! A leap second is scheduled in it as an instant of the monotonic clock: [`RefSnapshot::as_of`].
//!
//! The daemon publishes one a second. While a snapshot is that young, an answer needs little arithmetic: what all replies hold lies
//! in it as they hold it ([`Template`]), and one comparison tells that no leap second has come.

use crate::template::{POLL_SHIFT, Template};
use crate::time::{MonoNs, NANOS_PER_SECOND, NtpShort, NtpTimestamp};
use crate::wire::{LeapIndicator, Mode, ReferenceId};

/// Most nanoseconds that a snapshot may be extrapolated over: what [`scale`] is exact for. Twice what a
/// snapshot lives at most, 60 s, rounded to a power of two.
pub const MAX_AGE_NS: u64 = 1 << 37;

/// Longest life of a snapshot, nanoseconds.
pub const MAX_LIFE_NS: u64 = 60 * NANOS_PER_SECOND;

/// Fractional bits of [`RefSnapshot::multiplier`].
pub const MULTIPLIER_BITS: u32 = 61;

/// The multiplier for a served clock that runs exactly as `CLOCK_MONOTONIC` does: 2^61 * 2^32 / 10^9.
pub const NOMINAL_MULTIPLIER: u64 = 9_903_520_314_283_042_199;

/// Words of 64 bits that a snapshot takes in the map. The first of them are all that a young one is answered from.
pub const SNAPSHOT_WORDS: usize = 13;

/// The word that holds [`RefSnapshot::base_ns`].
pub const BASE_WORD: usize = 0;

/// The word that holds [`RefSnapshot::young_ns`].
pub const YOUNG_WORD: usize = 1;

/// The word that holds [`RefSnapshot::multiplier`].
pub const MULTIPLIER_WORD: usize = 2;

/// The word that holds [`RefSnapshot::base_ntp`].
pub const BASE_NTP_WORD: usize = 3;

/// The first of the words that hold the [`Template`] of a young snapshot.
pub const TEMPLATE_WORD: usize = 4;

/// The word that holds [`RefSnapshot::valid_for_ns`].
pub const VALID_FOR_WORD: usize = 10;

/// Age up to which a snapshot is young, nanoseconds: what [`scale_short`] takes. The daemon starts snapshots from an instant a
/// second ago, and replaces them after one.
pub const YOUNG_NS: u64 = 1 << 31;

/// Root dispersion has grown in a young snapshot as if it were so old, in units of 2^-16 s: 2.5 s, which served time does not
/// reach in [`YOUNG_NS`] at any rate up to [`MAX_YOUNG_MULTIPLIER`].
const YOUNG_SHORT: u64 = 5 << 15;

/// The multiplier of a clock that runs faster than 1.16 times `CLOCK_MONOTONIC`, whose snapshots are never young.
const MAX_YOUNG_MULTIPLIER: u64 = NOMINAL_MULTIPLIER / 100 * 116;

/// [`RefSnapshot::leap_at_ns`] of a snapshot in whose life there is no leap second.
pub const NO_LEAP: u64 = u64::MAX;

/// Bits of the leap indicator in [`RefSnapshot::head`].
const LEAP_BITS: u64 = 3 << 62;

/// What the daemon knows of the time, at one instant and shortly after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefSnapshot {
    /// `CLOCK_MONOTONIC` at the instant. It lies in the past of whoever reads it.
    pub base_ns: u64,
    /// The best estimate of true time at the instant, 64 bits of an NTP timestamp.
    pub base_ntp: u64,
    /// NTP units (2^-32 s) of served time to a nanosecond of `CLOCK_MONOTONIC`, in Q61.
    pub multiplier: u64,
    /// `CLOCK_MONOTONIC` from which on nothing is answered any more; 0 invalidates.
    pub valid_until_ns: u64,
    /// The first eight octets of every reply but for version and poll: see [`head`].
    pub head: u64,
    /// Root dispersion at the instant, in units of 2^-16 s.
    pub root_dispersion: u32,
    /// Growth of the root dispersion, in units of 2^-32 s/s.
    pub dispersion_rate: u32,
    /// What the clock is synchronised to.
    pub reference_id: u32,
    /// The smallest poll exponent that a reply gives, log2 seconds.
    pub min_poll: i8,
    /// Bits below the precision: the least significant part of a timestamp, which carries no information
    /// and is overwritten with fuzz.
    pub fuzz_mask: u8,
    /// When the clock was last corrected, 64 bits of an NTP timestamp.
    pub reference_timestamp: u64,
    /// `CLOCK_MONOTONIC` from which on a leap second has taken place, or [`NO_LEAP`].
    pub leap_at_ns: u64,
    /// What is added to served time then, seconds: -1 when a second is inserted, 1 when one is deleted, 0
    /// when the leap second is only announced.
    pub leap_step: i8,
}

/// Packs what is the same in the first eight octets of every reply: leap indicator, mode 4, stratum,
/// precision and root delay; version and poll are left zero.
#[must_use]
pub const fn head(leap: LeapIndicator, stratum: u8, precision: i8, root_delay: NtpShort) -> u64 {
    ((leap as u64) << 6 | Mode::Server as u64) << 56
        | (stratum as u64) << 48
        | (precision.cast_unsigned() as u64) << 32
        | root_delay.to_bits() as u64
}

/// Multiplies nanoseconds with a Q61 multiplier in 64-bit arithmetic, which is all that eBPF has. The result
/// is at most 3 too small for `nanoseconds` up to [`MAX_AGE_NS`], and the larger the more nanoseconds.
#[inline(always)]
#[must_use]
pub const fn scale(nanoseconds: u64, multiplier: u64) -> u64 {
    if nanoseconds < YOUNG_NS {
        return scale_short(nanoseconds, multiplier);
    }
    let (high, low) = (nanoseconds >> 32, nanoseconds & 0xffff_ffff);
    let by_low = low * (multiplier >> 32) + ((low * (multiplier & 0xffff_ffff)) >> 32);
    let by_high = high * (multiplier >> 5);
    (by_low >> 29).wrapping_add(by_high >> 24)
}

/// As [`scale`], for less than [`YOUNG_NS`]: one multiplication.
#[inline(always)]
#[must_use]
pub const fn scale_short(nanoseconds: u64, multiplier: u64) -> u64 {
    // 31 bits by 33.
    nanoseconds.wrapping_mul(multiplier >> 31) >> (MULTIPLIER_BITS - 31)
}

impl RefSnapshot {
    /// A snapshot that nothing is answered from.
    pub const INVALID: Self = Self {
        base_ns: 0,
        base_ntp: 0,
        multiplier: NOMINAL_MULTIPLIER,
        valid_until_ns: 0,
        head: 0,
        root_dispersion: 0,
        dispersion_rate: 0,
        reference_id: 0,
        min_poll: 0,
        fuzz_mask: 0,
        reference_timestamp: 0,
        leap_at_ns: NO_LEAP,
        leap_step: 0,
    };

    /// Whether a request that arrived at `now` may be answered. A reading from before the snapshot was
    /// taken is none that the snapshot speaks of.
    #[inline(always)]
    #[must_use]
    pub const fn is_valid_at(&self, now: MonoNs) -> bool {
        now.0.wrapping_sub(self.base_ns) < self.valid_for_ns()
    }

    /// From which age on nothing is answered from the snapshot, nanoseconds. The age at a reading from before it was taken, which
    /// wraps, is more than any.
    #[inline(always)]
    #[must_use]
    pub const fn valid_for_ns(&self) -> u64 {
        self.valid_until_ns.saturating_sub(self.base_ns)
    }

    /// The snapshot as it speaks of `now`: from the scheduled leap second on, NTP time repeats a second or has
    /// left one out, and nothing is announced any more.
    #[inline(always)]
    #[must_use]
    pub const fn as_of(self, now: MonoNs) -> Self {
        if now.0 < self.leap_at_ns { self } else { self.past_leap() }
    }

    #[inline(always)]
    const fn past_leap(self) -> Self {
        // A second is 2^32 units; the sign of the step goes with the shift.
        let step = ((self.leap_step as i64) << 32).cast_unsigned();
        Self {
            base_ntp: self.base_ntp.wrapping_add(step),
            reference_timestamp: match self.reference_timestamp {
                0 => 0,
                known => known.wrapping_add(step),
            },
            head: self.head & !LEAP_BITS,
            leap_at_ns: NO_LEAP,
            ..self
        }
    }

    /// The best estimate of true time at `now`, a reading not before [`RefSnapshot::base_ns`].
    #[inline(always)]
    #[must_use]
    pub const fn time_at(&self, now: MonoNs) -> NtpTimestamp {
        let elapsed = scale(now.0.wrapping_sub(self.base_ns), self.multiplier);
        NtpTimestamp::from_bits(self.base_ntp.wrapping_add(elapsed))
    }

    /// From which age on the snapshot is to be looked at more closely, nanoseconds: until then it is young, valid, and no leap second
    /// has taken place.
    #[inline(always)]
    #[must_use]
    pub const fn young_ns(&self) -> u64 {
        let end = if self.leap_at_ns < self.valid_until_ns {
            self.leap_at_ns
        } else {
            self.valid_until_ns
        };
        let life = end.saturating_sub(self.base_ns);
        match () {
            () if self.multiplier > MAX_YOUNG_MULTIPLIER => 0,
            () if life < YOUNG_NS => life,
            () => YOUNG_NS,
        }
    }

    /// What replies hold when served time is `at`.
    #[inline(always)]
    #[must_use]
    pub const fn template_at(&self, at: NtpTimestamp) -> Template {
        Template::new(self.head, self.root_at(at), self.reference_timestamp, self.min_poll)
    }

    /// The random bits that lie below the precision: fuzz for [`crate::respond::respond`].
    #[inline(always)]
    #[must_use]
    pub const fn fuzz(&self, random: u8) -> u8 {
        random & self.fuzz_mask
    }

    /// Root dispersion when served time is `at`: grows with the snapshot's age, rounded up. In the first seconds it is that of
    /// their end.
    #[inline(always)]
    #[must_use]
    pub const fn dispersion_at(&self, at: NtpTimestamp) -> u32 {
        (self.root_at(at) >> 32) as u32
    }

    /// The eight octets of a reply that hold root dispersion and reference identifier, when served time is `at`.
    #[inline(always)]
    #[must_use]
    pub const fn root_at(&self, at: NtpTimestamp) -> u64 {
        let age = at.to_bits().wrapping_sub(self.base_ntp).cast_signed();
        let age_short = if age < 0 { 0 } else { (age >> 16).cast_unsigned() & 0xffff_ffff };
        let age_short = if age_short < YOUNG_SHORT { YOUNG_SHORT } else { age_short };
        let growth = (age_short * self.dispersion_rate as u64 + 0xffff_ffff) & !0xffff_ffff;
        let root = (self.root_dispersion as u64) << 32 | self.reference_id as u64;
        root.wrapping_add(growth)
    }

    /// Leap indicator that replies give.
    #[must_use]
    pub const fn leap(&self) -> LeapIndicator {
        LeapIndicator::from_octet((self.head >> 56) as u8)
    }

    /// Stratum that replies give.
    #[must_use]
    pub const fn stratum(&self) -> u8 {
        (self.head >> 48 & 0xff) as u8
    }

    /// Root delay that replies give.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is the root delay")]
    pub const fn root_delay(&self) -> NtpShort {
        NtpShort::from_bits(self.head as u32)
    }

    /// Identifier of what the clock is synchronised to.
    #[must_use]
    pub const fn reference_id(&self) -> ReferenceId {
        ReferenceId(self.reference_id)
    }

    /// The snapshot as it lies in a slot of the ring.
    #[inline(always)]
    #[must_use]
    pub const fn to_words(&self) -> [u64; SNAPSHOT_WORDS] {
        let options = (self.leap_step.cast_unsigned() as u64) << 8 | self.fuzz_mask as u64;
        let [head, root, reference, sum, min_poll] =
            self.template_at(NtpTimestamp::from_bits(self.base_ntp)).to_words();
        [
            self.base_ns,
            self.young_ns(),
            self.multiplier,
            self.base_ntp,
            head,
            root,
            reference,
            sum,
            min_poll,
            options << 32 | self.dispersion_rate as u64,
            self.valid_for_ns(),
            self.leap_at_ns,
            (self.root_dispersion as u64) << 32 | self.reference_id as u64,
        ]
    }

    /// Reads a snapshot off a slot of the ring.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "fields are cut out of packed words")]
    pub const fn from_words(words: &[u64; SNAPSHOT_WORDS]) -> Self {
        Self {
            base_ns: words[BASE_WORD],
            base_ntp: words[BASE_NTP_WORD],
            multiplier: words[MULTIPLIER_WORD],
            valid_until_ns: words[BASE_WORD].saturating_add(words[VALID_FOR_WORD]),
            head: u64::from_be(words[TEMPLATE_WORD]),
            root_dispersion: (words[12] >> 32) as u32,
            dispersion_rate: words[9] as u32,
            reference_id: words[12] as u32,
            min_poll: (words[8].cast_signed() >> POLL_SHIFT) as i8,
            fuzz_mask: (words[9] >> 32) as u8,
            reference_timestamp: u64::from_be(words[TEMPLATE_WORD + 2]),
            leap_at_ns: words[11],
            leap_step: ((words[9] >> 40) as u8).cast_signed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn snapshot() -> RefSnapshot {
        RefSnapshot {
            base_ns: 1_000,
            base_ntp: 4_000_000_000 << 32,
            valid_until_ns: 1_000 + MAX_LIFE_NS,
            root_dispersion: 100,
            dispersion_rate: 64_425,
            ..RefSnapshot::INVALID
        }
    }

    #[test]
    fn invalid_snapshot_is_valid_at_no_time() {
        for now in [0, 1, u64::MAX] {
            assert!(!RefSnapshot::INVALID.is_valid_at(MonoNs(now)));
        }
    }

    #[test]
    fn validity_ends_at_the_expiry_and_begins_at_the_base() {
        let snapshot = snapshot();
        assert!(!snapshot.is_valid_at(MonoNs(999)));
        assert!(snapshot.is_valid_at(MonoNs(1_000)));
        assert!(snapshot.is_valid_at(MonoNs(snapshot.valid_until_ns - 1)));
        assert!(!snapshot.is_valid_at(MonoNs(snapshot.valid_until_ns)));
    }

    #[test]
    fn snapshot_is_young_until_something_happens() {
        let snapshot = snapshot();
        assert_eq!(snapshot.young_ns(), YOUNG_NS);
        assert_eq!(RefSnapshot { leap_at_ns: 1_500, ..snapshot }.young_ns(), 500);
        assert_eq!(
            RefSnapshot { valid_until_ns: 1_200, leap_at_ns: 1_500, ..snapshot }.young_ns(),
            200
        );
        assert_eq!(RefSnapshot { leap_at_ns: 7, ..snapshot }.young_ns(), 0);
        assert_eq!(RefSnapshot { multiplier: u64::MAX, ..snapshot }.young_ns(), 0);
        assert_eq!(RefSnapshot::INVALID.young_ns(), 0);
    }

    #[test]
    fn a_second_of_the_monotonic_clock_is_a_second_of_served_time() {
        let second = snapshot().time_at(MonoNs(1_000 + NANOS_PER_SECOND));
        let error = second.to_bits().wrapping_sub(4_000_000_001 << 32).cast_signed();
        assert!((-3..=0).contains(&error), "{error}");
    }

    #[test]
    fn dispersion_grows_with_age_and_never_shrinks_below_its_base() {
        let snapshot = snapshot();
        let at = |seconds: u64| NtpTimestamp::from_bits((4_000_000_000 + seconds) << 32);
        // 15 ppm over 2.5 s are 37.5 us: 2.46 units of 2^-16 s, rounded up.
        for seconds in [0, 1, 2] {
            assert_eq!(snapshot.dispersion_at(at(seconds)), 103);
        }
        // Over 32 s they are 480 us: 31.46 units.
        assert_eq!(snapshot.dispersion_at(at(32)), 132);
        assert_eq!(snapshot.dispersion_at(NtpTimestamp::from_bits(3_999_999_999 << 32)), 103);
    }

    fn leaping(step: i8, leap: LeapIndicator) -> RefSnapshot {
        RefSnapshot {
            leap_at_ns: 1_000 + NANOS_PER_SECOND,
            leap_step: step,
            head: head(leap, 2, -25, NtpShort::from_bits(7)),
            reference_timestamp: 3_999_999_990 << 32,
            ..snapshot()
        }
    }

    #[test]
    fn leap_second_is_taken_at_the_very_nanosecond() {
        let midnight = NtpTimestamp::from_bits(4_000_000_001 << 32);
        for (step, leap) in [(-1, LeapIndicator::Insert), (1, LeapIndicator::Delete)] {
            let snapshot = leaping(step, leap);
            let before = snapshot.as_of(MonoNs(snapshot.leap_at_ns - 1));
            assert_eq!(before, snapshot);
            let late = MonoNs(snapshot.leap_at_ns);
            let after = snapshot.as_of(late);
            assert_eq!(after.leap(), LeapIndicator::Normal);
            assert_eq!((after.stratum(), after.root_delay().to_bits()), (2, 7));
            let moved = after.time_at(late).since(midnight).to_nanos();
            assert_eq!(moved, i64::from(step) * NANOS_PER_SECOND.cast_signed());
            let updated =
                after.time_at(late).since(NtpTimestamp::from_bits(after.reference_timestamp));
            assert_eq!(updated.to_nanos(), 11 * NANOS_PER_SECOND.cast_signed());
            assert_eq!(after.dispersion_at(after.time_at(late)), snapshot.dispersion_at(midnight));
            assert_eq!(after.as_of(late), after, "a leap second is taken once");
        }
    }

    #[test]
    fn leap_second_that_nobody_corrects_is_no_longer_announced_afterwards() {
        let snapshot = leaping(0, LeapIndicator::Insert);
        let late = MonoNs(snapshot.leap_at_ns + 5);
        let after = snapshot.as_of(late);
        assert_eq!(after.leap(), LeapIndicator::Normal);
        assert_eq!(after.time_at(late), snapshot.time_at(late));
        let unknown = RefSnapshot { reference_timestamp: 0, ..leaping(-1, LeapIndicator::Insert) };
        assert_eq!(unknown.as_of(late).reference_timestamp, 0);
    }

    proptest! {
        #[test]
        fn scale_agrees_with_wide_arithmetic(
            nanoseconds in 0..=MAX_AGE_NS,
            deviation in -1_000_000_000_000_000_000i64..1_000_000_000_000_000_000,
        ) {
            let multiplier = NOMINAL_MULTIPLIER.wrapping_add_signed(deviation);
            let exact = (u128::from(nanoseconds) * u128::from(multiplier)) >> MULTIPLIER_BITS;
            let error = exact - u128::from(scale(nanoseconds, multiplier));
            prop_assert!(error <= 3, "{}", error);
        }

        #[test]
        fn served_time_never_runs_backwards(a in 0..MAX_AGE_NS, b in 0..MAX_AGE_NS) {
            let snapshot = snapshot();
            let (early, late) = (a.min(b), a.max(b));
            let from = snapshot.time_at(MonoNs(1_000 + early));
            let to = snapshot.time_at(MonoNs(1_000 + late));
            prop_assert!(to.since(from).to_bits() >= 0);
            prop_assert!(snapshot.dispersion_at(to) >= snapshot.dispersion_at(from));
        }

        #[test]
        fn words_survive_the_round_trip(words: [u64; SNAPSHOT_WORDS]) {
            let snapshot = RefSnapshot::from_words(&words);
            prop_assert_eq!(RefSnapshot::from_words(&snapshot.to_words()), snapshot);
            for word in [BASE_WORD, MULTIPLIER_WORD, BASE_NTP_WORD, TEMPLATE_WORD] {
                prop_assert_eq!(snapshot.to_words()[word], words[word]);
            }
        }

        #[test]
        fn snapshot_holds_from_its_base_to_its_end(
            base_ns in 0..1u64 << 60, life_ns in -1_000_000_000i64..100_000_000_000, now in -2_000_000_000i64..101_000_000_000,
        ) {
            let at = |offset: i64| base_ns.saturating_add_signed(offset);
            let snapshot = RefSnapshot { base_ns, valid_until_ns: at(life_ns), ..snapshot() };
            let expected = now >= 0 && at(now) < at(life_ns) || now < 0 && at(now) == base_ns && life_ns > 0;
            for snapshot in [snapshot, RefSnapshot::from_words(&snapshot.to_words())] {
                prop_assert_eq!(snapshot.is_valid_at(MonoNs(at(now))), expected);
            }
        }

        #[test]
        fn young_snapshot_says_the_same_as_any(
            age_ns: u64, life_ns in 0..u64::MAX / 2, leap_ns: u64, deviation in -4_000_000_000_000_000_000i64..=i64::MAX,
            leap_step in -1i8..=1, near: bool,
        ) {
            // Half of the time a moment that matters.
            let age_ns = if near { age_ns % (2 * YOUNG_NS) } else { age_ns };
            let leap_ns = if near { leap_ns % (2 * YOUNG_NS) } else { leap_ns };
            let snapshot = RefSnapshot {
                multiplier: NOMINAL_MULTIPLIER.saturating_add_signed(deviation),
                valid_until_ns: 1_000 + life_ns,
                leap_at_ns: 1_000u64.saturating_add(leap_ns),
                leap_step,
                head: head(LeapIndicator::Insert, 2, -25, NtpShort::from_bits(7)),
                ..snapshot()
            };
            let now = MonoNs(1_000u64.wrapping_add(age_ns));
            let words = snapshot.to_words();
            if now.0.wrapping_sub(words[BASE_WORD]) >= words[YOUNG_WORD] {
                return Ok(());
            }
            prop_assert!(snapshot.is_valid_at(now));
            prop_assert_eq!(snapshot.as_of(now), snapshot);
            let passed = scale_short(age_ns, words[MULTIPLIER_WORD]);
            let time = NtpTimestamp::from_bits(words[BASE_NTP_WORD].wrapping_add(passed));
            prop_assert_eq!(time, snapshot.time_at(now));
            let template = Template::from_words(core::array::from_fn(|word| words[TEMPLATE_WORD + word]));
            prop_assert_eq!(template, snapshot.template_at(time));
        }
    }
}
