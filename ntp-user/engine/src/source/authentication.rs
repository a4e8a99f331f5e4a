//! What the symmetric key of a source (option `key`) does to its packets. RFC 5905 section 7.3.
//!
//! Invariant: of a source with a key no packet is believed, and none is acted upon, whose code is not made with
//! that key.

use ntp_common::wire::{HEADER_LEN, version_of};

use super::reply::Rejection;
use crate::auth::trailer::{self, Trailer};
use crate::auth::{self, KeyId, Keys, MAX_MAC_LEN};

/// Adds the code to a packet that consists of a header; nothing when the key is missing.
pub(super) fn sign(key: Option<u32>, mut packet: Vec<u8>, keys: &Keys) -> Option<Vec<u8>> {
    let Some(id) = key.map(KeyId) else { return Some(packet) };
    let (version, len) = (version_of(packet[0]), packet.len());
    packet.resize(len + MAX_MAC_LEN, 0);
    let len = auth::append(id, keys.find(id)?, version, &mut packet, len)?;
    packet.truncate(len);
    Some(packet)
}

/// Whether a packet is the source's.
pub(super) fn check(key: Option<u32>, packet: &[u8], keys: &Keys) -> Result<(), Rejection> {
    let Some(id) = key.map(KeyId) else { return Ok(()) };
    let version = packet.first().copied().map_or(0, version_of);
    let rest = packet.get(HEADER_LEN..).ok_or(Rejection::TooShort)?;
    let Trailer::Mac(at) = trailer::read(version, rest) else {
        return Err(Rejection::NotAuthentic);
    };
    match auth::verify(keys, version, packet, HEADER_LEN + at) {
        Ok((signer, _)) if signer == id => Ok(()),
        Ok(_) | Err(_) => Err(Rejection::NotAuthentic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::parse(
            "1 SHA1 ASCII:the-first-of-two\n2 AES128 HEX:00112233445566778899aabbccddeeff\n",
        )
        .0
    }

    fn header() -> Vec<u8> {
        let mut header = vec![0x23; 1];
        header.resize(HEADER_LEN, 7);
        header
    }

    #[test]
    fn packet_with_the_code_of_the_sources_key_is_the_sources() {
        let signed = sign(Some(1), header(), &keys()).unwrap();
        assert_eq!(signed.len(), HEADER_LEN + 4 + 20);
        assert_eq!(check(Some(1), &signed, &keys()), Ok(()));
    }

    #[test]
    fn other_keys_and_no_code_at_all_are_not_believed() {
        let other = sign(Some(2), header(), &keys()).unwrap();
        assert_eq!(check(Some(1), &other, &keys()), Err(Rejection::NotAuthentic));
        assert_eq!(check(Some(1), &header(), &keys()), Err(Rejection::NotAuthentic));
        let mut changed = sign(Some(1), header(), &keys()).unwrap();
        changed[1] ^= 1;
        assert_eq!(check(Some(1), &changed, &keys()), Err(Rejection::NotAuthentic));
        assert_eq!(check(Some(1), &[0x23; 20], &keys()), Err(Rejection::TooShort));
    }

    #[test]
    fn missing_key_keeps_from_asking_and_no_key_changes_nothing() {
        assert_eq!(sign(Some(3), header(), &keys()), None);
        assert_eq!(sign(None, header(), &keys()), Some(header()));
        assert_eq!(check(None, &header(), &keys()), Ok(()));
    }
}
