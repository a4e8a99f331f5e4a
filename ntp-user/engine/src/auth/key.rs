//! One symmetric key: its type, and the codes that are made with it.
//!
//! Invariant: what can be computed before the packet is there has been computed when the key is made.

use std::fmt;

use aes::{Aes128, Aes256};
use cmac::Cmac;
use cmac::digest::{FixedOutput, KeyInit, Update};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

/// Longest code of any type, octets: that of SHA-512.
pub(super) const MAX_CODE_LEN: usize = 64;

/// Keys with fewer bits than this can be found by trying.
const SECURE_BITS: usize = 80;

/// Number of a key, from 1. RFC 5905 section 7.3 (keyid).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

/// How codes are computed with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// MD5 of key and packet. RFC 5905 appendix A; RFC 8573 advises against it.
    Md5,
    /// SHA-1 of key and packet.
    Sha1,
    /// SHA-256 of key and packet.
    Sha256,
    /// SHA-384 of key and packet.
    Sha384,
    /// SHA-512 of key and packet.
    Sha512,
    /// AES-CMAC with a key of 128 bits. RFC 8573.
    Aes128,
    /// AES-CMAC with a key of 256 bits.
    Aes256,
}

impl KeyType {
    /// All types, by the names that key files and `chronyc keygen` give them.
    pub const ALL: [(&'static str, Self); 7] = [
        ("MD5", Self::Md5),
        ("SHA1", Self::Sha1),
        ("SHA256", Self::Sha256),
        ("SHA384", Self::Sha384),
        ("SHA512", Self::Sha512),
        ("AES128", Self::Aes128),
        ("AES256", Self::Aes256),
    ];

    /// Finds a type by its name, in any case.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|&(_, it)| it)
    }

    /// The name in key files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha384 => "SHA384",
            Self::Sha512 => "SHA512",
            Self::Aes128 => "AES128",
            Self::Aes256 => "AES256",
        }
    }

    /// Length of a key, where only one will do, octets.
    const fn key_len(self) -> Option<usize> {
        match self {
            Self::Aes128 => Some(16),
            Self::Aes256 => Some(32),
            Self::Md5 | Self::Sha1 | Self::Sha256 | Self::Sha384 | Self::Sha512 => None,
        }
    }
}

/// No key can be made of these octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There are none.
    #[error("the key is empty")]
    Empty,
    /// The type takes keys of one length only.
    #[error("a key of type {} has {expected} octets, not {len}", key_type.name())]
    WrongLength {
        /// The type.
        key_type: KeyType,
        /// The length that it takes, octets.
        expected: usize,
        /// The length of the key, octets.
        len: usize,
    },
}

/// A hash or cipher that has taken in the key and waits for a packet.
#[derive(Clone)]
enum Prepared {
    Md5(Md5),
    Sha1(Sha1),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
    Aes128(Box<Cmac<Aes128>>),
    Aes256(Box<Cmac<Aes256>>),
}

/// A symmetric key.
#[derive(Clone)]
pub struct Key {
    kind: KeyType,
    bits: usize,
    prepared: Prepared,
}

/// A code, in the beginning of an array.
pub(super) struct Code {
    octets: [u8; MAX_CODE_LEN],
    len: usize,
}

impl Code {
    fn new(octets: &[u8]) -> Self {
        let mut code = Self { octets: [0; MAX_CODE_LEN], len: octets.len().min(MAX_CODE_LEN) };
        code.octets[..code.len].copy_from_slice(&octets[..code.len]);
        code
    }

    /// The code, cut to at most `longest` octets.
    pub(super) fn cut(&self, longest: usize) -> &[u8] {
        &self.octets[..self.len.min(longest)]
    }
}

impl Key {
    /// Makes a key of the secret `octets`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn new(key_type: KeyType, octets: &[u8]) -> Result<Self, KeyError> {
        if octets.is_empty() {
            return Err(KeyError::Empty);
        }
        if let Some(expected) = key_type.key_len().filter(|&len| len != octets.len()) {
            return Err(KeyError::WrongLength { key_type, expected, len: octets.len() });
        }
        let wrong = |_| KeyError::Empty;
        let prepared = match key_type {
            KeyType::Md5 => Prepared::Md5(Md5::new_with_prefix(octets)),
            KeyType::Sha1 => Prepared::Sha1(Sha1::new_with_prefix(octets)),
            KeyType::Sha256 => Prepared::Sha256(Sha256::new_with_prefix(octets)),
            KeyType::Sha384 => Prepared::Sha384(Sha384::new_with_prefix(octets)),
            KeyType::Sha512 => Prepared::Sha512(Sha512::new_with_prefix(octets)),
            KeyType::Aes128 => {
                Prepared::Aes128(Box::new(Cmac::new_from_slice(octets).map_err(wrong)?))
            }
            KeyType::Aes256 => {
                Prepared::Aes256(Box::new(Cmac::new_from_slice(octets).map_err(wrong)?))
            }
        };
        Ok(Self { kind: key_type, bits: octets.len() * 8, prepared })
    }

    /// The type.
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        self.kind
    }

    /// Length of the secret, bits.
    #[must_use]
    pub const fn bits(&self) -> usize {
        self.bits
    }

    /// Whether the secret is too short to be one for long.
    #[must_use]
    pub const fn is_short(&self) -> bool {
        self.bits < SECURE_BITS
    }

    /// The whole code of `packet`.
    pub(super) fn code(&self, packet: &[u8]) -> Code {
        match &self.prepared {
            Prepared::Md5(hash) => finish(hash, packet),
            Prepared::Sha1(hash) => finish(hash, packet),
            Prepared::Sha256(hash) => finish(hash, packet),
            Prepared::Sha384(hash) => finish(hash, packet),
            Prepared::Sha512(hash) => finish(hash, packet),
            Prepared::Aes128(cmac) => finish(cmac.as_ref(), packet),
            Prepared::Aes256(cmac) => finish(cmac.as_ref(), packet),
        }
    }
}

