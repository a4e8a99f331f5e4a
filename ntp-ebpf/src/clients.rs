//! Charges clients for their requests, in the table that the user path charges, too.
//!
//! The set of a client is the only memory that CPUs share and write; it is written without locks or atomic
//! operations: when two CPUs meet in a record, one of the requests may go uncounted.

use core::ptr::{read_volatile, write_volatile};

use ntp_common::clients::{ClientKey, ClientRecords, RECORD_WORDS, WAYS, charge};
use ntp_common::maps::ServingPage;
use ntp_common::ratelimit::{ClientRules, Verdict};
use ntp_common::time::MonoNs;

use crate::maps::CLIENTS;

/// A client as an IP header names it, in network order.
#[derive(Clone, Copy)]
pub(crate) enum Client {
    V4(u32),
    /// The first half of the address.
    V6(u64),
}

/// The records of a set, live.
struct Records(*mut [[u64; RECORD_WORDS]; WAYS]);

impl Records {
    #[inline(always)]
    fn word(&self, way: usize, word: usize) -> *mut u64 {
        // SAFETY: `way` and `word` are within the set, as the trait demands.
        unsafe { self.0.cast::<u64>().add(way * RECORD_WORDS + word) }
    }
}

impl ClientRecords for Records {
    #[inline(always)]
    fn read(&self, way: usize, word: usize) -> u64 {
        // SAFETY: the pointer is into a live map entry, aligned.
        unsafe { read_volatile(self.word(way, word)) }
    }

    #[inline(always)]
    fn write(&self, way: usize, word: usize, value: u64) {
        // SAFETY: as above.
        unsafe { write_volatile(self.word(way, word), value) };
    }
}

/// Charges a client for a request at `now`.
#[inline(always)]
pub(crate) fn request(page: *const ServingPage, client: Client, now: MonoNs) -> Verdict {
    // SAFETY: the page is a live map entry; a mixture of old and new rules does no harm.
    let rules: &ClientRules = unsafe { &(*page).clients };
    if rules.sets == 0 {
        return Verdict::Answer;
    }
    let key = match client {
        Client::V4(address) => ClientKey::of_v4(u32::from_be(address), rules.v4_mask),
        Client::V6(high) => ClientKey::of_v6(u64::from_be(high), rules.v6_mask),
    };
    let hash = rules.hash(key);
    let Some(set) = CLIENTS.get_ptr_mut(rules.set_of(hash)) else { return Verdict::Answer };
    // SAFETY: the address of a field of a live map entry.
    let records = Records(unsafe { &raw mut (*set).ways });
    charge(&records, rules, key, hash, now)
}
