//! Files that others read whole: what was, or what is to be, never a part of it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Puts a file in the place of the one at `path`; it is on the disk when this returns, should the machine stop then.
///
/// # Errors
/// The system's; the old file is as it was.
pub(crate) fn replace_durably(path: &Path, octets: &[u8]) -> io::Result<()> {
    replace_by(path, |file| file.write_all(octets).and_then(|()| file.sync_all()))
}

/// Puts a file in the place of the one at `path`. A machine that stops may lose it.
///
/// # Errors
/// The system's; the old file is as it was.
pub(crate) fn replace(path: &Path, octets: &[u8]) -> io::Result<()> {
    replace_by(path, |file| file.write_all(octets))
}

/// Writes a file beside the old one, and puts it in the old one's place.
fn replace_by(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    let written = File::create(&temporary)
        .and_then(|mut file| write(&mut file))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // It may never have come to be.
        let _gone = fs::remove_file(&temporary);
    }
    written
}
