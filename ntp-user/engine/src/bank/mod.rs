//! The estimator: a bank of filters that follow the true time and the rate of our clock through the samples of all
//! sources that are followed. docs/DISCIPLINE.md derives it.
//!
//! Invariant: everything in here is told on the raw clock, which runs as ours would without corrections, so that
//! steering changes nothing that was learnt.

mod doubt;
mod likelihood;
mod mixture;
mod model;
mod pace;
mod path;
mod pending;
mod raw;
mod straying;
mod tilt;
mod truncated;
mod window;

use std::collections::BTreeMap;

use ntp_common::time::NtpTimestamp;

use crate::estimate::{Estimate, KnownFrequency, error_growth};
use crate::sample::{ClockChange, Sample};
use crate::seams::SourceId;
use crate::seconds;
use likelihood::observation;
use mixture::{Mixture, Outcome};
use model::{BIASES, Observation};
pub(crate) use path::KnownPath;
use path::Path;
use pending::Pending;
use raw::RawClock;
use window::{Record, Window};

/// Probability above which a sample is no outlier.
const LIKELY: f64 = 0.5;
/// Deviations by which a sample that can't be explained says that the clock goes its own way.
const SURPRISING: f64 = 4.0;
/// Falsetickers are asked as rarely as possible from this many samples on.
const REJECTIONS: u32 = 4;

/// The estimator.
#[derive(Clone, Debug)]
pub(crate) struct Bank {
    raw: RawClock,
    known: KnownFrequency,
    precision_s: f64,
    paths: BTreeMap<SourceId, Path>,
    known_paths: BTreeMap<SourceId, KnownPath>,
    /// Samples of sources that are not used yet.
    pending: BTreeMap<SourceId, Pending>,
    /// The source whose bias each state of the models is.
    biases: [Option<SourceId>; BIASES],
    /// Nothing before the first sample.
    window: Option<Window>,
    /// Samples that were no outliers.
    good: usize,
    /// Since when the clock has been as was expected, on the raw clock.
    calm_since_s: f64,
    /// When the time was last in doubt, on the raw clock.
    doubted_s: f64,
}

impl Bank {
    /// A bank that has seen nothing. `in_force` is the clock's correction at `time`; `precision_s` is the
    /// least error of a sample.
    pub(crate) fn new(
        known: KnownFrequency,
        precision_s: f64,
        time: NtpTimestamp,
        in_force: f64,
    ) -> Self {
        Self {
            raw: RawClock::new(time, in_force),
            known,
            precision_s,
            paths: BTreeMap::new(),
            known_paths: BTreeMap::new(),
            pending: BTreeMap::new(),
            biases: [None; BIASES],
            window: None,
            good: 0,
            calm_since_s: 0.0,
            doubted_s: f64::NEG_INFINITY,
        }
    }

    /// Forgets all samples: they are about a clock that is no more. What delays say of paths is kept.
    pub(crate) fn restart(&mut self, known: KnownFrequency) {
        self.known = known;
        self.pending.clear();
        self.biases = [None; BIASES];
        self.window = None;
        self.good = 0;
    }

    /// Takes note of how fast the bound of an error grows while nothing is measured, seconds a second, besides what the
    /// frequency's error makes of it.
    pub(crate) fn set_unseen(&mut self, unseen: f64) {
        self.known.unseen = unseen;
    }

    /// Forgets a source.
    pub(crate) fn forget(&mut self, source: SourceId) {
        self.paths.remove(&source);
        self.known_paths.remove(&source);
        self.pending.remove(&source);
        self.free_biases(source);
    }

    /// The clock was changed, by us; `in_force` is its correction now.
    pub(crate) fn clock_changed(&mut self, change: &ClockChange, in_force: f64) {
        self.raw.change(change, in_force);
        self.known.at = self.known.at + seconds::duration(change.moved_s(self.known.at));
        if change.step_s != 0.0 {
            self.leap_by(-change.step_s);
        }
    }

    /// True time leaps by `by_s` away from our clock.
    pub(crate) fn leap_by(&mut self, by_s: f64) {
        for pending in self.pending.values_mut() {
            let records = pending.history.iter_mut().chain(&mut pending.last);
            records.for_each(|record| record.offset_s += by_s);
        }
        if let Some(window) = &mut self.window {
            window.shift(by_s);
        }
    }

