//! Charging a client in a hurry: its counts, in another line of memory, are left for later.

use super::{ClientKey, Line, RELUCTANCE, WAYS, read_state, write_state};
use crate::ratelimit::{ClientRules, likely_way};
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
/// was done, and [`super::charge`] must be. A client that goes unrecorded this time has been charged.
#[inline(always)]
pub fn charge_in_haste(
    first: &impl Line,
    rules: &ClientRules,
    (key, hash): (ClientKey, u64),
    now: MonoNs,
    haste: Haste,
) -> bool {
    let keys = [first.read(0), first.read(1), first.read(2)];
    let way = likely_way(keys, key, |word| first.is_negative(word));
    if first.read(way) != key.to_bits() {
        return is_passed_over(first, rules, hash, now);
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

/// Whether a client that has no record goes without one this time: all in its set ask often, and chance spares them.
///
/// [`super::place`] would let it have the record of one that came once, and that one would take it back: two clients that find no
/// room would cost a new record with each request, and keep none.
#[inline(always)]
fn is_passed_over(first: &impl Line, rules: &ClientRules, hash: u64, now: MonoNs) -> bool {
    let mut way = 0;
    while way < WAYS {
        // The state of an empty record may look like any, as due times wrap.
        if first.read(way) == 0 || rules.is_seldom(read_state(first, way).due(), now) {
            return false;
        }
        way += 1;
    }
    rules.chance(hash, now.0) & (RELUCTANCE - 1) != 0
}
