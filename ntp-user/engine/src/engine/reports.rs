//! The engine's state as reports give it.

use std::net::IpAddr;

use ntp_common::wire::LeapIndicator;
use rand::Rng;

use super::Engine;
use super::selecting::effective;
use crate::estimate::SKEW_DEVIATIONS;
use crate::refclock::RefClock;
use crate::report::{SelectOptions, SelectionReport, SourceReport, SourceState, Tracking, Verdict};
use crate::seams::{Now, SourceId};
use crate::seconds;
use crate::select::{configured, is_authenticated};
use crate::source::{Role, Source};

impl<R: Rng> Engine<R> {
    /// The state of the clock.
    #[must_use]
    pub fn tracking(&self, now: Now) -> Tracking {
        let served = self.served(&now);
        let offsets = self.discipline.offsets();
        Tracking {
            reference_id: served.reference_id,
            address: self.selected_address(),
            clock: self.selected_clock(),
            stratum: served.stratum,
            leap: served.leap,
            reference_timestamp: served.reference_timestamp,
            remaining_correction_s: self.discipline.remaining_s(now.time),
            last_offset_s: offsets.last_s,
            rms_offset_s: offsets.rms_s(),
            frequency_ppm: self.discipline.clock_error() * 1e6,
            residual_frequency_ppm: self.updates.residual_frequency * 1e6,
            skew_ppm: self.discipline.skew() * 1e6,
            root_delay_s: served.root_delay_s,
            root_dispersion_s: served.root_dispersion_s,
            update_interval_s: self.updates.interval_s,
            updates: offsets.updates,
            too_far_off: self.discipline.is_too_far_off(),
        }
    }

    /// Whether a change of the clock larger than `maxchange` allows has ended its updates for good: the daemon is to
    /// end.
    #[must_use]
    pub fn has_given_up(&self) -> bool {
        self.given_up
    }

    /// The sources in the order of the configuration; a name without addresses is a source without one.
    #[must_use]
    pub fn sources(&self, now: Now) -> Vec<SourceReport> {
        let mut reports: Vec<SourceReport> =
            self.clocks().map(|clock| self.report(clock, None, &now)).collect();
        for line in &self.lines {
            let members = line.members().iter().filter_map(|id| self.sources.get(id));
            let before = reports.len();
            reports.extend(members.map(|source| self.report(source, line.name(), &now)));
            if reports.len() == before {
                reports.push(unresolved(line.name()));
            }
        }
        reports
    }

    /// The part of each source in the last selection, in the order of the configuration.
    #[must_use]
    pub fn selection(&self) -> Vec<SelectionReport> {
        let mixture = self.mixture();
        let of_clock = |source: &Source| {
            let (said, clock) = (configured(source.options()), source.clock().map(RefClock::id));
            let options = (said, effective(source, mixture), false);
            let unmeasured = SelectionReport { clock, ..unmeasured(None, options) };
            self.select_report(source, &unmeasured)
        };
        let mut reports: Vec<SelectionReport> = self.clocks().map(of_clock).collect();
        for line in &self.lines {
            let options = &line.line().options;
            let said = (configured(options), mixture.effective(options), is_authenticated(options));
            let unresolved = unmeasured(line.name(), said);
            let before = reports.len();
            let members = line.members().iter().filter_map(|id| self.sources.get(id));
            reports.extend(members.map(|source| self.select_report(source, &unresolved)));
            if reports.len() == before {
                reports.push(unresolved);
            }
        }
        reports
    }

    fn select_report(&self, source: &Source, unresolved: &SelectionReport) -> SelectionReport {
        let id = source.id();
        let judgement = self.selection.judgements.get(&id);
        let said = judgement.and_then(|judgement| judgement.said);
        SelectionReport {
            id: Some(id),
            address: address(source),
            configured: configured(source.options()),
            verdict: self.selection.verdict(id),
            effective: judgement.map_or(unresolved.effective, |judgement| judgement.options),
            last_sample_s: said.map(|(_, age_s)| age_s),
            score: self.ranking.score(id),
            low_s: said.map_or(0.0, |(interval, _)| interval.low),
            high_s: said.map_or(0.0, |(interval, _)| interval.high),
            leap: source.series().leap(),
            ..unresolved.clone()
        }
    }

    /// The name that a source was configured by.
    pub(super) fn name_of(&self, id: SourceId) -> Option<&str> {
        self.lines.iter().find(|line| line.members().contains(&id)).and_then(|line| line.name())
    }

    fn report(&self, source: &Source, name: Option<&str>, now: &Now) -> SourceReport {
        let (series, counts) = (source.series(), source.counts());
        let mut report = SourceReport {
            id: Some(source.id()),
            address: address(source),
            clock: source.clock().map(RefClock::id),
            is_peer: source.role() == Role::Peer,
            state: self.selection.verdict(source.id()).state(),
            poll_log2: source.polling().log2(),
            reach: source.reach().register(),
            samples: series.len(),
            span_s: series.span_s(),
            sent: counts.sent,
            accepted: counts.accepted,
            rejected: counts.rejected,
            ..unresolved(name)
        };
        if let (Some(last), Some(line)) = (series.last(), series.line()) {
            report.stratum = last.stratum;
            report.last_sample_s = Some(seconds::of(now.time.since(last.time)));
            report.measured_offset_s = source.measured_offset_s();
            report.adjusted_offset_s = last.offset_s;
            report.error_s = last.distance_s();
            report.runs = line.runs;
            report.frequency_ppm = line.slope * 1e6;
            report.skew_ppm = SKEW_DEVIATIONS * line.slope_deviation * 1e6;
            report.deviation_s = line.noise;
        }
        if let Some(estimate) = series.estimate(now.time) {
            report.offset_s = estimate.offset_s;
        }
        report
    }
}

/// The address of a source; a reference clock has none.
fn address(source: &Source) -> Option<IpAddr> {
    source.clock().is_none().then(|| source.address().ip())
}

/// The part of a source that was not measured, with the options that are configured, those in effect, and whether it
/// is authenticated.
fn unmeasured(
    name: Option<&str>,
    (configured, effective, authenticated): (SelectOptions, SelectOptions, bool),
) -> SelectionReport {
    SelectionReport {
        id: None,
        name: name.map(str::to_owned),
        address: None,
        clock: None,
        verdict: Verdict::NoMeasurement,
        authenticated,
        configured,
        effective,
        last_sample_s: None,
        score: 1.0,
        low_s: 0.0,
        high_s: 0.0,
        leap: LeapIndicator::Unsynchronised,
    }
}

/// A source of which no more is known than its name.
fn unresolved(name: Option<&str>) -> SourceReport {
    SourceReport {
        id: None,
        name: name.map(str::to_owned),
        address: None,
        clock: None,
        is_peer: false,
        state: SourceState::Unusable,
        stratum: 0,
        poll_log2: 0,
        reach: 0,
        last_sample_s: None,
        measured_offset_s: 0.0,
        adjusted_offset_s: 0.0,
        error_s: 0.0,
        samples: 0,
        runs: 0,
        span_s: 0.0,
        frequency_ppm: 0.0,
        skew_ppm: 0.0,
        offset_s: 0.0,
        deviation_s: 0.0,
        sent: 0,
        accepted: 0,
        rejected: 0,
    }
}
