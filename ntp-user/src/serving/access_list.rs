//! Access rules as the user path asks them, and their replacement while workers are using them.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ntp_common::acl::{AclTable, FamilyRule};

use crate::access::{AccessRules, FamilyRules, TooManyRules};
use crate::net::acl_table::zeroed_table;

/// Compiled rules.
pub struct AccessList {
    families: FamilyRules,
    table: Option<Box<AclTable>>,
}

impl AccessList {
    /// Compiles rules; a table is made only when they need one.
    ///
    /// # Errors
    /// [`TooManyRules`].
    pub fn compile(rules: &AccessRules) -> Result<Self, TooManyRules> {
        let families = rules.families();
        let table = if families.need_table() {
            let mut table = zeroed_table();
            rules.compile(&mut table)?;
            Some(table)
        } else {
            None
        };
        Ok(Self { families, table })
    }

    /// Whether a client at `address` is answered.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        let rule = match address {
            IpAddr::V4(_) => self.families.v4,
            IpAddr::V6(_) => self.families.v6,
        };
        match (rule, &self.table) {
            (FamilyRule::Allow, _) => true,
            (FamilyRule::Table, Some(table)) => in_table(table, address),
            (FamilyRule::Deny, _) | (FamilyRule::Table, None) => false,
        }
    }
}

fn in_table(table: &AclTable, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => table.allows_v4(address.to_bits()),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            #[expect(clippy::cast_possible_truncation, reason = "the halves of an address")]
            let (high, low) = ((bits >> 64) as u64, bits as u64);
            table.allows_v6(high, low)
        }
    }
}

/// The rules in force, for all workers.
pub struct SharedAccess {
    version: AtomicU64,
    list: Mutex<Arc<AccessList>>,
}

impl SharedAccess {
    /// Puts `list` into force.
    #[must_use]
    pub fn new(list: AccessList) -> Arc<Self> {
        Arc::new(Self { version: AtomicU64::new(0), list: Mutex::new(Arc::new(list)) })
    }

    /// Puts other rules into force.
    pub fn replace(&self, list: AccessList) {
        *self.list.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(list);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Whether a client at `address` is answered.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        self.current().1.allows(address)
    }

    fn current(&self) -> (u64, Arc<AccessList>) {
        let version = self.version.load(Ordering::Acquire);
        (version, Arc::clone(&self.list.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// One worker's hold on the rules in force: asking for them costs one load when they are unchanged.
pub struct AccessHandle {
    shared: Arc<SharedAccess>,
    version: u64,
    list: Arc<AccessList>,
}

impl AccessHandle {
    /// Takes hold of the rules in force.
    #[must_use]
    pub fn new(shared: Arc<SharedAccess>) -> Self {
        let (version, list) = shared.current();
        Self { shared, version, list }
    }

    /// The rules in force.
    pub fn list(&mut self) -> &AccessList {
        if self.shared.version.load(Ordering::Acquire) != self.version {
            (self.version, self.list) = self.shared.current();
        }
        &self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipnet::IpNet;

    fn allowing(network: &str) -> AccessList {
        let mut rules = AccessRules::default();
        rules.lay(network.parse::<IpNet>().unwrap(), true, false);
        AccessList::compile(&rules).unwrap()
    }

    #[test]
    fn worker_sees_rules_that_were_replaced() {
        let client = IpAddr::from([192, 0, 2, 1]);
        let shared = SharedAccess::new(allowing("192.0.2.0/24"));
        let mut handle = AccessHandle::new(Arc::clone(&shared));
        assert!(handle.list().allows(client));
        shared.replace(allowing("198.51.100.0/24"));
        assert!(!handle.list().allows(client));
    }
}