    /// Takes note of what is known of the path to a source beforehand.
    pub(crate) fn know(&mut self, source: SourceId, known: KnownPath) {
        if known == KnownPath::default() {
            self.known_paths.remove(&source);
        } else {
            self.known_paths.insert(source, known);
        }
    }

    /// What is known of the path to a source beforehand.
    #[cfg(test)]
    pub(crate) fn known_path(&self, source: SourceId) -> KnownPath {
        self.known_paths.get(&source).copied().unwrap_or_default()
    }

    /// Takes note of a sample. `broke` says that it can't be reconciled with those before.
    pub(crate) fn measured(&mut self, source: SourceId, sample: &Sample, broke: bool) {
        let record = self.record(source, sample, None, broke);
        self.pending.entry(source).or_default().last = Some(record);
    }

    /// Takes note of a sample from before the start, of a source that is yet to be asked.
    pub(crate) fn remember(&mut self, source: SourceId, sample: &Sample) {
        let record = self.record(source, sample, None, false);
        self.pending.entry(source).or_default().history.push(record);
    }

    /// The same of a sample whose delay says nothing of its error: it has this standard deviation, seconds.
    pub(crate) fn measured_directly(
        &mut self,
        source: SourceId,
        sample: &Sample,
        deviation_s: f64,
        broke: bool,
    ) {
        let record = self.record(source, sample, Some(deviation_s), broke);
        self.pending.entry(source).or_default().last = Some(record);
    }

    fn record(
        &mut self,
        source: SourceId,
        sample: &Sample,
        deviation_s: Option<f64>,
        broke: bool,
    ) -> Record {
        let at_s = self.raw.position_s(sample.time);
        let path = self.paths.entry(source).or_insert_with(|| Path::new(self.precision_s));
        path.know(self.known_paths.get(&source).copied().unwrap_or_default());
        path.add(sample.delay_s, at_s);
        Record {
            source,
            at_s,
            offset_s: sample.offset_s + self.raw.correction_s(sample.time),
            delay_s: sample.delay_s,
            least_delay_s: path.least_s(),
            bound_s: sample.distance_s(),
            deviation_s,
            broke,
        }
    }

    /// Uses what was measured of the sources that are followed and not used yet.
    pub(crate) fn take(&mut self, chosen: &[SourceId]) {
        let taken = chosen.iter().filter_map(|source| self.pending.remove(source));
        let mut records: Vec<Record> =
            taken.flat_map(|pending| pending.records().collect::<Vec<_>>()).collect();
        records.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        for record in records {
            self.use_record(record);
        }
    }

    /// What the last selection said of a source that has a new sample. What a falseticker said before the start is
    /// forgotten: when it comes to agree one day, that is of another time.
    pub(crate) fn judged(&mut self, source: SourceId, falseticker: bool) {
        if let Some(pending) = self.pending.get_mut(&source).filter(|_| falseticker) {
            pending.history.clear();
        }
        if let Some(path) = self.paths.get_mut(&source) {
            path.rejections = if falseticker { path.rejections.saturating_add(1) } else { 0 };
        }
    }

    fn use_record(&mut self, record: Record) {
        let first = self.window.is_none();
        if first {
            self.begin(&record);
        }
        self.assign_biases(record.source);
        let seen = self.observation(&record);
        if !first {
            self.notice_surprise(&record, &seen);
            if record.broke {
                self.doubt(&record, &seen);
            }
        }
        let outcomes = self.step(record);
        if let Some((_, outcome)) = outcomes.iter().find(|(other, _)| *other == record) {
            self.judge(&record, &seen, *outcome);
        }
        self.learn_directions(&outcomes);
    }

    fn begin(&mut self, record: &Record) {
        let time_s = seconds::of(self.raw.time_at(record.at_s).since(self.known.at)).max(0.0);
        let mixture = Mixture::new(
            record.at_s,
            record.offset_s,
            record.delay_s,
            self.known.correction,
            self.known.variance_after(time_s),
        );
        self.window = Some(Window::new(mixture));
        self.calm_since_s = record.at_s;
    }

    /// With more than one source, what they differ by for long is estimated with the time. A source that was alone
    /// until now gets a bias with the second one: else the difference would be the time's.
    fn assign_biases(&mut self, source: SourceId) {
        if self.paths.len() < 2 {
            return;
        }
        let alone = self.biases.iter().all(Option::is_none);
        let others = self.window.as_ref().filter(|_| alone).map_or_else(Vec::new, Window::sources);
        for other in others {
            self.assign_bias(other);
        }
        self.assign_bias(source);
    }

