//! What must hold of any octets that come in from outside, a function for each kind: no panic, and what the kind
//! promises beyond that. Fuzzers (`cargo xtask fuzz`) and property tests (`tests/any_octets.rs`) call the same ones.
//!
//! Invariant: a function panics if, and only if, something is wrong with the code that it tries.

#![expect(clippy::missing_panics_doc, reason = "to panic is what they are for")]

mod commands;
mod files;
mod replies;
mod requests;

/// Tries one input.
pub type Try = fn(&[u8]);

/// Every kind of input by the name of its fuzzer and of the folder of its corpus.
pub const KINDS: [(&str, Try); 6] = [
    ("configuration", files::configuration),
    ("commands", commands::commands),
    ("requests", requests::requests),
    ("replies", replies::replies),
    ("keys", files::keys),
    ("tables", files::tables),
];

/// Tries `octets` as what `kind` names.
pub fn try_as(kind: &str, octets: &[u8]) {
    let (_, attempt) = KINDS.iter().find(|(name, _)| *name == kind).expect("a kind of input");
    attempt(octets);
}
