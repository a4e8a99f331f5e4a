//! Charges clients in their records: one at once, or all that wait on a CPU.

use ntp_common::clients::{ClientKey, Haste, charge, charge_in_haste};
use ntp_common::ratelimit::{ClientRules, Verdict, set_of};
use ntp_common::time::MonoNs;
use ntp_common::waiting::{Charge, Waiting};

use crate::live_line::LiveLine;
use crate::maps::SETS;

/// Charges all that wait. Every record is asked for before the first is waited for.
#[inline(never)]
pub(crate) fn all(rules: &ClientRules, waiting: &mut Waiting) -> u32 {
    let sets = SETS.load();
    for request in waiting.requests() {
        LiveLine::first(set_of(request.hash, sets)).fetch();
    }
    for slot in 0..waiting.requests().len() {
        let request = waiting.requests()[slot];
        if !quickly(rules, &request) {
            now(rules, waiting, &request);
        }
    }
    ANSWER
}

/// Charges a client for one request, and remembers it if it is over the limit.
#[inline(always)]
pub(crate) fn now(rules: &ClientRules, waiting: &mut Waiting, charged: &Charge) -> Verdict {
    let code = charge_at_leisure(rules, charged.key, charged.hash, charged.now.0);
    if code != ANSWER {
        waiting.catch(charged.hash);
    }
    verdict(code)
}

/// Charges a client that has a record, is within the limit, and needs nothing else.
#[inline(always)]
fn quickly(rules: &ClientRules, charged: &Charge) -> bool {
    let Some(key) = charged.client() else { return true };
    let first = LiveLine::first(set_of(charged.hash, SETS.load()));
    charge_in_haste(&first, rules, (key, charged.hash), charged.now, Haste::Always)
}

/// Charges a client for one request, whatever it takes.
#[inline(always)]
pub(crate) fn at_leisure(rules: &ClientRules, charged: &Charge) -> Verdict {
    verdict(charge_at_leisure(rules, charged.key, charged.hash, charged.now.0))
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

/// As [`at_leisure`]. Not a part of the one function, whose registers it would
/// have spilled.
#[inline(never)]
fn charge_at_leisure(rules: &ClientRules, key: u64, hash: u64, now_ns: u64) -> u32 {
    let Some(key) = ClientKey::from_bits(key) else { return ANSWER };
    let sets = SETS.load();
    let set = set_of(hash, sets);
    let (first, second) = (LiveLine::first(set), LiveLine::second(set, sets));
    match charge(&first, &second, rules, (key, hash), MonoNs(now_ns)) {
        Verdict::Answer => ANSWER,
        Verdict::Leak => LEAK,
        Verdict::Kiss => KISS,
        Verdict::Drop => DROP,
    }
}
