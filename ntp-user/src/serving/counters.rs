//! Counters of the user path. One thread adds to a set, any thread reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ntp_common::counters::{COUNTER_COUNT, Counters, Family, Reason, accumulate, answered_index};

use super::service::{Service, ServiceCounters};

/// The counters of one worker; on cache lines of their own, so that workers do not slow each other down.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerCounters {
    counters: [AtomicU64; COUNTER_COUNT],
    /// How it serves.
    pub service: ServiceCounters,
}

impl WorkerCounters {
    /// Counters at zero.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let counters = [const { AtomicU64::new(0) }; COUNTER_COUNT];
        Arc::new(Self { counters, service: ServiceCounters::default() })
    }

    /// Counts a request that was answered. `version` is 1 to 4.
    pub fn answered(&self, family: Family, version: u8) {
        self.add(answered_index(family, version));
    }

    /// Counts a packet that was not answered.
    pub fn silent(&self, reason: Reason) {
        self.add(reason as usize);
    }

    /// The counters as they are now.
    #[must_use]
    pub fn read(&self) -> Counters {
        std::array::from_fn(|index| self.counters[index].load(Ordering::Relaxed))
    }

    /// Adds one to the counter at `index`. Only the worker that owns the counters calls this: no
    /// read-modify-write is needed.
    pub fn add(&self, index: usize) {
        let counter = &self.counters[index];
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

/// How all workers serve.
#[must_use]
pub fn service<'a>(workers: impl IntoIterator<Item = &'a Arc<WorkerCounters>>) -> Service {
    let mut total = Service::default();
    for worker in workers {
        total.add(&worker.service.read());
    }
    total
}

/// The sum over all workers.
#[must_use]
pub fn sum<'a>(workers: impl IntoIterator<Item = &'a Arc<WorkerCounters>>) -> Counters {
    let mut total = [0; COUNTER_COUNT];
    for worker in workers {
        accumulate(&mut total, &worker.read());
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntp_common::counters::answered;

    #[test]
    fn workers_add_up() {
        let workers = [WorkerCounters::new(), WorkerCounters::new()];
        workers[0].answered(Family::V4, 4);
        workers[1].answered(Family::V4, 4);
        workers[1].answered(Family::V6, 3);
        workers[1].silent(Reason::Short);
        let total = sum(&workers);
        assert_eq!(answered(&total), 3);
        assert_eq!(total[answered_index(Family::V4, 4)], 2);
        assert_eq!(total[Reason::Short as usize], 1);
    }
}
