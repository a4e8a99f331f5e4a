//! How many tests passed, failed and were skipped.

use std::fmt;
use std::iter::Sum;

use crate::report::{Paint, paint};

/// A count of tests by their outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// As they should be.
    pub(crate) passed: u64,
    /// Not as they should be, or not even compiled.
    pub(crate) failed: u64,
    /// Could not be run on this machine.
    pub(crate) skipped: u64,
}

impl Tally {
    /// One check that passed.
    pub(crate) fn passed() -> Self {
        Self { passed: 1, ..Self::default() }
    }

    /// One check that failed.
    pub(crate) fn failed() -> Self {
        Self { failed: 1, ..Self::default() }
    }

    /// One check that cannot be run here; prints `reason`.
    pub(crate) fn skipped(reason: &str) -> Self {
        println!("{}: {reason}", paint(Paint::Note, "skipped"));
        Self { skipped: 1, ..Self::default() }
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |sum, tally| Self {
            passed: sum.passed + tally.passed,
            failed: sum.failed + tally.failed,
            skipped: sum.skipped + tally.skipped,
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(formatter, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}
