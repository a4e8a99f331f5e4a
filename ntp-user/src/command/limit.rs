//! `cmdratelimit`: how often one host is answered whose commands come over the network.
//!
//! Invariant: the table has a fixed size; a host that finds no room is limited like one that is over its limit.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ntp_common::time::{MonoNs, NANOS_PER_SECOND};
use ntp_engine::conf::RateLimit;
use rand::RngExt;

/// Hosts that are kept account of at once: few are allowed to give commands.
const MOST_HOSTS: usize = 256;

/// A limit, and when each host's next command would be due if it kept to the interval exactly.
#[derive(Debug)]
pub(crate) struct Limit {
    interval_ns: u64,
    tolerance_ns: u64,
    leak_log2: u8,
    due: BTreeMap<IpAddr, MonoNs>,
}

impl Limit {
    /// A limit that nobody has reached.
    pub(crate) fn new(limit: RateLimit) -> Self {
        let interval_ns = match limit.interval_log2 {
            0.. => NANOS_PER_SECOND << limit.interval_log2,
            _ => NANOS_PER_SECOND >> -limit.interval_log2,
        };
        let tolerance_ns = interval_ns * u64::from(limit.burst - 1);
        Self { interval_ns, tolerance_ns, leak_log2: limit.leak_log2, due: BTreeMap::new() }
    }

    /// Whether a command that came from `host` at `now` is answered.
    pub(crate) fn admits(&mut self, host: IpAddr, now: MonoNs) -> bool {
        if !self.due.contains_key(&host) && self.due.len() >= MOST_HOSTS {
            self.due.retain(|_, due| *due > now);
            if self.due.len() >= MOST_HOSTS {
                return self.leaks();
            }
        }
        let due = self.due.entry(host).or_insert(now);
        let due_ns = due.0.max(now.0);
        if due_ns - now.0 > self.tolerance_ns {
            return self.leaks();
        }
        *due = MonoNs(due_ns).after(self.interval_ns);
        true
    }

    /// Lets a few through: else somebody who forges a host's address could shut it out.
    fn leaks(&self) -> bool {
        rand::rng().random_range(0..1u32 << self.leak_log2) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit() -> Limit {
        Limit::new(RateLimit { interval_log2: -4, burst: 8, leak_log2: 4, kod_log2: 0 })
    }

    fn host(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn burst_is_answered_and_then_one_command_an_interval() {
        let mut limit = limit();
        assert!((0..8).all(|_| limit.admits(host(1), MonoNs(0))));
        let over = (0..16_000).filter(|_| limit.admits(host(1), MonoNs(0))).count();
        assert!((500..2000).contains(&over), "{over} of 16000 leaked");
        assert!(limit.admits(host(2), MonoNs(0)));
        assert!(limit.admits(host(1), MonoNs(NANOS_PER_SECOND / 16)));
        let seconds = 10;
        let answered = (0..seconds * 16)
            .filter(|tick| limit.admits(host(1), MonoNs(NANOS_PER_SECOND * (1 + tick) / 8)))
            .count();
        assert_eq!(answered, 160, "half the limit's rate is always answered");
    }

    #[test]
    fn table_does_not_grow_and_forgets_hosts_that_are_quiet() {
        let mut limit = limit();
        for number in 0..10_000 {
            limit.admits(host(number), MonoNs(0));
        }
        assert_eq!(limit.due.len(), MOST_HOSTS);
        assert!(limit.admits(host(20_000), MonoNs(NANOS_PER_SECOND)));
        assert_eq!(limit.due.len(), 1);
    }
}
