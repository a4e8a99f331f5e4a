//! What follows an NTP header: extension fields, a message authentication code, or nothing that makes
//! sense. Told by lengths alone, RFC 7822 section 3 for version 4, RFC 1305 for version 3 and older.
//!
//! A pure function over untrusted octets: it neither allocates nor panics.

/// Length of a message authentication code without a digest: a crypto-NAK. RFC 5905 section 7.3.
const CRYPTO_NAK_LEN: usize = 4;

/// Lengths of a message authentication code of version 4: a key's number and a digest of 16 to 20 octets.
const V4_MAC_LEN: std::ops::RangeInclusive<usize> = 20..=24;

/// Shortest extension field. RFC 7822 section 3.
const MIN_FIELD_LEN: usize = 16;

/// Shortest extension field at the end of a packet without a message authentication code, so that it can't
/// be taken for one. RFC 7822 section 3.
const MIN_LAST_FIELD_LEN: usize = 28;

/// What follows a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trailer {
    /// Nothing.
    None,
    /// Well-formed extension fields, and nothing else.
    Fields,
    /// A message authentication code, behind so many octets of extension fields.
    Mac(usize),
    /// Neither.
    Malformed,
}

/// Tells what `octets`, all that follows the header of a packet of `version`, are.
#[must_use]
pub fn read(version: u8, octets: &[u8]) -> Trailer {
    if octets.is_empty() {
        return Trailer::None;
    }
    if version < 4 {
        // There were no extension fields yet.
        return if octets.len() >= CRYPTO_NAK_LEN { Trailer::Mac(0) } else { Trailer::Malformed };
    }
    let mut rest = octets;
    while !rest.is_empty() {
        if rest.len() == CRYPTO_NAK_LEN || V4_MAC_LEN.contains(&rest.len()) {
            return Trailer::Mac(octets.len() - rest.len());
        }
        let Some(after) = after_field(rest) else { return Trailer::Malformed };
        rest = after;
    }
    Trailer::Fields
}

/// Skips one extension field: a type, a length that includes both, a value.
fn after_field(octets: &[u8]) -> Option<&[u8]> {
    let len = usize::from(u16::from_be_bytes([*octets.get(2)?, *octets.get(3)?]));
    let after = octets.get(len..)?;
    let shortest = if after.is_empty() { MIN_LAST_FIELD_LEN } else { MIN_FIELD_LEN };
    (len >= shortest && len % 4 == 0).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Extension fields of these lengths, and `tail` more octets.
    fn fields(lens: &[u16], tail: usize) -> Vec<u8> {
        let mut octets = Vec::new();
        for &len in lens {
            octets.extend([0x12, 0x34]);
            octets.extend(len.to_be_bytes());
            octets.resize(octets.len() + usize::from(len).saturating_sub(4), 0);
        }
        octets.resize(octets.len() + tail, 0xaa);
        octets
    }

    fn check(version: u8, octets: &[u8], expected: Trailer) {
        assert_eq!(read(version, octets), expected, "version {version}, {octets:02x?}");
    }

    #[test]
    fn extension_fields_are_told_by_their_lengths() {
        for lens in [&[28][..], &[16, 28], &[16, 16, 32], &[1024], &[20, 28], &[24, 28]] {
            check(4, &fields(lens, 0), Trailer::Fields);
        }
    }

    #[test]
    fn last_field_without_a_mac_is_at_least_28_octets_long() {
        check(4, &fields(&[16], 0), Trailer::Malformed);
        check(4, &fields(&[28, 16], 0), Trailer::Malformed);
        check(4, &fields(&[28, 28], 0), Trailer::Fields);
    }

    #[test]
    fn macs_are_told_by_the_length_that_is_left() {
        for len in [4, 20, 24] {
            check(4, &fields(&[], len), Trailer::Mac(0));
            // A field and a key's number alone are as long as a code.
            let behind = if len == 4 { 0 } else { 16 };
            check(4, &fields(&[16], len), Trailer::Mac(behind));
            check(4, &fields(&[28, 16], len), Trailer::Mac(28 + behind));
        }
        for len in [8, 12, 16, 28, 36, 52] {
            check(4, &fields(&[], len), Trailer::Malformed);
        }
    }

    #[test]
    fn lengths_of_fields_are_checked() {
        for len in [0u16, 4, 12, 15, 17, 18, 30, 33] {
            let mut octets = fields(&[32], 32);
            octets[2..4].copy_from_slice(&len.to_be_bytes());
            check(4, &octets, Trailer::Malformed);
        }
        let mut beyond = fields(&[32], 0);
        beyond[2..4].copy_from_slice(&36u16.to_be_bytes());
        check(4, &beyond, Trailer::Malformed);
    }

    #[test]
    fn older_versions_have_macs_only() {
        check(3, &[], Trailer::None);
        check(3, &fields(&[28], 0), Trailer::Mac(0));
        check(1, &[0; 12], Trailer::Mac(0));
        check(2, &[0; 3], Trailer::Malformed);
    }

    proptest! {
        #[test]
        fn any_octets_are_something(version in 0u8..8, octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let trailer = read(version, &octets);
            prop_assert_eq!(trailer == Trailer::None, octets.is_empty());
            if trailer == Trailer::Fields {
                prop_assert!(octets.len() >= MIN_LAST_FIELD_LEN && octets.len() % 4 == 0);
            }
        }
    }
}
