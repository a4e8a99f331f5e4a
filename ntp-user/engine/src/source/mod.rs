//! One source: asks a server or exchanges packets with a peer, checks what comes in, and keeps the samples. It
//! neither selects nor steers.

mod association;
mod authentication;
mod control;
mod delay_test;
mod measured;
mod median;
mod of_clock;
mod poll;
mod reach;
mod receive;
mod reply;
mod request;

use std::net::{IpAddr, SocketAddr};

use ntp_common::time::MonoNs;
use ntp_common::wire::{Header, NEWEST_VERSION, ReferenceId};
use rand::Rng;

use crate::auth::Keys;
use crate::conf::{SourceKind, SourceOptions};
use crate::estimate::KnownFrequency;
use crate::refclock::RefClock;
use crate::report::Verdict;
use crate::sample::{ClockChange, Sample};
use crate::seams::{Action, Port, RequestId, SourceId, Stamped};
use crate::series::Series;
use association::Association;
pub(crate) use association::{Presentation, Role};
use delay_test::Delays;
use median::MedianFilter;
pub(crate) use of_clock::Polled;
use poll::Poll;
pub(crate) use reach::POLLS as REACH_POLLS;
use reach::Reach;
pub(crate) use receive::{Arrived, LastPacket, PacketCounts, Received};

/// Samples that selection could not use, in a row, from which on a source would better be another one.
const WRONG_SAMPLES: u32 = 4;

/// A source.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    id: SourceId,
    options: SourceOptions,
    address: SocketAddr,
    precision_s: f64,
    poll: Poll,
    reach: Reach,
    association: Association,
    series: Series,
    delays: Delays,
    filter: Option<MedianFilter>,
    counts: PacketCounts,
    last_packet: Option<LastPacket>,
    measured_offset_s: f64,
    /// What those who follow us say of the address that it knows us by.
    ours: Option<ReferenceId>,
    /// The address of ours that it answers to.
    local: Option<IpAddr>,
    /// The server does not want to be asked.
    refused: bool,
    /// Samples in a row that selection could not use.
    wrong: u32,
    /// It has answered in interleaved mode.
    interleaves: bool,
    /// The reference clock that it is.
    clock: Option<Box<RefClock>>,
    /// Standard deviation of its last sample, where it does not follow from delays, seconds.
    deviation_s: Option<f64>,
}

impl Source {
    /// Makes a source that is not asked yet.
    pub(crate) fn new(
        id: SourceId,
        ip: IpAddr,
        (kind, options): (SourceKind, SourceOptions),
        known: KnownFrequency,
        precision_s: f64,
    ) -> Self {
        let role = match kind {
            SourceKind::Server | SourceKind::Pool => Role::Client,
            SourceKind::Peer => Role::Peer,
        };
        let options = role.options(options);
        let mut series = Series::new(known, precision_s);
        series.configure(&options);
        Self {
            id,
            address: SocketAddr::new(ip, options.port),
            precision_s,
            poll: Poll::new(&options),
            reach: Reach::default(),
            association: Association::new(role, options.xleave),
            series,
            delays: Delays::default(),
            filter: MedianFilter::new(options.filter),
            counts: PacketCounts::default(),
            last_packet: None,
            measured_offset_s: 0.0,
            ours: None,
            local: None,
            refused: false,
            wrong: 0,
            interleaves: false,
            clock: None,
            deviation_s: None,
            options,
        }
    }

    /// Forgets what was measured, which is about a clock that is no more, and measures anew.
    pub(crate) fn restart(&mut self, now: MonoNs, delay_s: f64, known: KnownFrequency) {
        self.association.clear();
        self.series.clear(known);
        self.filter.iter_mut().for_each(MedianFilter::clear);
        if let Some(clock) = &mut self.clock {
            clock.clear();
            return self.start_clock(now);
        }
        if self.poll.is_online() {
            self.poll.start(now, delay_s, self.role() == Role::Client);
        }
    }

    /// Ends for good.
    pub(crate) fn stop(&mut self) {
        self.association.give_up();
        self.poll.stop();
    }

