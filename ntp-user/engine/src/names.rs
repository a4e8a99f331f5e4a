//! Sources that are configured by name: when their names are to be resolved, and which of the addresses become
//! sources.

use std::collections::VecDeque;
use std::net::IpAddr;

use ntp_common::time::MonoNs;

use crate::conf::{Family, Host, Source as Line, SourceKind, SourceOptions};
use crate::seams::SourceId;
use crate::seconds;

/// Longest wait before a name that could not be resolved is tried again, as a power of two of seconds.
const LONGEST_WAIT_LOG2: u32 = 10;
/// Time after which a resolver that has not answered is asked again, seconds.
const ANSWER_S: f64 = 60.0;
/// Refusing servers of a line that are remembered.
const MOST_REFUSED: usize = 16;

/// What is known of a line's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lookup {
    /// All that is needed.
    Done,
    /// The resolver is to be asked then.
    Due(MonoNs),
    /// It has been asked, and is to be asked again then.
    Asked(MonoNs),
}

/// A `server` or `pool` line.
#[derive(Clone, Debug)]
pub(crate) struct ConfiguredLine {
    line: Line,
    members: Vec<SourceId>,
    lookup: Lookup,
    failures: u32,
    answered: bool,
    refused: Vec<IpAddr>,
    /// Addresses that gave way to others, the last one last.
    left: VecDeque<IpAddr>,
    /// Whether sources are asked from the start.
    online: bool,
    /// Whether sources that are not among the addresses of the name any more are to be replaced.
    refreshing: bool,
    /// When that is to be looked at again, and how often, seconds; 0: never.
    refresh_at: MonoNs,
    refresh_s: u32,
}

impl ConfiguredLine {
    /// A line that has no sources yet; its name is to be resolved at once, and again every `refresh_s` seconds
    /// unless that is 0.
    pub(crate) fn new(line: Line, refresh_s: u32, now: MonoNs) -> Self {
        let lookup = match line.host {
            Host::Name(_) => Lookup::Due(now),
            Host::Address(_) => Lookup::Done,
        };
        Self {
            online: !line.options.offline,
            line,
            members: Vec::new(),
            lookup,
            failures: 0,
            answered: false,
            refused: Vec::new(),
            left: VecDeque::new(),
            refreshing: false,
            refresh_at: seconds::after(now, f64::from(refresh_s)),
            refresh_s,
        }
    }

    /// The line as it is configured.
    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    /// Its name, if it has one.
    pub(crate) fn name(&self) -> Option<&str> {
        match &self.line.host {
            Host::Name(name) => Some(name),
            Host::Address(_) => None,
        }
    }

    /// Its sources.
    pub(crate) fn members(&self) -> &[SourceId] {
        &self.members
    }

    /// A source has been made of one of its addresses.
    pub(crate) fn add(&mut self, source: SourceId) {
        self.members.push(source);
    }

    /// A source is no more.
    pub(crate) fn remove(&mut self, source: SourceId) {
        self.members.retain(|&member| member != source);
    }

    /// The address of a source that gave way to another one is used again after all others; one that refused is
    /// not.
    pub(crate) fn leave(&mut self, address: IpAddr, has_refused: bool) {
        if self.left.len() == MOST_REFUSED {
            self.left.pop_front();
        }
        self.left.push_back(address);
        let refused = has_refused.then_some(address);
        if let Some(address) = refused.filter(|_| self.refused.len() < MOST_REFUSED) {
            self.refused.push(address);
        }
    }

    /// How many sources it may have.
    pub(crate) fn capacity(&self) -> usize {
        match self.line.kind {
            SourceKind::Server | SourceKind::Peer => 1,
            SourceKind::Pool => usize::from(self.line.options.maxsources),
        }
    }

    /// Other options are in force from now on; a pool that may be larger is looked up for more.
    pub(crate) fn set_options(&mut self, options: SourceOptions, now: MonoNs) {
        self.line.options = options;
        if self.members.len() < self.capacity() && self.lookup == Lookup::Done {
            self.refresh(now);
        }
    }

    /// Takes the sources away that it has more than it may.
    pub(crate) fn surplus(&mut self) -> Vec<SourceId> {
        self.members.split_off(self.capacity().min(self.members.len()))
    }

    /// Its name is to be resolved again every `refresh_s` seconds from now on; 0: never.
    pub(crate) fn set_refresh(&mut self, refresh_s: u32, now: MonoNs) {
        if refresh_s != self.refresh_s {
            self.refresh_s = refresh_s;
            self.refresh_at = seconds::after(now, f64::from(refresh_s));
        }
    }

    /// Lets a pool have one source less.
    pub(crate) fn shrink(&mut self) {
        self.line.options.maxsources = self.line.options.maxsources.saturating_sub(1);
    }

    /// Whether its sources are asked from the start.
    pub(crate) fn is_online(&self) -> bool {
        self.online
    }

    /// Sources that it gets from now on are asked from the start, or are not.
    pub(crate) fn set_online(&mut self, online: bool) {
        self.online = online;
    }

    /// Whether its name has been asked for, but not answered once: its sources may come any moment.
    pub(crate) fn is_unheard(&self) -> bool {
        self.name().is_some() && !self.answered
    }

