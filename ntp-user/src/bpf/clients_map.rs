//! The table of clients of the XDP program, mapped, so that the user path charges the same records.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicU64;

use ntp_common::clients::SET_SIZE;

use super::memory::MappedMemory;

/// The table, mapped.
#[derive(Debug)]
pub struct MappedClients(MappedMemory);

impl MappedClients {
    /// Maps the map [`ntp_common::maps::CLIENTS_MAP`], which has so many sets.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new(map: impl AsFd, sets: u32) -> io::Result<Self> {
        let sets = usize::try_from(sets).map_err(|_| io::ErrorKind::InvalidInput)?;
        Ok(Self(MappedMemory::new(map, sets * SET_SIZE)?))
    }

    /// The words of all sets.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        self.0.words()
    }
}
