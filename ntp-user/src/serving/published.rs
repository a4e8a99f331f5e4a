//! Publishes every snapshot for both paths: in the daemon's own page for the user path, and in the map of
//! the XDP program when there is one.

use std::sync::Arc;
use std::time::Duration;

use ntp_common::acl::AclControl;
use ntp_common::local::LocalAddresses;
use ntp_common::ratelimit::ClientRules;
use ntp_common::snapshot::{MAX_LIFE_NS, RefSnapshot};
use ntp_common::time::MonoNs;
use ntp_common::wire::LeapIndicator;
use ntp_engine::seams::RefMap;

use crate::bpf::serving_map::MappedPage;
use crate::clock::readings::monotonic;
use crate::serving::ring::{OwnedPage, SnapshotWriter};

/// The pages that snapshots are published in.
#[derive(Debug)]
pub struct Published {
    user: SnapshotWriter<Arc<OwnedPage>>,
    xdp: Option<SnapshotWriter<MappedPage>>,
    hold_ns: u64,
    synchronised_until: MonoNs,
    last_publication: Option<MonoNs>,
}

impl Published {
    /// Publishes in `user`, and in `xdp` when the program is loaded. What is published there is good for at
    /// least `hold`: should the daemon be killed, XDP goes on for that long.
    #[must_use]
    pub fn new(user: Arc<OwnedPage>, xdp: Option<MappedPage>, hold: Option<Duration>) -> Self {
        let (user, xdp) = (SnapshotWriter::new(user), xdp.map(SnapshotWriter::new));
        let synchronised_until = MonoNs(0);
        let mut published =
            Self { user, xdp, hold_ns: 0, synchronised_until, last_publication: None };
        published.set_hold(hold);
        published
    }

    /// Publishes in the page of a program, too, that was loaded just now, from the next snapshot on.
    pub fn publish_in_xdp(&mut self, page: MappedPage, hold: Option<Duration>) {
        self.xdp = Some(SnapshotWriter::new(page));
        self.set_hold(hold);
    }

    /// How long XDP is to go on should the daemon be killed, from the next snapshot on.
    pub fn set_hold(&mut self, hold: Option<Duration>) {
        let hold_ns = hold.map_or(0, |hold| u64::try_from(hold.as_nanos()).unwrap_or(u64::MAX));
        self.hold_ns = hold_ns.min(MAX_LIFE_NS);
    }

    /// Whether the time can be had at `now` from what was published: it is valid, and of a clock that is
    /// synchronised.
    #[must_use]
    pub fn is_live(&self, now: MonoNs) -> bool {
        now < self.synchronised_until
    }

    /// When the snapshot in force was published; `None`: none is.
    #[must_use]
    pub fn last_publication(&self) -> Option<MonoNs> {
        self.last_publication
    }

    /// Tells the XDP program which access rules are in force.
    pub fn set_access(&self, control: AclControl) {
        if let Some(xdp) = &self.xdp {
            xdp.set_access(control);
        }
    }

    /// Tells the XDP program how clients are counted and limited.
    pub fn set_clients(&self, rules: &ClientRules) {
        if let Some(xdp) = &self.xdp {
            xdp.set_clients(rules);
        }
    }

    /// Tells the XDP program which addresses are served.
    pub fn set_local(&self, local: &LocalAddresses) {
        if let Some(xdp) = &self.xdp {
            xdp.set_local(local);
        }
    }
}

impl RefMap for Published {
    fn publish(&mut self, snapshot: &RefSnapshot) {
        self.user.publish(snapshot);
        let now = monotonic();
        self.last_publication = Some(now);
        if let Some(xdp) = &mut self.xdp {
            xdp.publish(&held(snapshot, now.after(self.hold_ns)));
        }
        let is_synchronised = snapshot.leap() != LeapIndicator::Unsynchronised;
        self.synchronised_until = MonoNs(if is_synchronised { snapshot.valid_until_ns } else { 0 });
    }

    fn invalidate(&mut self) {
        // XDP first: it answers far more requests in the time that this takes.
        if let Some(xdp) = &mut self.xdp {
            xdp.invalidate();
        }
        self.user.invalidate();
        self.last_publication = None;
        self.synchronised_until = MonoNs(0);
    }
}

/// A valid snapshot that is good until `until` at least.
fn held(snapshot: &RefSnapshot, until: MonoNs) -> RefSnapshot {
    let valid_until_ns = match snapshot.valid_until_ns {
        0 => 0,
        valid_until_ns => valid_until_ns.max(until.0),
    };
    RefSnapshot { valid_until_ns, ..*snapshot }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::ring::SnapshotReader;
    use ntp_common::snapshot::head;
    use ntp_common::time::NtpShort;

    fn snapshot(leap: LeapIndicator) -> RefSnapshot {
        let head = head(leap, 2, -25, NtpShort::from_bits(0));
        RefSnapshot { head, valid_until_ns: 1_000, ..RefSnapshot::INVALID }
    }

    #[test]
    fn only_a_synchronised_snapshot_is_live_and_only_as_long_as_it_is_valid() {
        let page = OwnedPage::new();
        let mut published = Published::new(Arc::clone(&page), None, None);
        assert!(!published.is_live(MonoNs(0)));
        published.publish(&snapshot(LeapIndicator::Unsynchronised));
        assert!(!published.is_live(MonoNs(0)));
        published.publish(&snapshot(LeapIndicator::Normal));
        assert!(published.is_live(MonoNs(999)) && !published.is_live(MonoNs(1_000)));
        let read = SnapshotReader::new(Arc::clone(&page)).read().unwrap();
        assert_eq!(read, snapshot(LeapIndicator::Normal));
        published.invalidate();
        assert!(!published.is_live(MonoNs(0)));
        assert_eq!(SnapshotReader::new(page).read(), Some(RefSnapshot::INVALID));
    }

    #[test]
    fn holding_over_lengthens_a_snapshots_life_and_revives_none() {
        let snapshot = snapshot(LeapIndicator::Normal);
        assert_eq!(held(&snapshot, MonoNs(5_000)).valid_until_ns, 5_000);
        assert_eq!(held(&snapshot, MonoNs(500)).valid_until_ns, 1_000);
        assert_eq!(held(&RefSnapshot::INVALID, MonoNs(5_000)), RefSnapshot::INVALID);
    }
}
