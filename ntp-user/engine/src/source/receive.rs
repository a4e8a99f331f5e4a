//! What becomes of a packet of a source: a sample, a refusal that is obeyed, or nothing.

use std::net::{IpAddr, SocketAddr};

use ntp_common::time::MonoNs;
use ntp_common::wire::{Header, ReferenceId};
use rand::Rng;

use super::association::Matched;
use super::measured::Measured;
use super::reply::{self, ALL_TESTS, Kiss, Rejection};
use super::{Role, Source, authentication, delay_test};
use crate::auth::Keys;
use crate::estimate::Estimate;
use crate::sample::Sample;
use crate::seams::{Stamped, StampedBy};
use crate::seconds;
use crate::series::Added;

/// Packets of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PacketCounts {
    /// Sent to it.
    pub(crate) sent: u64,
    /// Of which a sample was made.
    pub(crate) accepted: u64,
    /// Of which none was made.
    pub(crate) rejected: u64,
    /// That answered one of ours.
    pub(crate) valid: u64,
    /// Of measurements, timestamps by the kernel: of what left, and of what came in.
    pub(crate) kernel_stamps: [u64; 2],
    /// The same by the network interface.
    pub(crate) hardware_stamps: [u64; 2],
}

impl PacketCounts {
    /// Counts who stamped the two packets of a measurement.
    fn stamped(&mut self, measured: &Measured) {
        for (direction, by) in [measured.left.by, measured.arrived.by].into_iter().enumerate() {
            match by {
                StampedBy::Daemon => {}
                StampedBy::Kernel => self.kernel_stamps[direction] += 1,
                StampedBy::Hardware => self.hardware_stamps[direction] += 1,
            }
        }
    }
}

/// A packet that came in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arrived<'a> {
    pub(crate) packet: &'a [u8],
    pub(crate) from: SocketAddr,
    pub(crate) at: Stamped,
    /// The address that it was sent to, if that is known.
    pub(crate) to: Option<IpAddr>,
    /// What those who follow us say of that address.
    pub(crate) ours: Option<ReferenceId>,
}

/// What a packet that came in was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Received {
    /// Not believed, or no measurement.
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
    /// A measurement of which one will be made with others.
    Collected,
}

/// What the last packet said that answered one of ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LastPacket {
    pub(crate) header: Header,
    pub(crate) interleaved: bool,
    /// Tests that it passed, as [`Rejection::tests_passed`] has them.
    pub(crate) tests: u16,
    pub(crate) offset_s: f64,
    pub(crate) delay_s: f64,
    pub(crate) dispersion_s: f64,
    /// How long the source took to answer, seconds.
    pub(crate) response_s: f64,
    /// Who stamped the packet that left, and the one that came in.
    pub(crate) stamped_by: Option<(StampedBy, StampedBy)>,
}

/// A packet that answers ours, or asks for something.
enum Answer {
    Kiss(Kiss),
    Sample(Sample),
}