    /// The packet that is due now; none when its key is missing. `clock` is what a peer is told of ours.
    pub(crate) fn poll(
        &mut self,
        now: MonoNs,
        id: RequestId,
        clock: Option<&Presentation>,
        keys: &Keys,
        rng: &mut impl Rng,
    ) -> Option<Action> {
        if self.reach.missed() > 0 {
            self.filter.as_mut().and_then(|filter| filter.add(None));
            if !self.reach.is_reachable() {
                self.poll.back_off();
            }
        }
        self.reach.polled();
        self.counts.sent += 1;
        self.poll.sent(now, self.association.interleaves(), rng);
        let version = self.options.version.unwrap_or(NEWEST_VERSION);
        let (header, from) = match clock {
            None => (self.association.request(id, version, rng), Port::New),
            Some(clock) => {
                let clock = Presentation {
                    header: Header { poll: self.poll.log2(), ..clock.header },
                    ..*clock
                };
                (self.association.packet(id, version, &clock, rng), Port::Served)
            }
        };
        let packet = authentication::sign(self.options.key, header.write().to_vec(), keys)?;
        Some(Action::Send { source: self.id, request: id, from, to: self.address, packet })
    }

    /// A packet has left.
    pub(crate) fn sent(&mut self, id: RequestId, at: Stamped) {
        self.association.stamp(id, at);
    }

    /// The clock has changed; `in_force` is its frequency correction now.
    pub(crate) fn clock_changed(&mut self, change: &ClockChange, in_force: f64) {
        self.series.move_onto(change, in_force);
        self.filter.iter_mut().for_each(|filter| filter.move_onto(change));
        self.clock.iter_mut().for_each(|clock| clock.move_onto(change));
        self.association.clock_changed(change);
    }

    /// What we are to it.
    pub(crate) fn role(&self) -> Role {
        self.association.role
    }

    /// True time leaps by `by_s`, and the source with it. A reply that is on its way may be from before.
    pub(crate) fn leap_by(&mut self, by_s: f64) {
        self.series.leap_by(by_s);
        self.filter.iter_mut().for_each(MedianFilter::clear);
        self.clock.iter_mut().for_each(|clock| clock.clear());
        self.association.clear();
    }

    /// Its identifier.
    pub(crate) fn id(&self) -> SourceId {
        self.id
    }

    /// Its options.
    pub(crate) fn options(&self) -> &SourceOptions {
        &self.options
    }

    /// Its address; of a reference clock its reference ID, in the place of one.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// When it is to be asked next; `None`: never.
    pub(crate) fn due(&self) -> Option<MonoNs> {
        self.poll.due()
    }

    /// Whether it waits for a packet.
    pub(crate) fn is_waiting(&self) -> bool {
        self.association.is_waiting()
    }

    /// What selection made of it after its last sample.
    pub(crate) fn judged(&mut self, verdict: Verdict) {
        let unused = matches!(
            verdict,
            Verdict::Falseticker
                | Verdict::Untrusted
                | Verdict::TooFar
                | Verdict::Jittery
                | Verdict::BadStratum
        );
        self.wrong = if unused { self.wrong.saturating_add(1) } else { 0 };
    }

    /// Whether it has been a falseticker, too far away or of a useless stratum for some samples.
    pub(crate) fn is_wrong(&self) -> bool {
        self.wrong >= WRONG_SAMPLES
    }

    /// Whether the server does not want to be asked.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Asks at this interval from now on, as far as the options allow.
    pub(crate) fn pace(&mut self, interval_s: f64, rng: &mut impl Rng) {
        self.poll.set_near(self.clock.is_some() || self.is_near());
        // So many polls make one sample.
        let interval_s = interval_s / f64::from(self.options.filter.max(1));
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

    /// Takes up a sample from before a restart.
    pub(crate) fn recall(&mut self, sample: Sample, in_force: f64) {
        self.series.add(sample, in_force, None);
    }

    /// Its samples.
    pub(crate) fn series(&self) -> &Series {
        &self.series
    }

    /// The offset of the last sample as it was measured, seconds.
    pub(crate) fn measured_offset_s(&self) -> f64 {
        self.measured_offset_s
    }

    /// What those who follow us say of the address that it knows us by, once that is known.
    pub(crate) fn ours(&self) -> Option<ReferenceId> {
        self.ours
    }

    /// The address of ours that it answers to, once it has answered.
    pub(crate) fn local(&self) -> Option<IpAddr> {
        self.local
    }

    /// What the last packet said that answered one of ours.
    pub(crate) fn last_packet(&self) -> Option<&LastPacket> {
        self.last_packet.as_ref()
    }

    /// Its packets.
    pub(crate) fn counts(&self) -> PacketCounts {
        self.counts
    }
}
