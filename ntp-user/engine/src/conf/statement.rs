//! A cursor over the words of one line. What it cannot read it reports at the word that is to blame,
//! so a directive's reader only says what it wants.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ntp_common::wire::ReferenceId;

use super::error::{Diagnostic, Problem, Severity, Subject};
use super::lexer::{Line, Word};
use super::location::{Located, Location};
use super::source::Host;
use super::suggest::nearest;

/// What was wrong has been reported; the value cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reported;

/// A value, or nothing because the trouble was reported.
pub(super) type Read<T> = Result<T, Reported>;

/// The report so far, and what may not be said twice.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Where each thing that can be said once was said.
    seen: BTreeMap<&'static str, Location>,
    /// Errors count as warnings: the file is not part of the configuration proper.
    pub(super) lenient: bool,
    /// Reference clocks that are locked to another one, and what is to be said if there is no such clock.
    pub(super) locks: Vec<(ReferenceId, Diagnostic)>,
}

/// Whom a value belongs to, and where the name stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) subject: Subject,
    pub(super) word: Word<'a>,
}

impl Owner<'_> {
    /// The same place; the value is one of several arguments.
    pub(super) fn part(self, part: &'static str) -> Self {
        Self { subject: Subject { part: Some(part), ..self.subject }, ..self }
    }
}

/// The unit of a number with a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Ppm,
    None,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seconds => "a number of seconds",
            Self::Ppm => "a number of ppm",
            Self::None => "a number",
        })
    }
}

/// A range without end.
pub(super) const FROM_ZERO: RangeInclusive<f64> = 0.0..=f64::INFINITY;
/// Any number.
pub(super) const ANY: RangeInclusive<f64> = f64::NEG_INFINITY..=f64::INFINITY;

/// One line that is being read.
#[derive(Debug)]
pub(super) struct Statement<'a, 'log> {
    file: &'a Arc<str>,
    line: &'a Line<'a>,
    usage: &'static str,
    next: usize,
    log: &'log mut Log,
}

impl<'a, 'log> Statement<'a, 'log> {
    /// Starts at the first word; `usage` begins with the directive's name.
    pub(super) fn new(file: &'a Arc<str>, line: &'a Line<'a>, log: &'log mut Log) -> Self {
        Self { file, line, usage: "", next: 0, log }
    }

    /// Says which directive it is: its form is quoted when the line does not have it.
    pub(super) fn expect_form(&mut self, usage: &'static str) {
        self.usage = usage;
    }

