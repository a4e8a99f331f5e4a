//! What laboratories of processes that were killed left behind: recognised by the dead process's number in the
//! names of namespaces and folders.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::held::{Resource, undo};

/// What the names of all namespaces and folders open with; the process's number and a dash follow.
pub(crate) const PREFIX: &str = "ntpx-";

/// Where `ip netns` keeps its names.
pub(crate) const NAMESPACES: &str = "/run/netns";

/// Removes all that belongs to processes that are no more.
pub(crate) fn sweep() {
    for name in names(Path::new(NAMESPACES)).filter(|name| is_orphan(name)) {
        for pid in processes_in(&name) {
            let _ = kill(pid, Signal::SIGKILL);
        }
        undo(&Resource::Namespace(name));
    }
    let folders = std::env::temp_dir();
    for name in names(&folders).filter(|name| is_orphan(name)) {
        let folder = folders.join(name);
        for mount in mounts_in(&folder) {
            undo(&Resource::Mount(mount));
        }
        undo(&Resource::Folder(folder));
    }
}

fn is_orphan(name: &str) -> bool {
    owner(name).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

/// The number of the process that made `name`.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

fn names(folder: &Path) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

fn processes_in(namespace: &str) -> Vec<Pid> {
    let output = Command::new("ip").args(["netns", "pids", namespace]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse().ok()).map(Pid::from_raw).collect()
}

fn mounts_in(folder: &Path) -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    points.filter(|point| point.starts_with(folder)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_is_read_off_a_name_of_ours_only() {
        assert_eq!(owner("ntpx-4711-0-server"), Some(4711));
        assert_eq!(owner("ntpx-server"), None);
        assert_eq!(owner("blue"), None);
    }

    #[test]
    fn what_a_living_process_made_is_no_orphan() {
        assert!(!is_orphan(&format!("{PREFIX}{}-0-server", std::process::id())));
        // Numbers of processes end at 2^22 on Linux.
        assert!(is_orphan(&format!("{PREFIX}4194305-0-server")));
    }
}
