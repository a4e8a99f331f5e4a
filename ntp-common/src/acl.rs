//! Access rules as both paths look them up: compiled by the daemon into tables of fixed size in which the
//! most specific rule for an address is found in a bounded number of steps.
//!
//! IPv4 takes at most three loads: 16 bits of the address, then 8, then 8. IPv6 is a binary search among the
//! boundaries of the intervals that rules divide the address space into.

/// Second-level IPv4 tables: one for each /16 with a rule longer than 16 bits.
pub const MID_NODES: usize = 1 << 14;

/// Third-level IPv4 tables: one for each /24 with a rule longer than 24 bits.
pub const LEAF_NODES: usize = 1 << 14;

/// Most boundaries of IPv6 intervals: two for each rule.
pub const V6_BOUNDARIES: usize = 1 << 15;

/// Rules of each family that are sure to fit, whatever they are.
pub const RULE_CAPACITY: usize = 1 << 14;

#[expect(clippy::cast_possible_truncation, reason = "2^15 - 1")]
const V6_MASK: u32 = V6_BOUNDARIES as u32 - 1;
const POINTER: u16 = 1 << 15;
const ALLOW: u16 = 1;

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

/// A compiled set of rules. 8.7 MiB: it lives in a map or on the heap.
#[repr(C)]
pub struct AclTable {
    v4_root: [u16; 1 << 16],
    v4_mid: [[u16; 256]; MID_NODES],
    v4_leaf: [[u64; 4]; LEAF_NODES],
    v6_boundaries: [[u64; 2]; V6_BOUNDARIES],
    v6_count: u32,
    /// [`V6_BOUNDARIES`] - 1.
    v6_mask: u32,
    /// 0: the boundary at which a search begins.
    v6_origin: u32,
    v4_mid_used: u32,
    v4_leaf_used: u32,
    reserved: u32,
}

/// A set of rules needs more tables than there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFull;

impl AclTable {
    /// Whether an IPv4 client is allowed; `address` is in host order.
    #[inline(always)]
    #[must_use]
    pub fn allows_v4(&self, address: u32) -> bool {
        let root = self.v4_root[(address >> 16) as usize];
        if root & POINTER == 0 {
            return root & ALLOW != 0;
        }
        // An array of arrays, not an index put together by hand: of that, in 32 bits, the verifier of Linux 6.1
        // knows no bounds.
        let mid = self.v4_mid[root as usize & (MID_NODES - 1)][(address >> 8 & 0xff) as usize];
        if mid & POINTER == 0 {
            return mid & ALLOW != 0;
        }
        let leaf = self.v4_leaf[mid as usize & (LEAF_NODES - 1)][(address >> 6 & 3) as usize];
        leaf >> (address & 63) & 1 != 0
    }

    /// Whether an IPv6 client is allowed; `high` and `low` are the halves of its address in host order.
    #[inline(always)]
    #[must_use]
    pub fn allows_v6(&self, high: u64, low: u64) -> bool {
        // Boundaries alternate between "denied from here on" (even) and "allowed from here on" (odd). The
        // mask is a value from memory so that the kernel's verifier knows no more of one outcome of a
        // comparison than of the other: else it would follow each of the 2^15 ways through the loop.
        let mask = self.v6_mask as usize & (V6_BOUNDARIES - 1);
        let mut at = self.v6_origin as usize & mask;
        let mut step = V6_BOUNDARIES;
        while step > 1 {
            step >>= 1;
            let next = (at | step) & mask;
            let [boundary_high, boundary_low] = self.v6_boundaries[next];
            let reached = boundary_high < high || boundary_high == high && boundary_low <= low;
            if reached && next < self.v6_count as usize {
                at = next;
            }
        }
        at & 1 != 0
    }

    /// Starts over with nobody allowed.
    pub fn clear(&mut self) {
        self.v4_root.fill(0);
        self.v4_mid_used = 0;
        self.v4_leaf_used = 0;
        self.v6_count = 1;
        self.v6_mask = V6_MASK;
        self.v6_origin = 0;
        self.v6_boundaries[0] = [0, 0];
    }

    /// Lays an IPv4 rule over those laid before: rules come in the order of their length, shortest first.
    ///
    /// # Errors
    /// [`TableFull`], with the table unusable until it is cleared.
    pub fn lay_v4(&mut self, address: u32, prefix_len: u32, allow: bool) -> Result<(), TableFull> {
        let verdict = u16::from(allow) * ALLOW;
        let first = (address >> 16) as usize;
        if prefix_len <= 16 {
            let count = 1 << (16 - prefix_len);
            self.v4_root[first & !(count - 1)..][..count].fill(verdict);
            return Ok(());
        }
        let mid = self.mid_node(first)?;
        let second = (address >> 8 & 0xff) as usize;
        if prefix_len <= 24 {
            let count = 1 << (24 - prefix_len);
            self.v4_mid[mid][second & !(count - 1)..][..count].fill(verdict);
            return Ok(());
        }
        let leaf = self.leaf_node(mid, second)?;
        let count = 1 << (32 - prefix_len);
        let third = (address & 0xff) as usize & !(count - 1);
        for bit in third..third + count {
            let word = &mut self.v4_leaf[leaf][bit >> 6];
            *word = *word & !(1 << (bit & 63)) | u64::from(allow) << (bit & 63);
        }
        Ok(())
    }

    /// Appends the IPv6 address from which on the verdict changes: first to allowed, then to denied, and so
    /// on, in ascending order.
    ///
    /// # Errors
    /// [`TableFull`].
    pub fn push_v6_boundary(&mut self, address: u128) -> Result<(), TableFull> {
        let entry = self.v6_boundaries.get_mut(self.v6_count as usize).ok_or(TableFull)?;
        #[expect(clippy::cast_possible_truncation, reason = "the halves of an address")]
        let halves = [(address >> 64) as u64, address as u64];
        *entry = halves;
        self.v6_count += 1;
        Ok(())
    }

    fn mid_node(&mut self, root_index: usize) -> Result<usize, TableFull> {
        let entry = self.v4_root[root_index];
        if entry & POINTER != 0 {
            return Ok(entry as usize & (MID_NODES - 1));
        }
        let node = take_node(&mut self.v4_mid_used, MID_NODES)?;
        self.v4_mid[usize::from(node)].fill(entry);
        self.v4_root[root_index] = POINTER | node;
        Ok(usize::from(node))
    }

    fn leaf_node(&mut self, mid: usize, index: usize) -> Result<usize, TableFull> {
        let entry = self.v4_mid[mid][index];
        if entry & POINTER != 0 {
            return Ok(entry as usize & (LEAF_NODES - 1));
        }
        let node = take_node(&mut self.v4_leaf_used, LEAF_NODES)?;
        let fill = if entry & ALLOW == 0 { 0 } else { u64::MAX };
        self.v4_leaf[usize::from(node)].fill(fill);
        self.v4_mid[mid][index] = POINTER | node;
        Ok(usize::from(node))
    }
}

fn take_node(used: &mut u32, limit: usize) -> Result<u16, TableFull> {
    if *used as usize >= limit {
        return Err(TableFull);
    }
    let node = u16::try_from(*used).map_err(|_| TableFull)?;
    *used += 1;
    Ok(node)
}
