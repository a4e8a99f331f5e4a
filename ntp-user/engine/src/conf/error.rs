//! What can be wrong with a configuration: one variant for each cause, with the values that its message names.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::lexer::MAX_LINE_BYTES;
use super::location::Location;
use super::reader::{MAX_FILES, MAX_INCLUDE_DEPTH};
use super::render::{Clean, DidYouMean, Earlier, Lacking, Quoted};

/// One cause of trouble.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The first word of a line is no directive.
    #[error("unknown directive {}{}", Quoted(token), DidYouMean(*nearest))]
    UnknownDirective {
        /// The word.
        token: String,
        /// The directive that it resembles.
        nearest: Option<&'static str>,
    },
    /// A word is no option of its directive.
    #[error("unknown option {} of `{directive}`{}", Quoted(token), DidYouMean(*nearest))]
    UnknownOption {
        /// The directive.
        directive: &'static str,
        /// The word.
        token: String,
        /// The option that it resembles.
        nearest: Option<&'static str>,
        /// All options.
        accepted: Vec<&'static str>,
    },
    /// A word is none of a fixed choice.
    #[error("{subject} cannot be {}{}", Quoted(token), DidYouMean(*nearest))]
    UnknownChoice {
        /// What the word was given for.
        subject: Subject,
        /// The word.
        token: String,
        /// The choice that it resembles.
        nearest: Option<&'static str>,
        /// All choices.
        accepted: Vec<&'static str>,
    },
    /// The line ends where a value should be.
    #[error("{}", Lacking(subject, expected))]
    Missing {
        /// What lacks a value.
        subject: Subject,
        /// What a value looks like.
        expected: String,
        /// The directive's form.
        usage: &'static str,
    },
    /// There are words after the last that the directive takes.
    #[error("`{directive}` takes no further argument, but there is {}", Quoted(token))]
    Surplus {
        /// The directive.
        directive: &'static str,
        /// The first word too many.
        token: String,
        /// The directive's form.
        usage: &'static str,
    },
    /// A value has the wrong form or is out of range.
    #[error("{subject} must be {expected}, not {}", Quoted(token))]
    BadValue {
        /// What the value was given for.
        subject: Subject,
        /// What a value looks like.
        expected: String,
        /// The word.
        token: String,
    },
    /// Something that holds one value was given again; the last one counts.
    #[error("{subject} was already given{}; the last one counts", Earlier(first.as_ref()))]
    Repeated {
        /// What was repeated.
        subject: Subject,
        /// Where it was given before, if on another line.
        first: Option<Location>,
    },
    /// Something may be given only once.
    #[error("{subject} was already given{}", Earlier(first.as_ref()))]
    Duplicate {
        /// What was repeated.
        subject: Subject,
        /// Where it was given before, if on another line.
        first: Option<Location>,
    },
    /// A feature does not exist yet, and leaving it out would not be safe.
    #[error("{subject} is not built in yet")]
    NotBuiltIn {
        /// The directive or option.
        subject: Subject,
    },
    /// Something is left out, which is harmless.
    #[error("{subject} has no effect: {reason}")]
    NoEffect {
        /// The directive or option.
        subject: Subject,
        /// Why there is none.
        reason: &'static str,
    },
    /// A directive is only known because old files have it.
    #[error("{subject} is no longer supported and has no effect")]
    Legacy {
        /// The directive.
        subject: Subject,
    },
    /// The longest poll interval was below the shortest.
    #[error("`maxpoll` {maxpoll} is below `minpoll` {minpoll} and is raised to it")]
    MaxpollRaised {
        /// Shortest interval, log2 seconds.
        minpoll: i8,
        /// Longest interval as written, log2 seconds.
        maxpoll: i8,
    },
    /// `maxsources` on a source that is no pool.
    #[error("`maxsources` has no effect on `server`, only on `pool`")]
    MaxsourcesOfServer,
    /// A word that may be a name of a host looks like a misspelt keyword.
    #[error("{} is taken for the name of a host{}", Quoted(token), DidYouMean(Some(nearest)))]
    TakenForName {
        /// The word.
        token: String,
        /// The keyword.
        nearest: &'static str,
    },
    /// Clients cannot be limited when no record of them is kept.
    #[error(
        "`ratelimit` and `noclientlog` exclude each other; the other one is{}",
        Earlier(Some(other))
    )]
    RatelimitWithoutClientlog {
        /// Where the other one is.
        other: Location,
    },
    /// A line is longer than a directive can be.
    #[error("the line is longer than {MAX_LINE_BYTES} bytes")]
    LineTooLong,
    /// Files include one another without end.
    #[error(
        "files are included more than {MAX_INCLUDE_DEPTH} deep, or more than {MAX_FILES} in all"
    )]
    TooManyFiles,
    /// A file could not be read.
    #[error("cannot read {}: {}", Quoted(path), Clean(reason))]
    Unreadable {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A file of sources says something else.
    #[error(
        "only `server` and `pool` may stand in a file of `sourcedir`, not {}; the line is ignored",
        Quoted(token)
    )]
    NotASource {
        /// The directive.
        token: String,
    },
    /// The last line of a file of sources does not end: the file is still being written.
    #[error("the line has no end and is ignored")]
    UnterminatedLine,
}

impl Problem {
    /// How grave the problem is where nothing else is said.
    pub(super) fn severity(&self) -> Severity {
        match self {
            Self::Repeated { .. }
            | Self::NoEffect { .. }
            | Self::Legacy { .. }
            | Self::MaxpollRaised { .. }
            | Self::MaxsourcesOfServer
            | Self::TakenForName { .. }
            | Self::NotASource { .. }
            | Self::UnterminatedLine => Severity::Warning,
            Self::UnknownDirective { .. }
            | Self::UnknownOption { .. }
            | Self::UnknownChoice { .. }
            | Self::Missing { .. }
            | Self::Surplus { .. }
            | Self::BadValue { .. }
            | Self::Duplicate { .. }
            | Self::NotBuiltIn { .. }
            | Self::RatelimitWithoutClientlog { .. }
            | Self::LineTooLong
            | Self::TooManyFiles
            | Self::Unreadable { .. } => Severity::Error,
        }
    }
}

/// What a value belongs to: a directive, an option, or a named part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// The directive's or option's name.
    pub name: &'static str,
    /// Which of its arguments, when it has several.
    pub part: Option<&'static str>,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            None => write!(f, "`{}`", self.name),
            Some(part) => write!(f, "the {part} of `{}`", self.name),
        }
    }
}

/// Whether a configuration is refused because of a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is in force all the same.
    Warning,
    /// The configuration is refused.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// A problem, its place, and the line that it is in.
///
/// Shown as `file:line:column: severity: message`, then the line, the word underlined, and what is accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// Whether the configuration is refused because of it.
    pub severity: Severity,
    /// The place of the word that it is about.
    pub at: Location,
    /// What is wrong.
    pub problem: Problem,
    /// The line as it was read.
    pub(super) line: Arc<str>,
    /// The word's length in characters.
    pub(super) width: usize,
}

/// Everything that made a configuration unacceptable, in the order of its text; never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Errors(pub(super) Vec<Diagnostic>);

impl Errors {
    /// The errors, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }
}

impl std::error::Error for Errors {}
