//! The first correction, as `initstepslew` wants it: hosts of its own are asked, the clock is stepped or slewed after
//! them, and only then the configured sources are asked. Invariant: until then there is no time to be had.

use ntp_common::time::MonoNs;
use rand::Rng;

use super::{Engine, WAIT_S};
use crate::conf::{Host, InitStepSlew, Source as Line, SourceKind, SourceOptions};
use crate::names::ConfiguredLine;
use crate::seams::{Action, Now};
use crate::seconds;
use crate::settings::EngineConfig;

/// Time after which the hosts have had their chance, seconds: bursts of eight requests every two seconds, and some
/// for the resolver.
const PATIENCE_S: f64 = 20.0;

/// The first correction while it is being prepared.
#[derive(Clone, Debug)]
pub(super) struct Initial {
    rule: InitStepSlew,
    gives_up: MonoNs,
}

impl Initial {
    /// The first correction, if one is wanted.
    pub(super) fn wanted(config: &EngineConfig, now: &Now) -> Option<Self> {
        let rule = config.initial.clone()?;
        Some(Self { rule, gives_up: seconds::after(now.mono, PATIENCE_S) })
    }

    /// Whom to ask; `configured` are the usual sources.
    pub(super) fn lines(&self, configured: &[Line]) -> Vec<Line> {
        let line = |host: &Host| Line {
            kind: SourceKind::Server,
            host: host.clone(),
            options: SourceOptions { iburst: true, ..SourceOptions::default() },
        };
        if self.has_hosts() {
            self.rule.hosts.iter().map(line).collect()
        } else {
            configured.to_vec()
        }
    }

    /// Whether hosts of its own are asked.
    fn has_hosts(&self) -> bool {
        !self.rule.hosts.is_empty()
    }
}

impl<R: Rng> Engine<R> {
    /// Makes the first correction, if one is still to be made and what was measured is enough, or gives it up. Gives
    /// whether it was still to be made.
    pub(super) fn correct_initially(&mut self, now: &Now, actions: &mut Vec<Action>) -> bool {
        let Some(initial) = &self.initial else { return false };
        let patient = now.mono < initial.gives_up;
        // Whoever has answered once is heard out.
        let is_answering = self
            .sources
            .values()
            .any(|source| source.polling().is_in_burst() && source.series().last().is_some());
        let waits = self.selection.chosen.is_err()
            || is_answering
            || self.wait_until > now.mono && self.unheard() > 0;
        if patient && waits {
            return true;
        }
        let rule = initial.rule.clone();
        let estimate = self.bank.estimate(now.time).filter(|_| self.selection.chosen.is_ok());
        if let Some(estimate) = estimate {
            let offset_s = estimate.offset_s;
            tracing::info!(offset_s, "Initial offset of the clock is {offset_s:.6} seconds");
            let orders = self.discipline.correct_initially(offset_s, rule.threshold_s, now);
            self.end_initial(now, actions);
            if let Some(step) = orders.step {
                self.withdraw(actions);
                actions.push(Action::Step(step));
            }
            actions.push(Action::SetFrequency(orders.frequency));
        } else {
            tracing::warn!("Initial offset of the clock could not be measured");
            self.end_initial(now, actions);
        }
        true
    }

    /// Goes on with the configured sources, without a first correction if there was none yet.
    pub(super) fn end_initial(&mut self, now: &Now, actions: &mut Vec<Action>) {
        let Some(initial) = self.initial.take() else { return };
        if !initial.has_hosts() {
            return;
        }
        while !self.lines.is_empty() {
            self.drop_line(self.lines.len() - 1, actions);
        }
        self.bank.restart(self.discipline.known_frequency(now.time));
        self.wait_until = seconds::after(now.mono, WAIT_S);
        self.ranking.forget();
        self.lines = configured_lines(&self.config.sources, self.config.refresh_s, now);
        self.add_addresses(now);
        self.ask_names(now, actions);
        self.reselect(now, actions);
    }
}

/// Lines that have no sources yet.
pub(super) fn configured_lines(lines: &[Line], refresh_s: u32, now: &Now) -> Vec<ConfiguredLine> {
    lines.iter().map(|line| ConfiguredLine::new(line.clone(), refresh_s, now.mono)).collect()
}
