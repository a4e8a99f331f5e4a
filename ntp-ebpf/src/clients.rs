//! Charges clients for their requests, in the table that the user path charges, too.
//!
//! The set of a client is the only memory that CPUs share and write; it is written without locks or atomic
//! operations: when two CPUs meet in a record, one of the requests may go uncounted.

use ntp_common::clients::{ClientKey, Haste, charge_in_haste};
use ntp_common::counters::Family;
use ntp_common::maps::ServingPage;
use ntp_common::ratelimit::{ClientRules, Verdict, set_of};
use ntp_common::time::MonoNs;
use ntp_common::waiting::{Charge, NEAR_SETS, Turn, WAITING as MOST_WAITING, Waiting};

use crate::charge;
use crate::live_line::LiveLine;
use crate::maps::{SERVING, SETS, WAITING};

/// A client as an IP header names it, in network order.
#[derive(Clone, Copy)]
pub(crate) enum Client {
    V4(u32),
    /// The first half of the address.
    V6(u64),
}

impl Client {
    #[inline(always)]
    pub(crate) fn family(self) -> Family {
        match self {
            Self::V4(_) => Family::V4,
            Self::V6(_) => Family::V6,
        }
    }
}

/// A client that may have a record.
#[derive(Clone, Copy)]
pub(crate) struct Account<'a> {
    rules: &'a ClientRules,
    key: ClientKey,
    hash: u64,
    first: LiveLine,
}

/// Finds a client's account, without a look into it; of a table that is near, the record is asked for. Without a table, any
/// account.
#[inline(always)]
pub(crate) fn account<'a>(page: *const ServingPage, client: Client) -> Account<'a> {
    // SAFETY: the page is a live map entry; a mixture of old and new rules does no harm.
    let rules: &ClientRules = unsafe { &(*page).clients };
    let sets = SETS.load();
    if sets == 0 {
        let key = ClientKey::of_v4(0, 0);
        return Account { rules, key, hash: 0, first: LiveLine::first(0) };
    }
    let key = match client {
        Client::V4(address) => ClientKey::of_v4(u32::from_be(address), rules.v4_mask),
        Client::V6(high) => ClientKey::of_v6(u64::from_be(high), rules.v6_mask),
    };
    let hash = rules.hash(key);
    let first = LiveLine::first(set_of(hash, sets));
    if sets <= NEAR_SETS {
        first.fetch();
    }
    Account { rules, key, hash, first }
}

impl Account<'_> {
    /// Charges the client for a request at `now`, or, while the CPU is busy, has it wait to be charged. Gives also how many wait,
    /// for [`settle`].
    #[inline(always)]
    pub(crate) fn request(self, now: MonoNs) -> (Verdict, u64) {
        let Self { rules, key, hash, first } = self;
        let sets = SETS.load();
        if sets == 0 {
            return (Verdict::Answer, 0);
        }
        if sets <= NEAR_SETS {
            if charge_in_haste(&first, rules, (key, hash), now, Haste::WhenOften) {
                return (Verdict::Answer, 0);
            }
            return (charge::at_leisure(rules, &Charge { key: key.to_bits(), hash, now }), 0);
        }
        let request = Charge { key: key.to_bits(), hash, now };
        let Some(waiting) = waiting() else { return (Verdict::Answer, 0) };
        let turn = waiting.next(request);
        let waited = if turn == Turn::Itself { waiting.take() } else { Charge::NONE };
        if waited.client().is_some() {
            charge::now(rules, waiting, &waited);
        }
        let verdict = match turn {
            Turn::Itself | Turn::Caught => charge::now(rules, waiting, &request),
            Turn::Nobody => Verdict::Answer,
        };
        (verdict, waiting.count())
    }
}

/// Charges all that wait on this CPU if there is no room for another. `count` is how many do.
///
/// To be called when all else is done: each of the ways by which the program comes to an answer would be sixteen times this for the
/// kernel's verifier.
#[inline(always)]
pub(crate) fn settle(count: u64) {
    if count < MOST_WAITING as u64 {
        return;
    }
    let Some(waiting) = waiting() else { return };
    // SAFETY: as in `account`.
    charge::all(unsafe { &(*SERVING.get()).clients }, waiting);
    waiting.clear();
}

/// What waits on this CPU.
#[inline(always)]
fn waiting<'a>() -> Option<&'a mut Waiting> {
    // SAFETY: the entry is this CPU's, and programs of one CPU do not interrupt each other.
    Some(unsafe { &mut *WAITING.get_ptr_mut(0)? })
}
