//! The message authentication code at the end of a packet: a key's number and a code over all that is before
//! it. RFC 5905 section 7.3, RFC 7822 section 7.5, RFC 8573.

use subtle::ConstantTimeEq;

use super::key::{Key, KeyId, MAX_CODE_LEN};
use super::keyfile::Keys;

/// Octets of a key's number.
const KEY_ID_LEN: usize = 4;

/// Shortest code, octets.
const MIN_CODE_LEN: usize = 16;

/// Longest code of a packet of version 4, octets; longer ones are cut. RFC 7822 section 7.5: else it could
/// not be told from an extension field.
const MAX_V4_CODE_LEN: usize = 20;

/// Longest key number and code, octets.
pub const MAX_MAC_LEN: usize = KEY_ID_LEN + MAX_CODE_LEN;

/// Why a packet's code is not right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// There is none, or none that could be right.
    #[error("no message authentication code")]
    Missing,
    /// The key is not among ours.
    #[error("unknown key {}", .0.0)]
    UnknownKey(KeyId),
    /// The code is not that of the packet.
    #[error("wrong message authentication code (key {})", .0.0)]
    WrongCode(KeyId),
}

/// A packet's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacRef<'a> {
    /// Which key it claims to be made with.
    pub key: KeyId,
    /// The code.
    pub code: &'a [u8],
}

impl<'a> MacRef<'a> {
    /// Reads key number and code off all that follows header and extension fields.
    #[must_use]
    pub fn read(octets: &'a [u8]) -> Option<Self> {
        let (id, code) = octets.split_first_chunk::<KEY_ID_LEN>()?;
        Some(Self { key: KeyId(u32::from_be_bytes(*id)), code })
    }
}

/// Longest code of a packet of this version, octets.
const fn longest(version: u8) -> usize {
    if version >= 4 { MAX_V4_CODE_LEN } else { MAX_CODE_LEN }
}

/// Writes the number and code of `key` behind the packet in the beginning of `buffer`, `len` octets long and
/// of `version`. Gives the length with them, or nothing when there is no room.
#[must_use]
pub fn append(id: KeyId, key: &Key, version: u8, buffer: &mut [u8], len: usize) -> Option<usize> {
    let code = key.code(buffer.get(..len)?);
    let code = code.cut(longest(version));
    let end = len + KEY_ID_LEN + code.len();
    let mac = buffer.get_mut(len..end)?;
    let (number, rest) = mac.split_at_mut(KEY_ID_LEN);
    number.copy_from_slice(&id.0.to_be_bytes());
    rest.copy_from_slice(code);
    Some(end)
}

/// Checks the code of `packet`, which begins at `mac_start`, and gives the key that it was made with.
///
/// # Errors
/// [`CryptoError`].
pub fn verify<'k>(
    keys: &'k Keys,
    version: u8,
    packet: &[u8],
    mac_start: usize,
) -> Result<(KeyId, &'k Key), CryptoError> {
    let (signed, mac) = packet.split_at_checked(mac_start).ok_or(CryptoError::Missing)?;
    let mac = MacRef::read(mac).ok_or(CryptoError::Missing)?;
    if !(MIN_CODE_LEN..=MAX_CODE_LEN).contains(&mac.code.len()) {
        return Err(CryptoError::Missing);
    }
    let key = keys.find(mac.key).ok_or(CryptoError::UnknownKey(mac.key))?;
    let code = key.code(signed);
    if bool::from(code.cut(longest(version)).ct_eq(mac.code)) {
        Ok((mac.key, key))
    } else {
        Err(CryptoError::WrongCode(mac.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::KeyType;
    use proptest::prelude::*;

    const ID: KeyId = KeyId(7);

    fn keys(key_type: KeyType) -> Keys {
        let len = if key_type == KeyType::Aes256 { 32 } else { 16 };
        Keys::from_iter([(ID, Key::new(key_type, &vec![0x5a; len]).unwrap())])
    }

    fn signed(key_type: KeyType, version: u8, packet: &[u8]) -> Vec<u8> {
        let keys = keys(key_type);
        let mut buffer = packet.to_vec();
        buffer.resize(packet.len() + MAX_MAC_LEN, 0);
        let len = append(ID, keys.find(ID).unwrap(), version, &mut buffer, packet.len()).unwrap();
        buffer.truncate(len);
        buffer
    }

    #[test]
    fn codes_of_version_4_are_cut_to_20_octets() {
        for (key_type, v3_len, v4_len) in [
            (KeyType::Md5, 16, 16),
            (KeyType::Sha1, 20, 20),
            (KeyType::Sha256, 32, 20),
            (KeyType::Sha384, 48, 20),
            (KeyType::Sha512, 64, 20),
            (KeyType::Aes128, 16, 16),
            (KeyType::Aes256, 16, 16),
        ] {
            let packet = [0x23; 48];
            assert_eq!(signed(key_type, 3, &packet).len(), 52 + v3_len, "{key_type:?}");
            assert_eq!(signed(key_type, 4, &packet).len(), 52 + v4_len, "{key_type:?}");
        }
    }

    #[test]
    fn only_the_right_key_and_the_whole_code_pass() {
        for (_, key_type) in KeyType::ALL {
            for version in [3, 4] {
                let packet = signed(key_type, version, &[0x23; 48]);
                let keys = keys(key_type);
                assert_eq!(verify(&keys, version, &packet, 48).map(|(id, _)| id), Ok(ID));
                let short = &packet[..packet.len() - 1];
                assert!(verify(&keys, version, short, 48).is_err(), "{key_type:?}");
                let other = Keys::from_iter([(ID, Key::new(KeyType::Sha1, b"other").unwrap())]);
                assert!(verify(&other, version, &packet, 48).is_err());
                let unknown = Keys::default();
                let error = verify(&unknown, version, &packet, 48).map(|_| ()).unwrap_err();
                assert_eq!(error, CryptoError::UnknownKey(ID));
            }
        }
    }

    #[test]
    fn missing_code_is_none() {
        let keys = keys(KeyType::Md5);
        for len in [0, 3, 4, 19] {
            let error = verify(&keys, 4, &vec![7; 48 + len], 48).map(|_| ()).unwrap_err();
            assert_eq!(error, CryptoError::Missing, "{len}");
        }
        assert_eq!(verify(&keys, 4, &[7; 48], 49).map(|_| ()), Err(CryptoError::Missing));
    }

    proptest! {
        #[test]
        fn any_changed_bit_is_noticed(bit in 0usize..(48 + 24) * 8, which in 0usize..7) {
            let (_, key_type) = KeyType::ALL[which];
            let mut packet = signed(key_type, 4, &[0x23; 48]);
            let bit = bit % (packet.len() * 8);
            packet[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(verify(&keys(key_type), 4, &packet, 48).is_err());
        }

        #[test]
        fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..200), start in 0usize..220, version: u8) {
            let _ = verify(&keys(KeyType::Sha512), version, &octets, start);
        }
    }
}
