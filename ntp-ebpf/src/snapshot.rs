//! Reads the newest snapshot off the ring, whole or not at all. The protocol is in [`ntp_common::maps`].

use core::ptr::read_volatile;

use ntp_common::counters::Reason;
use ntp_common::maps::{ServingPage, ring_slot};
use ntp_common::snapshot::{RefSnapshot, SNAPSHOT_WORDS, VALID_UNTIL_WORD};
use ntp_common::time::MonoNs;

/// Whether the newest snapshot holds at `now`, unless it is just being replaced: a cheap look that spares a
/// request most of its way.
#[inline(always)]
pub(crate) fn may_be_valid(page: *const ServingPage, now: MonoNs) -> bool {
    // SAFETY: `page` is the value of a live map entry; the daemon writes it word by word.
    let publication = unsafe { read_volatile(&raw const (*page).newest) };
    // SAFETY: the slot number is below the length of the ring, and the word's below that of a snapshot.
    let address =
        unsafe { &raw const (*page).ring[ring_slot(publication)].words[VALID_UNTIL_WORD] };
    // SAFETY: as above.
    now.0 < unsafe { read_volatile(address) }
}

/// Reads the newest snapshot.
///
/// # Errors
/// [`Reason::SnapshotBusy`] when the daemon published sixteen times while it was being read.
#[inline(always)]
pub(crate) fn newest(page: *const ServingPage) -> Result<RefSnapshot, Reason> {
    // SAFETY: `page` is the value of a live map entry; the daemon writes it word by word.
    let publication = unsafe { read_volatile(&raw const (*page).newest) };
    // SAFETY: the slot number is below the length of the ring.
    let slot = unsafe { &raw const (*page).ring[ring_slot(publication)] };
    // SAFETY: `slot` lies within the page.
    let source = unsafe { &raw const (*slot).words }.cast::<u64>();
    let mut words = [0; SNAPSHOT_WORDS];
    for (index, word) in words.iter_mut().enumerate() {
        // SAFETY: `index` is below the number of words.
        let address = unsafe { source.add(index) };
        // SAFETY: as above; aligned to eight.
        *word = unsafe { read_volatile(address) };
    }
    // SAFETY: `slot` lies within the page. Loads are not reordered on the machines that BPF's JIT is used
    // on with strong ordering; on others the generation would have to be loaded with acquire semantics.
    let generation = unsafe { read_volatile(&raw const (*slot).generation) };
    if generation == publication {
        Ok(RefSnapshot::from_words(&words))
    } else {
        Err(Reason::SnapshotBusy)
    }
}
