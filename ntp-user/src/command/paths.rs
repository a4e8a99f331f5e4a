//! What both paths did, for `ntp-xdp status`.

use ntp_common::counters::{Counters, Family, KISSES, REASONS, Reason, answered_index};
use ntp_common::wire::NEWEST_VERSION;
use ntp_engine::candm::{Interface, PathCounts, Paths, Reply, Status};

use crate::bpf::xdp::Xdp;
use crate::event_loop::DaemonDriver;
use crate::net::nic::Nic;
use crate::tasks::Tasks;

/// Nanoseconds of a millisecond.
const NANOS_PER_MILLISECOND: u64 = 1_000_000;

/// What both paths did, and the state of what they answer from.
pub(super) fn paths(driver: &DaemonDriver, tasks: &Tasks) -> Paths {
    let (now, published) = (driver.now(), &driver.seams().ref_map);
    let age_ms = published.last_publication().map(|at| now.mono.since(at) / NANOS_PER_MILLISECOND);
    let (xdp, user) = tasks.counters();
    let interfaces = tasks.xdp.as_ref().map_or(0, |xdp| xdp.attached().len());
    Paths {
        is_synchronised: published.is_live(now.mono),
        is_too_far_off: driver.engine().tracking(now).too_far_off,
        has_xdp: tasks.xdp.is_some(),
        is_limiting: tasks.clients.rules().interval > 0,
        snapshot_age_ms: age_ms.map(|age_ms| u32::try_from(age_ms).unwrap_or(u32::MAX - 1)),
        interfaces: number(interfaces),
        client_slots: number(tasks.clients.capacity()),
        clients: tasks.occupancy.clients(),
        uptime_s: tasks.ticks,
        user: counts(&user, |_| false),
        xdp: counts(&xdp, |reason| !reason.is_drop()),
    }
}

/// The interface of XDP with this index.
pub(super) fn interface(tasks: &Tasks, index: u32) -> Reply {
    let attached = tasks.xdp.as_ref().map(Xdp::attached).unwrap_or_default();
    let place = usize::try_from(index).unwrap_or(usize::MAX);
    attached.into_iter().nth(place).map_or(Status::NoSuchSource.into(), |interface| {
        let arrivals = tasks.xdp.as_ref().and_then(|xdp| xdp.describe_arrivals(&interface.name));
        let mut note = Nic::read(&interface.name).to_string();
        if let Some(arrivals) = arrivals {
            note.push_str("; hardware receive timestamps: ");
            note.push_str(&arrivals);
        }
        Reply::Interface(Interface { name: interface.name, mode: interface.mode.to_owned(), note })
    })
}

/// What one path did; packets whose reason `passes` are left to others.
fn counts(counters: &Counters, passes: fn(Reason) -> bool) -> PathCounts {
    let answered = |family| {
        let versions = 1..=NEWEST_VERSION;
        versions.map(|version| counters[answered_index(family, version)]).sum()
    };
    let mut counts = PathCounts {
        answered_v4: answered(Family::V4),
        answered_v6: answered(Family::V6),
        kisses: counters[KISSES],
        ..PathCounts::default()
    };
    for reason in REASONS {
        let place = if reason == Reason::RateLimited {
            &mut counts.limited
        } else if reason == Reason::AccessDenied {
            &mut counts.denied
        } else if passes(reason) {
            &mut counts.passed
        } else {
            &mut counts.dropped
        };
        *place = place.wrapping_add(counters[reason as usize]);
    }
    counts
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntp_common::counters::COUNTER_COUNT;

    #[test]
    fn every_packet_is_counted_once_and_by_what_became_of_it() {
        let counters: Counters = std::array::from_fn(|index| 1 << index);
        let sum = |counts: &PathCounts| {
            let PathCounts { limited, kisses, denied, dropped, passed, .. } = *counts;
            counts.answered() + limited + kisses + denied + dropped + passed
        };
        // All but who was over the limit and answered all the same.
        let leaked = 1 << ntp_common::counters::LEAKED;
        let all = (1u64 << COUNTER_COUNT) - 1 - leaked;
        let xdp = counts(&counters, |reason| !reason.is_drop());
        assert_eq!((sum(&xdp), xdp.denied), (all, 1 << Reason::AccessDenied as usize));
        assert!(xdp.passed & (1 << Reason::Extension as usize) != 0);
        let user = counts(&counters, |_| false);
        assert_eq!((sum(&user), user.passed), (all, 0));
    }
}
