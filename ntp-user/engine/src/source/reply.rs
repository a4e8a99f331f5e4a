//! The checks that a packet must pass before it is believed: first that it answers our request, then that it
//! says something of use. RFC 5905 sections 7.4, 8 and 9.2.

use std::net::SocketAddr;

use ntp_common::wire::{HEADER_LEN, Header, LeapIndicator, Mode, NEWEST_VERSION};

use super::request::Request;
use crate::conf::SourceOptions;
use crate::estimate::MAX_CLOCK_ERROR;
use crate::sample::{Exchange, Sample};
use crate::seams::Stamped;
use crate::seconds;

/// Highest stratum of a synchronised server. RFC 5905 section 7.2 (MAXSTRAT) is the first beyond.
const HIGHEST_STRATUM: u8 = 15;
/// Root distance from which a server is as good as not synchronised, seconds. RFC 5905 section 7.2 (MAXDISP).
const MAX_DISPERSION_S: f64 = 16.0;
/// Longest time between a server's receiving a request and its answering that is believed, seconds.
const LONGEST_PROCESSING_S: f64 = 4.0;

/// Why a packet was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    /// "Duplicate packet", or one that nobody asked for.
    #[error("no request is waiting for a reply")]
    Unasked,
    /// It did not come from the address and port that were asked.
    #[error("not from the server that was asked")]
    WrongAddress,
    /// It is no NTP header.
    #[error("too short")]
    TooShort,
    /// Not one of the versions 1 to 4.
    #[error("unknown version")]
    WrongVersion,
    /// Not a server's reply.
    #[error("not a server's reply")]
    WrongMode,
    /// "Bogus packet": it does not give our transmit timestamp back.
    #[error("origin timestamp is not that of the request")]
    WrongOrigin,
    /// The time at which the request left is not known.
    #[error("request has no transmit timestamp")]
    NotStamped,
    /// A kiss code that asks for nothing.
    #[error("unknown kiss code")]
    UnknownKiss,
    /// "Unsynchronized": leap indicator 3 or a stratum above 15.
    #[error("server is not synchronised")]
    Unsynchronised,
    /// Root distance too large: "invalid header".
    #[error("root distance too large")]
    RootDistance,
    /// A timestamp that means "unknown": "invalid packet".
    #[error("timestamp missing")]
    MissingTimestamp,
    /// A clock ran backwards during the exchange, or the server took very long.
    #[error("timestamps out of order")]
    OutOfOrder,
    /// The round trip took longer than is accepted, or less than no time.
    #[error("delay out of range")]
    Delay,
}

/// A server's way of refusing. RFC 5905 section 7.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kiss {
    /// "RATE": fewer requests; the poll interval that the server gave, log2 seconds.
    Rate(i8),
    /// "DENY": none at all.
    Deny,
    /// "RSTR": none at all.
    Restrict,
}

impl Kiss {
    /// The four letters.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Rate(_) => "RATE",
            Self::Deny => "DENY",
            Self::Restrict => "RSTR",
        }
    }
}

/// What a reply to our request says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reply {
    /// A measurement.
    Sample(Sample),
    /// A refusal.
    Kiss(Kiss),
}

/// Whether the packet answers `request`. Only who saw the request can pass; nothing before that is acted on,
/// so that nobody else can end the wait for the true reply.
pub(crate) fn authenticate(
    packet: &[u8],
    from: SocketAddr,
    request: &Request,
) -> Result<Header, Rejection> {
    if from.ip() != request.to.ip() || from.port() != request.to.port() {
        return Err(Rejection::WrongAddress);
    }
    let header = packet.first_chunk::<HEADER_LEN>().ok_or(Rejection::TooShort)?;
    let header = Header::read(header);
    if !(1..=NEWEST_VERSION).contains(&header.version) {
        return Err(Rejection::WrongVersion);
    }
    if header.mode != Mode::Server {
        return Err(Rejection::WrongMode);
    }
    // RFC 5905 section 8: "If the origin timestamp in the packet does not match the transmit timestamp of
    // the last packet sent, the packet is bogus."
    if header.origin_timestamp != request.nonce {
        return Err(Rejection::WrongOrigin);
    }
    Ok(header)
}

