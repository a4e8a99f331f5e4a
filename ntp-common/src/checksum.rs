//! The Internet checksum over words as they lie in memory. RFC 1071: the sum is the same in either byte
//! order, so words are added unswapped and the folded sum is stored unswapped.

/// A running sum of 16-bit words in ones' complement.
///
/// Words of 64 bits are added whole, and their upper halves a second time: with both sums the carries that
/// the first lost can be recovered, in two operations a word fewer than adding the halves one by one. Takes
/// 2^15 words, more than the longest datagram has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    words: u64,
    uppers: u64,
}

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Self = Self { words: 0, uppers: 0 };

    /// Adds eight octets, read from memory as they lie there.
    #[inline(always)]
    #[must_use]
    pub const fn add_u64(self, word: u64) -> Self {
        Self { words: self.words.wrapping_add(word), uppers: self.uppers + (word >> 32) }
    }

    /// Adds four octets, read from memory as they lie there.
    #[inline(always)]
    #[must_use]
    pub const fn add_u32(self, word: u32) -> Self {
        Self { words: self.words.wrapping_add(word as u64), uppers: self.uppers }
    }

    /// Adds two octets, read from memory as they lie there.
    #[inline(always)]
    #[must_use]
    pub const fn add_u16(self, word: u16) -> Self {
        self.add_u32(word as u32)
    }

    /// Adds a sum that was folded, as a word.
    #[inline(always)]
    #[must_use]
    pub const fn add_folded(self, sum: u64) -> Self {
        Self { words: self.words.wrapping_add(sum), uppers: self.uppers }
    }

    /// Adds another sum.
    #[inline(always)]
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { words: self.words.wrapping_add(other.words), uppers: self.uppers + other.uppers }
    }

    /// Adds octets; `octets` begins at an even offset of the summed data and has a length that is a
    /// multiple of eight.
    ///
    /// # Panics
    /// With any other length.
    #[inline(always)]
    #[must_use]
    pub fn add_octets(self, octets: &[u8]) -> Self {
        let (words, rest) = octets.as_chunks::<8>();
        assert!(rest.is_empty(), "a multiple of eight octets");
        let mut sum = self;
        for word in words {
            sum = sum.add_u64(u64::from_ne_bytes(*word));
        }
        sum
    }

    /// As [`Sum::add_octets`], for octets that are only read for the sum: half a word at a time needs no second look at the upper
    /// half. A multiple of four octets will do.
    ///
    /// # Panics
    /// With any other length.
    #[inline(always)]
    #[must_use]
    pub fn add_unread(self, octets: &[u8]) -> Self {
        let (words, rest) = octets.as_chunks::<4>();
        assert!(rest.is_empty(), "a multiple of four octets");
        let mut sum = self;
        for word in words {
            sum = sum.add_u32(u32::from_ne_bytes(*word));
        }
        sum
    }

    /// As [`Sum::add_unread`], for a multiple of eight octets that most senders leave zero: that is looked at first, in half the
    /// instructions.
    ///
    /// # Panics
    /// With any other length.
    #[inline(always)]
    #[must_use]
    pub fn add_mostly_zero(self, octets: &[u8]) -> Self {
        let (words, rest) = octets.as_chunks::<8>();
        assert!(rest.is_empty(), "a multiple of eight octets");
        let mut any = 0;
        for word in words {
            any |= u64::from_ne_bytes(*word);
        }
        if any == 0 { self } else { self.add_unread(octets) }
    }

    /// Folds the carries into 16 bits. 0 and 0xffff are the same number in ones' complement; this gives
    /// 0 for an empty sum only.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the last fold leaves 16 bits")]
    pub const fn fold(self) -> u16 {
        let sum = self.unfolded();
        let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        sum as u16
    }

    /// Whether the sum, which must not be that of nothing, folds to 0xffff: whether it is a multiple of that.
    ///
    /// A number is one if its product with the inverse of 0xffff modulo 2^64 is at most as large as the largest quotient: a
    /// multiplication instead of three rounds of folding (Hacker's Delight, section 10-17).
    #[inline(always)]
    #[must_use]
    pub const fn is_all_ones(self) -> bool {
        const INVERSE: u64 = inverse(0xffff);
        self.unfolded().wrapping_mul(INVERSE) <= u64::MAX / 0xffff
    }

    /// The sum with the carries that were lost.
    #[inline(always)]
    const fn unfolded(self) -> u64 {
        self.words.wrapping_sub(self.uppers << 32) + self.uppers
    }

    /// The checksum for a UDP header: complemented, and never zero, which means "none". RFC 768.
    ///
    /// Takes 252 octets, more than an answer has. What is subtracted from a multiple of 0xffff is complemented already, and
    /// does not fold to zero unless it is zero.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the last fold leaves 16 bits")]
    pub const fn udp_checksum(self) -> u16 {
        const ABOVE_ALL: u64 = 0xffff << 22;
        let sum = ABOVE_ALL.wrapping_sub(self.unfolded());
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        sum as u16
    }
}

/// The inverse of an odd number modulo 2^64, by Newton's iteration: each round doubles the bits that are right, of which a
/// number is its own inverse in three.
const fn inverse(number: u64) -> u64 {
    let mut inverse = number;
    let mut round = 0;
    while round < 5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(number.wrapping_mul(inverse)));
        round += 1;
    }
    inverse
}

