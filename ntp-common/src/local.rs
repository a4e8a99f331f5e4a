//! The addresses that are served: a request to any other address is none of ours. Without this check a
//! machine that routes or bridges would answer in the name of every server behind it, and broadcast
//! requests would be answered from a broadcast address.
//!
//! Two tables with a multiplicative hash whose multiplier was sought until no two addresses collide: one
//! multiplication and one comparison a packet. An address that found no place is answered by the user path.

/// Entries of each table.
pub const LOCAL_SLOTS: usize = 64;

/// log2 of [`LOCAL_SLOTS`].
const LOCAL_BITS: u32 = LOCAL_SLOTS.trailing_zeros();

/// Most addresses of each family that a table is filled with: at a quarter, a multiplier without
/// collisions is found in a few hundred tries.
pub const LOCAL_CAPACITY: usize = LOCAL_SLOTS / 4;

/// Multipliers that are tried before an address is left out.
const TRIES: u64 = 1 << 16;

/// The served addresses as they lie in the map. Addresses are words in the order of memory.
///
/// A reader may see a table half replaced: each entry is one address that is or was served, so the worst
/// is that a request goes up to the user path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct LocalAddresses {
    /// Multiplier of the IPv4 table; odd.
    pub v4_multiplier: u32,
    /// Unused; keeps the layout free of holes.
    pub reserved: u32,
    /// Multiplier of the IPv6 table; odd.
    pub v6_multiplier: u64,
    /// IPv4 addresses.
    pub v4: [u32; LOCAL_SLOTS],
    /// IPv6 addresses.
    pub v6: [[u64; 2]; LOCAL_SLOTS],
}

/// Reads an IPv4 address as a word in the order of memory.
#[must_use]
pub const fn v4_word(octets: [u8; 4]) -> u32 {
    u32::from_ne_bytes(octets)
}

/// Reads an IPv6 address as two words in the order of memory.
#[must_use]
pub fn v6_words(octets: [u8; 16]) -> [u64; 2] {
    let (halves, _) = octets.as_chunks::<8>();
    [u64::from_ne_bytes(halves[0]), u64::from_ne_bytes(halves[1])]
}

#[inline(always)]
const fn v4_slot(address: u32, multiplier: u32) -> usize {
    (address.wrapping_mul(multiplier) >> (32 - LOCAL_BITS)) as usize & (LOCAL_SLOTS - 1)
}

#[inline(always)]
const fn v6_slot(address: [u64; 2], multiplier: u64) -> usize {
    let folded = address[0] ^ address[1];
    (folded.wrapping_mul(multiplier) >> (64 - LOCAL_BITS)) as usize & (LOCAL_SLOTS - 1)
}

impl LocalAddresses {
    /// Tables that hold no address.
    pub const EMPTY: Self = Self {
        v4_multiplier: 1,
        reserved: 0,
        v6_multiplier: 1,
        v4: [0; LOCAL_SLOTS],
        v6: [[0; 2]; LOCAL_SLOTS],
    };

    /// Whether an IPv4 address is served; `address` is a word in the order of memory.
    #[inline(always)]
    #[must_use]
    pub const fn has_v4(&self, address: u32) -> bool {
        self.v4[v4_slot(address, self.v4_multiplier)] == address
    }

    /// Whether an IPv6 address is served; `address` is two words in the order of memory.
    #[inline(always)]
    #[must_use]
    pub const fn has_v6(&self, address: [u64; 2]) -> bool {
        let entry = self.v6[v6_slot(address, self.v6_multiplier)];
        entry[0] == address[0] && entry[1] == address[1]
    }

    /// Fills the tables with the first [`LOCAL_CAPACITY`] addresses of each family. The second value is
    /// how many addresses found no place.
    #[must_use]
    pub fn build(v4: &[u32], v6: &[[u64; 2]]) -> (Self, usize) {
        let mut tables = Self::EMPTY;
        let placed_v4 = tables.place_v4(&v4[..v4.len().min(LOCAL_CAPACITY)]);
        let placed_v6 = tables.place_v6(&v6[..v6.len().min(LOCAL_CAPACITY)]);
        (tables, v4.len() + v6.len() - placed_v4 - placed_v6)
    }

