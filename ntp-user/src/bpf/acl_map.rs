//! The two access tables of the XDP program: one in force, one to be filled.
//!
//! Invariant: a table is only written while the control word names the other one, and after every program
//! that may have begun to read it has ended.

use std::io;
use std::os::fd::AsFd;

use ntp_common::acl::{AclControl, AclTable};
use ntp_common::maps::{ACL_TABLE_SIZE, ACL_TABLES};

use super::memory::MappedMemory;
use crate::access::{AccessRules, TooManyRules};

/// The tables, mapped.
#[derive(Debug)]
pub struct AclMap {
    memory: MappedMemory,
    in_force: usize,
}

impl AclMap {
    /// Maps the tables of the map [`ntp_common::maps::ACL_MAP`], which nobody reads yet.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new(map: impl AsFd) -> io::Result<Self> {
        let memory = MappedMemory::new(map, ACL_TABLE_SIZE * ACL_TABLES as usize)?;
        Ok(Self { memory, in_force: 0 })
    }

    /// Compiles rules into the table that is not in force. The control word that is returned puts them into
    /// force once it is written into the serving page, which must be done before this is called again.
    ///
    /// # Errors
    /// [`TooManyRules`]: the rules in force stay.
    pub fn fill(&mut self, rules: &AccessRules) -> Result<AclControl, TooManyRules> {
        let families = rules.families();
        if families.need_table() {
            let next = self.in_force ^ 1;
            wait_for_readers();
            rules.compile(self.table(next))?;
            self.in_force = next;
        }
        Ok(AclControl::new(families.v4, families.v6, self.in_force))
    }

    fn table(&mut self, index: usize) -> &mut AclTable {
        let tables = self.memory.start::<AclTable>();
        assert!((index + 1) * size_of::<AclTable>() <= self.memory.len(), "no such table");
        // SAFETY: it was checked that the table lies within the memory.
        let mut table = unsafe { tables.add(index) };
        // SAFETY: the memory is aligned to a page, zero or written by this function, and lives as long as
        // `self`; programs read the other table, as the invariant of this module says.
        unsafe { table.as_mut() }
    }
}

/// Waits until every program that was running has ended: programs run within an RCU critical section, and
/// the kernel returns from this call after a grace period.
fn wait_for_readers() {
    const MEMBARRIER_CMD_GLOBAL: i32 = 1;
    // SAFETY: the call takes integers only and touches no memory of the process.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if result < 0 {
        // Without the call (CONFIG_MEMBARRIER, nohz_full): a program runs for microseconds.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
