//! One source: asks a server, checks its replies, and keeps the samples. It neither selects nor steers.

mod control;
mod poll;
mod reach;
mod reply;
mod request;

use std::net::{IpAddr, SocketAddr};

use ntp_common::time::MonoNs;
use rand::Rng;

use crate::conf::SourceOptions;
use crate::estimate::{Estimate, KnownFrequency};
use crate::sample::{ClockChange, Sample};
use crate::seams::{Action, RequestId, SourceId, Stamped};
use crate::series::{Added, Series};
use poll::Poll;
pub(crate) use reach::POLLS as REACH_POLLS;
use reach::Reach;
use reply::Reply;
pub(crate) use reply::{Kiss, Rejection};
use request::Request;

/// Packets of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PacketCounts {
    pub(crate) sent: u64,
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
}

/// What a packet that came in was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Received {
    /// Not believed.
    Rejected(Rejection),
    /// A refusal, which has been obeyed.
    Kiss(Kiss),
    /// A measurement, which has been added to the samples.
    Sample {
        /// The samples before it were given up, since it can't be reconciled with them.
        broke: bool,
    },
    /// A measurement that contradicts those before; the next one is made soon.
    Suspect,
}

/// A source.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    id: SourceId,
    options: SourceOptions,
    address: SocketAddr,
    precision_s: f64,
    poll: Poll,
    reach: Reach,
    request: Option<Request>,
    series: Series,
    counts: PacketCounts,
    measured_offset_s: f64,
    /// The server does not want to be asked.
    refused: bool,
}

impl Source {
    /// Makes a source that is not asked yet.
    pub(crate) fn new(
        id: SourceId,
        ip: IpAddr,
        options: SourceOptions,
        known: KnownFrequency,
        precision_s: f64,
    ) -> Self {
        Self {
            id,
            address: SocketAddr::new(ip, options.port),
            precision_s,
            poll: Poll::new(&options),
            reach: Reach::default(),
            request: None,
            series: Series::new(known, precision_s),
            counts: PacketCounts::default(),
            measured_offset_s: 0.0,
            refused: false,
            options,
        }
    }

    /// Forgets what was measured, which is about a clock that is no more, and measures anew.
    pub(crate) fn restart(&mut self, now: MonoNs, delay_s: f64, known: KnownFrequency) {
        self.request = None;
        self.series.clear(known);
        if self.poll.due().is_some() {
            self.poll.start(now, delay_s, true);
        }
    }

    /// Ends for good.
    pub(crate) fn stop(&mut self) {
        self.request = None;
        self.poll.stop();
    }

    /// The request that is due now.
    pub(crate) fn poll(&mut self, now: MonoNs, id: RequestId, rng: &mut impl Rng) -> Action {
        if !self.reach.is_reachable() && self.reach.missed() > 0 {
            self.poll.back_off();
        }
        self.reach.polled();
        self.counts.sent += 1;
        self.poll.sent(now, rng);
        let request = Request::new(id, self.address, rng);
        self.request = Some(request);
        let packet = request.packet(self.options.version);
        Action::Send { source: self.id, request: id, to: self.address, packet }
    }

    /// A request has left.
    pub(crate) fn sent(&mut self, id: RequestId, at: Stamped) {
        if let Some(request) = self.request.as_mut().filter(|request| request.id == id) {
            request.stamp(at);
        }
    }

    /// Takes a packet. `in_force` is the frequency correction of the clock, `expected` what is known of it if
    /// the source is right.
    pub(crate) fn receive(
        &mut self,
        (packet, from, at): (&[u8], SocketAddr, Stamped),
        in_force: f64,
        expected: Option<&Estimate>,
        rng: &mut impl Rng,
    ) -> Received {
        match self.check(packet, from, at) {
            Ok(Reply::Sample(sample)) => self.take(sample, in_force, expected, rng),
            Ok(Reply::Kiss(kiss)) => {
                self.counts.rejected += 1;
                self.obey(kiss, rng);
                Received::Kiss(kiss)
            }
            Err(rejection) => {
                self.counts.rejected += 1;
                Received::Rejected(rejection)
            }
        }
    }

