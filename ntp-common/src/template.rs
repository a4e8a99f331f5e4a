//! What the replies from a snapshot have in common, as they hold it: made once, when the snapshot is published.

use crate::checksum::Sum;

/// Words of 64 bits that a template takes in the map.
pub const TEMPLATE_WORDS: usize = 5;

/// Where the poll exponent is in [`Template::min_poll`].
pub const POLL_SHIFT: u32 = 56;

/// The parts of a reply that no request has a say in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    /// The first eight octets but for version and poll, as they lie in memory.
    pub head: u64,
    /// Root dispersion and reference identifier, as they lie in memory.
    pub root: u64,
    /// Reference timestamp, as it lies in memory.
    pub reference: u64,
    /// The three's share in the checksum, folded.
    pub sum: u64,
    /// The smallest poll exponent that a reply gives, log2 seconds, in the highest octet of a word: so it is compared with what lies
    /// there of a request.
    pub min_poll: i64,
}

impl Template {
    /// A template of words whose most significant octet is sent first.
    #[inline(always)]
    #[must_use]
    pub const fn new(head: u64, root: u64, reference: u64, min_poll: i8) -> Self {
        let (head, root, reference) = (head.to_be(), root.to_be(), reference.to_be());
        let sum = Sum::ZERO.add_u64(head).add_u64(root).add_u64(reference).fold() as u64;
        Self { head, root, reference, sum, min_poll: (min_poll as i64) << POLL_SHIFT }
    }

    /// The template as it lies in a slot of the ring.
    #[inline(always)]
    #[must_use]
    pub const fn to_words(self) -> [u64; TEMPLATE_WORDS] {
        [self.head, self.root, self.reference, self.sum, self.min_poll.cast_unsigned()]
    }

    /// Reads a template off a slot of the ring.
    #[inline(always)]
    #[must_use]
    pub const fn from_words(words: [u64; TEMPLATE_WORDS]) -> Self {
        let [head, root, reference, sum, min_poll] = words;
        Self { head, root, reference, sum, min_poll: min_poll.cast_signed() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_survive_the_round_trip(head: u64, root: u64, reference: u64, min_poll: i8) {
            let template = Template::new(head, root, reference, min_poll);
            prop_assert_eq!(Template::from_words(template.to_words()), template);
            prop_assert_eq!(template.min_poll >> POLL_SHIFT, i64::from(min_poll));
            prop_assert_eq!(template.root.to_ne_bytes(), root.to_be_bytes());
        }
    }
}
