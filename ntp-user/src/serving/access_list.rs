//! Access rules as the user path asks them.

use std::net::IpAddr;

use ntp_common::acl::{AclTable, FamilyRule};

use crate::access::{AccessRules, FamilyRules, TooManyRules};
use crate::net::acl_table::zeroed_table;
use crate::serving::versioned::Versioned;

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
pub type SharedAccess = Versioned<AccessList>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::versioned::Handle;
    use ipnet::IpNet;
    use std::sync::Arc;

    fn allowing(network: &str) -> AccessList {
        let mut rules = AccessRules::default();
        rules.lay(network.parse::<IpNet>().unwrap(), true, false);
        AccessList::compile(&rules).unwrap()
    }

    #[test]
    fn worker_sees_rules_that_were_replaced() {
        let client = IpAddr::from([192, 0, 2, 1]);
        let shared = SharedAccess::new(allowing("192.0.2.0/24"));
        let mut handle = Handle::new(Arc::clone(&shared));
        assert!(handle.latest().allows(client));
        shared.replace(allowing("198.51.100.0/24"));
        assert!(!handle.latest().allows(client));
    }
}
