//! The page of the XDP program that snapshots, the access control word and the served addresses lie in.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicU64;

use ntp_common::maps::SERVING_SIZE;

use super::memory::MappedMemory;
use crate::serving::ring::{PAGE_WORDS, Page};

/// The page, mapped.
#[derive(Debug)]
pub struct MappedPage(MappedMemory);

impl MappedPage {
    /// Maps the page of the map [`ntp_common::maps::SERVING_MAP`].
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new(map: impl AsFd) -> io::Result<Self> {
        Ok(Self(MappedMemory::new(map, SERVING_SIZE)?))
    }
}

impl Page for MappedPage {
    fn words(&self) -> &[AtomicU64; PAGE_WORDS] {
        const { assert!(PAGE_WORDS * 8 == SERVING_SIZE) };
        // SAFETY: the page is as long as the array, is aligned, lives as long as `self`, and is only ever
        // reached through atomics here; the program on the other side reads words of 64 bits.
        unsafe { self.0.start::<[AtomicU64; PAGE_WORDS]>().as_ref() }
    }
}
