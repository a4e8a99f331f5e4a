//! chrony.conf: text in, typed values with their places out. Nothing here reads a file, resolves a name or
//! knows an interface; whatever cannot be honoured is reported, never passed over in silence.
//!
//! - A directive or option that is unknown, misspelt, malformed or out of range is an error, and all errors of
//!   a configuration are reported together.
//! - What is known but not built in yet is an error where leaving it out could mislead or endanger anyone
//!   (authentication, say), else a warning. The tables of `directive` and `source_options` say which.
//! - A directive that holds one value may be repeated, as in chrony: the last one counts, and a warning says so.

mod access;
mod config;
mod directive;
mod effective;
mod effective_refclock;
mod effective_source;
mod error;
mod lexer;
mod location;
mod options;
mod read_clock;
mod read_commands;
mod read_interfaces;
mod read_refclock;
mod read_values;
mod reader;
mod refclock;
mod render;
mod source;
mod source_options;
mod statement;
mod suggest;
mod values;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use access::{AccessRule, AccessTarget, Verdict};
pub use config::{Config, DEFAULT_COMMAND_SOCKET, DEFAULT_PIDFILE};
pub use effective::Effective;
pub use error::{Diagnostic, Errors, Problem, Severity, Subject};
pub use location::{Located, Location};
pub use reader::{FileError, Files, NoFiles, TextFile};
pub use refclock::{ClockDriver, Edge, ExternalPulses, RefClock, RefClockOptions};
pub use source::{ExtensionField, Family, Host, Source, SourceKind, SourceOptions};
pub use values::{
    AuthSelectMode, DriftFile, FallbackDrift, HwTimestamp, InitStepSlew, LeapSecMode, Local,
    LogFile, MakeStep, MaxChange, OpenCommand, RateLimit, RateLimitPrefix, RxFilter, SmoothTime,
    StepLimit, TempComp, TempCompCurve, Xdp, XdpMode,
};

/// The name of the file that directives on the command line are said to be in.
pub const COMMAND_LINE: &str = "<command line>";

/// The names of the directives that have an effect.
#[must_use]
pub fn directives() -> Vec<&'static str> {
    directive::names_that_work()
}

/// A configuration that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// What it says.
    pub config: Config,
    /// What its author should know, in the order of the text.
    pub warnings: Vec<Diagnostic>,
    /// The lines that hold a directive, with files in place of the lines that include them, but those of
    /// `sourcedir`. One blank separates words.
    pub lines: Vec<String>,
}

impl Parsed {
    /// Whether there is a line with this directive, in any case.
    #[must_use]
    pub fn says(&self, directive: &str) -> bool {
        let mut names = self.lines.iter().filter_map(|line| line.split(' ').next());
        names.any(|name| name.eq_ignore_ascii_case(directive))
    }
}

/// Reads the text of one file that includes no other.
///
/// # Errors
/// Everything that is wrong in it; `include`, `confdir` and `sourcedir` lines are.
pub fn parse(file_name: &str, text: &str) -> Result<Parsed, Errors> {
    parse_with(file_name, text, &mut NoFiles)
}

/// Reads the text of a file and of the files that it includes, which `files` provides.
///
/// # Errors
/// Everything that is wrong in any of them.
pub fn parse_with(file_name: &str, text: &str, files: &mut dyn Files) -> Result<Parsed, Errors> {
    let mut reader = reader::Reader::new(files);
    reader.read_file(file_name, text);
    reader.finish()
}

/// Reads once more the files of `sourcedir` lines: the sources that are in them now.
///
/// # Errors
/// Nothing that is in a file: such mistakes are warnings.
pub fn parse_source_folders(
    folders: &[Located<Vec<PathBuf>>],
    files: &mut dyn Files,
) -> Result<Parsed, Errors> {
    let mut reader = reader::Reader::new(files);
    for line in folders {
        reader.read_source_folders(&line.at, &line.value);
    }
    reader.finish()
}

/// Reads directives from the command line: each argument is a line of a file called [`COMMAND_LINE`].
///
/// # Errors
/// Everything that is wrong in them and in the files that they include.
pub fn parse_arguments<S: AsRef<str>>(
    arguments: impl IntoIterator<Item = S>,
    files: &mut dyn Files,
) -> Result<Parsed, Errors> {
    let mut reader = reader::Reader::new(files);
    for (number, argument) in (1..).zip(arguments) {
        reader.read_argument(number, argument.as_ref());
    }
    reader.finish()
}
