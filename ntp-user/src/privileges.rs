//! Becomes another user once everything that takes privileges is done, and keeps the capabilities that the
//! daemon needs from then on.

use std::ffi::CString;

use anyhow::{Context, bail};
use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::prctl::set_keepcaps;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::unistd::{User, geteuid, initgroups, setgid, setuid};

use crate::clock::priority::real_time;

/// What the daemon goes on doing that takes capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one flag for each duty")]
pub(crate) struct Duties {
    /// Steers the kernel's clock.
    pub(crate) steers_clock: bool,
    /// Sends requests from a privileged port.
    pub(crate) binds_ports: bool,
    /// Attaches the XDP program to interfaces that come back.
    pub(crate) attaches_xdp: bool,
    /// Has its memory locked, more than others may.
    pub(crate) locks_memory: bool,
}

impl Duties {
    fn capabilities(self) -> CapsHashSet {
        let clock = self.steers_clock.then_some(Capability::CAP_SYS_TIME);
        let ports = self.binds_ports.then_some(Capability::CAP_NET_BIND_SERVICE);
        let memory = self.locks_memory.then_some(Capability::CAP_IPC_LOCK);
        let xdp = [Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_PERFMON];
        let xdp = xdp.into_iter().filter(|_| self.attaches_xdp);
        clock.into_iter().chain(ports).chain(memory).chain(xdp).collect()
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

/// Keeps the daemon's memory, and all that it will ask for, from being paged out, if it may. Gives whether it is: the
/// right to it must be kept then, or the next allocation fails.
pub(crate) fn lock_memory() -> bool {
    let has_right = caps::has_cap(None, CapSet::Effective, Capability::CAP_IPC_LOCK);
    let is_limited =
        getrlimit(Resource::RLIMIT_MEMLOCK).map_or(true, |(soft, _)| soft != RLIM_INFINITY);
    // Without the right to any amount, what is above the limit would fail sooner or later.
    let outcome = if has_right.unwrap_or(false) || !is_limited {
        mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)
    } else {
        Err(nix::Error::EPERM)
    };
    if let Err(error) = outcome {
        tracing::error!(
            "Memory is not locked: {error} (CAP_IPC_LOCK); the daemon may be paged out, all else is as usual"
        );
    }
    outcome.is_ok()
}

/// Runs this thread, and none that it starts, in real time with this priority, if it may.
pub(crate) fn run_in_real_time(priority: u8) {
    match real_time(priority) {
        Ok(()) => tracing::info!(priority, "Timekeeping runs in real time"),
        Err(error) => tracing::error!(
            "No real-time priority: {error} (CAP_SYS_NICE); timekeeping waits for its turn, all else is as usual"
        ),
    }
}
