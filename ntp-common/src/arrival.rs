//! When a request came in by the clock of the interface that received it: what the daemon tells of that clock, and how
//! the XDP program turns a reading of it into the age of the request.
//!
//! Invariant: what does not add up is not used. The time at which the program ran is the fallback, and counted.

use crate::time::{MonoNs, NANOS_PER_SECOND};

/// Oldest request that its interface is believed of, nanoseconds.
pub const MAX_REQUEST_AGE_NS: u64 = NANOS_PER_SECOND;

/// How far from the reading of the daemon a clock is converted, nanoseconds: 8.6 s.
const MAX_DISTANCE_NS: i64 = 1 << 33;

/// Most that [`InterfaceClock::drift`] may be, either way: an eighth.
pub const MAX_DRIFT: i64 = 1 << 29;

/// Interfaces whose clocks are known at most.
pub const MAX_CLOCKS: usize = 16;

/// Words of an [`InterfaceClock`].
pub const CLOCK_WORDS: usize = 4;

/// The clock of an interface beside `CLOCK_MONOTONIC`, as the daemon read them at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceClock {
    /// What the interface's clock showed, nanoseconds.
    pub base_stamp_ns: u64,
    /// `CLOCK_MONOTONIC` then.
    pub base_ns: u64,
    /// What `CLOCK_MONOTONIC` goes further in a nanosecond of the interface's clock, in units of 2^-32.
    pub drift: i64,
    /// `CLOCK_MONOTONIC` from which on this is not used any more; 0: never.
    pub valid_until_ns: u64,
}

impl InterfaceClock {
    /// How long before `now` the interface's clock showed `stamp_ns`, nanoseconds.
    ///
    /// # Errors
    /// Why that can't be said.
    #[inline(always)]
    pub const fn age_ns(&self, stamp_ns: u64, now: MonoNs) -> Result<u64, Arrival> {
        if now.0 >= self.valid_until_ns {
            return Err(Arrival::ClockUnknown);
        }
        let distance_ns = stamp_ns.wrapping_sub(self.base_stamp_ns).cast_signed();
        if distance_ns <= -MAX_DISTANCE_NS || distance_ns >= MAX_DISTANCE_NS {
            return Err(Arrival::Nonsense);
        }
        // Below 2^33 times at most 2^29; an arithmetic shift rounds down.
        let further_ns = distance_ns.wrapping_mul(self.drift) >> 32;
        let at_ns = self.base_ns.wrapping_add(distance_ns.wrapping_add(further_ns).cast_unsigned());
        // What is still to come is very old.
        let age_ns = now.0.wrapping_sub(at_ns);
        if age_ns < MAX_REQUEST_AGE_NS { Ok(age_ns) } else { Err(Arrival::Nonsense) }
    }

    /// The clock as it lies in [`ClockSlot::words`].
    #[must_use]
    pub const fn to_words(&self) -> [u64; CLOCK_WORDS] {
        [self.base_stamp_ns, self.base_ns, self.drift.cast_unsigned(), self.valid_until_ns]
    }

    /// Reads a clock off [`ClockSlot::words`].
    #[inline(always)]
    #[must_use]
    pub const fn from_words(words: &[u64; CLOCK_WORDS]) -> Self {
        let [base_stamp_ns, base_ns, drift, valid_until_ns] = *words;
        Self { base_stamp_ns, base_ns, drift: drift.cast_signed(), valid_until_ns }
    }
}

/// A clock in the map: a sequence number that is odd while the words are changing, and the words. A reader that sees
/// the same even number before and after it has read them has words that belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct ClockSlot {
    /// How often the words have changed, twice; odd: they are changing.
    pub sequence: u64,
    /// [`InterfaceClock::to_words`].
    pub words: [u64; CLOCK_WORDS],
}

/// By whose word a request that was answered had come in, counted by the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Arrival {
    /// By the interface's.
    Hardware = 0,
    /// By the program's: the driver had no time for it.
    Absent = 1,
    /// By the program's: the time was in the future, or long ago.
    Nonsense = 2,
    /// By the program's: the daemon has not told, of late, what the interface's clock shows.
    ClockUnknown = 3,
}

