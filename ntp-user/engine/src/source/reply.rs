//! The checks that a packet must pass before a sample is made of it: that it is of the source, and that it says
//! something of use. RFC 5905 sections 7.4, 8 and 9.2.

use std::net::SocketAddr;

use ntp_common::wire::{HEADER_LEN, Header, LeapIndicator, Mode, NEWEST_VERSION};

use super::association::Role;
use super::measured::Measured;
use crate::conf::SourceOptions;
use crate::sample::Sample;
use crate::seconds;
use crate::series::Apart;

/// Highest stratum of a synchronised server. RFC 5905 section 7.2 (MAXSTRAT) is the first beyond.
const HIGHEST_STRATUM: u8 = 15;
/// Root distance from which a server is as good as not synchronised, seconds. RFC 5905 section 7.2 (MAXDISP).
const MAX_DISPERSION_S: f64 = 16.0;
/// Longest time between a server's receiving a request and its answering that is believed, seconds.
const LONGEST_PROCESSING_S: f64 = 4.0;

/// Why a packet was not believed, or no sample made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    /// "Duplicate packet", or one that nobody asked for.
    #[error("no request is waiting for a reply")]
    Unasked,
    /// "Duplicate packet" of a peer.
    #[error("duplicate")]
    Duplicate,
    /// It did not come from the address and port that were asked.
    #[error("not from the server that was asked")]
    WrongAddress,
    /// It is no NTP header.
    #[error("too short")]
    TooShort,
    /// Not one of the versions 1 to 4.
    #[error("unknown version")]
    WrongVersion,
    /// Not a server's reply, or not a peer's packet.
    #[error("not the mode that the source answers in")]
    WrongMode,
    /// "Bogus packet": it does not give our transmit timestamp back.
    #[error("origin timestamp is not that of the request")]
    WrongOrigin,
    /// The source has a key, and the packet no code that was made with it.
    #[error("not authentic")]
    NotAuthentic,
    /// The time at which the request left is not known.
    #[error("request has no transmit timestamp")]
    NotStamped,
    /// "Unsynchronized": leap indicator 3, or a stratum of 0 or above 15.
    #[error("server is not synchronised")]
    Unsynchronised,
    /// Root distance too large: "invalid header".
    #[error("root distance too large")]
    RootDistance,
    /// A timestamp that means "unknown": "invalid packet".
    #[error("timestamp missing")]
    MissingTimestamp,
    /// The exchange that an interleaved packet completes was measured by a basic one already.
    #[error("exchange was measured already")]
    Remeasured,
    /// It was sent ahead (option `presend`).
    #[error("sent ahead, not to be measured")]
    WarmUp,
    /// A clock ran backwards during the exchange, or the server took very long.
    #[error("timestamps out of order")]
    OutOfOrder,
    /// The round trip took longer than is accepted (option `maxdelay`), or less than no time.
    #[error("delay out of range")]
    Delay,
    /// The round trip took longer than others by a factor (option `maxdelayratio`).
    #[error("delay beyond maxdelayratio")]
    DelayRatio,
    /// The round trip took longer than others by far more than they scatter (option `maxdelaydevratio`).
    #[error("delay beyond maxdelaydevratio")]
    DelayDeviation,
    /// The round trip took longer than most others (option `maxdelayquant`).
    #[error("delay beyond maxdelayquant")]
    DelayQuantile,
    /// The source follows us. RFC 5905 section 11.2.1: "the server is synchronized to the client".
    #[error("synchronised to us")]
    Loop,
}

impl Rejection {
    /// The tests of `chronyc ntpdata` that were passed before this one failed, one bit each: 1, 2, 3, 5, 6, 7,
    /// A, B, C, D from the highest to the lowest of ten.
    pub(crate) const fn tests_passed(self) -> u16 {
        let passed = match self {
            Self::WrongAddress
            | Self::TooShort
            | Self::WrongVersion
            | Self::WrongMode
            | Self::Duplicate => 0,
            Self::Unasked | Self::WrongOrigin => 1,
            Self::MissingTimestamp => 2,
            Self::NotAuthentic => 3,
            Self::Unsynchronised => 4,
            Self::RootDistance => 5,
            Self::NotStamped | Self::Remeasured | Self::WarmUp | Self::OutOfOrder | Self::Delay => {
                6
            }
            Self::DelayRatio => 7,
            Self::DelayDeviation | Self::DelayQuantile => 8,
            Self::Loop => 9,
        };
        ALL_TESTS & !(ALL_TESTS >> passed)
    }
}

/// All of the tests of [`Rejection::tests_passed`].
pub(crate) const ALL_TESTS: u16 = (1 << 10) - 1;

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

