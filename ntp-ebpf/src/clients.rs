//! Charges clients for their requests, in the table that the user path charges, too.
//!
//! The set of a client is the only memory that CPUs share and write; it is written without locks or atomic
//! operations: when two CPUs meet in a record, one of the requests may go uncounted.

use ntp_common::clients::{ClientKey, Haste, charge, charge_in_haste};
use ntp_common::counters::Family;
use ntp_common::maps::ServingPage;
use ntp_common::ratelimit::{ClientRules, Verdict};
use ntp_common::time::MonoNs;
use ntp_common::waiting::{Charge, NEAR_SETS, Turn, Waiting};

use crate::live_line::LiveLine;
use crate::maps::WAITING;

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

/// Finds a client's account, without a look into it. `None` if there are no records.
#[inline(always)]
pub(crate) fn account<'a>(page: *const ServingPage, client: Client) -> Option<Account<'a>> {
    // SAFETY: the page is a live map entry; a mixture of old and new rules does no harm.
    let rules: &ClientRules = unsafe { &(*page).clients };
    if rules.sets == 0 {
        return None;
    }
    let key = match client {
        Client::V4(address) => ClientKey::of_v4(u32::from_be(address), rules.v4_mask),
        Client::V6(high) => ClientKey::of_v6(u64::from_be(high), rules.v6_mask),
    };
    let hash = rules.hash(key);
    let first = LiveLine::at(rules.set_of(hash))?;
    Some(Account { rules, key, hash, first })
}

impl Account<'_> {
    /// Charges the client for a request at `now`, or, while the CPU is busy, has it wait to be charged.
    #[inline(always)]
    pub(crate) fn request(self, now: MonoNs) -> Verdict {
        let Self { rules, key, hash, first } = self;
        if rules.sets <= NEAR_SETS {
            if charge_in_haste(&first, rules, key, now, Haste::WhenOften) {
                return Verdict::Answer;
            }
            return verdict(charge_at_leisure(rules, key.to_bits(), hash, now.0));
        }
        let request = Charge { key: key.to_bits(), hash, now };
        let Some(waiting) = WAITING.get_ptr_mut(0) else { return Verdict::Answer };
        // SAFETY: the entry is this CPU's, and programs of one CPU do not interrupt each other.
        let waiting = unsafe { &mut *waiting };
        match waiting.next(request) {
            Turn::Itself => {
                let waited = waiting.take();
                charge_at_leisure(rules, waited.key, waited.hash, waited.now.0);
                charge_now(rules, waiting, &request)
            }
            Turn::Caught => charge_now(rules, waiting, &request),
            Turn::Nobody => Verdict::Answer,
            Turn::All => {
                charge_all(rules, waiting);
                Verdict::Answer
            }
        }
    }
}

/// Charges all that waited. Every record is asked for before the first is waited for.
#[inline(never)]
fn charge_all(rules: &ClientRules, waiting: &mut Waiting) -> u32 {
    for request in waiting.requests() {
        if let Some(first) = LiveLine::at(rules.set_of(request.hash)) {
            first.fetch();
        }
    }
    for slot in 0..waiting.requests().len() {
        let request = waiting.requests()[slot];
        if !charge_quickly(rules, &request) {
            charge_now(rules, waiting, &request);
        }
    }
    ANSWER
}

/// Charges a client for one request, and remembers it if it is over the limit.
#[inline(always)]
fn charge_now(rules: &ClientRules, waiting: &mut Waiting, charged: &Charge) -> Verdict {
    let code = charge_at_leisure(rules, charged.key, charged.hash, charged.now.0);
    if code != ANSWER {
        waiting.catch(charged.hash);
    }
    verdict(code)
}

/// Charges a client that has a record, is within the limit, and needs nothing else.
#[inline(always)]
fn charge_quickly(rules: &ClientRules, charged: &Charge) -> bool {
    let Some(key) = charged.client() else { return true };
    let Some(first) = LiveLine::at(rules.set_of(charged.hash)) else { return true };
    charge_in_haste(&first, rules, key, charged.now, Haste::Always)
}

/// What functions of the program say to each other, which give numbers alone.
const ANSWER: u32 = 0;
const LEAK: u32 = 1;
const KISS: u32 = 2;
const DROP: u32 = 3;

#[inline(always)]
fn verdict(code: u32) -> Verdict {
    match code {
        DROP => Verdict::Drop,
        KISS => Verdict::Kiss,
        LEAK => Verdict::Leak,
        _ => Verdict::Answer,
    }
}

/// Charges a client for one request, whatever it takes. Not a part of the one function, whose registers it would
/// have spilled.
#[inline(never)]
fn charge_at_leisure(rules: &ClientRules, key: u64, hash: u64, now_ns: u64) -> u32 {
    let Some(key) = ClientKey::from_bits(key) else { return ANSWER };
    let set = rules.set_of(hash);
    let Some(first) = LiveLine::at(set) else { return ANSWER };
    let Some(second) = LiveLine::at(rules.sets + set) else { return ANSWER };
    match charge(&first, &second, rules, (key, hash), MonoNs(now_ns)) {
        Verdict::Answer => ANSWER,
        Verdict::Leak => LEAK,
        Verdict::Kiss => KISS,
        Verdict::Drop => DROP,
    }
}
