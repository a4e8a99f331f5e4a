//! Whom the daemon will become, and folders that are made for them while there are privileges.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::Path;

use nix::unistd::{User, getegid, geteuid};

/// A user and a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The user.
    pub(crate) user: u32,
    /// The group.
    pub(crate) group: u32,
}

impl Owner {
    /// The user of this name; who the process is already without one, or when there is no such user.
    pub(crate) fn named(user: Option<&str>) -> Self {
        let user = user.and_then(|name| User::from_name(name).ok().flatten());
        user.map_or(Self { user: geteuid().as_raw(), group: getegid().as_raw() }, |user| Self {
            user: user.uid.as_raw(),
            group: user.gid.as_raw(),
        })
    }
}

/// Makes a folder for `owner` if it is missing, in folders that are made if they are missing. One that is there stays
/// as it is.
///
/// # Errors
/// The system's.
pub(crate) fn make_folder(path: &Path, mode: u32, owner: Owner) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {
            // The process's mask may have taken something away.
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
            chown(path, Some(owner.user), Some(owner.group))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}
