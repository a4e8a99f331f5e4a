//! A reference clock as a source: it is polled without asking anybody, and its samples are selected, followed and
//! reported as those of servers are.

use std::net::{IpAddr, Ipv4Addr};

use ntp_common::time::MonoNs;
use ntp_common::wire::ReferenceId;
use rand::Rng;

use super::poll::Poll;
use super::{Received, Source};
use crate::conf::{self, SourceKind, SourceOptions};
use crate::estimate::{Estimate, KnownFrequency};
use crate::refclock::{Combined, RefClock, Unusable};
use crate::report::Named;
use crate::seams::SourceId;
use crate::series::Added;

/// The first poll comes after this time at the latest, seconds: readings are made in between.
const FIRST_POLL_S: f64 = 4.0;
/// Samples from which on what they deviate by is known.
const KNOWN_NOISE: usize = 4;

/// What the poll of a reference clock came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Polled {
    /// A sample, or what else a measurement can be, and what was measured.
    Measured(Received, Combined),
    /// None, as the last readings were not of use, or there were none.
    Nothing(Option<Unusable>),
}

impl Source {
    /// Makes a source of a reference clock, that is not polled yet.
    pub(crate) fn of_clock(
        id: SourceId,
        line: conf::RefClock,
        (min_samples, max_samples): (u32, u32),
        known: KnownFrequency,
        precision_s: f64,
    ) -> Self {
        let options = source_options(&line, min_samples, max_samples);
        let address = address_of(line.options.refid);
        let mut source = Self::new(id, address, (SourceKind::Server, options), known, precision_s);
        source.poll = Poll::every(line.options.poll_log2);
        source.clock = Some(Box::new(RefClock::new(line, precision_s)));
        source
    }

    /// The reference clock, if it is one.
    pub(crate) fn clock(&self) -> Option<&RefClock> {
        self.clock.as_deref()
    }

    /// What it is called.
    pub(crate) fn named(&self) -> Named {
        self.clock().map_or(Named::Address(self.address().ip()), |clock| Named::Clock(clock.id()))
    }

    /// The reference clock, if it is one, to be read.
    pub(crate) fn clock_mut(&mut self) -> Option<&mut RefClock> {
        self.clock.as_deref_mut()
    }

    /// Begins to poll a reference clock.
    pub(crate) fn start_clock(&mut self, now: MonoNs) {
        let first_s = self.poll.current_interval_s().min(FIRST_POLL_S);
        self.poll.start(now, first_s, false);
    }

    /// Polls the reference clock: its readings since the last time become a sample.
    pub(crate) fn poll_clock(
        &mut self,
        now: MonoNs,
        in_force: f64,
        expected: Option<&Estimate>,
        rng: &mut impl Rng,
    ) -> Polled {
        let Some(clock) = &mut self.clock else { return Polled::Nothing(None) };
        if self.series.len() == 0 && clock.needs_more() {
            // The first sample is not put off by a whole interval.
            clock.wait_for_more();
            self.poll.start(now, f64::from(clock.options().dpoll_log2).exp2(), false);
            return Polled::Nothing(None);
        }
        self.reach.polled();
        self.counts.sent += 1;
        self.poll.sent(now, false, rng);
        let line = self.series.line().filter(|_| self.series.len() >= KNOWN_NOISE);
        let combined = match clock.poll(line.map(|line| line.noise)) {
            Ok(combined) => combined,
            Err(unusable) => return Polled::Nothing(unusable),
        };
        self.reach.answered();
        self.counts.accepted += 1;
        self.measured_offset_s = combined.sample.offset_s;
        self.deviation_s = Some(combined.deviation_s);
        self.series.expect_noise(combined.deviation_s);
        let received = match self.series.add(combined.sample, in_force, expected) {
            Added::Used => Received::Sample { broke: false },
            Added::Broke => Received::Sample { broke: true },
            Added::Suspected => Received::Suspect,
        };
        Polled::Measured(received, combined)
    }

    /// Keeps at least and at most so many samples, where it is a reference clock whose line says nothing of it.
    pub(crate) fn limit_clock(&mut self, (min_samples, max_samples): (u32, u32)) {
        if let Some(clock) = &self.clock {
            self.options = source_options(clock.line(), min_samples, max_samples);
            self.series.configure(&self.options);
        }
    }

    /// Standard deviation of the last sample, where it does not follow from delays: of a reference clock, seconds.
    pub(crate) fn deviation_s(&self) -> Option<f64> {
        self.deviation_s
    }
}

/// Where a reference clock is said to be, in reports and to those who look for loops: its reference ID, as if that
/// was an address.
fn address_of(id: ReferenceId) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(id.0))
}

/// The options that sources of all kinds have.
fn source_options(line: &conf::RefClock, min_samples: u32, max_samples: u32) -> SourceOptions {
    let options = &line.options;
    SourceOptions {
        minpoll_log2: options.poll_log2,
        maxpoll_log2: options.poll_log2,
        prefer: options.prefer,
        noselect: options.noselect,
        trust: options.trust,
        require: options.require,
        minsamples: options.minsamples.or(Some(min_samples)),
        maxsamples: options.maxsamples.or(Some(max_samples)),
        maxunreach: options.maxunreach,
        ..SourceOptions::default()
    }
}
