//! Where leap seconds are looked up: `leapseclist`, else `leapsectz`. Read at the start and twice a day, so that
//! an update of the file takes effect without a restart.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use ntp_engine::conf::Config;
use ntp_engine::leap::tables::{LeapTable, LeapTableError};

use crate::clock::readings::UnixTime;

/// Where time zones are when `TZDIR` does not say.
const ZONE_DIRECTORY: &str = "/usr/share/zoneinfo";
/// Largest file that is read, octets: those of today have 10,000.
const LARGEST_FILE: u64 = 1 << 20;

/// A file with leap seconds.
#[derive(Debug)]
pub(crate) enum LeapFile {
    /// A `leap-seconds.list`.
    List(PathBuf),
    /// A time zone of the `right` kind.
    Zone(PathBuf),
}

/// Why a file can't be used.
#[derive(Debug, thiserror::Error)]
enum LeapFileError {
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    #[error("it is larger than {LARGEST_FILE} octets")]
    TooLarge,
    #[error("{0}")]
    NoTable(#[from] LeapTableError),
}

impl LeapFile {
    /// The file that a configuration names, if it names one.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        if let Some(list) = &config.leapseclist {
            return Some(Self::List(list.clone()));
        }
        let directory = env::var_os("TZDIR").unwrap_or_else(|| ZONE_DIRECTORY.into());
        // An absolute path takes the directory's place.
        config.leapsectz.as_ref().map(|zone| Self::Zone(Path::new(&directory).join(zone)))
    }

    /// Reads the file; one that can't be used is worth a warning and no more.
    pub(crate) fn read(&self) -> Option<LeapTable> {
        let path = self.path().display();
        match self.table() {
            Ok(table) => {
                tracing::debug!("Leap seconds are looked up in {path}");
                if table.expires().is_some_and(|expires| UnixTime::now().seconds >= expires) {
                    tracing::warn!("{path} has expired: later leap seconds are not in it");
                }
                Some(table)
            }
            Err(error) => {
                tracing::warn!("Leap seconds can't be looked up in {path}: {error}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::List(path) | Self::Zone(path) => path,
        }
    }

    fn table(&self) -> Result<LeapTable, LeapFileError> {
        if fs::metadata(self.path())?.len() > LARGEST_FILE {
            return Err(LeapFileError::TooLarge);
        }
        let octets = fs::read(self.path())?;
        Ok(match self {
            Self::List(_) => LeapTable::from_list(&String::from_utf8_lossy(&octets))?,
            Self::Zone(_) => LeapTable::from_time_zone(&octets)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_comes_before_the_time_zone_and_an_absolute_path_is_kept() {
        let mut config = Config::default();
        assert!(LeapFile::of(&config).is_none());
        config.leapsectz = Some("/etc/leaps".into());
        assert_eq!(LeapFile::of(&config).unwrap().path(), Path::new("/etc/leaps"));
        config.leapsectz = Some("right/UTC".into());
        let file = LeapFile::of(&config).unwrap();
        assert!(file.path().ends_with("zoneinfo/right/UTC"), "{file:?}");
        config.leapseclist = Some("leap-seconds.list".into());
        assert!(matches!(LeapFile::of(&config), Some(LeapFile::List(_))));
    }

    #[test]
    fn file_that_cannot_be_used_is_no_table() {
        let path = env::temp_dir().join(format!("ntp-xdpd-leaps-{}", std::process::id()));
        assert!(LeapFile::List(path.clone()).read().is_none());
        fs::write(&path, "no list").unwrap();
        assert!(LeapFile::List(path.clone()).read().is_none());
        assert!(LeapFile::Zone(path.clone()).read().is_none());
        fs::remove_file(path).unwrap();
    }
}
