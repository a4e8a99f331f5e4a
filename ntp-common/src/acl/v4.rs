//! IPv4 access rules: 16 bits of an address select a verdict or a word; a word has the places at which the
//! verdict changes within the network, up to four of them. A network with more changes is divided by another
//! 8 bits, and then again.
//!
//! Invariant: a lookup reads a row and a word, in a divided network a row and a word more, and then the bits of
//! addresses at most: five cache lines, of which most lookups need two.

use super::{RULE_CAPACITY, TableFull};

/// Networks in a row.
const ROW: u32 = 64;

/// Changes of the verdict that a word has room for.
const CHANGES: usize = 4;

/// Rows of the root: networks of 16 bits.
const ROOT_ROWS: usize = 1 << 10;

/// Words: one for each network of 16 bits that a longer rule is about, and one for each of 24 bits if it is in
/// a divided one.
const WORDS: usize = 1 << 15;

/// Divided networks of 16 bits.
const NODES: usize = 1 << 13;

/// Divided networks of 24 bits.
const LEAVES: usize = 1 << 13;

// Two rules make four changes, so that at least three lie in a network that is divided.
const _: () = assert!(NODES * 3 >= RULE_CAPACITY && LEAVES * 3 >= RULE_CAPACITY);
const _: () = assert!(WORDS * 3 >= RULE_CAPACITY * 4);

/// Networks of the same length, side by side; the first has the lowest bit. Half a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct Row {
    /// Networks within which the verdict changes.
    mixed: u64,
    /// Those of them within which it changes more than [`CHANGES`] times.
    divided: u64,
    /// Networks whose last address is allowed.
    allowed: u64,
    /// Index of the word of the first mixed network; those of the others follow.
    first_word: u32,
    /// Unused; keeps the layout free of holes.
    reserved: u32,
}

/// Compiled IPv4 rules.
#[repr(C)]
pub(super) struct V4Table {
    root: [Row; ROOT_ROWS],
    /// Of a divided network, the index of what it is divided into; of another, the last 16 bits of the addresses
    /// from which on the verdict changes, with zeros where there are fewer than four.
    words: [u64; WORDS],
    nodes: [[Row; 4]; NODES],
    leaves: [[u64; 4]; LEAVES],
}

impl V4Table {
    /// Whether a client is allowed; `address` is in host order.
    //
    // Arrays of arrays, not indices put together by hand: of those, in 32 bits, the verifier of Linux 6.1 knows no
    // bounds.
    #[inline(always)]
    pub(super) fn allows(&self, address: u32) -> bool {
        let row = &self.root[(address >> 22) as usize];
        let network = address >> 16 & (ROW - 1);
        let word = self.word_of(row, network);
        if row.divided >> network & 1 == 0 {
            return row.allows(network, word, address);
        }
        let row = &self.nodes[index(word, NODES)][(address >> 14 & 3) as usize];
        let network = address >> 8 & (ROW - 1);
        let word = self.word_of(row, network);
        if row.divided >> network & 1 == 0 {
            return row.allows(network, word, address);
        }
        let bits = self.leaves[index(word, LEAVES)][(address >> 6 & 3) as usize];
        bits >> (address & 63) & 1 != 0
    }

    /// The word of a network; if it is not mixed, anything.
    #[inline(always)]
    fn word_of(&self, row: &Row, network: u32) -> u64 {
        let before = row.mixed & ((1 << network) - 1);
        let index = row.first_word + before.count_ones();
        self.words[index as usize & (WORDS - 1)]
    }

    /// Takes the addresses from which on the verdict changes, in ascending order, the first to "allowed". Gives
    /// the octets that lookups read.
    ///
    /// # Errors
    /// [`TableFull`], with the table unusable until it is filled.
    pub(super) fn fill(&mut self, changes: &[u32]) -> Result<usize, TableFull> {
        let mut changes = Changes { ahead: changes, allow: false };
        let mut used = Used::default();
        for (index, first) in (0..=u32::MAX).step_by(1 << 22).enumerate() {
            let networks = Networks { first, host_bits: 16 };
            self.root[index] = self.row(&mut used, &mut changes, networks)?;
        }
        Ok(used.octets())
    }

