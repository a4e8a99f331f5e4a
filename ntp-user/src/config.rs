//! Finds and reads the configuration: from the file that was named, the first usual one that exists, or
//! the directives on the command line.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ntp_engine::conf::{
    Errors, FileError, Files, Located, Parsed, TextFile, parse_arguments, parse_source_folders,
    parse_with,
};

use crate::args::Args;
use crate::features;

/// Where that is without a name of chrony's.
const USUAL_FILES: [&str; 3] =
    ["/etc/ntp-xdp/ntp-xdp.conf", "/etc/chrony/chrony.conf", "/etc/chrony.conf"];

/// The same when the daemon goes by chrony's name.
const CHRONYS_FILES: [&str; 2] = ["/etc/chrony/chrony.conf", "/etc/chrony.conf"];

/// The process id file that chronyd has without a `pidfile` line.
const CHRONYS_PIDFILE: &str = "/run/chrony/chronyd.pid";

/// There is no configuration to go by.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file can't be read.
    #[error("cannot read the configuration {path}: {reason}", path = .path.display(), reason = reason(.error))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// None of the usual files exists.
    #[error("no configuration: none of {} exists; name one with -f", usual_files().join(", "))]
    NotFound,
    /// It says something wrong.
    #[error("{0}")]
    Wrong(#[from] Errors),
}

/// Reads the configuration that the command line asks for.
///
/// # Errors
/// [`ConfigError`].
pub fn load(args: &Args) -> Result<Parsed, ConfigError> {
    let mut parsed = parse(args)?;
    if features::is_chronyd() && !parsed.says("pidfile") {
        parsed.config.pidfile = Some(CHRONYS_PIDFILE.into());
    }
    Ok(parsed)
}

fn parse(args: &Args) -> Result<Parsed, ConfigError> {
    if !args.directives.is_empty() {
        return Ok(parse_arguments(&args.directives, &mut FileSystem)?);
    }
    let path = match &args.file {
        Some(path) => path.clone(),
        None => usual_file().ok_or(ConfigError::NotFound)?,
    };
    let text =
        read(&path).map_err(|error| ConfigError::Unreadable { path: path.clone(), error })?;
    Ok(parse_with(&path.to_string_lossy(), &text, &mut FileSystem)?)
}

/// Reads the files of `sourcedir` lines once more.
///
/// # Errors
/// See [`parse_source_folders`].
pub(crate) fn load_source_folders(folders: &[Located<Vec<PathBuf>>]) -> Result<Parsed, Errors> {
    parse_source_folders(folders, &mut FileSystem)
}

/// Where a configuration is looked for when none is named.
pub(crate) fn usual_files() -> &'static [&'static str] {
    if features::is_chronyd() { &CHRONYS_FILES } else { &USUAL_FILES }
}

fn usual_file() -> Option<PathBuf> {
    usual_files().iter().map(PathBuf::from).find(|path| path.exists())
}

fn read(path: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

/// What the kernel says, without its number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.as_str(), |(reason, _)| reason).to_owned()
}

/// Files that a configuration includes.
struct FileSystem;

impl Files for FileSystem {
    fn matching(&mut self, pattern: &str) -> Result<Vec<TextFile>, FileError> {
        if !pattern.contains(['*', '?', '[']) {
            return Ok(vec![text_file(Path::new(pattern))?]);
        }
        let refused = |reason: String| FileError { path: pattern.to_owned(), reason };
        // Sorted by path.
        let paths = glob::glob(pattern).map_err(|error| refused(error.to_string()))?;
        let mut files = Vec::new();
        for path in paths {
            let path = path.map_err(|error| refused(error.to_string()))?;
            if path.is_file() {
                files.push(text_file(&path)?);
            }
        }
        Ok(files)
    }
}

fn text_file(path: &Path) -> Result<TextFile, FileError> {
    let name = path.to_string_lossy().into_owned();
    match read(path) {
        Ok(text) => Ok(TextFile { path: name, text }),
        Err(error) => Err(FileError { path: name, reason: reason(&error) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("ntp-xdpd-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn load_file(path: &Path) -> Result<Parsed, ConfigError> {
        load(&Args::try_parse_from(["ntp-xdpd".as_ref(), "-f".as_ref(), path.as_os_str()]).unwrap())
    }

    #[test]
    fn included_files_are_read_in_their_order() {
        let folder = folder("include");
        fs::write(folder.join("b.conf"), "port 2\n").unwrap();
        fs::write(folder.join("a.conf"), "port 1\n").unwrap();
        let main = folder.join("main.conf");
        fs::write(&main, format!("include {}/?.conf\n", folder.display())).unwrap();
        assert_eq!(load_file(&main).unwrap().config.port, 2);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn every_error_of_a_file_is_shown_with_its_place() {
        let folder = folder("errors");
        let main = folder.join("main.conf");
        fs::write(&main, "server 192.0.2.1 ibrust\nport 99999\n").unwrap();
        let message = load_file(&main).unwrap_err().to_string();
        let place = |line: u32, column: u32| format!("{}:{line}:{column}", main.display());
        assert!(message.contains(&place(1, 18)) && message.contains("`iburst`"), "{message}");
        assert!(message.contains(&place(2, 6)), "{message}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn missing_file_is_named() {
        let message = load_file(Path::new("/nonexistent/x.conf")).unwrap_err().to_string();
        assert!(message.contains("/nonexistent/x.conf"), "{message}");
    }

    #[test]
    fn directives_are_read_in_place_of_a_file() {
        let args = Args::try_parse_from(["ntp-xdpd", "-d", "port 1123"]).unwrap();
        assert_eq!(load(&args).unwrap().config.port, 1123);
    }
}