/// The header, if the packet is one that the source may send to us.
pub(super) fn header(
    packet: &[u8],
    from: SocketAddr,
    source: SocketAddr,
    role: Role,
) -> Result<Header, Rejection> {
    if (from.ip(), from.port()) != (source.ip(), source.port()) {
        return Err(Rejection::WrongAddress);
    }
    let header = packet.first_chunk::<HEADER_LEN>().ok_or(Rejection::TooShort)?;
    let header = Header::read(header);
    if !(1..=NEWEST_VERSION).contains(&header.version) {
        return Err(Rejection::WrongVersion);
    }
    let modes: &[Mode] = match role {
        Role::Client => &[Mode::Server],
        Role::Peer => &[Mode::SymmetricActive, Mode::SymmetricPassive],
    };
    if modes.contains(&header.mode) { Ok(header) } else { Err(Rejection::WrongMode) }
}

/// What the source asks for in place of an answer.
pub(super) fn kiss(header: &Header) -> Option<Kiss> {
    match &header.reference_id.to_octets() {
        _ if header.stratum != 0 => None,
        b"RATE" => Some(Kiss::Rate(header.poll)),
        b"DENY" => Some(Kiss::Deny),
        b"RSTR" => Some(Kiss::Restrict),
        _ => None,
    }
}

/// Whether the source has the time.
pub(super) fn check_synchronised(header: &Header) -> Result<(), Rejection> {
    let root_delay_s = seconds::of_short(header.root_delay);
    let root_dispersion_s = seconds::of_short(header.root_dispersion);
    if header.leap == LeapIndicator::Unsynchronised
        || !(1..=HIGHEST_STRATUM).contains(&header.stratum)
    {
        return Err(Rejection::Unsynchronised);
    }
    if root_delay_s / 2.0 + root_dispersion_s >= MAX_DISPERSION_S {
        return Err(Rejection::RootDistance);
    }
    Ok(())
}

/// The sample of a measurement. How the source's clock and ours run apart matters when the exchange took long, or ours is
/// slewed.
pub(super) fn sample(
    header: &Header,
    measured: &Measured,
    role: Role,
    options: &SourceOptions,
    precision_s: f64,
    apart: &Apart,
) -> Result<Sample, Rejection> {
    let uncertainty_s = precision_s + f64::from(header.precision.min(0)).exp2();
    let exchange = &measured.exchange;
    if role == Role::Client {
        check_order(measured, uncertainty_s)?;
    }
    let round_trip_s = seconds::of(exchange.t4.since(exchange.t1));
    // Our clock and the source's run apart in between, by a twelfth while ours is slewed: a delay in the seconds of
    // a slow clock would bound too little.
    let delay_s = exchange.delay_s() + apart.slope * round_trip_s;
    let drift_s = (apart.unseen + apart.skew) * measured.span_s();
    if delay_s < -uncertainty_s - drift_s {
        return Err(Rejection::Delay);
    }
    let delay_s = delay_s.max(uncertainty_s);
    Ok(Sample {
        time: exchange.middle(),
        offset_s: exchange.offset_s() + options.offset_s,
        delay_s,
        dispersion_s: uncertainty_s + drift_s.max(apart.unseen * delay_s),
        root_delay_s: measured.root_delay_s,
        root_dispersion_s: measured.root_dispersion_s,
        stratum: header.stratum.max(options.minstratum),
        leap: header.leap,
        reference_id: header.reference_id,
    })
}

/// Whether a server's timestamps are in an order that can be believed; servers change the bits below their
/// precision, so that a quick one may seem to answer before it is asked.
fn check_order(measured: &Measured, uncertainty_s: f64) -> Result<(), Rejection> {
    let exchange = &measured.exchange;
    let processing_s = seconds::of(exchange.t3.since(exchange.t2));
    let round_trip_s = seconds::of(exchange.t4.since(exchange.t1));
    let believed = -uncertainty_s..=LONGEST_PROCESSING_S;
    if believed.contains(&processing_s) && round_trip_s >= 0.0 {
        Ok(())
    } else {
        Err(Rejection::OutOfOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_up_to_the_one_that_failed() {
        for (rejection, passed) in [
            (Rejection::WrongMode, 0b00_0000_0000),
            (Rejection::WrongOrigin, 0b10_0000_0000),
            (Rejection::MissingTimestamp, 0b11_0000_0000),
            (Rejection::Unsynchronised, 0b11_1100_0000),
            (Rejection::RootDistance, 0b11_1110_0000),
            (Rejection::Delay, 0b11_1111_0000),
            (Rejection::DelayRatio, 0b11_1111_1000),
            (Rejection::DelayDeviation, 0b11_1111_1100),
            (Rejection::Loop, 0b11_1111_1110),
        ] {
            assert_eq!(rejection.tests_passed(), passed, "{rejection}");
        }
    }
}
