//! Becomes another user once everything that takes privileges is done, and keeps the capabilities that the
//! daemon needs from then on.

use std::ffi::CString;

use anyhow::{Context, bail};
use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::prctl::set_keepcaps;
use nix::unistd::{User, geteuid, initgroups, setgid, setuid};

/// What the daemon goes on doing that takes capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Duties {
    /// Steers the kernel's clock.
    pub(crate) steers_clock: bool,
    /// Sends requests from a privileged port.
    pub(crate) binds_ports: bool,
    /// Attaches the XDP program to interfaces that come back.
    pub(crate) attaches_xdp: bool,
}

impl Duties {
    fn capabilities(self) -> CapsHashSet {
        let clock = self.steers_clock.then_some(Capability::CAP_SYS_TIME);
        let ports = self.binds_ports.then_some(Capability::CAP_NET_BIND_SERVICE);
        let xdp = [Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_PERFMON];
        let xdp = xdp.into_iter().filter(|_| self.attaches_xdp);
        clock.into_iter().chain(ports).chain(xdp).collect()
    }
}

/// Becomes `name`, unless the process is that user already.
///
/// # Errors
/// When there is no such user, or the process may not become it.
pub(crate) fn become_user(name: &str, duties: Duties) -> anyhow::Result<()> {
    let Some(user) =
        User::from_name(name).with_context(|| format!("cannot look up user {name}"))?
    else {
        bail!("there is no user {name}");
    };
    if geteuid() == user.uid {
        return Ok(());
    }
    let held = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet = duties.capabilities().intersection(&held).copied().collect();
    set_keepcaps(true).context("cannot keep capabilities")?;
    let groups = CString::new(name).context("the user's name has a zero in it")?;
    initgroups(&groups, user.gid).with_context(|| format!("cannot become user {name}"))?;
    setgid(user.gid).with_context(|| format!("cannot become user {name}"))?;
    setuid(user.uid).with_context(|| format!("cannot become user {name}"))?;
    caps::set(None, CapSet::Effective, &kept).context("cannot keep capabilities")?;
    caps::set(None, CapSet::Permitted, &kept).context("cannot give up capabilities")?;
    tracing::info!(user = name, "Privileges dropped");
    Ok(())
}

/// Keeps the daemon's memory from being paged out.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn lock_memory() -> anyhow::Result<()> {
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE).context("cannot lock memory")
}
