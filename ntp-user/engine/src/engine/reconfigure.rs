//! Goes over to another configuration while running. Invariant: a source that is in both keeps its samples, and
//! nothing that is served changes but by what the new configuration says.

use rand::Rng;

use super::Engine;
use crate::conf::{Host, Source as Line};
use crate::names::ConfiguredLine;
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
            match wanted.iter().position(|line| is_same(line, self.lines[index].line())) {
                Some(at) => self.change_line(index, &wanted.remove(at), &now),
                None => self.drop_line(index, &mut actions),
            }
        }
        if config.manual != self.config.manual {
            self.manual.enable(config.manual);
        }
        let precision_log2 = self.config.precision_log2;
        self.config = EngineConfig { precision_log2, ..config };
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

/// Whether two lines are about the same sources, however they are asked.
fn is_same(one: &Line, other: &Line) -> bool {
    let (a, b) = (&one.options, &other.options);
    one.kind == other.kind
        && one.host == other.host
        && (a.port, a.family, a.offline) == (b.port, b.family, b.offline)
}
