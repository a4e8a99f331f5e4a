//! Decides about one packet of the user path and makes its reply: the same classification, rules and reply
//! as in XDP, and in addition what XDP leaves to the daemon. No I/O.

use std::net::SocketAddr;

use ntp_common::classify::{Class, classify};
use ntp_common::counters::{Family, Reason};
use ntp_common::respond::respond;
use ntp_common::snapshot::{RefSnapshot, head};
use ntp_common::time::{MonoNs, NANOS_PER_SECOND, NtpDuration, NtpShort};
use ntp_common::wire::{HEADER_LEN, LeapIndicator, Mode, version_of};
use ntp_engine::auth::trailer::{self, Trailer};
use ntp_engine::auth::{self, KeyId, Keys, MAX_MAC_LEN};

use super::control::Destination;
use crate::clock::readings::UnixTime;
use crate::serving::access_list::AccessList;

/// How long a packet may have waited for the daemon; a timestamp older than that is taken for one from
/// before a step of the clock.
const MAX_WAIT_NS: i64 = 60_000_000_000;

/// Octets of the longest reply: a header and a message authentication code.
pub const REPLY_LEN: usize = HEADER_LEN + MAX_MAC_LEN;

/// How far the snapshot of a clock that is not synchronised reaches back, nanoseconds.
const UNSYNCHRONISED_PAST_NS: u64 = MAX_WAIT_NS.cast_unsigned() + NANOS_PER_SECOND;

/// A request that is due an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its header.
    pub header: [u8; HEADER_LEN],
    /// Address family, to count it by.
    pub family: Family,
    /// Whether it is a peer's, which expects the answer of a passive peer.
    pub is_peer: bool,
    /// Whether its sender asks too often and is told so instead of the time.
    pub is_kiss: bool,
    /// How it is authenticated.
    pub authentication: Authentication,
}

/// How a request is authenticated, and its reply is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Not at all.
    None,
    /// By a message authentication code that begins at this octet of the packet and has not been checked.
    Unchecked(usize),
    /// By this key.
    Key(KeyId),
}

impl Request {
    /// Protocol version, 1 to 4.
    #[must_use]
    pub const fn version(&self) -> u8 {
        version_of(self.header[0])
    }

    /// Whether it had a message authentication code that was right.
    #[must_use]
    pub const fn is_authenticated(&self) -> bool {
        matches!(self.authentication, Authentication::Key(_))
    }

    /// Checks the message authentication code of `packet`, if it has one.
    ///
    /// # Errors
    /// [`Reason::BadMac`]: no reply is due, and none with another code would be believed.
    pub fn authenticate(self, packet: &[u8], keys: &Keys) -> Result<Self, Reason> {
        let Authentication::Unchecked(at) = self.authentication else { return Ok(self) };
        let (key, _) =
            auth::verify(keys, self.version(), packet, at).map_err(|_| Reason::BadMac)?;
        Ok(Self { authentication: Authentication::Key(key), ..self })
    }

    /// Puts the reply and, where the request had one, its message authentication code, in the beginning of
    /// `buffer`. Gives its length; nothing when the key is gone.
    #[must_use]
    pub fn seal(
        &self,
        reply: &[u8; HEADER_LEN],
        keys: &Keys,
        buffer: &mut [u8; REPLY_LEN],
    ) -> Option<usize> {
        buffer[..HEADER_LEN].copy_from_slice(reply);
        match self.authentication {
            Authentication::None => Some(HEADER_LEN),
            Authentication::Key(id) => {
                auth::append(id, keys.find(id)?, self.version(), buffer, HEADER_LEN)
            }
            Authentication::Unchecked(_) => None,
        }
    }

