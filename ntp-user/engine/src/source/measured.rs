//! The measurement that a packet completes, by its own timestamps or, interleaved, by those of the packets before.
//! RFC 5905 section 8, RFC 9769.

use ntp_common::time::NtpTimestamp;

use super::association::Role;
use super::reply::Rejection;
use super::request::Request;
use crate::sample::Exchange;
use crate::seams::Stamped;
use crate::seconds;

/// How many times as long as the older exchange the newer one must have taken for the older one to be the
/// better measurement of a peer.
const OLDER_IS_BETTER: f64 = 10.0;

/// The last packet that was believed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Heard {
    /// Its receive timestamp: when our packet arrived there.
    pub(super) receive: NtpTimestamp,
    /// Its transmit timestamp.
    pub(super) transmit: NtpTimestamp,
    /// When it arrived, on our clock.
    pub(super) arrived: Stamped,
    /// Our packet that it answered, as long as no measurement was made of these two.
    pub(super) answered: Option<Request>,
    pub(super) root_delay_s: f64,
    pub(super) root_dispersion_s: f64,
    /// Its sender was synchronised.
    pub(super) synchronised: bool,
}

/// A measurement that a packet completes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    pub(super) exchange: Exchange,
    /// Our timestamps: of the packet that left, and of the one that arrived.
    pub(super) left: Stamped,
    pub(super) arrived: Stamped,
    pub(super) root_delay_s: f64,
    pub(super) root_dispersion_s: f64,
}

impl Measured {
    /// The packet tells when it left itself.
    pub(super) fn basic(heard: &Heard, sent: &Request) -> Result<Self, Rejection> {
        let left = sent.left.ok_or(Rejection::NotStamped)?;
        let (t1, t4) = (left.at, heard.arrived.at);
        Ok(Self {
            exchange: Exchange { t1, t2: heard.receive, t3: heard.transmit, t4 },
            left,
            arrived: heard.arrived,
            root_delay_s: heard.root_delay_s,
            root_dispersion_s: heard.root_dispersion_s,
        })
    }

    /// The packet tells when the one before it left: of that, of the packet of ours that it answered, or of our
    /// last one.
    pub(super) fn interleaved(
        heard: &Heard,
        before: &Heard,
        sent: &Request,
        role: Role,
    ) -> Result<Self, Rejection> {
        let older = before.answered.and_then(|request| request.left).map(|left| Self {
            exchange: Exchange {
                t1: left.at,
                t2: before.receive,
                t3: heard.transmit,
                t4: before.arrived.at,
            },
            left,
            arrived: before.arrived,
            root_delay_s: before.root_delay_s,
            root_dispersion_s: before.root_dispersion_s,
        });
        // A request of a client leaves a poll interval after the last reply came.
        let newer = sent.left.filter(|_| role == Role::Peer).map(|left| Self {
            exchange: Exchange {
                t1: left.at,
                t2: heard.receive,
                t3: heard.transmit,
                t4: before.arrived.at,
            },
            left,
            arrived: before.arrived,
            root_delay_s: before.root_delay_s.max(heard.root_delay_s),
            root_dispersion_s: before.root_dispersion_s.max(heard.root_dispersion_s),
        });
        match (older, newer) {
            (Some(older), Some(newer)) if older.span_s() * OLDER_IS_BETTER > newer.span_s() => {
                Ok(newer)
            }
            (Some(older), _) => Ok(older),
            (None, Some(newer)) => Ok(newer),
            (None, None) => Err(Rejection::Remeasured),
        }
    }

    /// Time between our timestamps, seconds.
    pub(super) fn span_s(&self) -> f64 {
        seconds::of(self.exchange.t4.since(self.exchange.t1)).abs()
    }
}