    fn row(
        &mut self,
        used: &mut Used,
        changes: &mut Changes<'_>,
        networks: Networks,
    ) -> Result<Row, TableFull> {
        let mut row = Row { mixed: 0, divided: 0, allowed: 0, first_word: used.words, reserved: 0 };
        let mut ahead = *changes;
        for index in 0..ROW {
            let within = ahead.pass(networks.bounds(index));
            row.mixed |= u64::from(!within.is_empty()) << index;
            row.divided |= u64::from(within.len() > CHANGES) << index;
            row.allowed |= u64::from(ahead.allow) << index;
        }
        let mut word = take(&mut used.words, row.mixed.count_ones(), WORDS)?;
        for index in 0..ROW {
            let (first, last) = networks.bounds(index);
            let within = changes.pass((first, last));
            if within.is_empty() {
                continue;
            }
            let parts = Changes { ahead: within, allow: changes.allow ^ is_odd(within.len()) };
            self.words[word] = if within.len() <= CHANGES {
                packed(within)
            } else if networks.host_bits == 16 {
                self.node(used, parts, first)?
            } else {
                self.leaf(used, parts, first)?
            };
            word += 1;
        }
        Ok(row)
    }

    /// Divides a network of 16 bits, of which `changes` are all.
    fn node(
        &mut self,
        used: &mut Used,
        mut changes: Changes<'_>,
        first: u32,
    ) -> Result<u64, TableFull> {
        let node = take(&mut used.nodes, 1, NODES)?;
        for quarter in 0..4 {
            let networks = Networks { first: first | quarter << 14, host_bits: 8 };
            self.nodes[node][quarter as usize] = self.row(used, &mut changes, networks)?;
        }
        Ok(node as u64)
    }

    /// Divides a network of 24 bits, of which `changes` are all.
    fn leaf(
        &mut self,
        used: &mut Used,
        mut changes: Changes<'_>,
        first: u32,
    ) -> Result<u64, TableFull> {
        let leaf = take(&mut used.leaves, 1, LEAVES)?;
        self.leaves[leaf] = [0; 4];
        for address in first..=first | 0xff {
            changes.pass((address, address));
            self.leaves[leaf][(address >> 6 & 3) as usize] |=
                u64::from(changes.allow) << (address & 63);
        }
        Ok(leaf as u64)
    }
}

impl Row {
    /// The verdict of a network that is not divided, whose word this is.
    #[inline(always)]
    fn allows(&self, network: u32, word: u64, address: u32) -> bool {
        // Nothing here branches: of networks, who asks next can't be predicted.
        let changes_ahead = self.mixed >> network & odd_ahead(word, u64::from(address & 0xffff));
        (self.allowed >> network ^ changes_ahead) & 1 != 0
    }
}

/// The index in a word; `count` is a power of two.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "what is cut off would be masked")]
const fn index(word: u64, count: usize) -> usize {
    word as usize & (count - 1)
}

/// 1 if an odd number of the changes in a word lie beyond the end of an address, else 0: each difference with one
/// that does is negative.
#[inline(always)]
const fn odd_ahead(word: u64, end: u64) -> u64 {
    let differences = end.wrapping_sub(word & 0xffff)
        ^ end.wrapping_sub(word >> 16 & 0xffff)
        ^ end.wrapping_sub(word >> 32 & 0xffff)
        ^ end.wrapping_sub(word >> 48);
    differences >> 63
}

/// Changes as a word has them.
fn packed(changes: &[u32]) -> u64 {
    changes.iter().fold(0, |word, &change| word << 16 | u64::from(change & 0xffff))
}

/// The networks of a row.
#[derive(Clone, Copy)]
struct Networks {
    first: u32,
    host_bits: u32,
}

impl Networks {
    /// First and last address.
    fn bounds(self, index: u32) -> (u32, u32) {
        let first = self.first | index << self.host_bits;
        (first, first | ((1 << self.host_bits) - 1))
    }
}

/// Changes of the verdict, and what it is before them.
#[derive(Clone, Copy)]
struct Changes<'a> {
    ahead: &'a [u32],
    allow: bool,
}

impl<'a> Changes<'a> {
    /// Goes on behind a network, and gives the changes after its first address.
    fn pass(&mut self, (first, last): (u32, u32)) -> &'a [u32] {
        let count = self.ahead.iter().take_while(|&&change| change <= last).count();
        let (passed, ahead) = self.ahead.split_at(count);
        self.ahead = ahead;
        self.allow ^= is_odd(count);
        passed.strip_prefix(&[first]).unwrap_or(passed)
    }
}

const fn is_odd(count: usize) -> bool {
    count & 1 != 0
}

/// What is taken of a table.
#[derive(Default)]
struct Used {
    words: u32,
    nodes: u32,
    leaves: u32,
}

impl Used {
    fn octets(&self) -> usize {
        ROOT_ROWS * size_of::<Row>()
            + self.words as usize * size_of::<u64>()
            + self.nodes as usize * size_of::<[Row; 4]>()
            + self.leaves as usize * size_of::<[u64; 4]>()
    }
}

/// Takes places of a table; gives the index of the first.
fn take(used: &mut u32, count: u32, limit: usize) -> Result<usize, TableFull> {
    let first = *used;
    if (first + count) as usize > limit {
        return Err(TableFull);
    }
    *used += count;
    Ok(first as usize)
}