    /// Makes the reply from times that `snapshot` speaks of.
    #[must_use]
    pub fn reply(
        &self,
        snapshot: &RefSnapshot,
        receive: MonoNs,
        transmit: MonoNs,
        fuzz: u8,
    ) -> [u8; HEADER_LEN] {
        // Before or after a leap second, but both timestamps on the same side of it: a client takes their
        // difference for the time that the answer took.
        let snapshot = &snapshot.as_of(receive);
        let (receive, transmit) = (snapshot.time_at(receive), snapshot.time_at(transmit));
        // The marks in the lowest bits must not make the reply leave before the request came.
        let earliest = receive + NtpDuration::from_bits(2);
        let transmit =
            if transmit.since(earliest) < NtpDuration::ZERO { earliest } else { transmit };
        let template = snapshot.template_at(receive);
        let fuzz = snapshot.fuzz(fuzz);
        let reply = respond(&self.header, &template, receive, transmit, fuzz);
        let reply = if self.is_peer { reply.symmetric_passive() } else { reply };
        let reply = if self.is_kiss { reply.kiss_rate() } else { reply };
        reply.octets
    }
}

/// Decides whether a packet is answered.
///
/// # Errors
/// Why it is not.
pub fn admit(
    packet: &[u8],
    from: SocketAddr,
    to: Option<&Destination>,
    access: &AccessList,
) -> Result<Request, Reason> {
    let header: &[u8; HEADER_LEN] = packet.first_chunk().ok_or(Reason::Short)?;
    if from.port() == 0 {
        return Err(Reason::Malformed);
    }
    if to.is_some_and(|to| !to.is_unicast) {
        return Err(Reason::NotLocal);
    }
    match classify(header, packet.len(), from.port()) {
        Class::Plain | Class::Involved(_) | Class::NotRequest(Reason::Symmetric) => {}
        Class::NotRequest(reason) | Class::Hostile(reason) => return Err(reason),
    }
    if !access.allows(from.ip()) {
        return Err(Reason::AccessDenied);
    }
    let authentication = match trailer::read(version_of(header[0]), &packet[HEADER_LEN..]) {
        Trailer::None | Trailer::Fields => Authentication::None,
        Trailer::Mac(at) => Authentication::Unchecked(HEADER_LEN + at),
        Trailer::Malformed => return Err(Reason::BadLength),
    };
    let family = if from.is_ipv4() { Family::V4 } else { Family::V6 };
    let is_peer = Mode::from_octet(header[0]) == Mode::SymmetricActive;
    Ok(Request { header: *header, family, is_peer, is_kiss: false, authentication })
}

/// When a packet arrived, on the monotonic clock: `now` and `real_now` were read at one instant after it
/// did, and the kernel stamped it with `stamp`.
#[must_use]
pub fn arrival(
    stamp: Option<UnixTime>,
    now: MonoNs,
    real_now: UnixTime,
    snapshot: &RefSnapshot,
) -> MonoNs {
    let waited = stamp.map_or(0, |stamp| real_now.nanos_since(stamp));
    let waited = if (0..=MAX_WAIT_NS).contains(&waited) { waited.cast_unsigned() } else { 0 };
    MonoNs(now.0.saturating_sub(waited).max(snapshot.base_ns))
}

/// Bits of a timestamp below a precision, as far as fuzz reaches.
fn fuzz_mask(precision_log2: i8) -> u8 {
    let bits = u32::try_from(32 + i32::from(precision_log2)).unwrap_or_default();
    u8::try_from((1u64 << bits.min(8)) - 1).unwrap_or(u8::MAX)
}

