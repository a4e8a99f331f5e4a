//! Charging a client in a hurry: its counts, in another line of memory, are left for later.

use super::{ClientKey, Line, keys, read_state, write_state};
use crate::ratelimit::ClientRules;
use crate::time::MonoNs;

/// Which clients are charged in a hurry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// All: whoever asks is in a hurry itself.
    Always,
    /// Those that ask often: there is time to count the others at once, see [`ClientRules::is_seldom`].
    WhenOften,
}

/// Charges a client for a request in a hurry: reads and writes the first line of its set alone. `false`: nothing
/// was done, and [`super::charge`] must be.
#[inline(always)]
pub fn charge_in_haste(
    first: &impl Line,
    rules: &ClientRules,
    key: ClientKey,
    now: MonoNs,
    haste: Haste,
) -> bool {
    let way = rules.likely_way(&keys(first), key);
    if first.read(way) != key.to_bits() {
        return false;
    }
    let state = read_state(first, way);
    if haste == Haste::WhenOften && rules.is_seldom(state.due(), now) {
        return false;
    }
    let Some(due) = rules.admit(state.due(), now) else { return false };
    let Some(state) = state.after_another(due) else { return false };
    write_state(first, way, state);
    true
}
