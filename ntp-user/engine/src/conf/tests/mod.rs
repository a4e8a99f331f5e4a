//! Tests of the reader as a whole.

mod effective;
mod files;
mod judgements;
mod manual;
mod messages;
mod properties;
mod real;
mod refclock;
mod values;

use super::{Config, Parsed, parse};

/// Reads text that must be accepted.
fn accept(text: &str) -> Parsed {
    parse("test.conf", text).unwrap_or_else(|errors| panic!("{text:?} is refused:\n{errors}"))
}

/// Reads text that must be accepted without a warning.
fn config(text: &str) -> Config {
    let Parsed { config, warnings, .. } = accept(text);
    assert!(warnings.is_empty(), "{text:?}: {}", shown(&warnings));
    config
}

/// The errors of text that must be refused, as they are shown.
fn refuse(text: &str) -> String {
    match parse("test.conf", text) {
        Ok(parsed) => panic!("{text:?} is accepted: {parsed:#?}"),
        Err(errors) => shown(errors.iter()),
    }
}

/// The warnings of text that must be accepted, as they are shown.
fn warn(text: &str) -> String {
    shown(&accept(text).warnings)
}

fn shown<'a>(diagnostics: impl IntoIterator<Item = &'a super::Diagnostic>) -> String {
    let shown: Vec<_> = diagnostics.into_iter().map(ToString::to_string).collect();
    shown.join("\n")
}
