//! What is noted for log files, and when: packets as they come, lines and selections after each sample, the clock
//! after each update.

use ntp_common::time::NtpTimestamp;
use ntp_common::wire::{HEADER_LEN, Header};
use rand::Rng;

use super::Engine;
use crate::conf::LogFile;
use crate::estimate::{Estimate, SKEW_DEVIATIONS};
use crate::record::{
    ClockReading, ClockSample, Measurement, Record, Selected, Statistics, Temperature, Update,
};
use crate::refclock::{Combined, Cooked};
use crate::regress::Line;
use crate::report::Named;
use crate::seams::{Now, SourceId};
use crate::seconds;
use crate::source::{Arrived, LastPacket, Received, Source};
use crate::tempcomp::Compensation;

/// The tests of RFC 5905 section 9.2, of those that a packet may pass: its six first.
const PROTOCOL_TESTS: u16 = 0b11_1111_0000;

/// A source before a packet of it was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    valid: u64,
    line: Option<Line>,
}

/// The clock before an update.
#[derive(Clone, Copy, Debug)]
pub(super) struct BeforeUpdate {
    remaining_s: f64,
    distance_s: f64,
}

impl Before {
    pub(super) fn of(source: &Source) -> Self {
        Self { valid: source.counts().valid, line: source.series().line().copied() }
    }

    /// Whether the packet answered one of ours.
    pub(super) fn is_answered(&self, source: &Source) -> bool {
        source.counts().valid > self.valid
    }
}

impl<R: Rng> Engine<R> {
    /// Gives what was noted for log files since the last time.
    pub fn take_records(&mut self) -> Vec<Record> {
        self.journal.take()
    }

    /// Whether what goes into this file is noted.
    fn notes(&self, file: LogFile) -> bool {
        self.config.logs.contains(&file)
    }

    /// Notes a packet of a source, and the line through its samples if it has one more.
    pub(super) fn note_packet(
        &mut self,
        id: SourceId,
        before: &Before,
        arrived: &Arrived<'_>,
        received: Received,
    ) {
        let Some(source) = self.sources.get(&id) else { return };
        if self.notes(LogFile::Measurements) {
            let measurement = measurement(source, before, arrived, received);
            let is_wanted = |measurement: &Measurement| {
                self.config.logs_rejected || measurement.tests & PROTOCOL_TESTS == PROTOCOL_TESTS
            };
            if let Some(measurement) = measurement.filter(is_wanted) {
                self.journal.note(Record::Measurement(measurement));
            }
        }
        if matches!(received, Received::Sample { .. }) {
            self.note_statistics(id, before);
        }
    }

    /// Notes the line through the samples of a source that has one more.
    fn note_statistics(&mut self, id: SourceId, before: &Before) {
        let Some(source) = self.sources.get(&id) else { return };
        if self.notes(LogFile::Statistics)
            && let Some(statistics) = statistics(source, before.line.as_ref())
        {
            self.journal.note(Record::Statistics(statistics));
        }
    }

    /// Notes a reading of a reference clock.
    pub(super) fn note_clock_reading(&mut self, id: SourceId, cooked: &Cooked, raw_s: f64) {
        if !self.notes(LogFile::Refclocks) {
            return;
        }
        let Some(clock) = self.sources.get(&id).and_then(Source::clock) else { return };
        let reading = &cooked.reading;
        let record = ClockReading {
            at: reading.at,
            clock: clock.id(),
            number: cooked.number,
            leap: reading.leap,
            is_pulse: clock.is_pulse(reading),
            raw_s,
            cooked_s: seconds::of(cooked.offset) - self.discipline.remaining_s(reading.at),
            dispersion_s: reading.dispersion_s + clock.precision_s(),
        };
        self.journal.note(Record::ClockReading(record));
    }

    /// Notes the sample that the readings of a reference clock came to, and the line through its samples if it was
    /// used.
    pub(super) fn note_clock_sample(
        &mut self,
        id: SourceId,
        before: &Before,
        combined: &Combined,
        is_used: bool,
    ) {
        if let Some(clock) = self.sources.get(&id).and_then(Source::clock)
            && self.notes(LogFile::Refclocks)
        {
            let sample = &combined.sample;
            let record = ClockSample {
                at: sample.time,
                clock: clock.id(),
                leap: sample.leap,
                cooked_s: sample.offset_s - self.discipline.remaining_s(sample.time),
                dispersion_s: combined.reading_s + combined.deviation_s,
            };
            self.journal.note(Record::ClockSample(record));
        }
        if is_used {
            self.note_statistics(id, before);
        }
    }

    /// Notes a temperature that the clock is compensated for.
    pub(crate) fn note_temperature(&mut self, compensation: Compensation, at: NtpTimestamp) {
        if self.notes(LogFile::Tempcomp) {
            self.journal.note(Record::Temperature(Temperature { at, compensation }));
        }
    }