/// Reads a reply that arrived `at`.
pub(crate) fn read(
    header: &Header,
    request: &Request,
    at: Stamped,
    options: &SourceOptions,
    precision_s: f64,
) -> Result<Reply, Rejection> {
    if header.stratum == 0 {
        return kiss(header).map(Reply::Kiss).ok_or(Rejection::UnknownKiss);
    }
    let root_delay_s = seconds::of_short(header.root_delay);
    let root_dispersion_s = seconds::of_short(header.root_dispersion);
    if header.leap == LeapIndicator::Unsynchronised || header.stratum > HIGHEST_STRATUM {
        return Err(Rejection::Unsynchronised);
    }
    if root_delay_s / 2.0 + root_dispersion_s >= MAX_DISPERSION_S {
        return Err(Rejection::RootDistance);
    }
    if header.receive_timestamp.is_unknown() || header.transmit_timestamp.is_unknown() {
        return Err(Rejection::MissingTimestamp);
    }
    let exchange = Exchange {
        t1: request.sent.ok_or(Rejection::NotStamped)?.at,
        t2: header.receive_timestamp,
        t3: header.transmit_timestamp,
        t4: at.at,
    };
    let source_precision_s = f64::from(header.precision.min(0)).exp2();
    let delay_s = delay_s(&exchange, options, precision_s + source_precision_s)?;
    Ok(Reply::Sample(Sample {
        time: exchange.middle(),
        offset_s: exchange.offset_s() + options.offset_s,
        delay_s,
        dispersion_s: precision_s + source_precision_s + MAX_CLOCK_ERROR * delay_s,
        root_delay_s,
        root_dispersion_s,
        stratum: header.stratum.max(options.minstratum),
        leap: header.leap,
        reference_id: header.reference_id,
    }))
}

/// The delay, if it and the order of the timestamps can be believed. `uncertainty_s` is what reading both
/// clocks may be off by: the delay of a short path may come out that much below zero.
fn delay_s(
    exchange: &Exchange,
    options: &SourceOptions,
    uncertainty_s: f64,
) -> Result<f64, Rejection> {
    let processing_s = seconds::of(exchange.t3.since(exchange.t2));
    let round_trip_s = seconds::of(exchange.t4.since(exchange.t1));
    // Servers change the bits below their precision, so that a quick one may seem to answer before it is asked.
    if !(-uncertainty_s..=LONGEST_PROCESSING_S).contains(&processing_s) || round_trip_s < 0.0 {
        return Err(Rejection::OutOfOrder);
    }
    let delay_s = exchange.delay_s();
    if delay_s < -uncertainty_s || delay_s > options.maxdelay_s {
        return Err(Rejection::Delay);
    }
    Ok(delay_s.max(uncertainty_s))
}

