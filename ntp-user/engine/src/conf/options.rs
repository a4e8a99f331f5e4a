//! Options behind a directive's arguments, in any order: one table of names for each directive.

use super::error::{Problem, Subject};
use super::lexer::{Word, starts_comment};
use super::statement::{Owner, Read, Reported, Statement};
use super::suggest::nearest;

/// What the daemon does about something that it can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Support {
    /// It works.
    Works,
    /// Leaving it out is harmless, for this reason, which the warning gives.
    NoEffect(&'static str),
    /// Leaving it out could mislead or endanger: an error.
    NotBuiltIn,
    /// It will never have an effect: a warning.
    Legacy,
}

impl Support {
    /// Reports whatever is missing.
    pub(super) fn check(self, statement: &mut Statement<'_, '_>, owner: Owner<'_>) -> Read<()> {
        let subject = owner.subject;
        match self {
            Self::Works => Ok(()),
            Self::NoEffect(reason) => {
                statement.report(owner.word, Problem::NoEffect { subject, reason });
                Ok(())
            }
            Self::Legacy => {
                statement.report(owner.word, Problem::Legacy { subject });
                Ok(())
            }
            Self::NotBuiltIn => Err(statement.report(owner.word, Problem::NotBuiltIn { subject })),
        }
    }
}

/// An option that sets something in a `T`.
pub(super) struct OptionEntry<T> {
    pub(super) name: &'static str,
    pub(super) support: Support,
    pub(super) kind: Kind<T>,
}

/// Whether a word follows the option's name.
pub(super) enum Kind<T> {
    Flag(fn(&mut T)),
    Value(for<'a> fn(&mut T, &mut Statement<'a, '_>, Owner<'a>) -> Read<()>),
    /// As a value; may be given several times.
    Values(for<'a> fn(&mut T, &mut Statement<'a, '_>, Owner<'a>) -> Read<()>),
}

/// An option, for the tables.
pub(super) const fn option<T>(
    name: &'static str,
    support: Support,
    kind: Kind<T>,
) -> OptionEntry<T> {
    OptionEntry { name, support, kind }
}

/// Reads options up to the end of the line and reports every one that is wrong.
pub(super) fn read_options<T>(
    statement: &mut Statement<'_, '_>,
    directive: &'static str,
    table: &'static [OptionEntry<T>],
    target: &mut T,
) -> Read<()> {
    let mut outcome = Ok(());
    let mut given = vec![false; table.len()];
    while let Some(word) = statement.peek() {
        if starts_comment(word.text) {
            return statement.end(directive);
        }
        statement.next();
        let Some(index) = position(table, word) else {
            outcome = Err(report_unknown(statement, directive, table, word));
            continue;
        };
        let entry = &table[index];
        let owner = Owner { subject: Subject { name: entry.name, part: None }, word };
        let supported = entry.support.check(statement, owner);
        let repeats = matches!(entry.kind, Kind::Values(_));
        if std::mem::replace(&mut given[index], true) && !repeats {
            statement.report(word, Problem::Repeated { subject: owner.subject, first: None });
        }
        let read = match entry.kind {
            Kind::Flag(set) => {
                set(target);
                Ok(())
            }
            Kind::Value(set) | Kind::Values(set) => set(target, statement, owner),
        };
        outcome = outcome.and(supported).and(read);
    }
    outcome
}

fn position<T>(table: &[OptionEntry<T>], word: Word<'_>) -> Option<usize> {
    table.iter().position(|entry| entry.name.eq_ignore_ascii_case(word.text))
}

/// Reports an unknown option and passes over what seems to be its value, which is not to blame.
fn report_unknown<T>(
    statement: &mut Statement<'_, '_>,
    directive: &'static str,
    table: &'static [OptionEntry<T>],
    word: Word<'_>,
) -> Reported {
    let nearest = nearest(word.text, table.iter().map(|entry| entry.name));
    let can_be_used = table.iter().filter(|entry| entry.support != Support::NotBuiltIn);
    let accepted = can_be_used.map(|entry| entry.name).collect();
    let takes_value = nearest.map(|name| {
        table.iter().any(|entry| entry.name == name && !matches!(entry.kind, Kind::Flag(_)))
    });
    let token = word.text.to_owned();
    let reported =
        statement.report(word, Problem::UnknownOption { directive, token, nearest, accepted });
    if let Some(following) = statement.peek() {
        let is_number = following.text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        if takes_value.unwrap_or(is_number) && position(table, following).is_none() {
            statement.next();
        }
    }
    reported
}
