//! Where links are pinned, so that the program outlives the daemon:
//! `/sys/fs/bpf/ntp-xdp/v<ABI>/<network namespace>/<mode>/<interface>`.
//!
//! Interfaces of different network namespaces may have the same name; a daemon sees to its own alone.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use ntp_common::maps::ABI;

use super::attachment::AttachMode;

/// Where the BPF file system is mounted.
const BPFFS: &str = "/sys/fs/bpf";

/// The folder of all pins, below [`BPFFS`].
const FOLDER: &str = "ntp-xdp";

/// A link that somebody pinned: an earlier run of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The file.
    pub path: PathBuf,
    /// The interface.
    pub interface: String,
    /// How the program is attached.
    pub mode: AttachMode,
    /// Whether the program is of this build's kind.
    pub is_ours: bool,
}

/// There is no BPF file system to pin links in.
#[derive(Debug, thiserror::Error)]
#[error("`holdover` needs a BPF file system on {BPFFS}: mount one with `mount -t bpf bpf {BPFFS}`")]
pub struct NoBpfFs;

/// Checks that links can be pinned.
///
/// # Errors
/// [`NoBpfFs`].
pub fn check_bpffs() -> Result<(), NoBpfFs> {
    let is_bpffs =
        statfs(BPFFS).is_ok_and(|file_system| file_system.filesystem_type() == BPF_FS_MAGIC);
    if is_bpffs { Ok(()) } else { Err(NoBpfFs) }
}

/// The file that a link is pinned as. The folders above it exist then.
///
/// # Errors
/// When they can't be made.
pub fn path_for(interface: &str, mode: AttachMode) -> io::Result<PathBuf> {
    let version = Path::new(BPFFS).join(FOLDER).join(version_folder());
    let folder = version.join(namespace_folder()?).join(mode.name());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    Ok(folder.join(file_name(interface)))
}

/// All links that are pinned in this network namespace, by this and other builds.
#[must_use]
pub fn list() -> Vec<Pin> {
    let mut pins = Vec::new();
    let Ok(namespace) = namespace_folder() else { return pins };
    for version in entries(&Path::new(BPFFS).join(FOLDER)) {
        let is_ours = version.file_name().is_some_and(|name| name == version_folder().as_str());
        for mode in [AttachMode::Native, AttachMode::Generic] {
            for path in entries(&version.join(&namespace).join(mode.name())) {
                let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
                let interface = interface_name(name);
                pins.push(Pin { path, interface, mode, is_ours });
            }
        }
    }
    pins
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn version_folder() -> String {
    format!("v{ABI:x}")
}

/// The inode of the network namespace: as good as a name for as long as it exists.
fn namespace_folder() -> io::Result<String> {
    Ok(fs::metadata("/proc/self/ns/net")?.ino().to_string())
}

/// The BPF file system takes no dots in names, interfaces have no colons in theirs.
fn file_name(interface: &str) -> String {
    interface.replace('.', ":")
}

fn interface_name(file: &str) -> String {
    file.replace(':', ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_interfaces_survive_the_file_system() {
        for interface in ["eth0", "eth0.100", "br-lan"] {
            assert!(!file_name(interface).contains('.'));
            assert_eq!(interface_name(&file_name(interface)), interface);
        }
    }
}
