//! The file with the daemon's process id. It also keeps a second daemon from starting by mistake.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

/// The daemon's file; removed when this value is dropped.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
}

/// Why the file is not ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PidFileError {
    /// The process that the file names is there.
    #[error("already running as process {pid}, says {path}", path = .path.display())]
    Running {
        /// The process.
        pid: u32,
        /// The file.
        path: PathBuf,
    },
    /// The file can't be written.
    #[error("cannot write {path}: {error}", path = .path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
}

impl PidFile {
    /// Checks that no other daemon holds the file.
    ///
    /// # Errors
    /// [`PidFileError::Running`].
    pub(crate) fn check(path: &Path) -> Result<(), PidFileError> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let Ok(pid) = text.trim().parse::<u32>() else { return Ok(()) };
        let is_running = pid != process::id() && Path::new("/proc").join(pid.to_string()).exists();
        if is_running { Err(PidFileError::Running { pid, path: path.to_owned() }) } else { Ok(()) }
    }

    /// Writes the file, in a folder that is made if it is missing.
    ///
    /// # Errors
    /// [`PidFileError::Unwritable`].
    pub(crate) fn write(path: &Path) -> Result<Self, PidFileError> {
        let unwritable = |error| PidFileError::Unwritable { path: path.to_owned(), error };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(unwritable)?;
        }
        fs::write(path, format!("{}\n", process::id())).map_err(unwritable)?;
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(file = %self.path.display(), %error, "Process id file stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_lives_as_long_as_the_daemon_and_names_it() {
        let path = std::env::temp_dir().join(format!("ntp-xdpd-pid-{}/x.pid", process::id()));
        PidFile::check(&path).unwrap();
        let file = PidFile::write(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", process::id()));
        PidFile::check(&path).unwrap();
        drop(file);
        assert!(!path.exists());
        fs::remove_dir(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn running_process_keeps_a_second_daemon_away_and_a_dead_one_does_not() {
        let path = std::env::temp_dir().join(format!("ntp-xdpd-other-{}.pid", process::id()));
        fs::write(&path, "1\n").unwrap();
        assert!(matches!(PidFile::check(&path), Err(PidFileError::Running { pid: 1, .. })));
        fs::write(&path, "4194305\n").unwrap();
        PidFile::check(&path).unwrap();
        fs::write(&path, "nonsense").unwrap();
        PidFile::check(&path).unwrap();
        fs::remove_file(path).unwrap();
    }
}
