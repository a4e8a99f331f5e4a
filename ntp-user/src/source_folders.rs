//! The folders of `sourcedir` lines, whose files come and go while the daemon runs. Invariant: sources from
//! elsewhere are none of their business.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use ntp_engine::conf::{Config, Located, Source};
use ntp_engine::operation::Operation;

use crate::config;
use crate::event_loop::DaemonDriver;

/// The folders, and what was last read from them.
#[derive(Debug)]
pub(crate) struct SourceFolders {
    lines: Vec<Located<Vec<PathBuf>>>,
    in_force: Vec<Source>,
}

impl SourceFolders {
    /// The folders of a configuration that is in force.
    pub(crate) fn of(config: &Config) -> Self {
        let folders = || config.sourcedir.iter().flat_map(|line| &line.value);
        let is_inside = |source: &&Located<Source>| {
            let file = Path::new(&*source.at.file);
            let is_source_file = file.extension() == Some(OsStr::new("sources"));
            is_source_file && folders().any(|folder| file.parent() == Some(folder))
        };
        let inside = config.sources.iter().filter(is_inside);
        Self {
            lines: config.sourcedir.clone(),
            in_force: inside.map(|source| source.value.clone()).collect(),
        }
    }

    /// Reads the files again, and follows what has changed in them. What is wrong in them is logged. Whether
    /// they were read.
    pub(crate) fn reload(&mut self, driver: &mut DaemonDriver) -> bool {
        let parsed = match config::load_source_folders(&self.lines) {
            Ok(parsed) => parsed,
            Err(error) => {
                tracing::error!("{error}");
                return false;
            }
        };
        parsed.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let mut wanted: Vec<Source> =
            parsed.config.sources.into_iter().map(|it| it.value).collect();
        let (removed, mut added) = difference(&self.in_force, &wanted);
        for line in removed {
            let by = added.iter().position(|other| other.is_same_source(&line));
            replace(driver, line, by.map(|at| added.remove(at)));
        }
        for line in added {
            if !add(driver, &line) {
                wanted.retain(|other| *other != line);
            }
        }
        self.in_force = wanted;
        true
    }
}

fn replace(driver: &mut DaemonDriver, line: Source, by: Option<Source>) {
    let host = line.host.to_string();
    let stays = by.is_some();
    let operation = Operation::ReplaceLine { line: Box::new(line), by: by.map(Box::new) };
    match driver.operate(&operation) {
        Ok(()) if stays => tracing::info!(source = host, "Source {host} has other options"),
        Ok(()) => tracing::info!(source = host, "Removed source {host}"),
        // An operator has deleted it before.
        Err(error) => tracing::debug!(source = host, %error, "Source {host} is gone"),
    }
}

/// Whether the sources of the line are new.
fn add(driver: &mut DaemonDriver, line: &Source) -> bool {
    let host = line.host.to_string();
    match driver.operate(&Operation::Add(Box::new(line.clone()))) {
        Ok(()) => tracing::info!(source = host, "Added source {host}"),
        Err(error) => {
            tracing::warn!(source = host, %error, "Could not add source {host}");
            return false;
        }
    }
    true
}

/// Lines of `before` that are not in `after`, and the other way round; the same line may be there more than once.
fn difference(before: &[Source], after: &[Source]) -> (Vec<Source>, Vec<Source>) {
    let (mut removed, mut added) = (Vec::new(), after.to_vec());
    for line in before {
        match added.iter().position(|other| other == line) {
            Some(at) => drop(added.remove(at)),
            None => removed.push(line.clone()),
        }
    }
    (removed, added)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntp_engine::conf::parse;

    fn lines(text: &str) -> Vec<Source> {
        let config = parse("test", text).unwrap().config;
        config.sources.into_iter().map(|it| it.value).collect()
    }

    #[test]
    fn lines_that_stay_are_not_touched() {
        let before = lines("server a\nserver b iburst\npool c\n");
        let after = lines("pool c\nserver b\nserver d\n");
        let (removed, added) = difference(&before, &after);
        assert_eq!(removed, lines("server a\nserver b iburst\n"));
        assert_eq!(added, lines("server b\nserver d\n"));
        assert_eq!(difference(&after, &after), (vec![], vec![]));
    }
}
