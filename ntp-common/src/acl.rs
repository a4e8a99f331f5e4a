//! Access rules as both paths look them up: compiled by the daemon into tables of fixed size in which what holds
//! for an address is found in a bounded number of steps, and which are dense: whatever a lookup reads competes
//! with the clients' records for the caches.

mod v4;
mod v6;

/// Rules of each family that are sure to fit, whatever they are.
pub const RULE_CAPACITY: usize = (1 << 14) - 1;

/// What holds for a whole address family, without looking anything up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FamilyRule {
    /// Every client is denied.
    Deny = 0,
    /// Every client is allowed.
    Allow = 1,
    /// The table decides.
    Table = 2,
}

/// One word that says which rules are in force: the rule of each family and which of the two tables is
/// read. Replacing it puts a whole set of rules into force at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct AclControl(u64);

impl AclControl {
    /// Nobody is allowed: what an empty map says.
    pub const DENY_ALL: Self = Self(0);

    /// Combines the rules of both families and the index of the table in force, 0 or 1.
    #[must_use]
    pub const fn new(v4: FamilyRule, v6: FamilyRule, table: usize) -> Self {
        Self(v4 as u64 | (v6 as u64) << 8 | ((table & 1) as u64) << 16)
    }

    /// Reads the word of the map.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The word for the map.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The rule that holds for every IPv4 client.
    #[inline(always)]
    #[must_use]
    pub const fn v4(self) -> FamilyRule {
        Self::rule(self.0)
    }

    /// The rule that holds for every IPv6 client.
    #[inline(always)]
    #[must_use]
    pub const fn v6(self) -> FamilyRule {
        Self::rule(self.0 >> 8)
    }

    /// Index of the table in force, 0 or 1.
    #[inline(always)]
    #[must_use]
    pub const fn table(self) -> usize {
        (self.0 >> 16 & 1) as usize
    }

    #[inline(always)]
    const fn rule(bits: u64) -> FamilyRule {
        match bits & 0xff {
            1 => FamilyRule::Allow,
            2 => FamilyRule::Table,
            _ => FamilyRule::Deny,
        }
    }
}

/// A compiled set of rules. 2 MiB, of which lookups read what [`AclTable::fill`] says: it lives in a map or on
/// the heap.
#[repr(C, align(64))]
pub struct AclTable {
    v4: v4::V4Table,
    v6: v6::V6Table,
}

/// A set of rules needs more room than there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFull;

impl AclTable {
    /// Whether an IPv4 client is allowed; `address` is in host order.
    #[inline(always)]
    #[must_use]
    pub fn allows_v4(&self, address: u32) -> bool {
        self.v4.allows(address)
    }

    /// Whether an IPv6 client is allowed; `high` and `low` are the halves of its address in host order.
    #[inline(always)]
    #[must_use]
    pub fn allows_v6(&self, high: u64, low: u64) -> bool {
        self.v6.allows(high, low)
    }

    /// Compiles rules: for each family, the addresses from which on the verdict changes, first to allowed, then to
    /// denied, and so on, in ascending order. Gives the octets that lookups may read.
    ///
    /// # Errors
    /// [`TableFull`], with the table unusable until it is filled.
    pub fn fill(&mut self, v4: &[u32], v6: &[u128]) -> Result<usize, TableFull> {
        Ok(self.v4.fill(v4)? + self.v6.fill(v6)?)
    }
}
