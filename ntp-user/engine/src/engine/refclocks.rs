//! Reference clocks among the sources: what their drivers read comes in, pulses are completed, polls become samples.

use ntp_common::wire::{LeapIndicator, ReferenceId};
use rand::Rng;

use super::Engine;
use super::journal::Before;
use crate::conf;
use crate::refclock::{Cooked, RefClock, Second, clock_name};
use crate::seams::{Action, Now, Reading, SourceId};
use crate::seconds;
use crate::source::{Polled, REACH_POLLS, Received, Source};

impl<R: Rng> Engine<R> {
    /// Makes sources of the configured reference clocks that are none yet.
    pub(super) fn add_clocks(&mut self, now: &Now) {
        let is_new =
            |engine: &Self, line: &conf::RefClock| engine.clock(line.options.refid).is_none();
        for line in self.config.refclocks.clone() {
            if is_new(self, &line) {
                self.add_clock(line, now);
            }
        }
    }

    fn add_clock(&mut self, line: conf::RefClock, now: &Now) {
        let id = SourceId(self.next_source);
        self.next_source += 1;
        let samples = (self.config.min_samples, self.config.max_samples);
        let known = self.discipline.known_frequency(now.time);
        let mut source = Source::of_clock(id, line, samples, known, self.precision_s);
        source.start_clock(now.mono);
        self.sources.insert(id, source);
    }

    /// Goes over to the reference clocks of another configuration: a line that is in both keeps its samples.
    pub(super) fn change_clocks(&mut self, lines: &[conf::RefClock]) {
        let gone =
            |source: &&Source| source.clock().is_some_and(|clock| !lines.contains(clock.line()));
        let gone: Vec<SourceId> = self.sources.values().filter(gone).map(Source::id).collect();
        for id in gone {
            self.sources.remove(&id);
            self.bank.forget(id);
        }
    }

    /// The reference clocks, in the order of the configuration.
    pub(super) fn clocks(&self) -> impl Iterator<Item = &Source> {
        let lines = self.config.refclocks.iter();
        lines.filter_map(|line| self.clock(line.options.refid))
    }

    /// The sources that are asked over the network.
    pub(super) fn servers(&self) -> impl Iterator<Item = &Source> {
        self.sources.values().filter(|source| source.clock().is_none())
    }

    fn clock(&self, id: ReferenceId) -> Option<&Source> {
        let is_it = |source: &&Source| source.clock().is_some_and(|clock| clock.id() == id);
        self.sources.values().find(is_it)
    }

    /// Takes a reading.
    pub(super) fn on_clock_read(&mut self, clock: ReferenceId, reading: Reading, now: &Now) {
        if self.leap.is_close(self.true_time(now)) {
            let clock = clock_name(clock);
            return tracing::debug!(clock, "reading near a leap second is ignored");
        }
        let Some(source) = self.clock(clock) else { return };
        let id = source.id();
        let second = source.clock().and_then(|clock| self.second(clock, &reading, now));
        let tai_offset = self.leap.tai_offset_at(reading.at + reading.offset);
        let age_s = seconds::of(now.time.since(reading.at));
        let Some(clock) = self.sources.get_mut(&id).and_then(Source::clock_mut) else { return };
        match clock.read(reading, age_s, second.as_ref(), tai_offset) {
            Ok(cooked) => self.note_clock_reading(id, &cooked, seconds::of(reading.offset)),
            Err(reason) => {
                tracing::debug!(clock = clock_name(clock.id()), %reason, "reading is not used");
            }
        }
    }

    /// What says which second a pulse is of: the clock that it is locked to, or else our own time.
    fn second(&self, clock: &RefClock, reading: &Reading, now: &Now) -> Option<Second> {
        if !clock.is_pulse(reading) {
            return None;
        }
        let options = clock.options();
        let Some(lock) = options.lock else { return self.own_second(clock, reading, now) };
        let Cooked { reading: other, offset, stratum, .. } = *self.clock(lock)?.clock()?.last()?;
        let apart_s = seconds::of(reading.at.since(other.at)).abs();
        let most_s = f64::from(options.maxlockage) / f64::from(options.rate);
        let (error_s, leap) = (other.dispersion_s, other.leap);
        (apart_s <= most_s).then_some(Second { offset, error_s, leap, stratum })
    }

    /// The second that it is, as we know it ourselves.
    fn own_second(&self, clock: &RefClock, reading: &Reading, now: &Now) -> Option<Second> {
        let served = self.reference.served(now.mono, self.true_time(now));
        if served.stratum == 0 {
            return None;
        }
        let selected = self.selected().and_then(|id| self.sources.get(&id));
        // Pulses that `local` has completed are no better for going on by themselves.
        let of_pulses = selected.filter(|source| {
            source
                .clock()
                .is_some_and(|clock| clock.line().gives_pulses() && clock.options().lock.is_none())
        });
        let inherited =
            of_pulses.and_then(|source| source.series().last()).map(|last| last.stratum);
        let stratum = match self.reference.upstream() {
            Some(_) => inherited.unwrap_or(0),
            None => served.stratum.saturating_sub(1),
        };
        let due = self.leap.due().map_or(LeapIndicator::Normal, |due| due.leap.indicator());
        Some(Second {
            offset: seconds::duration(self.discipline.remaining_s(reading.at)),
            error_s: served.root_delay_s / 2.0 + served.root_dispersion_s,
            leap: due,
            stratum: stratum.max(clock.options().stratum),
        })
    }

    /// Polls the reference clocks that it is time for.
    pub(super) fn poll_clocks(&mut self, now: &Now, actions: &mut Vec<Action>) {
        let is_due = |source: &&Source| {
            source.clock().is_some() && source.due().is_some_and(|due| due <= now.mono)
        };
        let due: Vec<SourceId> = self.sources.values().filter(is_due).map(Source::id).collect();
        for id in due {
            self.poll_clock(id, now, actions);
        }
    }

    fn poll_clock(&mut self, id: SourceId, now: &Now, actions: &mut Vec<Action>) {
        let (expected, in_force) = (self.expected(id, now), self.discipline.in_force());
        let Some(source) = self.sources.get_mut(&id) else { return };
        let (missed, before) = (source.reach().missed(), Before::of(source));
        let polled = source.poll_clock(now.mono, in_force, expected.as_ref(), &mut self.rng);
        let clock = source.clock().map_or_else(String::new, |clock| clock_name(clock.id()));
        match polled {
            Polled::Nothing(reason) => {
                if missed + 1 == REACH_POLLS {
                    let reason = reason.map_or("nothing was read".to_owned(), |it| it.to_string());
                    tracing::warn!(clock, "Reference clock {clock} gives no samples: {reason}");
                }
            }
            Polled::Measured(received, combined) => {
                let is_used = matches!(received, Received::Sample { .. });
                self.note_clock_sample(id, &before, &combined, is_used);
                if missed >= REACH_POLLS {
                    tracing::info!(clock, "Reference clock {clock} gives samples");
                }
                if let Received::Sample { broke } = received {
                    self.on_sample(id, broke, now, actions);
                } else {
                    tracing::debug!(clock, "measurement contradicts those before");
                }
            }
        }
    }

    /// Tells the estimator of the last sample of a source.
    pub(super) fn tell_bank(&mut self, id: SourceId, broke: bool) {
        let Some(source) = self.sources.get(&id) else { return };
        let Some(sample) = source.series().last() else { return };
        match source.deviation_s() {
            Some(deviation_s) => self.bank.measured_directly(id, sample, deviation_s, broke),
            None => self.bank.measured(id, sample, broke),
        }
    }
}
