//! Names and addresses become sources, and sources that are of no use give way to others of their name.

use std::net::IpAddr;

use rand::Rng;

use super::{Engine, first_delay_s};
use crate::conf::Host;
use crate::seams::{Action, Now, SourceId};
use crate::source::{REACH_POLLS, Source};

impl<R: Rng> Engine<R> {
    /// Makes sources of the lines that give an address.
    pub(super) fn add_addresses(&mut self, now: &Now) {
        for index in 0..self.lines.len() {
            if let Host::Address(address) = self.lines[index].line().host {
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
        let sources = &self.sources;
        for line in &mut self.lines {
            if line.members().iter().any(|id| sources.get(id).is_some_and(is_useless)) {
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
        for &address in addresses {
            let used = self.sources.values().any(|source| source.address().ip() == address);
            if used || !self.lines[index].accepts(address) {
                continue;
            }
            if self.lines[index].members().len() < self.lines[index].capacity() {
                self.add_source(index, address, now);
            } else if let Some(id) = self.replaceable_member(index, addresses) {
                self.replace_source(index, id, address, now, actions);
            }
        }
        let mut members = self.lines[index].members().iter();
        let useless = members.any(|id| self.sources.get(id).is_some_and(is_useless));
        let enough = !self.lines[index].members().is_empty() && !useless;
        self.lines[index].answered(enough, now.mono);
    }

    /// A source of a line that would better be another one; when its addresses are refreshed, one that is no
    /// longer among them, too.
    fn replaceable_member(&self, index: usize, addresses: &[IpAddr]) -> Option<SourceId> {
        let refreshing = self.lines[index].is_refreshing();
        let is_replaceable = |source: &Source| {
            is_useless(source) || refreshing && !addresses.contains(&source.address().ip())
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
        let (old_address, name) =
            (old.address().ip(), self.lines[index].name().unwrap_or_default());
        tracing::info!(source = %address, "Source {old_address} replaced with {address} ({name})");
        self.lines[index].remove(id, old.is_refused().then_some(old_address));
        actions.push(Action::Close { source: id });
        self.bank.forget(id);
        self.add_source(index, address, now);
    }

    pub(super) fn add_source(&mut self, index: usize, address: IpAddr, now: &Now) {
        let id = SourceId(self.next_source);
        self.next_source += 1;
        let options = self.lines[index].line().options.clone();
        let known = self.discipline.known_frequency(now.time);
        let mut source = Source::new(id, address, options, known, self.precision_s);
        source.start(now.mono, first_delay_s(&mut self.rng), self.lines[index].is_online());
        self.sources.insert(id, source);
        self.lines[index].add(id);
    }
}

/// Whether a source would better be another one.
fn is_useless(source: &Source) -> bool {
    source.is_refused() || !source.reach().is_reachable() && source.reach().missed() > REACH_POLLS
}