    fn place_v4(&mut self, addresses: &[u32]) -> usize {
        // An entry without an address of its own repeats one that is served, so that no other matches.
        let Some(&filler) = addresses.first() else { return 0 };
        for placed in (1..=addresses.len()).rev() {
            for multiplier in multipliers() {
                let multiplier = (multiplier >> 32) as u32 | 1;
                let mut table = [None; LOCAL_SLOTS];
                if addresses[..placed].iter().all(|&address| {
                    let entry = &mut table[v4_slot(address, multiplier)];
                    entry.replace(address).is_none_or(|other| other == address)
                }) {
                    self.v4 = table.map(|entry| entry.unwrap_or(filler));
                    self.v4_multiplier = multiplier;
                    return placed;
                }
            }
        }
        0
    }

    fn place_v6(&mut self, addresses: &[[u64; 2]]) -> usize {
        let Some(&filler) = addresses.first() else { return 0 };
        for placed in (1..=addresses.len()).rev() {
            for multiplier in multipliers() {
                let multiplier = multiplier | 1;
                let mut table = [None; LOCAL_SLOTS];
                if addresses[..placed].iter().all(|&address| {
                    let entry = &mut table[v6_slot(address, multiplier)];
                    entry.replace(address).is_none_or(|other| other == address)
                }) {
                    self.v6 = table.map(|entry| entry.unwrap_or(filler));
                    self.v6_multiplier = multiplier;
                    return placed;
                }
            }
        }
        0
    }
}

/// Candidates for a multiplier: a Weyl sequence, mixed (Vigna's `SplitMix64`).
fn multipliers() -> impl Iterator<Item = u64> {
    (1..=TRIES).map(|index| {
        let z = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    #[test]
    fn empty_tables_serve_no_address_that_a_packet_can_come_to() {
        assert!(!LocalAddresses::EMPTY.has_v4(v4_word([192, 0, 2, 1])));
        assert!(!LocalAddresses::EMPTY.has_v6(v6_words([0xfd; 16])));
    }

    #[test]
    fn addresses_beyond_the_capacity_are_counted() {
        let v4: Vec<u32> =
            (0..=255).take(LOCAL_CAPACITY + 3).map(|i| v4_word([10, 0, 0, i])).collect();
        let (tables, left_out) = LocalAddresses::build(&v4, &[]);
        assert_eq!(left_out, 3);
        assert!(v4[..LOCAL_CAPACITY].iter().all(|&address| tables.has_v4(address)));
        assert!(!tables.has_v4(v4[LOCAL_CAPACITY]));
    }

    proptest! {
        #[test]
        fn has_exactly_the_addresses_it_was_built_of(
            v4 in proptest::collection::btree_set(any::<u32>(), 0..=LOCAL_CAPACITY),
            v6 in proptest::collection::btree_set(any::<[u64; 2]>(), 0..=LOCAL_CAPACITY),
            others_v4: [u32; 16],
            others_v6: [[u64; 2]; 16],
        ) {
            let list_v4: Vec<u32> = v4.iter().copied().collect();
            let list_v6: Vec<[u64; 2]> = v6.iter().copied().collect();
            let (tables, left_out) = LocalAddresses::build(&list_v4, &list_v6);
            prop_assert_eq!(left_out, 0);
            prop_assert!(list_v4.iter().all(|&address| tables.has_v4(address)));
            prop_assert!(list_v6.iter().all(|&address| tables.has_v6(address)));
            let not_in = |set: &BTreeSet<u32>, address: u32| !set.contains(&address) && address != 0;
            for address in others_v4.into_iter().filter(|&a| not_in(&v4, a)) {
                prop_assert!(!tables.has_v4(address));
            }
            for address in others_v6.into_iter().filter(|a| !v6.contains(a) && *a != [0, 0]) {
                prop_assert!(!tables.has_v6(address));
            }
        }
    }
}
