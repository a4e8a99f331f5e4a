//! The payloads of requests, kind by kind.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use ntp_common::time::NtpTimestamp;
use ntp_common::wire::{HEADER_LEN, Header, Mode, NEWEST_VERSION};
use ntp_engine::auth::{Key, KeyId, Keys, MAX_MAC_LEN, append};

use super::mix::Kind;

/// Longest payload.
pub const MAX_PAYLOAD: usize = HEADER_LEN + MAX_MAC_LEN;

/// A symmetric key and its number.
#[derive(Clone)]
pub struct SigningKey {
    keys: Arc<Keys>,
    id: KeyId,
}

impl SigningKey {
    /// Reads the key `id` from a file as chrony's `keyfile` names.
    ///
    /// # Errors
    /// The file is not to be read, has a fault, or lacks the key.
    pub fn read(file: &Path, id: u32) -> Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let (keys, problems) = Keys::parse(&text);
        if let Some(problem) = problems.first() {
            bail!("{}:{}: {}", file.display(), problem.line, problem.what);
        }
        let found = Self { keys: Arc::new(keys), id: KeyId(id) };
        if found.key().is_none() {
            bail!("{} has no key {id}", file.display());
        }
        Ok(found)
    }

    fn key(&self) -> Option<&Key> {
        self.keys.find(self.id)
    }
}

/// What requests are made of.
#[derive(Clone, Default)]
pub struct Requests {
    /// The key of signed requests.
    pub key: Option<SigningKey>,
}

impl Requests {
    /// Writes the request of `kind` whose transmit timestamp is `token` into the beginning of `buffer`, and gives its
    /// length. `variation` chooses among kinds of garbage; `origin` is the receive timestamp of an earlier reply.
    #[must_use]
    pub fn write(
        &self,
        kind: Kind,
        variation: usize,
        origin: u64,
        token: u64,
        buffer: &mut [u8; MAX_PAYLOAD],
    ) -> usize {
        let mut header = Header::request(NtpTimestamp::from_bits(token));
        if kind == Kind::Interleaved {
            // The lowest bit is set in receive timestamps alone: it says that the client means one.
            header.origin_timestamp = NtpTimestamp::from_bits(origin | 1);
            header.receive_timestamp = NtpTimestamp::from_bits(token ^ 1);
        }
        let (header_octets, rest) = buffer.split_at_mut(HEADER_LEN);
        header_octets.copy_from_slice(&header.write());
        match kind {
            Kind::Garbage => {
                rest.fill(0);
                garbage(variation, buffer)
            }
            Kind::Mac => self.sign(buffer),
            Kind::Plain | Kind::Interleaved | Kind::Denied | Kind::Regular => HEADER_LEN,
        }
    }

    fn sign(&self, buffer: &mut [u8; MAX_PAYLOAD]) -> usize {
        let signing = self.key.as_ref().and_then(|key| Some((key.id, key.key()?)));
        signing
            .and_then(|(id, key)| append(id, key, NEWEST_VERSION, buffer, HEADER_LEN))
            .unwrap_or(HEADER_LEN)
    }
}

/// Kinds of garbage.
pub const VARIATIONS: usize = 6;

/// Spoils the request in `buffer`, and gives its new length.
fn garbage(variation: usize, buffer: &mut [u8; MAX_PAYLOAD]) -> usize {
    let mode = |version: u8, mode: Mode| version << 3 | mode as u8;
    let (first, len) = match variation % VARIATIONS {
        0 => (mode(4, Mode::Client), 12),
        1 => (mode(2, Mode::Control), 12),
        // What amplification attacks once asked for: the list of the last clients.
        2 => (mode(2, Mode::Private), HEADER_LEN),
        3 => (mode(0, Mode::Client), HEADER_LEN),
        4 => (mode(4, Mode::Server), HEADER_LEN),
        _ => (mode(4, Mode::Client), HEADER_LEN + 2),
    };
    buffer[0] = first;
    len
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntp_common::wire::version_of;

    fn written(kind: Kind, variation: usize) -> (Header, usize) {
        let mut buffer = [0; MAX_PAYLOAD];
        let len = Requests::default().write(kind, variation, 6, 0x1234_5678_9abc_def0, &mut buffer);
        let mut header = [0; HEADER_LEN];
        header.copy_from_slice(&buffer[..HEADER_LEN]);
        (Header::read(&header), len)
    }

    #[test]
    fn requests_are_what_their_kind_says() {
        for kind in [Kind::Plain, Kind::Denied, Kind::Regular] {
            let (header, len) = written(kind, 0);
            assert_eq!((header.mode, header.version, len), (Mode::Client, 4, 48), "{kind:?}");
            assert_eq!(header.transmit_timestamp.to_bits(), 0x1234_5678_9abc_def0);
            assert_eq!(header.origin_timestamp.to_bits(), 0);
        }
        let (header, _) = written(Kind::Interleaved, 0);
        assert_eq!(header.origin_timestamp.to_bits(), 7);
        assert_ne!(header.receive_timestamp, header.transmit_timestamp);
    }

    #[test]
    fn no_garbage_is_a_plain_request() {
        for variation in 0..VARIATIONS {
            let (header, len) = written(Kind::Garbage, variation);
            let is_plain = header.mode == Mode::Client && header.version == 4 && len == HEADER_LEN;
            assert!(!is_plain, "variation {variation}");
        }
        assert_eq!(version_of(mode_octet(3)), 0);
    }

    fn mode_octet(variation: usize) -> u8 {
        let mut buffer = [0; MAX_PAYLOAD];
        let _ = Requests::default().write(Kind::Garbage, variation, 0, 1, &mut buffer);
        buffer[0]
    }

    #[test]
    fn signed_request_has_the_code_of_its_key() {
        let (keys, problems) = Keys::parse("7 MD5 HEX:00112233445566778899aabbccddeeff\n");
        assert!(problems.is_empty());
        let key = SigningKey { keys: Arc::new(keys), id: KeyId(7) };
        let requests = Requests { key: Some(key.clone()) };
        let mut buffer = [0; MAX_PAYLOAD];
        let len = requests.write(Kind::Mac, 0, 0, 99, &mut buffer);
        assert_eq!(len, HEADER_LEN + 4 + 16);
        assert!(ntp_engine::auth::verify(&key.keys, 4, &buffer[..len], HEADER_LEN).is_ok());
    }
}
