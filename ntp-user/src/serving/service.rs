//! How the user path serves: the time that answers take, and how many are more than a plain one. One thread adds
//! to a set, any thread reads it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Times are sorted by powers of two, from 2^10 ns (about a microsecond) on.
const FIRST_BOUND_LOG2: u32 = 10;

/// Upper bounds of times, 2^10 to 2^26 ns (67 ms).
pub const BOUNDS: usize = 17;

/// What one worker did, or all of them together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Requests answered that had the right message authentication code.
    pub authenticated: u64,
    /// Requests answered in interleaved mode.
    pub interleaved: u64,
    /// Answers by the time from their request's arrival to their leaving: up to each bound and above the one
    /// before, and last those above all.
    pub times: [u64; BOUNDS + 1],
    /// The sum of these times, nanoseconds; wraps.
    pub sum_ns: u64,
}

impl Service {
    /// The upper bounds of [`Service::times`] but the last, which has none, nanoseconds.
    pub fn bounds_ns() -> impl Iterator<Item = u64> {
        (0..BOUNDS).map(|index| 1 << (FIRST_BOUND_LOG2 as usize + index))
    }

    /// Adds what another worker did.
    pub fn add(&mut self, other: &Self) {
        self.authenticated = self.authenticated.wrapping_add(other.authenticated);
        self.interleaved = self.interleaved.wrapping_add(other.interleaved);
        self.sum_ns = self.sum_ns.wrapping_add(other.sum_ns);
        for (time, other) in self.times.iter_mut().zip(other.times) {
            *time = time.wrapping_add(other);
        }
    }
}

/// The same while a worker counts.
#[derive(Debug, Default)]
pub struct ServiceCounters {
    authenticated: AtomicU64,
    interleaved: AtomicU64,
    times: [AtomicU64; BOUNDS + 1],
    sum_ns: AtomicU64,
}

impl ServiceCounters {
    /// Counts an answer that left so many nanoseconds after its request had come.
    pub fn answered(&self, took_ns: u64) {
        add(&self.times[place(took_ns)], 1);
        add(&self.sum_ns, took_ns);
    }

    /// Counts an answer to a request with the right code.
    pub fn authenticated(&self) {
        add(&self.authenticated, 1);
    }

    /// Counts an answer in interleaved mode.
    pub fn interleaved(&self) {
        add(&self.interleaved, 1);
    }

    /// The counters as they are now.
    #[must_use]
    pub fn read(&self) -> Service {
        Service {
            authenticated: self.authenticated.load(Ordering::Relaxed),
            interleaved: self.interleaved.load(Ordering::Relaxed),
            times: std::array::from_fn(|index| self.times[index].load(Ordering::Relaxed)),
            sum_ns: self.sum_ns.load(Ordering::Relaxed),
        }
    }
}

/// Only the worker that owns the counters adds: no read-modify-write is needed.
fn add(counter: &AtomicU64, value: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(value), Ordering::Relaxed);
}

/// Where a time belongs.
fn place(took_ns: u64) -> usize {
    let log2 = u64::BITS - took_ns.saturating_sub(1).leading_zeros();
    let place = log2.saturating_sub(FIRST_BOUND_LOG2) as usize;
    place.min(BOUNDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_below_the_first_bound_that_they_do_not_pass() {
        let bounds: Vec<u64> = Service::bounds_ns().collect();
        assert_eq!((bounds[0], bounds[BOUNDS - 1]), (1024, 1 << 26));
        for (index, &bound) in bounds.iter().enumerate() {
            assert_eq!((place(bound), place(bound + 1)), (index, index + 1));
        }
        assert_eq!((place(0), place(u64::MAX)), (0, BOUNDS));
    }

    #[test]
    fn workers_add_up() {
        let (one, other) = (ServiceCounters::default(), ServiceCounters::default());
        one.answered(5);
        one.authenticated();
        other.answered(2000);
        other.interleaved();
        let mut sum = one.read();
        sum.add(&other.read());
        assert_eq!((sum.authenticated, sum.interleaved, sum.sum_ns), (1, 1, 2005));
        assert_eq!(sum.times[..2], [1, 1]);
    }
}
