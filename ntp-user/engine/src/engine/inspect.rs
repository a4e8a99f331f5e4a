//! What an operator asks for or changes that is not about samples: a source's options, and what is served without
//! sources.

use std::net::IpAddr;

use rand::Rng;

use super::Engine;
use crate::conf::{Local, SourceOptions};
use crate::seams::{Action, Now};
use crate::source::Source;

impl<R: Rng> Engine<R> {
    /// The options in force of the source at `address`.
    #[must_use]
    pub fn source_options(&self, address: IpAddr) -> Option<&SourceOptions> {
        self.source_with(address).map(Source::options)
    }

    /// Serves this clock from now on when there is nothing to follow, or stops to.
    pub fn set_local(&mut self, local: Option<Local>, now: Now) -> Vec<Action> {
        let mut actions = Vec::new();
        self.config.local = local;
        self.reference.set_local(local);
        self.publish(&now, &mut actions);
        actions
    }

    fn source_with(&self, address: IpAddr) -> Option<&Source> {
        let mut servers = self.servers();
        servers.find(|source| source.address().ip() == address)
    }
}
