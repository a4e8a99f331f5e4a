//! What the XDP program is told of the clocks of interfaces.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use ntp_common::arrival::{CLOCK_WORDS, ClockSlot, InterfaceClock, MAX_CLOCKS};
use ntp_common::maps::CLOCKS_SIZE;

use super::memory::MappedMemory;

/// Words of a slot.
const SLOT_WORDS: usize = size_of::<ClockSlot>() / 8;

/// The clocks, mapped.
#[derive(Debug)]
pub struct MappedClocks(MappedMemory);

impl MappedClocks {
    /// Maps the map [`ntp_common::maps::CLOCKS_MAP`].
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new(map: impl AsFd) -> io::Result<Self> {
        Ok(Self(MappedMemory::new(map, CLOCKS_SIZE)?))
    }

    /// Tells of a clock. Who reads meanwhile notices.
    pub fn tell(&self, slot: usize, clock: &InterfaceClock) {
        tell(&self.slots()[slot % MAX_CLOCKS], clock);
    }

    fn slots(&self) -> &[[AtomicU64; SLOT_WORDS]; MAX_CLOCKS] {
        const { assert!(size_of::<[[AtomicU64; SLOT_WORDS]; MAX_CLOCKS]>() == CLOCKS_SIZE) };
        // SAFETY: the memory is as long as the array, is aligned, lives as long as `self`, and is only ever reached
        // through atomics here; the program on the other side reads words of 64 bits.
        unsafe { self.0.start::<[[AtomicU64; SLOT_WORDS]; MAX_CLOCKS]>().as_ref() }
    }
}

fn tell(slot: &[AtomicU64; SLOT_WORDS], clock: &InterfaceClock) {
    const { assert!(std::mem::offset_of!(ClockSlot, sequence) == 0 && SLOT_WORDS > CLOCK_WORDS) };
    let sequence = slot[0].load(Ordering::Relaxed) | 1;
    slot[0].store(sequence, Ordering::Relaxed);
    fence(Ordering::Release);
    for (stored, word) in slot[1..].iter().zip(clock.to_words()) {
        stored.store(word, Ordering::Relaxed);
    }
    slot[0].store(sequence.wrapping_add(1), Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_is_odd_only_while_words_change() {
        let slot = [const { AtomicU64::new(0) }; SLOT_WORDS];
        let words =
            || std::array::from_fn::<u64, SLOT_WORDS, _>(|at| slot[at].load(Ordering::Relaxed));
        let clock = InterfaceClock { base_stamp_ns: 5, base_ns: 6, drift: -7, valid_until_ns: 8 };
        tell(&slot, &clock);
        assert_eq!(words(), [2, 5, 6, u64::MAX - 6, 8, 0, 0, 0]);
        tell(&slot, &InterfaceClock::default());
        assert_eq!(words(), [4, 0, 0, 0, 0, 0, 0, 0]);
    }
}
