//! Requests as the server reads them: header, extension fields, message authentication code.

use ntp_common::classify::{Class, classify};
use ntp_common::wire::{HEADER_LEN, Header, version_of};
use ntp_engine::auth::trailer::{self, Trailer};
use ntp_engine::auth::{Keys, MAX_MAC_LEN, append, verify};

/// Keys of each kind of code.
pub(crate) const KEYS: &str = "1 MD5 ASCII:abcdefgh\n2 SHA1 HEX:00112233445566778899aabbccddeeff\n\
    3 SHA256 ASCII:0123456789abcdef\n4 AES128 HEX:00112233445566778899aabbccddeeff\n";

/// A packet that is right after it was signed stays so, and one octet changed is noticed.
pub(crate) fn requests(octets: &[u8]) {
    let Some(header) = octets.first_chunk::<HEADER_LEN>() else { return };
    assert_eq!(Header::read(header).write()[1..], header[1..], "a header is read and written");
    let version = version_of(header[0]);
    let class = classify(header, octets.len(), 40_000);
    let trailer = trailer::read(version, &octets[HEADER_LEN..]);
    if class == Class::Plain {
        assert_eq!(octets.len(), HEADER_LEN, "a plain request is a header");
    }
    let (keys, _) = Keys::parse(KEYS);
    if let Trailer::Mac(at) = trailer {
        let _ = verify(&keys, version, octets, HEADER_LEN + at);
    }
    sign(octets, version, &keys);
}

fn sign(octets: &[u8], version: u8, keys: &Keys) {
    let id = ntp_engine::auth::KeyId(u32::from(octets[0]) % 5);
    let Some(key) = keys.find(id) else { return };
    let mut packet = octets.to_vec();
    packet.resize(octets.len() + MAX_MAC_LEN, 0);
    let len = append(id, key, version, &mut packet, octets.len()).expect("there is room");
    packet.truncate(len);
    let verified = verify(keys, version, &packet, octets.len()).map(|(id, _)| id);
    assert_eq!(verified, Ok(id), "what was signed is right");
    let place = usize::from(octets[1]) % octets.len();
    packet[place] ^= 1;
    assert!(verify(keys, version, &packet, octets.len()).is_err(), "a changed octet is noticed");
}