    /// Notes every source as the last selection has it.
    pub(super) fn note_selection(&mut self, now: &Now) {
        if !self.notes(LogFile::Selection) {
            return;
        }
        for report in self.selection() {
            let source = report.id.and_then(|id| self.sources.get(&id));
            let Some(source) = source else { continue };
            self.journal.note(Record::Selection(Selected {
                at: now.time,
                source: source.named(),
                verdict: report.verdict,
                options: report.effective,
                reach: source.reach().register(),
                score: report.score,
                last_sample_s: report.last_sample_s.unwrap_or(0.0),
                low_s: report.low_s,
                high_s: report.high_s,
            }));
        }
    }

    /// The clock as it is before an update.
    pub(super) fn before_update(&self, now: &Now) -> BeforeUpdate {
        let served = self.reference.served(now.mono, self.true_time(now));
        BeforeUpdate {
            remaining_s: self.discipline.remaining_s(now.time),
            distance_s: served.root_delay_s / 2.0 + served.root_dispersion_s,
        }
    }

    /// Notes an update of the clock.
    pub(super) fn note_update(&mut self, before: BeforeUpdate, estimate: &Estimate, now: &Now) {
        let BeforeUpdate { remaining_s, distance_s } = before;
        let offset_s = self.discipline.offsets().last_s;
        let combined = self.selection.chosen.as_ref().map_or(0, Vec::len);
        let update = Update {
            offset_s,
            combined,
            offset_deviation_s: estimate.offset_deviation_s,
            remaining_s,
            maximum_error_s: distance_s + offset_s.abs() + remaining_s.abs(),
            ..self.update(now)
        };
        self.note_tracking(update);
    }

    /// Notes that there is nothing to follow.
    pub(super) fn note_unsynchronised(&mut self, now: &Now) {
        let before = self.before_update(now);
        let update = Update { maximum_error_s: before.distance_s, ..self.update(now) };
        self.note_tracking(Update { remaining_s: before.remaining_s, ..update });
    }

    fn note_tracking(&mut self, update: Update) {
        if self.notes(LogFile::Tracking) {
            self.journal.note(Record::Tracking(update));
        }
    }

    /// What is followed.
    fn followed(&self) -> Option<Named> {
        let clock = || self.selected_clock().map(Named::Clock);
        self.selected_address().map(Named::Address).or_else(clock)
    }

    /// The clock as it is now.
    fn update(&self, now: &Now) -> Update {
        let served = self.served(now);
        Update {
            at: now.time,
            source: self.followed(),
            stratum: served.stratum,
            frequency_ppm: self.discipline.clock_error() * 1e6,
            skew_ppm: self.discipline.skew() * 1e6,
            offset_s: 0.0,
            leap: served.leap,
            combined: 0,
            offset_deviation_s: 0.0,
            remaining_s: 0.0,
            root_delay_s: served.root_delay_s,
            root_dispersion_s: served.root_dispersion_s,
            maximum_error_s: 0.0,
        }
    }
}

/// What a packet said and measured; `None` when it is no NTP packet at all.
fn measurement(
    source: &Source,
    before: &Before,
    arrived: &Arrived<'_>,
    received: Received,
) -> Option<Measurement> {
    let last = source.last_packet().filter(|_| before.is_answered(source));
    let header = match last {
        Some(last) => last.header,
        None => Header::read(arrived.packet.first_chunk::<HEADER_LEN>()?),
    };
    let tests = match (last, received) {
        (Some(last), _) => last.tests,
        (None, Received::Rejected(rejection)) => rejection.tests_passed(),
        (None, _) => 0,
    };
    let number = |of: fn(&LastPacket) -> f64| last.map_or(0.0, of);
    Some(Measurement {
        at: arrived.at.at,
        source: source.address().ip(),
        leap: header.leap,
        stratum: header.stratum,
        tests,
        local_poll_log2: source.polling().log2(),
        remote_poll_log2: header.poll,
        offset_s: number(|last| last.offset_s),
        delay_s: number(|last| last.delay_s),
        dispersion_s: number(|last| last.dispersion_s),
        root_delay_s: seconds::of_short(header.root_delay),
        root_dispersion_s: seconds::of_short(header.root_dispersion),
        reference_id: header.reference_id,
        mode: header.mode as u8,
        interleaved: last.is_some_and(|last| last.interleaved),
        stamped_by: last.and_then(|last| last.stamped_by),
    })
}

/// The line through the samples of a source; `before` is the one without the last sample.
fn statistics(source: &Source, before: Option<&Line>) -> Option<Statistics> {
    let series = source.series();
    let (last, line) = (series.last()?, series.line()?);
    let estimate = series.estimate(last.time)?;
    let stress = before.map_or(0.0, |before| {
        (line.slope - before.slope).abs() / (SKEW_DEVIATIONS * before.slope_deviation)
    });
    Some(Statistics {
        at: last.time,
        source: source.named(),
        deviation_s: line.noise,
        offset_s: estimate.offset_s,
        offset_deviation_s: estimate.offset_deviation_s,
        frequency: line.slope,
        skew: SKEW_DEVIATIONS * line.slope_deviation,
        stress,
        samples: series.len(),
        runs: line.runs,
        asymmetry: source.options().asymmetry.unwrap_or(0.0),
    })
}
