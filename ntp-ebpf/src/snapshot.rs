//! Reads the newest snapshot off the ring, whole or not at all. The protocol is in [`ntp_common::maps`].

use core::ptr::read_volatile;

use ntp_common::counters::Reason;
use ntp_common::maps::{RingSlot, ServingPage, ring_slot};
use ntp_common::snapshot::{
    BASE_NTP_WORD, BASE_WORD, MULTIPLIER_WORD, RefSnapshot, SNAPSHOT_WORDS, TEMPLATE_WORD,
    VALID_FOR_WORD, YOUNG_WORD, scale_short,
};
use ntp_common::template::Template;
use ntp_common::time::{MonoNs, NtpTimestamp};

/// The newest snapshot's place in the ring.
#[derive(Clone, Copy)]
pub(crate) struct Newest {
    publication: u64,
    slot: *const RingSlot,
}

/// Finds the newest snapshot.
#[inline(always)]
pub(crate) fn newest(page: *const ServingPage) -> Newest {
    // SAFETY: `page` is the value of a live map entry; the daemon writes it word by word.
    let publication = unsafe { read_volatile(&raw const (*page).newest) };
    // SAFETY: the slot number is below the length of the ring.
    let slot = unsafe { &raw const (*page).ring[ring_slot(publication)] };
    Newest { publication, slot }
}

/// What answers are made of.
#[derive(Clone, Copy)]
pub(crate) struct Served {
    /// Served time.
    pub(crate) time: NtpTimestamp,
    /// The snapshot's multiplier.
    pub(crate) multiplier: u64,
    pub(crate) template: Template,
}

impl Newest {
    /// What it says of `now`, if it holds then. To be thrown away if [`Newest::check_whole`] says so.
    ///
    /// A reading of the clock from before it was taken is none that it speaks of. A young one holds.
    #[inline(always)]
    pub(crate) fn served_at(self, now: MonoNs) -> Option<Served> {
        let age_ns = now.0.wrapping_sub(self.word(BASE_WORD));
        if age_ns >= self.word(YOUNG_WORD) {
            return (age_ns < self.word(VALID_FOR_WORD)).then(|| self.served_late(now));
        }
        let multiplier = self.word(MULTIPLIER_WORD);
        let passed = scale_short(age_ns, multiplier);
        let time = NtpTimestamp::from_bits(self.word(BASE_NTP_WORD).wrapping_add(passed));
        let words = core::array::from_fn(|index| self.word(TEMPLATE_WORD + index));
        Some(Served { time, multiplier, template: Template::from_words(words) })
    }

    /// The same, whatever the age: a leap second may have taken place.
    #[inline(always)]
    fn served_late(self, now: MonoNs) -> Served {
        let mut words = [0; SNAPSHOT_WORDS];
        for (index, word) in words.iter_mut().enumerate() {
            *word = self.word(index);
        }
        let snapshot = RefSnapshot::from_words(&words).as_of(now);
        let time = snapshot.time_at(now);
        Served { time, multiplier: snapshot.multiplier, template: snapshot.template_at(time) }
    }

    /// Whether what was read before belongs together.
    ///
    /// # Errors
    /// [`Reason::SnapshotBusy`] when the daemon has published sixteen times since it was found.
    #[inline(always)]
    pub(crate) fn check_whole(self) -> Result<(), Reason> {
        // SAFETY: the slot lies within the page. Loads are not reordered on the machines that BPF's JIT is used
        // on with strong ordering; on others the generation would have to be loaded with acquire semantics.
        let generation = unsafe { read_volatile(&raw const (*self.slot).generation) };
        if generation == self.publication { Ok(()) } else { Err(Reason::SnapshotBusy) }
    }

    #[inline(always)]
    fn word(self, index: usize) -> u64 {
        // SAFETY: the slot lies within the page.
        let words = unsafe { &raw const (*self.slot).words }.cast::<u64>();
        // SAFETY: callers ask for words of a snapshot, which are aligned to eight.
        unsafe { read_volatile(words.add(index)) }
    }
}