    /// The name to be asked for now, if it is time.
    pub(crate) fn ask(&mut self, now: MonoNs) -> Option<String> {
        self.deadline().filter(|&deadline| deadline <= now)?;
        self.refreshing |= self.lookup == Lookup::Done;
        self.lookup = Lookup::Asked(seconds::after(now, ANSWER_S));
        self.name().map(str::to_owned)
    }

    /// When [`ConfiguredLine::ask`] has something to ask.
    pub(crate) fn deadline(&self) -> Option<MonoNs> {
        match self.lookup {
            Lookup::Done if self.refresh_s == 0 || self.name().is_none() => None,
            Lookup::Done => Some(self.refresh_at),
            Lookup::Due(at) | Lookup::Asked(at) => Some(at),
        }
    }

    /// Whether the name was asked for and has not been answered since.
    pub(crate) fn is_asked(&self) -> bool {
        matches!(self.lookup, Lookup::Asked(_))
    }

    /// Some of its sources are of no use: another look at its addresses is due, the later the more often that
    /// was in vain.
    pub(crate) fn want_others(&mut self, now: MonoNs) {
        if self.lookup == Lookup::Done && self.name().is_some() {
            self.lookup = Lookup::Due(seconds::after(now, self.wait_s()));
        }
    }

    /// Its addresses are to be looked up now, and sources that are no longer among them are to be replaced.
    pub(crate) fn refresh(&mut self, now: MonoNs) {
        if self.name().is_some() {
            self.lookup = Lookup::Due(now);
            self.refreshing = true;
        }
    }

    /// Whether sources that are not among the addresses of the name any more are to be replaced.
    pub(crate) fn is_refreshing(&self) -> bool {
        self.refreshing
    }

    /// The name was answered: `enough` tells whether what was looked for was found.
    pub(crate) fn answered(&mut self, enough: bool, now: MonoNs) {
        self.answered = true;
        self.refreshing = false;
        self.refresh_at = seconds::after(now, f64::from(self.refresh_s));
        if enough {
            self.failures = 0;
            self.lookup = Lookup::Done;
        } else {
            self.failures = self.failures.saturating_add(1);
            self.lookup = Lookup::Due(seconds::after(now, self.wait_s()));
        }
    }

    /// Addresses in the order in which they are to be tried: those that have been left last of all.
    pub(crate) fn in_order(&self, addresses: &[IpAddr]) -> Vec<IpAddr> {
        let mut ordered = addresses.to_vec();
        ordered.sort_by_key(|address| self.left.iter().rposition(|left| left == address));
        ordered
    }

    /// Whether an address may become a source of this line.
    pub(crate) fn accepts(&self, address: IpAddr) -> bool {
        let family = match self.line.options.family {
            None => true,
            Some(Family::V4) => address.is_ipv4(),
            Some(Family::V6) => address.is_ipv6(),
        };
        family && !self.refused.contains(&address)
    }

    fn wait_s(&self) -> f64 {
        f64::from(self.failures.clamp(1, LONGEST_WAIT_LOG2)).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFRESH_S: u32 = 1_209_600;

    fn line(family: Option<Family>) -> ConfiguredLine {
        let options = SourceOptions { family, ..SourceOptions::default() };
        let host = Host::Name("ntp.example".to_owned());
        ConfiguredLine::new(Line { kind: SourceKind::Pool, host, options }, REFRESH_S, MonoNs(0))
    }

    #[test]
    fn name_without_addresses_is_asked_for_ever_less_often() {
        let mut line = line(None);
        let mut now = MonoNs(0);
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert_eq!(line.ask(now).as_deref(), Some("ntp.example"));
            assert_eq!(line.ask(now), None, "asked twice");
            line.answered(false, now);
            let next = line.deadline().unwrap();
            waits.push(next.since(now) / 1_000_000_000);
            now = next;
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024, 1024]);
    }

    #[test]
    fn name_whose_addresses_are_in_use_is_looked_up_again_after_two_weeks() {
        let mut line = line(None);
        line.ask(MonoNs(0)).unwrap();
        line.answered(true, MonoNs(0));
        let at = line.deadline().unwrap();
        assert_eq!(at.0 / 1_000_000_000, u64::from(REFRESH_S));
        assert!(line.ask(at).is_some() && line.is_refreshing());
        line.answered(true, at);
        assert!(!line.is_refreshing());
    }

    #[test]
    fn resolver_that_does_not_answer_is_asked_again() {
        let mut line = line(None);
        line.ask(MonoNs(0)).unwrap();
        assert!(line.ask(MonoNs(59_000_000_000)).is_none());
        assert!(line.ask(MonoNs(60_000_000_000)).is_some());
    }

    #[test]
    fn addresses_of_the_wrong_family_and_of_servers_that_refused_are_not_used() {
        let (v4, v6) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert!(!line(Some(Family::V6)).accepts(v4) && line(Some(Family::V6)).accepts(v6));
        assert!(line(Some(Family::V4)).accepts(v4) && !line(Some(Family::V4)).accepts(v6));
        let mut refused = line(None);
        refused.leave(v4, true);
        assert!(!refused.accepts(v4) && refused.accepts(v6));
    }
}