    /// Takes the next word, if there is one.
    pub(super) fn next(&mut self) -> Option<Word<'a>> {
        let word = self.peek()?;
        self.next += 1;
        Some(word)
    }

    /// Looks at the next word.
    pub(super) fn peek(&self) -> Option<Word<'a>> {
        self.line.words.get(self.next).copied()
    }

    /// Where a word stands.
    pub(super) fn at(&self, word: Word<'_>) -> Location {
        Location { file: Arc::clone(self.file), line: self.line.number, column: word.column }
    }

    /// A value with its place.
    pub(super) fn locate<T>(&self, value: T, word: Word<'_>) -> Located<T> {
        Located { value, at: self.at(word) }
    }

    /// Reports a problem with a word.
    pub(super) fn report(&mut self, word: Word<'_>, problem: Problem) -> Reported {
        let diagnostic = self.diagnose(word, problem);
        self.log.diagnostics.push(diagnostic);
        Reported
    }

    /// A problem with a word, that may yet turn out to be none.
    pub(super) fn diagnose(&self, word: Word<'_>, problem: Problem) -> Diagnostic {
        Diagnostic {
            severity: if self.log.lenient { Severity::Warning } else { problem.severity() },
            at: self.at(word),
            problem,
            line: Arc::clone(&self.line.text),
            width: word.text.chars().count(),
        }
    }

    /// Keeps what is to be said of the lock of a reference clock until all clocks are known.
    pub(super) fn postpone(&mut self, clock: ReferenceId, bad_lock: Diagnostic) {
        self.log.locks.push((clock, bad_lock));
    }

    /// Reports a problem with the line as a whole.
    pub(super) fn report_line(&mut self, problem: Problem) -> Reported {
        let start = Word { text: "", column: 1 };
        self.report(self.line.words.first().copied().unwrap_or(start), problem)
    }

    /// Notes that something was said; if it had been said before, where.
    pub(super) fn say_once(&mut self, what: &'static str, word: Word<'_>) -> Option<Location> {
        let here = self.at(word);
        self.log.seen.insert(what, here)
    }

    /// Warns if `what` had been said before; the last one counts.
    pub(super) fn warn_if_repeated(&mut self, what: &'static str, owner: Owner<'_>) {
        if let Some(first) = self.say_once(what, owner.word) {
            let problem = Problem::Repeated { subject: owner.subject, first: Some(first) };
            self.report(owner.word, problem);
        }
    }

    /// Where `what` was said, if it was.
    pub(super) fn said(&self, what: &'static str) -> Option<Location> {
        self.log.seen.get(what).cloned()
    }

    /// The line must end here.
    pub(super) fn end(&mut self, directive: &'static str) -> Read<()> {
        match self.peek() {
            None => Ok(()),
            Some(word) => {
                let token = word.text.to_owned();
                let usage = self.usage;
                Err(self.report(word, Problem::Surplus { directive, token, usage }))
            }
        }
    }

    /// Takes a word that must be there.
    pub(super) fn word(&mut self, owner: Owner<'_>, expected: impl fmt::Display) -> Read<Word<'a>> {
        self.next().ok_or_else(|| {
            let usage = self.usage;
            let expected = expected.to_string();
            self.report(owner.word, Problem::Missing { subject: owner.subject, expected, usage })
        })
    }

    /// Reports that a word does not have the form that it must have.
    pub(super) fn bad_value(
        &mut self,
        owner: Owner<'_>,
        word: Word<'_>,
        expected: impl fmt::Display,
    ) -> Reported {
        let (expected, token) = (expected.to_string(), word.text.to_owned());
        self.report(word, Problem::BadValue { subject: owner.subject, expected, token })
    }

    /// Takes a word that `convert` must accept.
    pub(super) fn value<T>(
        &mut self,
        owner: Owner<'_>,
        expected: impl fmt::Display + Copy,
        convert: impl FnOnce(&str) -> Option<T>,
    ) -> Read<T> {
        let word = self.word(owner, expected)?;
        convert(word.text).ok_or_else(|| self.bad_value(owner, word, expected))
    }

    /// Takes a whole number.
    pub(super) fn integer<T>(&mut self, owner: Owner<'_>, range: RangeInclusive<T>) -> Read<T>
    where
        T: Copy + PartialOrd + fmt::Display + std::str::FromStr,
    {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.value(owner, expected.as_str(), |text| {
            text.parse().ok().filter(|value| range.contains(value))
        })
    }

    /// Takes a number that may have a fraction.
    pub(super) fn number(
        &mut self,
        owner: Owner<'_>,
        unit: Unit,
        range: RangeInclusive<f64>,
    ) -> Read<f64> {
        let expected = match (range.start().is_finite(), range.end().is_finite()) {
            (true, true) => format!("{unit} from {} to {}", range.start(), range.end()),
            (true, false) => format!("{unit}, at least {}", range.start()),
            (false, _) => unit.to_string(),
        };
        self.value(owner, expected.as_str(), |text| {
            text.parse().ok().filter(|value: &f64| value.is_finite() && range.contains(value))
        })
    }

    /// Takes one of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        owner: Owner<'_>,
        choices: &'static [(&'static str, T)],
    ) -> Read<T> {
        let accepted: Vec<_> = choices.iter().map(|&(name, _)| name).collect();
        let word = self.word(owner, format_args!("one of {}", accepted.join(", ")))?;
        if let Some(&(_, value)) =
            choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(word.text))
        {
            return Ok(value);
        }
        let problem = Problem::UnknownChoice {
            subject: owner.subject,
            token: word.text.to_owned(),
            nearest: nearest(word.text, accepted.iter().copied()),
            accepted,
        };
        Err(self.report(word, problem))
    }

    /// Takes an address.
    pub(super) fn address(&mut self, owner: Owner<'_>) -> Read<IpAddr> {
        self.value(owner, "an IPv4 or IPv6 address", |text| text.parse().ok())
    }

    /// Takes a host's name or address.
    pub(super) fn host(&mut self, owner: Owner<'_>) -> Read<Host> {
        self.value(owner, "a host name or an address", Host::parse)
    }
}
