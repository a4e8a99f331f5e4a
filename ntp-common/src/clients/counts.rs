//! What is counted of a client: requests, drops, and when they came.

use crate::time::MonoNs;

/// What is known of a client since it got its record. Counts wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests.
    pub hits: u32,
    /// Requests over the limit that were not answered.
    pub drops: u32,
    /// Its last request, `CLOCK_MONOTONIC` in units of 2^20 ns (1.05 ms); wraps after 52 days.
    pub seen: u32,
    /// Mean interval of its requests, units of 2^16 ns (66 us); 0: not known.
    pub interval: u32,
}

/// Longest mean interval, units of 2^20 ns: 19 hours.
pub(super) const LONGEST: u32 = 1 << 26;

/// From units of 2^20 ns to those of an interval.
const INTERVAL_SHIFT: u32 = 4;

/// A time in the units of [`Counts::seen`].
#[inline(always)]
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "wraps")]
pub const fn seen_at(now: MonoNs) -> u32 {
    (now.0 >> 20) as u32
}

impl Counts {
    /// Those of a client that was not heard of before.
    #[inline(always)]
    #[must_use]
    pub const fn new(now: MonoNs) -> Self {
        Self { hits: 0, drops: 0, seen: seen_at(now), interval: 0 }
    }

    /// Counts `requests` of which the last came at `now`; at least one.
    #[inline(always)]
    pub const fn add(&mut self, requests: u8, now: MonoNs) {
        let seen = seen_at(now);
        // Paths and CPUs do not see requests in the order of their arrival: a negative interval is none.
        let passed = seen.wrapping_sub(self.seen).cast_signed();
        let passed = if passed < 0 { 0 } else { passed.cast_unsigned() };
        let passed = if passed > LONGEST { LONGEST } else { passed };
        let number = if requests == 0 { 1 } else { requests as u32 };
        let sample = ((passed << INTERVAL_SHIFT) / number).cast_signed();
        if self.hits > 1 {
            let mean = self.interval.cast_signed();
            let change = sample.wrapping_sub(mean) >> weight_log2(number);
            self.interval = mean.wrapping_add(change).cast_unsigned();
        } else if self.hits == 1 {
            self.interval = sample.cast_unsigned();
        }
        self.seen = seen;
        self.hits = self.hits.wrapping_add(number);
    }

    /// As they are stored.
    #[inline(always)]
    #[must_use]
    pub const fn to_words(self) -> [u64; 2] {
        [
            self.hits as u64 | (self.drops as u64) << 32,
            self.seen as u64 | (self.interval as u64) << 32,
        ]
    }

    /// Reads counts.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "fields are cut out of packed words")]
    pub const fn from_words(words: [u64; 2]) -> Self {
        Self {
            hits: words[0] as u32,
            drops: (words[0] >> 32) as u32,
            seen: words[1] as u32,
            interval: (words[1] >> 32) as u32,
        }
    }
}

/// What part of a mean is replaced by that of some more requests, as -log2: an eighth by each.
#[inline(always)]
const fn weight_log2(requests: u32) -> u32 {
    match requests {
        0..2 => 3,
        2..4 => 2,
        4..10 => 1,
        _ => 0,
    }
}
