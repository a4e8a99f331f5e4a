//! Carries out what an operator wants done: sources go online and offline, send bursts, get other options, come
//! and go.

use std::net::{IpAddr, SocketAddr};

use rand::Rng;

use super::{Engine, first_delay_s};
use crate::conf::{Host, Source as Line, SourceKind};
use crate::names::ConfiguredLine;
use crate::operation::{Activity, Change, MOST_LINES, Named, Operation, OperationError, Selector};
use crate::seams::{Action, Now, SourceId};
use crate::source::Source;

impl<R: Rng> Engine<R> {
    /// Carries out an operation; `is_routed` tells whether there is a route to a source. The actions are to be
    /// carried out in any case.
    ///
    /// # Errors
    /// [`OperationError`], with nothing changed.
    pub fn operate(
        &mut self,
        operation: &Operation,
        is_routed: &dyn Fn(SocketAddr) -> bool,
        now: Now,
    ) -> (Result<(), OperationError>, Vec<Action>) {
        let mut actions = Vec::new();
        let outcome = self.carry_out(operation, is_routed, &now, &mut actions);
        (outcome, actions)
    }

    fn carry_out(
        &mut self,
        operation: &Operation,
        is_routed: &dyn Fn(SocketAddr) -> bool,
        now: &Now,
        actions: &mut Vec<Action>,
    ) -> Result<(), OperationError> {
        match *operation {
            Operation::Online(sources) => {
                self.connect_names(sources, true);
                self.connect(sources, &|_| true, now, actions)
            }
            Operation::Offline(sources) => {
                self.connect_names(sources, false);
                self.connect(sources, &|_| false, now, actions)
            }
            // A name that can be resolved shows that there is a network.
            Operation::OnlineIfRouted(sources) => {
                self.connect_names(sources, true);
                self.connect(sources, is_routed, now, actions)
            }
            Operation::Burst { sources, good, total } => self.burst(sources, good, total, now),
            Operation::Change { source, change } => self.change(source, change, now, actions),
            Operation::Add(ref line) => self.add_line(line, now, actions),
            Operation::Delete(address) => self.delete(address, now, actions),
            Operation::ResetSources => {
                self.forget_measurements(now, actions);
                Ok(())
            }
            Operation::ReplaceLine { ref line, ref by } => {
                self.replace_line(line, by.as_deref(), now, actions)
            }
            Operation::Refresh => {
                self.lines.iter_mut().for_each(|line| line.refresh(now.mono));
                self.ask_names(now, actions);
                Ok(())
            }
        }
    }

    /// How many sources do what.
    #[must_use]
    pub fn activity(&self) -> Activity {
        let mut activity = Activity::default();
        for source in self.sources.values().filter(|source| source.clock().is_none()) {
            let polling = source.polling();
            *match (polling.is_online(), polling.is_in_burst()) {
                (true, false) => &mut activity.online,
                (false, false) => &mut activity.offline,
                (true, true) => &mut activity.burst_online,
                (false, true) => &mut activity.burst_offline,
            } += 1;
        }
        let missing = self.lines.iter().map(|line| line.capacity() - line.members().len());
        activity.unresolved = u32::try_from(missing.sum::<usize>()).unwrap_or(u32::MAX);
        activity
    }

    /// Has sources that names will be resolved to begin `online` or not.
    fn connect_names(&mut self, selected: Selector, online: bool) {
        if selected == Selector::All {
            self.lines.iter_mut().for_each(|line| line.set_online(online));
        }
    }

    fn connect(
        &mut self,
        selected: Selector,
        online: &dyn Fn(SocketAddr) -> bool,
        now: &Now,
        actions: &mut Vec<Action>,
    ) -> Result<(), OperationError> {
        let mut found = selected == Selector::All;
        for source in self.sources.values_mut().filter(|source| source.clock().is_none()) {
            let address = source.address();
            if !selected.includes(address.ip()) {
                continue;
            }
            found = true;
            if online(address) {
                if source.go_online(now.mono, first_delay_s(&mut self.rng)) {
                    log_connection(source);
                }
            } else if source.go_offline() {
                log_connection(source);
                close_idle(source, actions);
            }
        }
        found.then_some(()).ok_or(OperationError::NoSuchSource)
    }

