//! The folder of the Unix socket: whoever can reach into it has all rights over the daemon, so that it must be
//! the daemon's own, and shut to others.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::owner::{Owner, make_folder};

/// Permissions of the folder: the daemon's user and group, nobody else.
const MODE: u32 = 0o770;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    /// The folder can't be made or looked at.
    #[error("cannot make {path}: {error}", path = .path.display())]
    Unmade {
        /// The folder.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// It is open to others.
    #[error("permissions {mode:04o} of {path} are too wide (more than {MODE:04o})", path = .path.display())]
    Open {
        /// The folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is somebody else's.
    #[error("{path} belongs to another user or group", path = .path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
}

/// Makes the folder for `owner` if it is missing, and checks it if it is there.
///
/// # Errors
/// [`FolderError`]: there must be no socket then.
pub(crate) fn prepare(path: &Path, owner: Owner) -> Result<(), FolderError> {
    let unmade = |error| FolderError::Unmade { path: path.to_owned(), error };
    make_folder(path, MODE, owner).map_err(unmade)?;
    let found = fs::symlink_metadata(path).map_err(unmade)?;
    let mode = found.mode() & 0o777;
    if !found.is_dir() || found.uid() != owner.user || found.gid() != owner.group {
        return Err(FolderError::Foreign { path: path.to_owned() });
    }
    if mode & !MODE != 0 {
        return Err(FolderError::Open { path: path.to_owned(), mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn folder_is_made_once_and_refused_when_others_reach_into_it() {
        let base = std::env::temp_dir().join(format!("ntp-xdpd-command-{}", std::process::id()));
        let path = base.join("a/b");
        let owner = Owner::named(None);
        prepare(&path, owner).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, MODE);
        prepare(&path, owner).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        prepare(&path, owner).unwrap();
        for mode in [0o771, 0o775] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(prepare(&path, owner), Err(FolderError::Open { .. })), "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(MODE)).unwrap();
        let other = Owner { user: owner.user + 1, ..owner };
        assert!(matches!(prepare(&path, other), Err(FolderError::Foreign { .. })));
        fs::write(base.join("file"), "").unwrap();
        assert!(prepare(&base.join("file"), owner).is_err());
        fs::remove_dir_all(base).unwrap();
    }
}
