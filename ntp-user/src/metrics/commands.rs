//! Metrics of commands.

use std::fmt;

use super::page::Page;

/// What became of the packets that may be commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandCounts {
    /// Done, or told what was asked for.
    pub done: u64,
    /// Not done, for the reason that the answer has.
    pub failed: u64,
    /// Refused: who sent it may not.
    pub not_authorised: u64,
    /// No commands, or none that are known.
    pub malformed: u64,
    /// Not looked at, since there were too many (`cmdratelimit`).
    pub limited: u64,
}

/// Writes what became of commands.
pub(super) fn write(page: &mut Page<'_>, counts: &CommandCounts) -> fmt::Result {
    let outcomes = [
        ("done", counts.done),
        ("failed", counts.failed),
        ("not_authorised", counts.not_authorised),
        ("malformed", counts.malformed),
        ("limited", counts.limited),
    ];
    let outcomes = outcomes.map(|(outcome, count)| (vec![("outcome", outcome.to_owned())], count));
    page.counters(("commands", "Packets on the command sockets", None), outcomes)
}
