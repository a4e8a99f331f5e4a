//! The filter of system calls (`-F`): the kernel ends the daemon upon a call that it has no use for, and that somebody
//! who has got hold of it would make: starting programs, reaching into other processes, mounting, loading modules.

use std::collections::BTreeMap;

use anyhow::Context;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

/// What neither the daemon nor the libraries that it uses call once it is set up.
const BLOCKED: &[i64] = &[
    // Programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_memfd_create,
    libc::SYS_personality,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // What there is to see.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_fspick,
    libc::SYS_setns,
    libc::SYS_unshare,
    // The kernel.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_syslog,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// Puts the filter into force for this thread and all that it starts; level 0: no filter, below 0: with a signal
/// instead of a kill.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn apply(level: i8) -> anyhow::Result<()> {
    if level == 0 {
        return Ok(());
    }
    if level.abs() == 1 {
        tracing::warn!(
            "-F {level}: a list of allowed calls is not built in; those of level 2 are blocked"
        );
    }
    let blocked = if level < 0 { SeccompAction::Trap } else { SeccompAction::KillProcess };
    apply_filter(&filter(blocked)?).context("cannot filter system calls")?;
    tracing::info!("Loaded seccomp filter (level {level})");
    Ok(())
}

fn filter(blocked: SeccompAction) -> anyhow::Result<BpfProgram> {
    let arch =
        TargetArch::try_from(std::env::consts::ARCH).context("cannot filter system calls")?;
    let rules: BTreeMap<i64, Vec<_>> = BLOCKED.iter().map(|&call| (call, Vec::new())).collect();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, blocked, arch)?;
    Ok(filter.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn blocked_call_fails_and_others_do_not() {
        // A filter stays with its thread, and with those that the thread starts.
        let thread = std::thread::spawn(|| {
            let refusal = SeccompAction::Errno(libc::ENOTNAM.unsigned_abs());
            apply_filter(&filter(refusal).unwrap()).unwrap();
            let start = Command::new("/bin/true").status().unwrap_err();
            (start.raw_os_error(), std::fs::read("/proc/self/stat").is_ok())
        });
        assert_eq!(thread.join().unwrap(), (Some(libc::ENOTNAM), true));
    }
}
