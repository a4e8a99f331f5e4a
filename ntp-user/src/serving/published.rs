//! Publishes every snapshot for both paths: in the daemon's own page for the user path, and in the map of
//! the XDP program when there is one.

use std::sync::Arc;

use ntp_common::acl::AclControl;
use ntp_common::local::LocalAddresses;
use ntp_common::snapshot::RefSnapshot;
use ntp_common::time::MonoNs;
use ntp_engine::seams::RefMap;

use crate::bpf::serving_map::MappedPage;
use crate::serving::ring::{OwnedPage, SnapshotWriter};

/// The pages that snapshots are published in.
#[derive(Debug)]
pub struct Published {
    user: SnapshotWriter<Arc<OwnedPage>>,
    xdp: Option<SnapshotWriter<MappedPage>>,
    valid_until: MonoNs,
}

impl Published {
    /// Publishes in `user`, and in `xdp` when the program is loaded.
    #[must_use]
    pub fn new(user: Arc<OwnedPage>, xdp: Option<MappedPage>) -> Self {
        let (user, xdp) = (SnapshotWriter::new(user), xdp.map(SnapshotWriter::new));
        Self { user, xdp, valid_until: MonoNs(0) }
    }

    /// Whether requests can be answered at `now` from what was published.
    #[must_use]
    pub fn is_live(&self, now: MonoNs) -> bool {
        now < self.valid_until
    }

    /// Tells the XDP program which access rules are in force.
    pub fn set_access(&self, control: AclControl) {
        if let Some(xdp) = &self.xdp {
            xdp.set_access(control);
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
        if let Some(xdp) = &mut self.xdp {
            xdp.publish(snapshot);
        }
        self.valid_until = MonoNs(snapshot.valid_until_ns);
    }

    fn invalidate(&mut self) {
        // XDP first: it answers far more requests in the time that this takes.
        if let Some(xdp) = &mut self.xdp {
            xdp.invalidate();
        }
        self.user.invalidate();
        self.valid_until = MonoNs(0);
    }
}
