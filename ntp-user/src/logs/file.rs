//! One log file: rows below a heading that comes again every so many rows.
//!
//! Invariant: a row stands on a line of its own, also after one that a full disk has cut off.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

/// A file of rows.
#[derive(Debug)]
pub(super) struct RowFile {
    path: PathBuf,
    heading: &'static str,
    /// Rows between two headings; 0: no headings.
    banner: u32,
    file: Option<File>,
    /// Rows since the file was opened.
    rows: u64,
    /// The last line has no end.
    is_torn: bool,
    /// The last row could not be written, and that was said.
    has_failed: bool,
}

impl RowFile {
    /// A file that is not opened yet.
    pub(super) fn new(path: PathBuf, heading: &'static str, banner: u32) -> Self {
        let (file, rows) = (None, 0);
        Self { path, heading, banner, file, rows, is_torn: false, has_failed: false }
    }

    /// Appends a row, if that can be.
    pub(super) fn write(&mut self, row: &str) {
        let outcome = self.append(row);
        let path = self.path.display();
        match outcome {
            Ok(()) if self.has_failed => tracing::info!("Writing {path} again"),
            Err(ref error) if !self.has_failed => {
                tracing::error!(
                    "Could not write {path}: {error}; its rows are lost until that is mended"
                );
            }
            Ok(()) | Err(_) => {}
        }
        self.has_failed = outcome.is_err();
    }

    /// Closes the file; the next row opens whatever then has its name.
    pub(super) fn close(&mut self) {
        (self.file, self.rows, self.is_torn) = (None, 0, false);
    }

    fn append(&mut self, row: &str) -> io::Result<()> {
        let mut text = String::new();
        if self.is_torn {
            text.push('\n');
        }
        if self.banner > 0 && self.rows.is_multiple_of(self.banner.into()) {
            let rule = "=".repeat(self.heading.len());
            text.extend([rule.as_str(), "\n", self.heading, "\n", rule.as_str(), "\n"]);
        }
        text.extend([row, "\n"]);
        if self.file.is_none() {
            self.file = Some(OpenOptions::new().append(true).create(true).open(&self.path)?);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let written = file.write(text.as_bytes())?;
        self.is_torn = written < text.len();
        if self.is_torn {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.rows += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("ntp-xdpd-rows-{}-{name}", std::process::id()))
    }

    #[test]
    fn heading_comes_first_and_again_after_so_many_rows() {
        for (banner, expected) in [
            (0, "1\n2\n3\n"),
            (1, "==\nab\n==\n1\n==\nab\n==\n2\n==\nab\n==\n3\n"),
            (2, "==\nab\n==\n1\n2\n==\nab\n==\n3\n"),
        ] {
            let path = path(&banner.to_string());
            let mut file = RowFile::new(path.clone(), "ab", banner);
            for row in ["1", "2", "3"] {
                file.write(row);
            }
            assert_eq!(fs::read_to_string(&path).unwrap(), expected);
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn closed_file_is_opened_anew_and_begins_with_its_heading() {
        let (old, new) = (path("old"), path("new"));
        let mut file = RowFile::new(new.clone(), "h", 32);
        file.write("1");
        fs::rename(&new, &old).unwrap();
        file.write("2");
        assert!(!new.exists(), "rows go into the file that was opened until it is closed");
        file.close();
        assert!(!new.exists(), "a file is made when there is a row for it");
        file.write("3");
        assert_eq!(fs::read_to_string(&old).unwrap(), "=\nh\n=\n1\n2\n");
        assert_eq!(fs::read_to_string(&new).unwrap(), "=\nh\n=\n3\n");
        fs::remove_file(old).unwrap();
        fs::remove_file(new).unwrap();
    }

    #[test]
    fn file_that_cannot_be_written_is_tried_again_and_costs_nothing_else() {
        let folder = path("folder");
        let mut file = RowFile::new(folder.join("x.log"), "h", 0);
        file.write("1");
        assert!(file.has_failed);
        fs::create_dir(&folder).unwrap();
        file.write("2");
        assert!(!file.has_failed);
        assert_eq!(fs::read_to_string(folder.join("x.log")).unwrap(), "2\n");
        fs::remove_dir_all(folder).unwrap();

        let mut full = RowFile::new("/dev/full".into(), "h", 0);
        full.write("1");
        assert!(full.has_failed);
    }

    #[test]
    fn row_after_one_that_was_cut_off_begins_a_line() {
        let path = path("torn");
        fs::write(&path, "cut o").unwrap();
        let mut file = RowFile::new(path.clone(), "h", 0);
        file.is_torn = true;
        file.write("whole");
        file.write("too");
        assert_eq!(fs::read_to_string(&path).unwrap(), "cut o\nwhole\ntoo\n");
        fs::remove_file(path).unwrap();
    }
}
