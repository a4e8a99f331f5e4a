//! Names and addresses become sources, and sources that are of no use give way to others of their name.

use std::net::IpAddr;

use rand::Rng;

use super::reconfigure::options_of;
use super::{Engine, first_delay_s};
use crate::conf::Host;
use crate::seams::{Action, Now, SourceId};
use crate::seconds;
use crate::source::{REACH_POLLS, Source};

/// Least time between two replacements of sources that are reachable, but wrong, seconds.
const WRONG_REPLACED_INTERVAL_S: f64 = 1800.0;

impl<R: Rng> Engine<R> {
    /// Makes sources of the lines that give an address.
    pub(super) fn add_addresses(&mut self, now: &Now) {
        for index in 0..self.lines.len() {
            let Host::Address(address) = self.lines[index].line().host else { continue };
            if self.servers().any(|source| source.address().ip() == address) {
                tracing::warn!(source = %address, "Source {address} is configured twice");
            } else {
                self.add_source(index, address, now);
            }
        }
    }

    /// Asks for the names that it is time to ask for.
    pub(super) fn ask_names(&mut self, now: &Now, actions: &mut Vec<Action>) {
        for line in &mut self.lines {
            actions.extend(line.ask(now.mono).map(|name| Action::Resolve { name }));
        }
    }

    /// Has names resolved again of which a source is of no use.
    pub(super) fn look_for_others(&mut self, now: &Now) {
        let wrong = self.may_replace_wrong(now);
        let sources = &self.sources;
        let would_be_another = |source: &Source| is_useless(source) || wrong && source.is_wrong();
        for line in &mut self.lines {
            if line.members().iter().any(|id| sources.get(id).is_some_and(would_be_another)) {
                line.want_others(now.mono);
            }
        }
    }

    /// Takes the addresses of a name.
    pub(super) fn on_resolved(
        &mut self,
        name: &str,
        addresses: &[IpAddr],
        now: &Now,
        actions: &mut Vec<Action>,
    ) {
        if addresses.is_empty() {
            tracing::info!(name, "Could not resolve {name}");
        }
        for index in 0..self.lines.len() {
            if self.lines[index].name() == Some(name) && self.lines[index].is_asked() {
                self.use_addresses(index, addresses, now, actions);
            }
        }
    }

    fn use_addresses(
        &mut self,
        index: usize,
        addresses: &[IpAddr],
        now: &Now,
        actions: &mut Vec<Action>,
    ) {
        for address in self.lines[index].in_order(addresses) {
            let used = self.servers().any(|source| source.address().ip() == address);
            if used || !self.lines[index].accepts(address) {
                continue;
            }
            if self.lines[index].members().len() < self.lines[index].capacity() {
                self.add_source(index, address, now);
            } else if let Some(id) = self.replaceable_member(index, addresses, now) {
                self.replace_source(index, id, address, now, actions);
            }
        }
        let line = &self.lines[index];
        let mut members = line.members().iter();
        let useless = members.any(|id| self.sources.get(id).is_some_and(is_useless));
        let enough = line.members().len() == line.capacity() && !useless;
        self.lines[index].answered(enough, now.mono);
    }

    /// Whether a source that is wrong may give way to another one: most of the time it is not the source that is
    /// to blame.
    fn may_replace_wrong(&self, now: &Now) -> bool {
        self.wrong_replaced
            .is_none_or(|at| seconds::between(at, now.mono) >= WRONG_REPLACED_INTERVAL_S)
    }

    /// A source of a line that would better be another one; when its addresses are refreshed, one that is no
    /// longer among them, too.
    fn replaceable_member(
        &self,
        index: usize,
        addresses: &[IpAddr],
        now: &Now,
    ) -> Option<SourceId> {
        let refreshing = self.lines[index].is_refreshing();
        let wrong = self.may_replace_wrong(now);
        let is_replaceable = |source: &Source| {
            is_useless(source)
                || wrong && source.is_wrong()
                || refreshing && !addresses.contains(&source.address().ip())
        };
        let mut members = self.lines[index].members().iter().copied();
        members.find(|id| self.sources.get(id).is_some_and(is_replaceable))
    }

    fn replace_source(
        &mut self,
        index: usize,
        id: SourceId,
        address: IpAddr,
        now: &Now,
        actions: &mut Vec<Action>,
    ) {
        let Some(old) = self.sources.remove(&id) else { return };
        if old.is_wrong() {
            self.wrong_replaced = Some(now.mono);
        }
        let (old_address, name) =
            (old.address().ip(), self.lines[index].name().unwrap_or_default());
        tracing::info!(source = %address, "Source {old_address} replaced with {address} ({name})");
        self.lines[index].remove(id);
        self.lines[index].leave(old_address, old.is_refused());
        actions.push(Action::Close { source: id });
        self.bank.forget(id);
        self.add_source(index, address, now);
    }

    pub(super) fn add_source(&mut self, index: usize, address: IpAddr, now: &Now) {
        let id = SourceId(self.next_source);
        self.next_source += 1;
        let line = self.lines[index].line();
        let manner = (line.kind, options_of(line, &self.config));
        let known = self.discipline.known_frequency(now.time);
        let mut source = Source::new(id, address, manner, known, self.precision_s);
        source.start(now.mono, first_delay_s(&mut self.rng), self.lines[index].is_online());
        self.bank.know(id, source.known_path());
        self.sources.insert(id, source);
        self.lines[index].add(id);
        self.recall(id, address);
    }
}

/// Whether a source would better be another one.
fn is_useless(source: &Source) -> bool {
    source.is_refused() || !source.reach().is_reachable() && source.reach().missed() > REACH_POLLS
}