impl Source {
    /// Takes a packet. `in_force` is the frequency correction of the clock, `expected` what is known of it if
    /// the source is right.
    pub(crate) fn receive(
        &mut self,
        arrived: &Arrived<'_>,
        keys: &Keys,
        in_force: f64,
        expected: Option<&Estimate>,
        rng: &mut impl Rng,
    ) -> Received {
        match self.check(arrived, keys, in_force) {
            Ok(Answer::Sample(sample)) => self.take(sample, in_force, expected, rng),
            Ok(Answer::Kiss(kiss)) => {
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

    fn check(
        &mut self,
        arrived: &Arrived<'_>,
        keys: &Keys,
        in_force: f64,
    ) -> Result<Answer, Rejection> {
        let Arrived { packet, from, at, to, ours } = *arrived;
        let header = reply::header(packet, from, self.address, self.role())?;
        authentication::check(self.options.key, packet, keys)?;
        let matched = self.association.recognise(&header, at)?;
        if let Some(kiss) = reply::kiss(&header) {
            self.association.answered();
            return Ok(Answer::Kiss(kiss));
        }
        if header.receive_timestamp.is_unknown() || header.transmit_timestamp.is_unknown() {
            self.association.answered();
            return Err(Rejection::MissingTimestamp);
        }
        let synchronised = reply::check_synchronised(&header);
        let measured = self.association.take(&header, matched, at, synchronised.is_ok());
        if measured == Err(Rejection::Unasked) {
            return Err(Rejection::Unasked);
        }
        self.counts.valid += 1;
        self.ours = ours.or(self.ours);
        self.local = to.or(self.local);
        if let Ok(measured) = &measured {
            self.counts.stamped(measured);
        }
        let sample = synchronised
            .and(measured)
            .and_then(|measured| self.sample(&header, &measured, in_force));
        let loops = header.stratum > 1 && ours == Some(header.reference_id);
        let tested = sample.and_then(|sample| self.test(&sample, loops).map(|()| sample));
        self.last_packet = Some(LastPacket {
            tests: tested.map_or_else(Rejection::tests_passed, |_| ALL_TESTS),
            ..LastPacket::new(&header, matched, measured.ok(), sample.ok())
        });
        if synchronised.is_ok() {
            self.reach.answered();
        }
        let sample = tested?;
        if matched == Matched::Interleaved && !std::mem::replace(&mut self.interleaves, true) {
            let address = self.address.ip();
            tracing::info!(source = %address, "Source {address} answers in interleaved mode");
        }
        self.association.used(matched);
        Ok(Answer::Sample(sample))
    }

    fn sample(
        &self,
        header: &Header,
        measured: &Measured,
        in_force: f64,
    ) -> Result<Sample, Rejection> {
        let apart = self.series.apart(measured.arrived.at, in_force);
        reply::sample(header, measured, self.role(), &self.options, self.precision_s, &apart)
    }

    /// The tests of options, and whether the source follows us.
    fn test(&mut self, sample: &Sample, loops: bool) -> Result<(), Rejection> {
        let outcome = delay_test::check(sample, &self.options, &self.series, &self.delays);
        if self.options.maxdelayquant > 0.0 {
            self.delays.add(sample.delay_s);
        }
        match outcome {
            _ if self.poll.is_warming_up() => Err(Rejection::WarmUp),
            Ok(()) if loops => Err(Rejection::Loop),
            outcome => outcome,
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
        self.measured_offset_s = sample.offset_s;
        let sample = match &mut self.filter {
            None => Some(sample),
            Some(filter) => filter.add(Some(sample)),
        };
        let added = sample.map(|sample| self.series.add(sample, in_force, expected));
        if added == Some(Added::Suspected) {
            self.poll.look_again(rng);
            return Received::Suspect;
        }
        self.poll.answered(rng);
        match added {
            None => Received::Collected,
            Some(added) => Received::Sample { broke: added == Added::Broke },
        }
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
}

impl Source {
    /// Keeps time with a peer that was just heard of; `stratum` is ours, 0 for none.
    pub(crate) fn keep_time_with_peer(&mut self, stratum: u8, now: MonoNs) {
        // No stratum is worse than any.
        let rank = |stratum: u8| stratum.wrapping_sub(1);
        if let Some(last) = self.last_packet.filter(|_| self.role() == Role::Peer) {
            let order = rank(stratum).cmp(&rank(last.header.stratum));
            self.poll.keep_time_with(last.header.poll, order, now);
        }
    }
}

impl LastPacket {
    fn new(
        header: &Header,
        matched: Matched,
        measured: Option<Measured>,
        sample: Option<Sample>,
    ) -> Self {
        Self {
            header: *header,
            interleaved: matched == Matched::Interleaved,
            tests: 0,
            offset_s: sample.map_or(0.0, |sample| sample.offset_s),
            delay_s: sample.map_or(0.0, |sample| sample.delay_s),
            dispersion_s: sample.map_or(0.0, |sample| sample.dispersion_s),
            response_s: measured.map_or(0.0, |measured| {
                seconds::of(measured.exchange.t3.since(measured.exchange.t2)).abs()
            }),
            stamped_by: measured.map(|measured| (measured.left.by, measured.arrived.by)),
        }
    }
}