    fn assign_bias(&mut self, source: SourceId) {
        if self.biases.contains(&Some(source)) {
            return;
        }
        let free = self.biases.iter().position(Option::is_none);
        let stale = || {
            let age = |slot: &usize| {
                let source = self.biases[*slot];
                source.and_then(|id| self.paths.get(&id)).map_or(0.0, Path::last_s)
            };
            (0..BIASES).min_by(|a, b| age(a).total_cmp(&age(b)))
        };
        let Some(slot) = free.or_else(stale) else { return };
        if let Some(other) = self.biases[slot] {
            self.free_biases(other);
        }
        self.biases[slot] = Some(source);
    }

    fn free_biases(&mut self, source: SourceId) {
        for slot in 0..BIASES {
            if self.biases[slot] == Some(source) {
                self.biases[slot] = None;
                if let Some(window) = &mut self.window {
                    window.forget(source, slot);
                }
            }
        }
    }

    fn observation(&self, record: &Record) -> Observation {
        let bias = self.biases.iter().position(|slot| *slot == Some(record.source));
        observation(record, self.paths.get(&record.source), bias, self.precision_s)
    }

    fn step(&mut self, record: Record) -> Vec<(Record, Outcome)> {
        let Some(mut window) = self.window.take() else { return Vec::new() };
        window.set_walk(self.walk());
        let outcomes = if window.add(record, |record| self.observation(record)) {
            let filtered = self.filter(&mut window, &record);
            window.settle(filtered)
        } else {
            Vec::new()
        };
        self.window = Some(window);
        outcomes
    }

    /// Learns anew from all samples in the window which direction packets wait in.
    fn learn_directions(&mut self, outcomes: &[(Record, Outcome)]) {
        let learnt: Vec<(SourceId, f64, f64)> = outcomes
            .iter()
            .filter(|(_, outcome)| outcome.inlier > LIKELY)
            .map(|(record, outcome)| {
                (record.source, self.observation(record).half_width_s, outcome.error_s)
            })
            .collect();
        for path in self.paths.values_mut() {
            path.forget_direction();
        }
        for (source, half_width_s, error_s) in learnt {
            if let Some(path) = self.paths.get_mut(&source) {
                path.learn_direction(half_width_s, error_s);
            }
        }
    }

    /// A sample that neither its delay nor the uncertainty of the estimate explains: clocks that were calm
    /// no longer are, and are looked at more often for a while.
    fn notice_surprise(&mut self, record: &Record, seen: &Observation) {
        let Some(window) = &self.window else { return };
        let expected = window.mixture().expected(seen, record.at_s);
        let beyond_s = (seen.offset_s - expected.mean).abs() - seen.half_width_s;
        let deviation_s = (expected.variance + seen.softness_s.powi(2)).sqrt();
        let known = self.paths.get(&record.source).is_some_and(Path::is_well_known);
        if known && beyond_s > SURPRISING * deviation_s {
            self.calm_since_s = self.calm_since_s.max(record.at_s - pace::CALM_S);
        }
    }

    /// What is known of our clock at `time`; nothing before the first sample.
    pub(crate) fn estimate(&self, time: NtpTimestamp) -> Option<Estimate> {
        let state = self.window.as_ref()?.mixture().at(self.raw.position_s(time));
        let rate = 1.0 + self.raw.in_force();
        Some(Estimate {
            offset_s: state.offset_s - self.raw.correction_s(time),
            offset_deviation_s: state.offset_variance.sqrt(),
            slope: (1.0 + state.rate) / rate - 1.0,
            slope_deviation: state.rate_variance.sqrt() / rate,
        })
    }

    /// Bound of the growth of an estimate's error, seconds a second, where `skew` bounds the frequency's.
    pub(crate) fn error_growth(&self, skew: f64) -> f64 {
        error_growth(self.known.unseen, skew, self.good)
    }

    /// Seconds after which it is worth to ask a source again that answers a share `reach` of requests: as
    /// long as can be when infinite.
    pub(crate) fn interval_s(&self, source: SourceId, reach: f64) -> f64 {
        let (Some(window), Some(path)) = (&self.window, self.paths.get(&source)) else {
            return 0.0;
        };
        if path.rejections >= REJECTIONS {
            return f64::INFINITY;
        }
        let mixture = window.mixture();
        let calm_s = mixture.at_s() - self.calm_since_s;
        pace::interval_s(path.noise_variance(), mixture.wander(), calm_s, reach)
    }
}
