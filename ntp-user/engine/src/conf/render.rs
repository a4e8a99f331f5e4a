//! How a diagnostic is shown: `file:line:column`, the word, what is accepted instead, and the line with the
//! word underlined. Nothing that was read reaches a terminal raw.

use std::fmt::{self, Write as _};

use super::directive;
use super::error::{Diagnostic, Errors, Problem, Subject};
use super::lexer::starts_comment;
use super::location::Location;

/// How many errors are shown of one configuration; the rest is only counted.
const MAX_SHOWN: usize = 50;
/// Where lists of accepted words are folded.
const FOLD_COLUMNS: usize = 96;

/// The alternate form leaves out what is accepted.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.at.line.to_string();
        let gutter = number.len();
        let before = usize::try_from(self.at.column).unwrap_or(usize::MAX).saturating_sub(1);
        // Tabs are kept, so that the mark stands under its word whatever their width.
        let indent: String =
            self.line.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        writeln!(f, "{}: {}: {}", Clean(&self.at.to_string()), self.severity, self.problem)?;
        writeln!(f, " {number} | {}", Clean(&self.line))?;
        write!(f, " {:gutter$} | {indent}{}", "", "^".repeat(self.width.max(1)))?;
        let help = if f.alternate() { None } else { self.problem.help() };
        for (index, line) in help.iter().flat_map(|help| help.lines()).enumerate() {
            let mark = if index == 0 { '=' } else { ' ' };
            write!(f, "\n {:gutter$} {mark} {line}", "")?;
        }
        if self.severity < self.problem.severity() {
            write!(f, "\n {:gutter$} = the line is ignored", "")?;
        }
        Ok(())
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_listed = false;
        for error in self.0.iter().take(MAX_SHOWN) {
            // All directives are a long list, which is read once.
            let lists = matches!(error.problem, Problem::UnknownDirective { nearest: None, .. });
            if lists && std::mem::replace(&mut is_listed, true) {
                writeln!(f, "{error:#}\n")?;
            } else {
                writeln!(f, "{error}\n")?;
            }
        }
        let count = self.0.len();
        if count > MAX_SHOWN {
            writeln!(f, "... and {} more\n", count - MAX_SHOWN)?;
        }
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{count} error{plural} in the configuration")
    }
}

impl Problem {
    /// What would be right, on lines of its own.
    fn help(&self) -> Option<String> {
        match self {
            Self::UnknownOption { accepted, .. } | Self::UnknownChoice { accepted, .. } => {
                Some(fold("accepted: ", accepted))
            }
            Self::UnknownDirective { nearest: None, .. } => {
                Some(fold("accepted: ", &directive::names_that_work()))
            }
            Self::Missing { usage, .. } => Some(format!("usage: {usage}")),
            Self::Surplus { usage, token, .. } => Some(if starts_comment(token) {
                "a comment needs a line of its own".to_owned()
            } else {
                format!("usage: {usage}")
            }),
            Self::UnknownDirective { nearest: Some(_), .. }
            | Self::BadValue { .. }
            | Self::Repeated { .. }
            | Self::Duplicate { .. }
            | Self::NotBuiltIn { .. }
            | Self::NoEffect { .. }
            | Self::Legacy { .. }
            | Self::MaxpollRaised { .. }
            | Self::MaxsourcesOfServer
            | Self::TakenForName { .. }
            | Self::RatelimitWithoutClientlog { .. }
            | Self::LineTooLong
            | Self::TooManyFiles
            | Self::Unreadable { .. }
            | Self::NotASource { .. }
            | Self::UnterminatedLine => None,
        }
    }
}

/// Says what a subject lacks.
pub(super) struct Lacking<'a>(pub(super) &'a Subject, pub(super) &'a str);

impl fmt::Display for Lacking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.part {
            None => write!(f, "`{}` needs {}", self.0.name, self.1),
            Some(part) => write!(f, "`{}` lacks its {part}: {}", self.0.name, self.1),
        }
    }
}

/// Adds a suggestion, if there is one.
pub(super) struct DidYouMean(pub(super) Option<&'static str>);

impl fmt::Display for DidYouMean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(word) => write!(f, "; did you mean `{word}`?"),
            None => Ok(()),
        }
    }
}

/// Adds an earlier place, if it is not the same line.
pub(super) struct Earlier<'a>(pub(super) Option<&'a Location>);

impl fmt::Display for Earlier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(place) => write!(f, " at {}", Clean(&place.to_string())),
            None => Ok(()),
        }
    }
}

/// A word of the configuration in a message, shortened.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX_CHARS: usize = 64;
        match self.0.char_indices().nth(MAX_CHARS) {
            None => write!(f, "`{}`", Clean(self.0)),
            Some((end, _)) => write!(f, "`{}...`", Clean(&self.0[..end])),
        }
    }
}

/// Text with what cannot be seen, or would rearrange a terminal, replaced one for one; tabs stay.
pub(super) struct Clean<'a>(pub(super) &'a str);

impl fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = self.0.split(is_unseen);
        f.write_str(parts.next().unwrap_or_default())?;
        parts.try_for_each(|part| {
            f.write_char(char::REPLACEMENT_CHARACTER)?;
            f.write_str(part)
        })
    }
}

/// Control characters, blanks that do not separate words, and characters without width.
fn is_unseen(c: char) -> bool {
    let without_width = matches!(
        c,
        '\u{ad}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    );
    let ascii_blank = matches!(c, '\t' | ' ');
    without_width || c.is_control() && c != '\t' || c.is_whitespace() && !ascii_blank
}

/// Joins words by commas, on as many lines as they need.
fn fold(heading: &str, words: &[&str]) -> String {
    let mut text = heading.to_owned();
    let mut column = heading.len();
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            text.push(',');
            if column + word.len() > FOLD_COLUMNS {
                text.push('\n');
                text.extend(std::iter::repeat_n(' ', heading.len()));
                column = heading.len();
            } else {
                text.push(' ');
            }
        }
        text.push_str(word);
        column += word.len() + 2;
    }
    text
}
