//! Goes over to another configuration while running. Invariant: a source that is in both keeps its samples, and
//! nothing that is served changes but by what the new configuration says.

use rand::Rng;

use super::Engine;
use crate::conf::{Host, Source as Line};
use crate::names::ConfiguredLine;
use crate::operation::OperationError;
use crate::seams::{Action, Now};
use crate::settings::EngineConfig;

impl<R: Rng> Engine<R> {
    /// Goes over to `config`. Sources that it does not name are given up, those added by operators, too; new ones
    /// are asked at once; those whose options alone are others keep their samples. Precision stays as it is.
    pub fn reconfigure(&mut self, config: EngineConfig, now: Now) -> Vec<Action> {
        let mut actions = Vec::new();
        self.end_initial(&now, &mut actions);
        let mut wanted = config.sources.clone();
        for index in (0..self.lines.len()).rev() {
            match wanted.iter().position(|line| line.is_same_source(self.lines[index].line())) {
                Some(at) => self.change_line(index, &wanted.remove(at), &now),
                None => self.drop_line(index, &mut actions),
            }
        }
        if config.manual != self.config.manual {
            self.manual.enable(config.manual);
        }
        let precision_log2 = self.config.precision_log2;
        self.change_clocks(&config.refclocks);
        self.config = EngineConfig { precision_log2, ..config };
        self.add_clocks(&now);
        for line in wanted {
            let host = line.host.clone();
            self.lines.push(ConfiguredLine::new(line, self.config.refresh_s, now.mono));
            if let Host::Address(address) = host {
                self.add_source(self.lines.len() - 1, address, &now);
            }
        }
        self.ask_names(&now, &mut actions);
        self.discipline.reconfigure(&self.config);
        self.reference.set_local(self.config.local);
        self.reselect(&now, &mut actions);
        self.set_status(&now, &mut actions);
        self.publish(&now, &mut actions);
        actions
    }

    /// Gives up the sources of a line, or has them asked as another line about the same ones says.
    pub(super) fn replace_line(
        &mut self,
        line: &Line,
        by: Option<&Line>,
        now: &Now,
        actions: &mut Vec<Action>,
    ) -> Result<(), OperationError> {
        let is_meant = |known: &Line| known.is_same_source(line);
        let index = self.lines.iter().rposition(|known| is_meant(known.line()));
        let index = index.ok_or(OperationError::NoSuchSource)?;
        let configured = self.config.sources.iter().rposition(is_meant);
        if let Some(line) = by {
            self.change_line(index, line, now);
        } else {
            self.drop_line(index, actions);
        }
        match (configured, by) {
            (Some(at), Some(line)) => self.config.sources[at].clone_from(line),
            (Some(at), None) => drop(self.config.sources.remove(at)),
            (None, _) => {}
        }
        self.reselect(now, actions);
        self.publish(now, actions);
        Ok(())
    }

    fn change_line(&mut self, index: usize, line: &Line, now: &Now) {
        if self.lines[index].line() == line {
            return;
        }
        self.lines[index].set_options(line.options.clone(), now.mono);
        for id in self.lines[index].members() {
            if let Some(source) = self.sources.get_mut(id) {
                source.configure(line.options.clone(), &mut self.rng);
            }
        }
    }

    pub(super) fn drop_line(&mut self, index: usize, actions: &mut Vec<Action>) {
        for &source in self.lines.remove(index).members() {
            self.sources.remove(&source);
            self.bank.forget(source);
            actions.push(Action::Close { source });
        }
    }
}
