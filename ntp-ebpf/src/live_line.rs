//! A line of the table of clients in memory that the user path, too, reads and writes.

use core::arch::asm;
use core::ptr::{read_volatile, write_volatile};

use ntp_common::clients::{LINE_WORDS, Line};

use crate::maps::CLIENTS;

/// A line of the table, live.
#[derive(Clone, Copy)]
pub(crate) struct LiveLine(*mut u64);

impl LiveLine {
    /// The first line of a set, which is below [`crate::maps::SETS`] of so many.
    #[inline(always)]
    pub(crate) fn first(set: u32) -> Self {
        Self::at(set)
    }

    /// The second line of a set.
    #[inline(always)]
    pub(crate) fn second(set: u32, sets: u32) -> Self {
        Self::at(sets + set)
    }

    /// The table is longer than the program knows.
    #[inline(always)]
    fn at(line: u32) -> Self {
        Self(CLIENTS.get().cast::<u64>().wrapping_add(line as usize * LINE_WORDS))
    }

    /// Has it brought near, without waiting for it.
    #[inline(always)]
    pub(crate) fn fetch(self) {
        // SAFETY: the pointer is into a live map entry, aligned.
        let _: u64 = unsafe { read_volatile(self.0) };
    }

    #[inline(always)]
    fn word(&self, word: usize) -> *mut u64 {
        // SAFETY: `word` is within the line, as the trait demands.
        unsafe { self.0.add(word) }
    }
}

impl Line for LiveLine {
    #[inline(always)]
    fn read(&self, word: usize) -> u64 {
        // SAFETY: the pointer is into a live map entry, aligned.
        unsafe { read_volatile(self.word(word)) }
    }

    #[inline(always)]
    fn write(&self, word: usize, value: u64) {
        // SAFETY: as above.
        unsafe { write_volatile(self.word(word), value) };
    }

    #[inline(always)]
    fn is_negative(&self, mut word: u64) -> u64 {
        // SAFETY: shifts a register.
        unsafe { asm!("{0} >>= 63", inout(reg) word, options(pure, nomem, nostack)) };
        word
    }
}