/// Every case, in the order of its counters.
pub const ARRIVALS: [Arrival; 4] =
    [Arrival::Hardware, Arrival::Absent, Arrival::Nonsense, Arrival::ClockUnknown];

/// Counters of one interface on one CPU, wrapping, by [`Arrival`].
pub type ArrivalCounters = [u64; ARRIVALS.len()];

impl Arrival {
    /// As metrics and logs name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hardware => "used",
            Self::Absent => "absent",
            Self::Nonsense => "nonsense",
            Self::ClockUnknown => "clock_unknown",
        }
    }
}

const _: () = assert!(size_of::<ClockSlot>() == 64 && ARRIVALS.len().is_power_of_two());

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: MonoNs = MonoNs(100 * NANOS_PER_SECOND);

    /// Read half a second ago, when the interface's clock showed a time of the year 2026.
    fn clock(drift: i64) -> InterfaceClock {
        InterfaceClock {
            base_stamp_ns: 1_780_000_000 * NANOS_PER_SECOND,
            base_ns: NOW.0 - NANOS_PER_SECOND / 2,
            drift,
            valid_until_ns: NOW.0 + 1,
        }
    }

    fn check(drift: i64, after_base_ns: i64, expected: Result<u64, Arrival>) {
        let clock = clock(drift);
        let stamp_ns = clock.base_stamp_ns.wrapping_add_signed(after_base_ns);
        assert_eq!(clock.age_ns(stamp_ns, NOW), expected, "{drift} {after_base_ns}");
    }

    #[test]
    fn stamp_is_as_old_as_the_clock_says_that_goes_at_its_own_rate() {
        check(0, 499_999_000, Ok(1_000));
        check(0, 500_000_000, Ok(0));
        check(0, -499_999_999, Ok(999_999_999));
        // 2^-20 or 0.95 ppm faster: 476 ns in half a second, rounded down.
        check(1 << 12, 499_999_000, Ok(524));
        check(-(1 << 12), 499_999_000, Ok(1_477));
    }

    #[test]
    fn stamps_of_the_future_of_long_ago_and_of_another_clock_are_nonsense() {
        for after_base_ns in [
            500_000_001,
            -500_000_000,
            MAX_DISTANCE_NS,
            -MAX_DISTANCE_NS,
            i64::MAX,
            i64::MIN,
            -(1_780_000_000i64 * 1_000_000_000),
        ] {
            check(0, after_base_ns, Err(Arrival::Nonsense));
        }
    }

    #[test]
    fn clock_that_was_not_told_or_was_told_long_ago_is_unknown() {
        let told = InterfaceClock { valid_until_ns: NOW.0, ..clock(0) };
        assert_eq!(told.age_ns(told.base_stamp_ns, NOW), Err(Arrival::ClockUnknown));
        let never = InterfaceClock::default();
        assert_eq!(never.age_ns(0, MonoNs(0)), Err(Arrival::ClockUnknown));
    }

    proptest! {
        #[test]
        fn age_agrees_with_wide_arithmetic(
            drift in -MAX_DRIFT..=MAX_DRIFT,
            after_base_ns in 1 - MAX_DISTANCE_NS..MAX_DISTANCE_NS,
        ) {
            let clock = clock(drift);
            let stamp_ns = clock.base_stamp_ns.wrapping_add_signed(after_base_ns);
            let wide = i128::from(after_base_ns);
            let passed_ns = wide + ((wide * i128::from(drift)) >> 32);
            let age_ns = i128::from(NANOS_PER_SECOND / 2) - passed_ns;
            let expected = u64::try_from(age_ns).ok().filter(|&age_ns| age_ns < MAX_REQUEST_AGE_NS);
            prop_assert_eq!(clock.age_ns(stamp_ns, NOW).ok(), expected);
        }

        #[test]
        fn no_stamp_makes_a_request_older_than_it_may_be(
            words: [u64; CLOCK_WORDS], stamp_ns: u64, now: u64,
        ) {
            let clock = InterfaceClock::from_words(&words);
            prop_assert_eq!(clock.to_words(), words);
            if let Ok(age_ns) = clock.age_ns(stamp_ns, MonoNs(now)) {
                prop_assert!(age_ns < MAX_REQUEST_AGE_NS && now < clock.valid_until_ns);
            }
        }
    }
}
