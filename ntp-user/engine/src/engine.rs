//! The engine: events in, actions out. It is the only place that knows all parts; what they do is theirs.
//!
//! Invariants: the same settings, events and random numbers give the same actions. A snapshot speaks of the
//! clock as it is: none follows a [`Action::SetFrequency`] in one list of actions, since each of these is
//! answered by an [`Event::ClockChanged`], and that by a snapshot.

mod by_hand;
mod clock;
mod clock_operations;
mod histories;
mod initial;
mod inspect;
mod journal;
mod keys;
mod leap;
mod lookup;
mod monotone;
mod operations;
mod peers;
mod publish;
mod reconfigure;
mod reports;
mod selecting;
mod smoothing;

pub use by_hand::ManualOperation;
pub use clock_operations::ClockOperation;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ntp_common::time::MonoNs;
use rand::{Rng, RngExt};

use crate::auth::Keys;
use crate::bank::Bank;
use crate::discipline::Discipline;
use crate::history::History;
use crate::leap::schedule::Schedule;
use crate::manual::Manual;
use crate::names::ConfiguredLine;
use crate::record::Journal;
use crate::reference::{Reference, reference_id};
use crate::seams::{Action, Event, Now, RequestId, SourceId};
use crate::seconds;
use crate::select::{Ranking, Selection};
use crate::settings::EngineConfig;
use crate::smooth::Smoother;
use crate::source::{Arrived, Received, Role, Source};
use initial::{Initial, configured_lines};
use journal::Before;
use monotone::Monotone;

/// Most seconds by which first requests are put off, so that not all leave at once.
const FIRST_REQUEST_S: f64 = 0.2;
/// Time at the start in which sources that have not answered may still change the majority, seconds.
const WAIT_S: f64 = 5.0;
/// Largest frequency error that is believed of a drift file, ppm.
const MAX_STORED_PPM: f64 = 100_000.0;

/// The clock's frequency error as the drift file keeps it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// How much faster than true time the clock runs by itself, ppm.
    pub frequency_ppm: f64,
    /// Bound of its error, ppm.
    pub skew_ppm: f64,
}

/// The timekeeping engine: sources, selection, discipline and what is served.
///
/// It is driven by [`crate::driver::Driver`]. `R` must not be predictable to anybody on the network: replies
/// are told from forgeries by random numbers.
#[derive(Debug)]
pub struct Engine<R> {
    config: EngineConfig,
    rng: R,
    drift: Option<Drift>,
    keys: Keys,
    precision_s: f64,
    lines: Vec<ConfiguredLine>,
    sources: BTreeMap<SourceId, Source>,
    next_source: u32,
    next_request: u64,
    selection: Selection,
    ranking: Ranking,
    /// Falsetickers that the log names, until they are right again.
    named: BTreeSet<SourceId>,
    bank: Bank,
    discipline: Discipline,
    reference: Reference,
    leap: Schedule,
    smoother: Option<Smoother>,
    /// Until then sources are waited for.
    wait_until: MonoNs,
    publish_at: MonoNs,
    monotone: Monotone,
    snapshot_life_ns: u64,
    /// What was still to be slewed when the kernel was told of its clock last.
    stated_remaining_s: f64,
    drift_saved: MonoNs,
    updates: UpdateTimes,
    /// What was measured before the start, of sources that are not made yet.
    remembered: BTreeMap<IpAddr, History>,
    /// The first correction, until it has been made or given up.
    initial: Option<Initial>,
    /// Times given by hand.
    manual: Manual,
    /// `maxchange` has ended all updates.
    given_up: bool,
    /// When a source that was wrong gave way to another one.
    wrong_replaced: Option<MonoNs>,
    /// For log files.
    journal: Journal,
}

/// When the clock was updated, for reports.
#[derive(Clone, Copy, Debug, Default)]
struct UpdateTimes {
    last: Option<MonoNs>,
    interval_s: f64,
    residual_frequency: f64,
}