/// What a UDP checksum field says of the datagram it came with.
///
/// `all` is the sum of pseudo-header (addresses, protocol, length), UDP header and payload without the checksum
/// field; `pseudo` that of the pseudo-header. Besides a right checksum, the field may hold the folded
/// pseudo-header alone: a datagram from a sender on the same machine whose checksum the hardware would have
/// completed (`CHECKSUM_PARTIAL`) arrives so over veth and virtio-net.
#[inline(always)]
#[must_use]
pub const fn is_acceptable(field: u16, all: Sum, pseudo: Sum) -> bool {
    all.add_u16(field).is_all_ones() || field == pseudo.fold()
}

/// The IPv4 header checksum after one 16-bit word of the header changed from `old` to `new`, all as they lie
/// in memory. RFC 1624: a header that was corrupt stays corrupt.
#[inline(always)]
#[must_use]
pub const fn updated(checksum: u16, old: u16, new: u16) -> u16 {
    !Sum::ZERO.add_u16(!checksum).add_u16(!old).add_u16(new).fold()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// RFC 1071 section 4.1, word by word in network order.
    #[expect(clippy::cast_possible_truncation, reason = "the carries are folded in at every step")]
    fn reference_sum(octets: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in octets.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    #[test]
    fn example_of_rfc_1071_sums_to_ddf2() {
        let sum = Sum::ZERO.add_octets(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(u16::from_be(sum.fold()), 0xddf2);
    }

    #[test]
    fn all_ones_survive_the_folding() {
        let mut sum = Sum::ZERO;
        for _ in 0..1000 {
            sum = sum.add_u64(u64::MAX);
        }
        assert_eq!(sum.fold(), 0xffff);
    }

    #[test]
    fn checksum_is_right_for_the_longest_that_it_takes() {
        for words in [0, 1, 2, 3, 11, 12, 27, 28, 29, 30, 31] {
            for octet in [0, 1, 0x7f, 0xfe, 0xff] {
                let octets = [octet; 252];
                let octets = &octets[..8 * words + 4];
                let expected = match !reference_sum(octets) {
                    0 => 0xffff,
                    other => other,
                };
                assert_eq!(u16::from_be(Sum::ZERO.add_unread(octets).udp_checksum()), expected);
            }
        }
    }

    #[test]
    fn what_is_mostly_zero_counts_where_it_is_not() {
        for at in 0..32 {
            let mut octets = [0; 32];
            let zero = Sum::ZERO.add_u16(7).add_mostly_zero(&octets);
            octets[at] = 0xa5;
            let sum = Sum::ZERO.add_u16(7).add_mostly_zero(&octets);
            assert_eq!(sum.fold(), Sum::ZERO.add_u16(7).add_unread(&octets).fold());
            assert_eq!(zero.fold(), 7);
        }
    }

    #[test]
    fn inverse_of_an_odd_number_makes_one_of_it() {
        for number in [1, 3, 0xffff, u64::MAX] {
            assert_eq!(number.wrapping_mul(inverse(number)), 1);
        }
    }

    proptest! {
        #[test]
        fn all_ones_is_what_folds_to_ffff(words: [u64; 4], rest: u16) {
            let mut sum = Sum::ZERO;
            for word in words {
                sum = sum.add_u64(word);
            }
            // As often as not the sum is made one that does.
            let made = sum.add_u16(!sum.fold());
            prop_assert!(made.fold() == 0xffff && made.is_all_ones());
            let sum = sum.add_u16(rest).add_u16(1);
            prop_assert_eq!(sum.is_all_ones(), sum.fold() == 0xffff);
        }

        #[test]
        fn agrees_with_the_reference(octets in proptest::array::uniform32(any::<u8>())) {
            let expected = reference_sum(&octets);
            let sum = Sum::ZERO.add_octets(&octets);
            prop_assert_eq!(u16::from_be(sum.fold()), expected);
            prop_assert_eq!(u16::from_be(sum.udp_checksum()), if expected == 0xffff { expected } else { !expected });
        }

        #[test]
        fn update_agrees_with_a_new_sum(words: [u16; 9], new: u16) {
            let sum = |words: &[u16]| {
                let octets: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
                !u16::from_be(reference_sum(&octets))
            };
            let mut changed = words;
            changed[4] = new;
            let expected = sum(&changed);
            let got = updated(sum(&words), words[4], new);
            // 0 and 0xffff are both zero in ones' complement.
            prop_assert!(got == expected || (got == 0 && expected == 0xffff) || (got == 0xffff && expected == 0));
        }

        #[test]
        fn right_partial_and_no_other_checksums_are_acceptable(
            addresses: u64, ports: u32, payload in proptest::array::uniform32(any::<u8>()), field: u16,
        ) {
            let pseudo = Sum::ZERO.add_u64(addresses).add_u16(17u16.to_be()).add_u16(40u16.to_be());
            let datagram = Sum::ZERO.add_u32(ports).add_u16(40u16.to_be()).add_octets(&payload);
            let all = pseudo.plus(datagram);
            let right = all.udp_checksum();
            prop_assert!(is_acceptable(right, all, pseudo));
            prop_assert!(is_acceptable(pseudo.fold(), all, pseudo));
            let same = |a: u16, b: u16| a == b || (a == 0 && b == 0xffff) || (a == 0xffff && b == 0);
            if !same(field, right) && field != pseudo.fold() {
                prop_assert!(!is_acceptable(field, all, pseudo));
            }
        }
    }
}