fn kiss(header: &Header) -> Option<Kiss> {
    match &header.reference_id.to_octets() {
        b"RATE" => Some(Kiss::Rate(header.poll)),
        b"DENY" => Some(Kiss::Deny),
        b"RSTR" => Some(Kiss::Restrict),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seams::{RequestId, StampedBy};
    use ntp_common::time::{NtpShort, NtpTimestamp};
    use ntp_common::wire::ReferenceId;
    use proptest::prelude::*;

    fn at(millis: u64) -> NtpTimestamp {
        NtpTimestamp::from_bits((4_000_000_000 << 32) + (millis << 32) / 1000)
    }

    fn stamped(millis: u64) -> Stamped {
        Stamped { at: at(millis), by: StampedBy::Kernel }
    }

    fn request() -> Request {
        Request {
            id: RequestId(1),
            to: "192.0.2.1:123".parse().unwrap(),
            nonce: NtpTimestamp::from_bits(0x1234_5678_9abc_def0),
            sent: Some(stamped(0)),
        }
    }

    fn good() -> Header {
        Header {
            mode: Mode::Server,
            stratum: 2,
            precision: -24,
            origin_timestamp: request().nonce,
            receive_timestamp: at(5),
            transmit_timestamp: at(6),
            ..Header::request(NtpTimestamp::UNKNOWN)
        }
    }

    fn check(header: &Header, from: &str) -> Result<Reply, Rejection> {
        let header = authenticate(&header.write(), from.parse().unwrap(), &request())?;
        read(&header, &request(), stamped(9), &SourceOptions::default(), 1e-7)
    }

    #[test]
    fn good_reply_gives_a_sample() {
        let Ok(Reply::Sample(sample)) = check(&good(), "192.0.2.1:123") else { panic!("rejected") };
        assert!((sample.offset_s - 1e-3).abs() < 1e-9, "{}", sample.offset_s);
        assert!((sample.delay_s - 8e-3).abs() < 1e-9);
        assert_eq!(sample.stratum, 2);
    }

    #[test]
    fn each_check_rejects_what_it_is_for() {
        use Rejection as R;
        type Spoil = fn(&mut Header);
        let cases: [(&str, Spoil, R); 14] = [
            ("origin", |h| h.origin_timestamp = NtpTimestamp::from_bits(1), R::WrongOrigin),
            ("zero origin", |h| h.origin_timestamp = NtpTimestamp::UNKNOWN, R::WrongOrigin),
            ("client mode", |h| h.mode = Mode::Client, R::WrongMode),
            ("broadcast", |h| h.mode = Mode::Broadcast, R::WrongMode),
            ("version 0", |h| h.version = 0, R::WrongVersion),
            ("version 5", |h| h.version = 5, R::WrongVersion),
            ("leap 3", |h| h.leap = LeapIndicator::Unsynchronised, R::Unsynchronised),
            ("stratum 16", |h| h.stratum = 16, R::Unsynchronised),
            ("distance", |h| h.root_delay = NtpShort::from_bits(32 << 16), R::RootDistance),
            ("no T2", |h| h.receive_timestamp = NtpTimestamp::UNKNOWN, R::MissingTimestamp),
            ("no T3", |h| h.transmit_timestamp = NtpTimestamp::UNKNOWN, R::MissingTimestamp),
            ("T3 before T2", |h| h.transmit_timestamp = at(4), R::OutOfOrder),
            ("negative delay", |h| h.transmit_timestamp = at(15), R::Delay),
            ("unknown kiss", |h| h.stratum = 0, R::UnknownKiss),
        ];
        for (name, spoil, expected) in cases {
            let mut header = good();
            spoil(&mut header);
            assert_eq!(check(&header, "192.0.2.1:123"), Err(expected), "{name}");
        }
    }

    #[test]
    fn reply_from_another_address_or_port_is_rejected() {
        for from in ["192.0.2.2:123", "192.0.2.1:124", "[2001:db8::1]:123"] {
            assert_eq!(check(&good(), from), Err(Rejection::WrongAddress), "{from}");
        }
    }

    #[test]
    fn reply_with_marks_in_equal_timestamps_is_believed() {
        let header = Header {
            receive_timestamp: NtpTimestamp::from_bits(at(5).to_bits() | 1),
            transmit_timestamp: at(5),
            ..good()
        };
        assert!(matches!(check(&header, "192.0.2.1:123"), Ok(Reply::Sample(_))));
    }

    #[test]
    fn reply_that_comes_before_its_request_left_is_rejected() {
        let read = |request: &Request, millis| {
            read(&good(), request, stamped(millis), &SourceOptions::default(), 1e-7)
        };
        let late = Request { sent: Some(stamped(10)), ..request() };
        assert_eq!(read(&late, 9), Err(Rejection::OutOfOrder));
        let unstamped = Request { sent: None, ..request() };
        assert_eq!(read(&unstamped, 9), Err(Rejection::NotStamped));
        assert_eq!(read(&request(), 4000), Err(Rejection::Delay), "longer than maxdelay");
    }

    #[test]
    fn kiss_codes_are_read() {
        let codes = [(*b"RATE", Kiss::Rate(9)), (*b"DENY", Kiss::Deny), (*b"RSTR", Kiss::Restrict)];
        for (code, expected) in codes {
            let reference_id = ReferenceId::from_octets(code);
            let leap = LeapIndicator::Unsynchronised;
            let header = Header { stratum: 0, poll: 9, leap, reference_id, ..good() };
            assert_eq!(check(&header, "192.0.2.1:123"), Ok(Reply::Kiss(expected)));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_replies_give_finite_samples_or_none(
            octets in proptest::collection::vec(any::<u8>(), 0..80),
            arrival: u64,
        ) {
            let mut packet = octets;
            if packet.len() >= HEADER_LEN {
                packet[0] = 0x24 | packet[0] & 0xc0;
                packet[24..32].copy_from_slice(&request().nonce.to_bits().to_be_bytes());
            }
            let from = "192.0.2.1:123".parse().unwrap();
            let Ok(header) = authenticate(&packet, from, &request()) else { return Ok(()) };
            let at = Stamped { at: NtpTimestamp::from_bits(arrival), by: StampedBy::Daemon };
            if let Ok(Reply::Sample(s)) = read(&header, &request(), at, &SourceOptions::default(), 1e-7) {
                prop_assert!(s.offset_s.is_finite() && s.distance_s().is_finite());
                prop_assert!(s.delay_s > 0.0 && s.delay_s <= 3.0);
            }
        }
    }
}