impl<R: Rng> Engine<R> {
    /// Makes an engine that has done nothing yet. A stored `drift` that no clock can have is not used.
    #[must_use]
    pub fn new(config: EngineConfig, rng: R, drift: Option<Drift>, now: Now) -> Self {
        let discipline = Discipline::new(&config, &now);
        let precision_s = f64::from(config.precision_log2).exp2();
        let known = discipline.known_frequency(now.time);
        let initial = Initial::wanted(&config, &now);
        let lines = initial.as_ref().map(|initial| initial.lines(&config.sources));
        let lines = lines.as_ref().unwrap_or(&config.sources);
        let lines = configured_lines(lines, config.refresh_s, &now);
        Self {
            rng,
            drift: drift.filter(Drift::is_credible),
            keys: Keys::default(),
            precision_s,
            lines,
            sources: BTreeMap::new(),
            next_source: 0,
            next_request: 0,
            selection: Selection::none(),
            ranking: Ranking::default(),
            named: BTreeSet::new(),
            bank: Bank::new(known, precision_s, now.time, 0.0),
            discipline,
            reference: Reference::new(config.local, now.mono),
            leap: Schedule::new(config.leap_mode),
            smoother: config.smooth_time.map(|settings| Smoother::new(settings, now.time)),
            wait_until: seconds::after(now.mono, WAIT_S),
            publish_at: now.mono,
            monotone: Monotone::default(),
            snapshot_life_ns: publish::LIFE_NS,
            stated_remaining_s: 0.0,
            drift_saved: now.mono,
            updates: UpdateTimes::default(),
            remembered: BTreeMap::new(),
            initial,
            manual: Manual::new(config.manual),
            given_up: false,
            wrong_replaced: None,
            journal: Journal::default(),
            config,
        }
    }

    /// Begins; `frequency` is the correction that the clock has in force, seconds a second.
    pub fn start(&mut self, frequency: f64, now: Now) -> Vec<Action> {
        let mut actions = Vec::new();
        let stored = self.drift.map(|drift| (drift.frequency_ppm * 1e-6, drift.skew_ppm * 1e-6));
        let base = self.discipline.start(frequency, stored);
        let known = self.discipline.known_frequency(now.time);
        self.bank = Bank::new(known, self.precision_s, now.time, frequency);
        self.add_addresses(&now);
        self.ask_names(&now, &mut actions);
        self.set_status(&now, &mut actions);
        actions.push(Action::SetFrequency(base));
        self.note_unsynchronised(&now);
        actions
    }

    /// Takes an event that happened by `now`.
    pub fn handle(&mut self, event: &Event<'_>, now: Now) -> Vec<Action> {
        let mut actions = Vec::new();
        match *event {
            Event::Timer => self.on_timer(&now, &mut actions),
            Event::Sent { request, source, at } => {
                if let Some(source) = self.sources.get_mut(&source) {
                    source.sent(request, at);
                }
            }
            Event::SendFailed { source } => self.on_send_failed(source),
            Event::Received { source, from, to, packet, at } => {
                // Who serves nobody is followed by nobody.
                let ours = to.filter(|_| self.config.serves).map(reference_id);
                let arrived = Arrived { packet, from, at, ours };
                self.on_packet(source, &arrived, &now, &mut actions);
            }
            Event::Resolved { name, addresses } => {
                self.on_resolved(name, addresses, &now, &mut actions);
            }
            Event::ClockChanged { step, frequency } => {
                self.on_clock_changed(step, frequency, &now, &mut actions);
            }
            Event::Slept => self.on_slept(&now, &mut actions),
        }
        actions
    }

    /// Ends: the clock is left on its base frequency, and the drift is saved. With `hold`, the last snapshot,
    /// which answers the change of frequency, stays in force that long, at most
    /// [`ntp_common::snapshot::MAX_LIFE_NS`]; else it is withdrawn.
    pub fn shutdown(&mut self, hold: Option<Duration>, now: Now) -> Vec<Action> {
        let mut actions: Vec<Action> =
            self.sources.keys().map(|&source| Action::Close { source }).collect();
        for source in self.sources.values_mut() {
            source.stop();
        }
        self.save_drift(&now, &mut actions);
        actions.push(Action::SetFrequency(self.discipline.forget_slew()));
        match hold {
            Some(hold) => self.outlive(hold),
            // Not before the snapshot that answers the change of frequency, which goes on from the one before.
            None => actions.push(Action::Invalidate),
        }
        actions
    }

