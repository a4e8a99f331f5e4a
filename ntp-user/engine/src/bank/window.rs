//! The latest samples, which are filtered again with every new one: what was learnt of a path since they came
//! makes them worth more, or less.

use std::collections::VecDeque;

use super::mixture::{Mixture, Outcome};
use super::model::Observation;
use crate::seams::SourceId;

/// Samples that are filtered again.
const MOST_RECORDS: usize = 64;

/// A sample, on the raw clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) source: SourceId,
    /// When it was made, seconds.
    pub(super) at_s: f64,
    /// Offset from the raw clock, seconds.
    pub(super) offset_s: f64,
    pub(super) delay_s: f64,
    /// The shortest delay that was known when it came, seconds.
    pub(super) least_delay_s: f64,
    /// Bound of its error against true time, seconds.
    pub(super) bound_s: f64,
    /// Its standard deviation, seconds, where its delay says nothing of it: a reference clock was read.
    pub(super) deviation_s: Option<f64>,
    /// It can't be reconciled with the samples before it.
    pub(super) broke: bool,
}

/// The bank before the first of the latest samples, the samples, and the bank after the last.
#[derive(Clone, Debug)]
pub(super) struct Window {
    before: Mixture,
    records: VecDeque<Record>,
    after: Mixture,
}

/// What filtering comes to.
#[derive(Clone, Debug)]
pub(super) struct Filtered {
    after: Mixture,
    outcomes: Vec<(Record, Outcome)>,
}

impl Filtered {
    /// Logarithm of the density with which all samples were foretold.
    pub(super) fn ln_evidence(&self) -> f64 {
        self.outcomes.iter().map(|(_, outcome)| outcome.ln_evidence).sum()
    }
}

impl Window {
    /// A window without samples.
    pub(super) fn new(mixture: Mixture) -> Self {
        Self { before: mixture.clone(), records: VecDeque::new(), after: mixture }
    }

    /// The bank after the last sample.
    pub(super) fn mixture(&self) -> &Mixture {
        &self.after
    }

    /// The sources of the samples, each once.
    pub(super) fn sources(&self) -> Vec<SourceId> {
        let mut sources: Vec<SourceId> = self.records.iter().map(|record| record.source).collect();
        sources.sort_unstable();
        sources.dedup();
        sources
    }

    /// Takes a sample in its place; `observation` tells what a sample says as is known now. Whether it is not older than all
    /// that are kept.
    pub(super) fn add(
        &mut self,
        record: Record,
        observation: impl Fn(&Record) -> Observation,
    ) -> bool {
        if record.at_s < self.before.at_s() {
            return false;
        }
        let place = self.records.partition_point(|other| other.at_s <= record.at_s);
        self.records.insert(place, record);
        if self.records.len() > MOST_RECORDS
            && let Some(oldest) = self.records.pop_front()
        {
            self.before.step(&observation(&oldest), oldest.at_s);
        }
        true
    }

    /// From now on the offset's variance grows by so much besides, s^2 a second.
    pub(super) fn set_walk(&mut self, walk: f64) {
        self.before.set_walk(walk);
        self.after.set_walk(walk);
    }

    /// Samples of a source.
    pub(super) fn count(&self, source: SourceId) -> usize {
        self.records.iter().filter(|record| record.source == source).count()
    }

    /// Filters all samples again: the bank after the last, and what became of each.
    pub(super) fn filter(&self, observation: impl Fn(&Record) -> Observation) -> Filtered {
        let mut after = self.before.clone();
        let became = |record: &Record| (*record, after.step(&observation(record), record.at_s));
        let outcomes = self.records.iter().map(became).collect();
        Filtered { after, outcomes }
    }

    /// Goes by what was filtered.
    pub(super) fn settle(&mut self, filtered: Filtered) -> Vec<(Record, Outcome)> {
        self.after = filtered.after;
        filtered.outcomes
    }

    /// Lets go of the samples: the bank goes on from where it is, made uncertain as [`Mixture::doubt`] does.
    pub(super) fn doubt(&mut self, bias: Option<usize>, away_s: f64, rate: f64) {
        self.after.doubt(bias, away_s, rate);
        self.before.clone_from(&self.after);
        self.records.clear();
    }

    /// Moves everything by `by_s`: the raw clock was stepped.
    pub(super) fn shift(&mut self, by_s: f64) {
        self.before.shift(by_s);
        self.after.shift(by_s);
        for record in &mut self.records {
            record.offset_s += by_s;
        }
    }

    /// Forgets the samples of a source and its bias.
    pub(super) fn forget(&mut self, source: SourceId, bias: usize) {
        self.records.retain(|record| record.source != source);
        self.before.forget_bias(bias);
        self.after.forget_bias(bias);
    }
}
