//! IPv6 access rules: a binary search among the addresses from which on the verdict changes. Their halves lie
//! apart, since the second tells none but single hosts and the smallest networks from each other.

use super::{RULE_CAPACITY, TableFull};

/// Most changes of the verdict, two for each rule, with the one that stands for the beginning.
const CHANGES: usize = 1 << 15;

#[expect(clippy::cast_possible_truncation, reason = "2^15 - 1")]
const MASK: u32 = CHANGES as u32 - 1;

/// Steps of the longest search.
const STEPS: u32 = CHANGES.trailing_zeros();

const _: () = assert!(CHANGES >= RULE_CAPACITY * 2);

/// Compiled IPv6 rules.
#[repr(C)]
pub(super) struct V6Table {
    /// Changes in use.
    count: u32,
    /// [`MASK`].
    mask: u32,
    /// 0: the change at which a search begins.
    origin: u32,
    /// Unused; the halves begin on cache lines of their own.
    reserved: [u32; 13],
    /// First halves of the addresses of changes, in ascending order: from one with an odd index on allowed, from
    /// one with an even index on denied. The first is that of all addresses, denied.
    high: [u64; CHANGES],
    /// Second halves.
    low: [u64; CHANGES],
}

impl V6Table {
    /// Whether a client is allowed; `high` and `low` are the halves of its address in host order.
    #[inline(always)]
    pub(super) fn allows(&self, high: u64, low: u64) -> bool {
        // Mask and origin are values from memory so that the kernel's verifier knows no more of one outcome of a
        // comparison than of the other: else it would follow each of the 2^15 ways through the loop.
        let mask = self.mask as usize & (CHANGES - 1);
        let mut at = self.origin as usize & mask;
        let mut count = self.count as usize & (2 * CHANGES - 1);
        for _ in 0..STEPS {
            let half = count / 2;
            if half == 0 {
                break;
            }
            let next = (at + half) & mask;
            let change = self.high[next];
            let is_reached = change < high || change == high && self.low[next] <= low;
            if is_reached {
                at = next;
            }
            count -= half;
        }
        at & 1 != 0
    }

    /// Takes the addresses from which on the verdict changes, in ascending order, the first to "allowed". Gives
    /// the octets that lookups read.
    ///
    /// # Errors
    /// [`TableFull`], with the table unusable until it is filled.
    pub(super) fn fill(&mut self, changes: &[u128]) -> Result<usize, TableFull> {
        let count = changes.len() + 1;
        if count > CHANGES {
            return Err(TableFull);
        }
        self.count = u32::try_from(count).map_err(|_| TableFull)?;
        self.mask = MASK;
        self.origin = 0;
        let places = self.high.iter_mut().zip(&mut self.low);
        for ((high, low), address) in places.zip(core::iter::once(&0).chain(changes)) {
            #[expect(clippy::cast_possible_truncation, reason = "the halves of an address")]
            let halves = ((address >> 64) as u64, *address as u64);
            (*high, *low) = halves;
        }
        Ok(count * size_of::<[u64; 2]>())
    }
}