    /// When [`Event::Timer`] is due next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<MonoNs> {
        let sources = self.sources.values().filter_map(Source::due);
        let names = self.lines.iter().filter_map(ConfiguredLine::deadline);
        let clock = [self.discipline.deadline(), self.leap.deadline(), Some(self.publish_at)];
        sources.chain(names).chain(clock.into_iter().flatten()).min()
    }

    fn on_timer(&mut self, now: &Now, actions: &mut Vec<Action>) {
        if self.leap.is_over(now.mono) {
            return self.on_leap(now, actions);
        }
        self.ask_names(now, actions);
        self.poll_sources(now, actions);
        if self.publish_at <= now.mono {
            self.look_for_others(now);
            self.reselect(now, actions);
            self.review_leap(now, actions);
            self.publish(now, actions);
            self.follow(now, actions);
        }
        if let Some(frequency) = self.discipline.timer(now) {
            actions.push(Action::SetFrequency(frequency));
        }
        if let Some(frequency) = self.discipline.fall_back(now) {
            self.lose_reference(now, actions);
            actions.push(Action::SetFrequency(frequency));
        }
    }

    fn poll_sources(&mut self, now: &Now, actions: &mut Vec<Action>) {
        let is_peer = |source: &Source| source.role() == Role::Peer;
        let clock = self.sources.values().any(is_peer).then(|| self.presentation(now));
        for source in self.sources.values_mut() {
            if source.due().is_some_and(|due| due <= now.mono) {
                let request = RequestId(self.next_request);
                self.next_request += 1;
                let clock = clock.as_ref().filter(|_| source.role() == Role::Peer);
                let action = source.poll(now.mono, request, clock, &self.keys, &mut self.rng);
                actions.extend(action);
            }
        }
    }

    fn on_packet(
        &mut self,
        id: SourceId,
        arrived: &Arrived<'_>,
        now: &Now,
        actions: &mut Vec<Action>,
    ) {
        if self.leap.is_close(self.true_time(now)) {
            return tracing::debug!(from = %arrived.from, "packet near a leap second is ignored");
        }
        let expected = self.expected(id, now);
        let stratum = self.served(now).stratum;
        let Some(source) = self.sources.get_mut(&id) else { return };
        let in_force = self.discipline.in_force();
        let before = Before::of(source);
        let received =
            source.receive(arrived, &self.keys, in_force, expected.as_ref(), &mut self.rng);
        if before.is_answered(source) {
            source.keep_time_with_peer(stratum, now.mono);
        }
        if !source.is_waiting() {
            actions.push(Action::Close { source: id });
        }
        let address = source.address();
        self.note_packet(id, &before, arrived, received);
        match received {
            Received::Rejected(reason) => {
                tracing::debug!(source = %address, from = %arrived.from, %reason, "packet rejected");
            }
            Received::Kiss(kiss) => {
                let (code, address) = (kiss.code(), address.ip());
                tracing::warn!(source = %address, "Received KoD {code} from {address}");
                self.look_for_others(now);
            }
            Received::Collected => {}
            Received::Suspect => {
                tracing::debug!(source = %address, "measurement contradicts those before");
            }
            Received::Sample { broke } => {
                if let Some(sample) = self.sources.get(&id).and_then(|it| it.series().last()) {
                    self.bank.measured(id, sample, broke);
                }
                self.reselect_for(Some(id), now, actions);
                self.learn(id, now);
                self.update_clock(id, now, actions);
            }
        }
    }
}

/// By how much a first request is put off, seconds.
fn first_delay_s(rng: &mut impl Rng) -> f64 {
    rng.random_range(0.0..FIRST_REQUEST_S)
}

impl Drift {
    fn is_credible(&self) -> bool {
        self.frequency_ppm.abs() < MAX_STORED_PPM && self.skew_ppm >= 0.0
    }
}
