//! chrony's log files: which there are, and what is written into them. A new kind of record is a variant of
//! [`Record`], a row in `rows.rs`, and nothing else; its file is here already.
//!
//! Invariant: whatever becomes of a file, nothing but its rows is lost, and that is said once.

mod columns;
mod file;
mod rows;

use std::collections::BTreeMap;

use ntp_engine::conf::{Config, LogFile};
use ntp_engine::record::Record;

use crate::owner::{Owner, make_folder};
use file::RowFile;

/// Permissions of a folder that is made here.
const FOLDER_MODE: u32 = 0o750;

/// The files that are written.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    files: BTreeMap<LogFile, RowFile>,
}

impl Logs {
    /// The files that the configuration asks for. Each is opened when it has its first row.
    pub(crate) fn new(config: &Config) -> Self {
        let Some(folder) = &config.logdir else { return Self::default() };
        let files = config.log.iter().map(|&kind| {
            let path = folder.join(columns::file_name(kind));
            (kind, RowFile::new(path, columns::heading(kind), config.logbanner))
        });
        Self { files: files.collect() }
    }

    /// Writes records, each as a row of its file, if there is one.
    pub(crate) fn write(&mut self, records: &[Record]) {
        for record in records {
            if let Some(file) = self.files.get_mut(&rows::file(record)) {
                file.write(&rows::row(record));
            }
        }
    }

    /// Closes the files, which somebody may have renamed; each is opened anew for its next row.
    pub(crate) fn cycle(&mut self) {
        self.files.values_mut().for_each(RowFile::close);
    }
}

/// Makes the folder of log files if the configuration asks for any and it is missing, for `owner`, whom the daemon will
/// become.
pub(crate) fn prepare(config: &Config, owner: Owner) {
    let Some(folder) = config.logdir.as_ref().filter(|_| !config.log.is_empty()) else {
        if !config.log.is_empty() {
            tracing::warn!("`log` has no effect without `logdir`");
        }
        return;
    };
    if let Err(error) = make_folder(folder, FOLDER_MODE, owner) {
        tracing::error!("Could not make {}: {error}", folder.display());
    }
}
