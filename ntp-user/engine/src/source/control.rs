//! What an operator can have a source do while it runs: go online and offline, send a burst, and follow
//! changed options.

use ntp_common::time::MonoNs;
use rand::Rng;

use super::median::MedianFilter;
use super::{Role, Source};
use crate::bank::KnownPath;
use crate::conf::SourceOptions;

/// Longest round trip to a source that is asked more than once a second, seconds.
const NEAR_S: f64 = 0.01;

impl Role {
    /// Options as far as they mean anything in it: a peer keeps time with our packets, and there are none in between.
    pub(super) fn options(self, options: SourceOptions) -> SourceOptions {
        match self {
            Self::Client => options,
            Self::Peer => {
                SourceOptions { iburst: false, burst: false, presend_log2: None, ..options }
            }
        }
    }
}

impl Source {
    /// Begins to ask in `delay_s` seconds, `online` or not at all.
    pub(crate) fn start(&mut self, now: MonoNs, delay_s: f64, online: bool) {
        if online {
            self.poll.start(now, delay_s, self.options.iburst);
        }
    }

    /// Begins to ask, if it does not; says whether that is news. A server that refused is asked once more.
    pub(crate) fn go_online(&mut self, now: MonoNs, delay_s: f64) -> bool {
        let was_online = self.poll.is_online();
        if !was_online && self.poll.is_in_burst() {
            self.poll.go_on();
        } else if !was_online {
            self.refused = false;
            self.poll.start(now, delay_s, self.options.iburst);
        }
        !was_online
    }

    /// Ends asking, after the burst that may be going on; says whether that is news.
    pub(crate) fn go_offline(&mut self) -> bool {
        let was_online = self.poll.is_online();
        self.poll.fade_out();
        if !self.poll.is_in_burst() {
            self.association.give_up();
        }
        was_online
    }

    /// Asks up to `sent` times in quick succession, until `good` requests were answered. A peer is left alone: it
    /// keeps time with our packets.
    pub(crate) fn burst(&mut self, now: MonoNs, delay_s: f64, good: u8, sent: u8) {
        if self.role() == Role::Client {
            self.poll.burst(now, delay_s, good, sent);
        }
    }

    /// The last request could not be sent; it stays a missed poll. Says whether the source went offline by it.
    pub(crate) fn send_failed(&mut self) -> bool {
        self.association.give_up();
        self.options.auto_offline && self.go_offline()
    }

    /// Follows changed options.
    pub(crate) fn configure(&mut self, options: SourceOptions, rng: &mut impl Rng) {
        let options = self.role().options(options);
        self.poll.configure(&options, rng);
        self.series.configure(&options);
        self.association.set_xleave(options.xleave);
        if options.filter != self.options.filter {
            self.filter = MedianFilter::new(options.filter);
        }
        self.options = options;
    }

    /// Takes note of how fast the bound of the clock's error grows while nothing is measured, besides what the error of
    /// its frequency makes of it, seconds a second.
    pub(crate) fn set_unseen(&mut self, unseen: f64) {
        self.series.set_unseen(unseen);
    }

    /// What its options say of the path to it.
    pub(crate) fn known_path(&self) -> KnownPath {
        KnownPath {
            shortest_s: Some(self.options.mindelay_s).filter(|&delay_s| delay_s > 0.0),
            asymmetry: self.options.asymmetry,
        }
    }

    /// All that its options have decided, to compare with those of another.
    #[cfg(test)]
    pub(crate) fn settings(&self) -> String {
        let poll = self.poll.settings();
        format!("{poll} {:?} {:?} {:?}", self.series, self.association, self.filter)
    }

    /// Whether it answers, from so near that it can be asked more than once a second.
    pub(super) fn is_near(&self) -> bool {
        let shortest_s = self.series.shortest_delay_s();
        self.reach.is_reachable() && shortest_s.is_some_and(|delay_s| delay_s <= NEAR_S)
    }
}