    fn take(
        &mut self,
        sample: Sample,
        in_force: f64,
        expected: Option<&Estimate>,
        rng: &mut impl Rng,
    ) -> Received {
        self.counts.accepted += 1;
        self.reach.answered();
        self.measured_offset_s = sample.offset_s;
        let added = self.series.add(sample, in_force, expected);
        match added {
            Added::Used | Added::Broke => {
                self.poll.answered(rng);
                Received::Sample { broke: added == Added::Broke }
            }
            Added::Suspected => {
                self.poll.look_again(rng);
                Received::Suspect
            }
        }
    }

    fn check(&mut self, packet: &[u8], from: SocketAddr, at: Stamped) -> Result<Reply, Rejection> {
        let request = self.request.ok_or(Rejection::Unasked)?;
        let header = reply::authenticate(packet, from, &request)?;
        // RFC 5905 section 8 on duplicates: a request has one reply. Whatever this one says, the next is not.
        self.request = None;
        reply::read(&header, &request, at, &self.options, self.precision_s)
    }

    fn obey(&mut self, kiss: Kiss, rng: &mut impl Rng) {
        match kiss {
            Kiss::Rate(poll_log2) => self.poll.told_to_slow_down(poll_log2, rng),
            // RFC 5905 section 7.4: "the client MUST demobilize any associations to that server and stop
            // sending packets to that server".
            Kiss::Deny | Kiss::Restrict => {
                self.refused = true;
                self.poll.stop();
            }
        }
    }

    /// The clock has changed; `in_force` is its frequency correction now.
    pub(crate) fn clock_changed(&mut self, change: &ClockChange, in_force: f64) {
        self.series.move_onto(change, in_force);
        if change.step_s == 0.0 {
            if let Some(request) = &mut self.request {
                request.move_onto(change);
            }
        } else {
            // A reply may have been stamped before the step and wait to be read: nobody could tell.
            self.request = None;
        }
    }

    /// True time leaps by `by_s`, and the source with it. A reply that is on its way may be from before.
    pub(crate) fn leap_by(&mut self, by_s: f64) {
        self.series.leap_by(by_s);
        self.request = None;
    }

    /// Its identifier.
    pub(crate) fn id(&self) -> SourceId {
        self.id
    }

    /// Its options.
    pub(crate) fn options(&self) -> &SourceOptions {
        &self.options
    }

    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// When it is to be asked next; `None`: never.
    pub(crate) fn due(&self) -> Option<MonoNs> {
        self.poll.due()
    }

    /// Whether it waits for a reply.
    pub(crate) fn is_waiting(&self) -> bool {
        self.request.is_some()
    }

    /// Whether the server does not want to be asked.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Asks at this interval from now on, as far as the options allow.
    pub(crate) fn pace(&mut self, interval_s: f64, rng: &mut impl Rng) {
        self.poll.set_near(self.is_near());
        self.poll.pace(interval_s, rng);
    }

    /// The share of requests that were answered, as if one more had been.
    pub(crate) fn answered_share(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of packets")]
        let (accepted, sent) = (self.counts.accepted as f64, self.counts.sent as f64);
        (accepted + 1.0) / (sent + 1.0).max(accepted + 1.0)
    }

    /// Its reachability.
    pub(crate) fn reach(&self) -> Reach {
        self.reach
    }

    /// Its polling.
    pub(crate) fn polling(&self) -> &Poll {
        &self.poll
    }

    /// Its samples.
    pub(crate) fn series(&self) -> &Series {
        &self.series
    }

    /// The offset of the last sample as it was measured, seconds.
    pub(crate) fn measured_offset_s(&self) -> f64 {
        self.measured_offset_s
    }

    /// Its packets.
    pub(crate) fn counts(&self) -> PacketCounts {
        self.counts
    }
}