    fn burst(
        &mut self,
        selected: Selector,
        good: u8,
        total: u8,
        now: &Now,
    ) -> Result<(), OperationError> {
        if good == 0 || total == 0 {
            return Err(OperationError::OutOfRange);
        }
        let mut found = false;
        for source in self.sources.values_mut().filter(|source| source.clock().is_none()) {
            if selected.includes(source.address().ip()) {
                found = true;
                source.burst(now.mono, first_delay_s(&mut self.rng), good, total);
            }
        }
        found.then_some(()).ok_or(OperationError::NoSuchSource)
    }

    fn change(
        &mut self,
        named: Named,
        change: Change,
        now: &Now,
        actions: &mut Vec<Action>,
    ) -> Result<(), OperationError> {
        let is_selection = matches!(change, Change::Selection { .. });
        let is_it = |source: &&mut Source| source.named() == named;
        let source = self.sources.values_mut().find(is_it).ok_or(OperationError::NoSuchSource)?;
        let mut options = source.options().clone();
        let said = change.apply(&mut options).ok_or(OperationError::OutOfRange)?;
        match source.clock_mut() {
            Some(clock) if matches!(change, Change::Offset(_)) => {
                clock.set_offset(options.offset_s);
            }
            Some(_) if !is_selection => return Err(OperationError::NoSuchSource),
            Some(_) | None => source.configure(options, &mut self.rng),
        }
        tracing::info!(source = %named, "Source {named} new {said}");
        if is_selection {
            self.reselect(now, actions);
        }
        Ok(())
    }

    fn add_line(
        &mut self,
        line: &Line,
        now: &Now,
        actions: &mut Vec<Action>,
    ) -> Result<(), OperationError> {
        if self.lines.len() >= MOST_LINES {
            return Err(OperationError::TooMany);
        }
        if line.options.nts {
            return Err(OperationError::Unsupported);
        }
        if let Host::Address(address) = line.host
            && self.source_at(address).is_ok()
        {
            return Err(OperationError::AlreadyPresent);
        }
        self.config.sources.push(line.clone());
        self.lines.push(ConfiguredLine::new(line.clone(), self.config.refresh_s, now.mono));
        match line.host {
            Host::Address(address) => self.add_source(self.lines.len() - 1, address, now),
            Host::Name(_) => self.ask_names(now, actions),
        }
        Ok(())
    }

    fn delete(
        &mut self,
        address: IpAddr,
        now: &Now,
        actions: &mut Vec<Action>,
    ) -> Result<(), OperationError> {
        let id = self.source_at(address)?;
        self.sources.remove(&id);
        self.bank.forget(id);
        actions.push(Action::Close { source: id });
        if let Some(index) = self.lines.iter().position(|line| line.members().contains(&id)) {
            self.lines[index].remove(id);
            if self.lines[index].line().kind == SourceKind::Pool && self.lines[index].capacity() > 1
            {
                self.lines[index].shrink();
            } else {
                let line = self.lines.remove(index);
                if let Some(at) = self.config.sources.iter().position(|other| other == line.line())
                {
                    self.config.sources.remove(at);
                }
            }
        }
        self.reselect(now, actions);
        Ok(())
    }

    /// A request could not be sent.
    pub(super) fn on_send_failed(&mut self, id: SourceId) {
        if let Some(source) = self.sources.get_mut(&id)
            && source.send_failed()
        {
            log_connection(source);
        }
    }

    fn source_at(&self, address: IpAddr) -> Result<SourceId, OperationError> {
        let at = |source: &&Source| source.clock().is_none() && source.address().ip() == address;
        self.sources.values().find(at).map(Source::id).ok_or(OperationError::NoSuchSource)
    }
}

fn log_connection(source: &Source) {
    let address = source.address().ip();
    let state = if source.polling().is_online() { "online" } else { "offline" };
    tracing::info!(source = %address, "Source {address} {state}");
}

/// Nothing is expected of a source that is not asked.
fn close_idle(source: &Source, actions: &mut Vec<Action>) {
    if !source.is_waiting() {
        actions.push(Action::Close { source: source.id() });
    }
}
