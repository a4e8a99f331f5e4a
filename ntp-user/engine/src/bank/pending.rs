//! Samples that are not used yet.

use super::window::Record;

/// Samples of a source that wait until it is followed.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    /// What was measured before the start: the source has yet to agree with a majority.
    pub(super) history: Vec<Record>,
    pub(super) last: Option<Record>,
}

impl Pending {
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        self.history.iter().copied().chain(self.last)
    }
}