/// What is served while there is no valid snapshot: the kernel's clock as it is, said to be not
/// synchronised.
#[must_use]
pub fn unsynchronised(now: MonoNs, real_now: UnixTime, precision_log2: i8) -> RefSnapshot {
    let past = UNSYNCHRONISED_PAST_NS.min(now.0);
    let real = real_now.to_ntp().to_bits();
    RefSnapshot {
        base_ns: now.0 - past,
        base_ntp: real
            .wrapping_sub(ntp_common::snapshot::scale(past, RefSnapshot::INVALID.multiplier)),
        valid_until_ns: u64::MAX,
        head: head(LeapIndicator::Unsynchronised, 0, precision_log2, NtpShort::SECOND),
        root_dispersion: NtpShort::SECOND.to_bits(),
        min_poll: i8::MIN,
        fuzz_mask: fuzz_mask(precision_log2),
        ..RefSnapshot::INVALID
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::AccessRules;
    use ntp_common::time::NtpTimestamp;
    use ntp_common::wire::{Header, ReferenceId};
    use std::net::IpAddr;

    fn everyone() -> AccessList {
        let mut rules = AccessRules::default();
        rules.lay("0.0.0.0/0".parse().unwrap(), true, false);
        rules.lay("::/0".parse().unwrap(), true, false);
        AccessList::compile(&rules).unwrap()
    }

    fn client() -> SocketAddr {
        "192.0.2.7:40000".parse().unwrap()
    }

    fn request(first: u8, tail: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; HEADER_LEN];
        packet[0] = first;
        packet.extend(tail);
        packet
    }

    fn check(packet: &[u8], from: SocketAddr, expected: Result<bool, Reason>) {
        let admitted = admit(packet, from, None, &everyone()).map(|request| request.is_peer);
        assert_eq!(admitted, expected, "{packet:02x?} from {from}");
    }

    #[test]
    fn plain_interleaved_and_peers_requests_are_answered() {
        check(&request(0x23, &[]), client(), Ok(false));
        check(&request(0x0b, &[]), client(), Ok(false));
        let mut interleaved = request(0x23, &[]);
        interleaved[31] = 1;
        check(&interleaved, client(), Ok(false));
        check(&request(0x21, &[]), client(), Ok(true));
    }

    #[test]
    fn unknown_extension_fields_do_not_keep_from_answering() {
        let mut field = vec![0x12, 0x34, 0, 28];
        field.resize(28, 0);
        check(&request(0x23, &field), client(), Ok(false));
    }

    fn keys() -> Keys {
        Keys::parse("7 SHA1 ASCII:a-key-of-some-length\n").0
    }

    /// A request that is signed with one of our keys.
    fn signed(first: u8, fields: &[u8]) -> Vec<u8> {
        let mut packet = request(first, fields);
        let len = packet.len();
        packet.resize(len + MAX_MAC_LEN, 0);
        let (id, keys) = (KeyId(7), keys());
        let key = keys.find(id).unwrap();
        let len = auth::append(id, key, version_of(first), &mut packet, len).unwrap();
        packet.truncate(len);
        packet
    }

    fn authenticate(packet: &[u8], keys: &Keys) -> Result<Authentication, Reason> {
        let request = admit(packet, client(), None, &everyone())?;
        request.authenticate(packet, keys).map(|request| request.authentication)
    }

    #[test]
    fn right_codes_are_answered_with_right_codes_and_never_more_octets() {
        let mut field = vec![0x12, 0x34, 0, 16];
        field.resize(16, 0);
        for (first, fields) in [(0x23, &[][..]), (0x1b, &[]), (0x21, &[]), (0x23, &field)] {
            let packet = signed(first, fields);
            assert_eq!(authenticate(&packet, &keys()), Ok(Authentication::Key(KeyId(7))));
            let request = admit(&packet, client(), None, &everyone()).unwrap();
            let request = request.authenticate(&packet, &keys()).unwrap();
            let mut buffer = [0; REPLY_LEN];
            let len = request.seal(&[first; HEADER_LEN], &keys(), &mut buffer).unwrap();
            assert!(len <= packet.len());
            let keys = keys();
            let verified = auth::verify(&keys, request.version(), &buffer[..len], HEADER_LEN);
            assert_eq!(verified.map(|(id, _)| id), Ok(KeyId(7)));
            assert_eq!(request.seal(&[0; HEADER_LEN], &Keys::default(), &mut buffer), None);
        }
    }

    #[test]
    fn wrong_codes_and_unknown_keys_are_met_with_silence() {
        let mut packet = signed(0x23, &[]);
        assert_eq!(authenticate(&packet, &Keys::default()), Err(Reason::BadMac));
        packet[10] ^= 1;
        assert_eq!(authenticate(&packet, &keys()), Err(Reason::BadMac));
        // Nothing but a key's number, and no code that any key makes.
        assert_eq!(authenticate(&request(0x23, &[0; 4]), &keys()), Err(Reason::BadMac));
        assert_eq!(authenticate(&request(0x1b, &[0; 12]), &keys()), Err(Reason::BadMac));
        assert_eq!(authenticate(&request(0x23, &[0; 12]), &keys()), Err(Reason::BadLength));
        assert_eq!(authenticate(&request(0x23, &[]), &keys()), Ok(Authentication::None));
    }

    #[test]
    fn what_is_no_request_is_met_with_silence() {
        check(&[0x23; 47], client(), Err(Reason::Short));
        check(&[], client(), Err(Reason::Short));
        check(&request(0x24, &[]), client(), Err(Reason::NotRequest));
        check(&request(0x26, &[]), client(), Err(Reason::BadMode));
        check(&request(0x2b, &[]), client(), Err(Reason::BadVersion));
        check(&request(0x23, &[0; 3]), client(), Err(Reason::BadLength));
        check(&request(0x23, &[]), "192.0.2.7:0".parse().unwrap(), Err(Reason::Malformed));
    }

    #[test]
    fn denied_clients_and_group_destinations_are_met_with_silence() {
        let nobody = AccessList::compile(&AccessRules::default()).unwrap();
        let packet = request(0x23, &[]);
        assert_eq!(admit(&packet, client(), None, &nobody), Err(Reason::AccessDenied));
        let address = IpAddr::from([192, 0, 2, 255]);
        let to = Destination { address, is_unicast: false, interface: 1 };
        assert_eq!(admit(&packet, client(), Some(&to), &everyone()), Err(Reason::NotLocal));
    }

    #[test]
    fn arrival_is_the_kernels_stamp_within_the_snapshots_life() {
        let snapshot = RefSnapshot { base_ns: 1_000, ..RefSnapshot::INVALID };
        let real_now = UnixTime { seconds: 100, nanos: 500 };
        let at = |seconds, nanos| Some(UnixTime { seconds, nanos });
        for (stamp, expected) in [
            (at(100, 200), 49_700),
            (at(100, 500), 50_000),
            (None, 50_000),
            // From before the snapshot, from the future, from before a step of the clock.
            (at(99, 999_900_000), 1_000),
            (at(100, 501), 50_000),
            (at(10, 0), 50_000),
        ] {
            assert_eq!(
                arrival(stamp, MonoNs(50_000), real_now, &snapshot).0,
                expected,
                "{stamp:?}"
            );
        }
    }

    #[test]
    fn unsynchronised_reply_says_so_and_gives_the_kernels_time() {
        let now = MonoNs(500 * NANOS_PER_SECOND);
        let real_now = UnixTime { seconds: 1_700_000_000, nanos: 250_000_000 };
        let snapshot = unsynchronised(now, real_now, -25);
        let mut packet = Header::request(NtpTimestamp::from_bits(5));
        packet.poll = -6;
        let request = admit(&packet.write(), client(), None, &everyone()).unwrap();
        let reply = Header::read(&request.reply(&snapshot, MonoNs(now.0 - 1_000), now, 0));
        assert_eq!((reply.leap, reply.stratum), (LeapIndicator::Unsynchronised, 0));
        assert_eq!(reply.reference_id, ReferenceId::NONE);
        assert_eq!((reply.root_delay, reply.root_dispersion), (NtpShort::SECOND, NtpShort::SECOND));
        assert_eq!((reply.poll, reply.precision), (-6, -25));
        assert_eq!(snapshot.fuzz_mask, 0x7f);
        let error = reply.transmit_timestamp.since(real_now.to_ntp()).to_nanos();
        assert!(error.abs() <= 1, "{error}");
        let waited = reply.transmit_timestamp.since(reply.receive_timestamp).to_nanos();
        assert!((waited - 1_000).abs() <= 1, "{waited}");
    }

    #[test]
    fn reply_never_leaves_before_its_request_came() {
        let now = MonoNs(500 * NANOS_PER_SECOND);
        let snapshot = unsynchronised(now, UnixTime { seconds: 1_700_000_000, nanos: 0 }, -25);
        let packet = Header::request(NtpTimestamp::from_bits(5)).write();
        let request = admit(&packet, client(), None, &everyone()).unwrap();
        let reply = Header::read(&request.reply(&snapshot, now, now, 0));
        assert!(reply.transmit_timestamp.since(reply.receive_timestamp).to_bits() > 0);
    }
}
