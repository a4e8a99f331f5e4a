//! Shared memory of a map that the kernel lets the daemon map (`BPF_F_MMAPABLE`).

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// Memory of a map, mapped for as long as this value lives; the map lives on as long as anybody uses it.
#[derive(Debug)]
pub(super) struct MappedMemory {
    start: NonNull<libc::c_void>,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl Send for MappedMemory {}

// SAFETY: the memory is only reached through the pointer, whose users say how they share it.
unsafe impl Sync for MappedMemory {}

impl MappedMemory {
    /// Maps the first `len` octets of a map, `len` being no more than the map has.
    pub(super) fn new(map: impl AsFd, len: usize) -> io::Result<Self> {
        let size = NonZeroUsize::new(len).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel chooses a place that nothing else is mapped to.
        let start = unsafe { mmap(None, size, protection, MapFlags::MAP_SHARED, map, 0) }?;
        Ok(Self { start, len })
    }

    /// The start of the memory, aligned to a page.
    pub(super) const fn start<T>(&self) -> NonNull<T> {
        self.start.cast()
    }

    /// The memory in words, for a map that a program reads or writes in such.
    pub(super) fn words(&self) -> &[AtomicU64] {
        let len = self.len / size_of::<AtomicU64>();
        let start = self.start::<AtomicU64>().as_ptr();
        // SAFETY: the memory is as long, is aligned to a page, lives as long as `self`, and is only ever reached through
        // atomics here; the program on the other side reads and writes words of 64 bits.
        unsafe { std::slice::from_raw_parts(start, len) }
    }

    /// Octets that are mapped.
    pub(super) const fn len(&self) -> usize {
        self.len
    }
}

impl Drop for MappedMemory {
    fn drop(&mut self) {
        // SAFETY: the memory was mapped with this length, and nothing that points into it outlives `self`.
        if let Err(error) = unsafe { munmap(self.start, self.len) } {
            tracing::error!(%error, "Memory of a map can't be unmapped");
        }
    }
}
