//! The counters of the XDP program, mapped: what each CPU has counted.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::{fs, io};

use ntp_common::counters::{COUNTER_COUNT, Counters};
use ntp_common::maps::COUNTERS_SIZE;

use super::memory::MappedMemory;

/// The counters of all CPUs, mapped.
#[derive(Debug)]
pub struct MappedCounters(MappedMemory);

impl MappedCounters {
    /// Maps the map [`ntp_common::maps::COUNTERS_MAP`] of so many CPUs.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new(map: impl AsFd, cpus: u32) -> io::Result<Self> {
        let cpus = usize::try_from(cpus).map_err(|_| io::ErrorKind::InvalidInput)?;
        Ok(Self(MappedMemory::new(map, cpus * COUNTERS_SIZE)?))
    }

    /// The counters of all CPUs together.
    #[must_use]
    pub fn total(&self) -> Counters {
        let mut total = [0u64; COUNTER_COUNT];
        for of_cpu in self.0.words().chunks_exact(COUNTER_COUNT) {
            for (sum, counter) in total.iter_mut().zip(of_cpu) {
                *sum = sum.wrapping_add(counter.load(Ordering::Relaxed));
            }
        }
        total
    }
}

/// One more than the highest number that a CPU of this machine may have.
///
/// # Errors
/// The kernel does not tell.
pub fn possible_cpus() -> io::Result<u32> {
    let ranges = fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last = last_of(&ranges).ok_or(io::ErrorKind::InvalidData)?;
    Ok(last + 1)
}

/// The last number of a list of ranges: "0-3,8-11".
fn last_of(ranges: &str) -> Option<u32> {
    ranges.trim().rsplit([',', '-']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_cpu_is_that_of_the_last_range() {
        for (ranges, last) in [("0\n", Some(0)), ("0-3", Some(3)), ("0,2-5,7", Some(7)), ("", None)]
        {
            assert_eq!(last_of(ranges), last, "{ranges:?}");
        }
    }
}