fn finish<H: Clone + Update + FixedOutput>(prepared: &H, packet: &[u8]) -> Code {
    let mut hash = prepared.clone();
    hash.update(packet);
    Code::new(&hash.finalize_fixed())
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({}, {} bits)", self.kind.name(), self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(code: &Code) -> String {
        code.cut(MAX_CODE_LEN).iter().fold(String::new(), |hex, octet| format!("{hex}{octet:02x}"))
    }

    /// `printf 'keyabc' | md5sum`, `sha1sum` and so on.
    #[test]
    fn code_of_a_hash_is_that_of_key_and_packet() {
        for (key_type, expected) in [
            (KeyType::Md5, "52878f125814206651a24111280ec873"),
            (KeyType::Sha1, "36096e109609be59938bcd2fde6252df0e1eded5"),
            (KeyType::Sha256, "1141e2212b08bb07b3c9558bb7a90f4a99b1c6f0c97e970c279df64e7f0875ed"),
            (
                KeyType::Sha384,
                "0cfa8314f1b617f9f6568dca0952e9bc409de76b0d9e4ee18c725aaa1a319cc00b83c98a25b11a88\
                 ff09ad1bacf5e0f7",
            ),
            (
                KeyType::Sha512,
                "349792be23df7af08bd18915b9c164caf319a84bdcf2f3f41820ccd3343f7861ebaa78f65476b0cc\
                 e3302c40d3438191d5962b8dd2f6ef83c99c66f8c2467e36",
            ),
        ] {
            let key = Key::new(key_type, b"key").unwrap();
            assert_eq!(hex(&key.code(b"abc")), expected, "{key_type:?}");
        }
    }

    /// RFC 4493 section 4, examples 1 and 2; NIST SP 800-38B appendix D.3, examples 9 and 10.
    #[test]
    fn codes_of_aes_are_those_of_the_standards() {
        let message = [
            0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96, 0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93,
            0x17, 0x2a,
        ];
        let key128 = [
            0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf,
            0x4f, 0x3c,
        ];
        let key256 = [
            0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d,
            0x77, 0x81, 0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7, 0x2d, 0x98, 0x10, 0xa3,
            0x09, 0x14, 0xdf, 0xf4,
        ];
        let check = |key_type, key: &[u8], message: &[u8], expected: &str| {
            assert_eq!(hex(&Key::new(key_type, key).unwrap().code(message)), expected);
        };
        check(KeyType::Aes128, &key128, &[], "bb1d6929e95937287fa37d129b756746");
        check(KeyType::Aes128, &key128, &message, "070a16b46b4d4144f79bdd9dd04a287c");
        check(KeyType::Aes256, &key256, &[], "028962f61b7bf89efc6b551f4667d983");
        check(KeyType::Aes256, &key256, &message, "28a7023f452e8f82bd4bf28d8c37c35c");
    }

    #[test]
    fn ciphers_take_keys_of_their_length_only() {
        for len in [1, 15, 17, 32] {
            let error = Key::new(KeyType::Aes128, &vec![1; len]).unwrap_err();
            assert_eq!(error.to_string(), format!("a key of type AES128 has 16 octets, not {len}"));
        }
        assert!(Key::new(KeyType::Aes256, &[1; 16]).is_err());
        assert_eq!(Key::new(KeyType::Sha1, &[]).unwrap_err(), KeyError::Empty);
    }

    #[test]
    fn key_is_not_shown() {
        let shown = format!("{:?}", Key::new(KeyType::Sha1, b"secret").unwrap());
        assert_eq!(shown, "Key(SHA1, 48 bits)");
    }

    #[test]
    fn keys_below_80_bits_are_short() {
        assert!(Key::new(KeyType::Md5, &[1; 9]).unwrap().is_short());
        assert!(!Key::new(KeyType::Md5, &[1; 10]).unwrap().is_short());
    }
}
