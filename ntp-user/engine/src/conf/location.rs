//! Where in a configuration a value was written, so that later trouble with it can be reported there.

use std::fmt;
use std::sync::Arc;

/// The place of a word in a configuration: `file:line:column`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file's name as the reader was given it, or `<command line>`.
    pub file: Arc<str>,
    /// Line, from 1. On the command line: the argument's number.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A value and the place that it was read from.
///
/// Two located values are equal when the values are: moving a line is no change of configuration.
#[derive(Debug, Clone)]
pub struct Located<T> {
    /// What was written.
    pub value: T,
    /// Where it was written.
    pub at: Location,
}

impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
