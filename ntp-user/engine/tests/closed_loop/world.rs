//! A small world for the driver to live in, and the passage of time in it.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use ntp_common::snapshot::RefSnapshot;
use ntp_engine::driver::{Driver, Seams};
use ntp_engine::engine::Drift;
use ntp_engine::seams::{SourceId, Stamped, StampedBy};
use ntp_engine::settings::EngineConfig;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::seam::Seam;
use crate::state::{Flying, Oscillator, Publication, Server, State, seconds};

/// How late timers are at most, seconds.
const LATENESS_S: f64 = 2e-4;

/// The world and the driver in it.
pub(crate) struct World {
    state: Rc<RefCell<State>>,
    pub(crate) driver: Driver<Seam, Seam, Seam, Seam, Seam, ChaCha8Rng>,
}

impl World {
    pub(crate) fn new(
        seed: u64,
        config: EngineConfig,
        drift: Option<Drift>,
        oscillator: Oscillator,
        servers: Vec<Server>,
    ) -> Self {
        let state = Rc::new(RefCell::new(State::new(seed, oscillator, servers)));
        let seam = || Seam(Rc::clone(&state));
        let seams = Seams {
            clock: seam(),
            transport: seam(),
            ref_map: seam(),
            resolver: seam(),
            drift_store: seam(),
        };
        let mut driver =
            Driver::new(config, ChaCha8Rng::seed_from_u64(seed ^ 0x5eed), drift, seams);
        driver.start();
        Self { state, driver }
    }

    /// Changes something in the world.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.borrow_mut());
    }

    /// Looks at something in the world.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.borrow())
    }

    /// Lets the world run for `seconds` of true time.
    pub(crate) fn run(&mut self, seconds: f64) {
        self.run_and_watch(seconds, |_| ());
    }

    /// Lets the world run, and calls `watch` after everything that happens.
    pub(crate) fn run_and_watch(&mut self, seconds: f64, mut watch: impl FnMut(&Self)) {
        let end_s = self.look(|state| state.now_s) + seconds;
        loop {
            let timer_s = self.next_timer_s();
            let (packet, arrival_s) = self.next_arrival();
            let next_s = timer_s.min(arrival_s).min(end_s);
            self.change(|state| {
                let left_s = (next_s - state.now_s).max(0.0);
                state.advance(left_s);
            });
            if next_s >= end_s {
                return;
            }
            if let Some(index) = packet.filter(|_| arrival_s <= timer_s) {
                self.deliver(index);
            } else {
                self.driver.on_timer();
            }
            watch(self);
        }
    }

    fn next_timer_s(&mut self) -> f64 {
        let Some(deadline) = self.driver.next_deadline() else { return f64::INFINITY };
        let mut state = self.state.borrow_mut();
        let lateness_s = state.rng.random::<f64>() * LATENESS_S;
        #[expect(clippy::cast_precision_loss, reason = "a short time")]
        let left_s = deadline.since(state.now().mono) as f64 * 1e-9;
        state.now_s + left_s / state.mono_rate() + lateness_s
    }

    fn next_arrival(&self) -> (Option<usize>, f64) {
        self.look(|state| {
            let flying = state.flying.iter().enumerate();
            flying
                .min_by(|a, b| a.1.arrives_s.total_cmp(&b.1.arrives_s))
                .map_or((None, f64::INFINITY), |(index, reply)| (Some(index), reply.arrives_s))
        })
    }

    fn deliver(&mut self, index: usize) {
        let mut state = self.state.borrow_mut();
        let Flying { source, from, packet, .. } = state.flying.remove(index);
        let at = Stamped { at: state.now().time, by: StampedBy::Kernel };
        drop(state);
        self.driver.on_packet(source, (from, None), &packet, at);
    }

    /// Hands the driver a packet that nobody in the world sent.
    pub(crate) fn forge(&mut self, source: SourceId, from: SocketAddr, packet: &[u8]) {
        let at = Stamped { at: self.look(|state| state.now().time), by: StampedBy::Kernel };
        self.driver.on_packet(source, (from, None), packet, at);
    }

    /// Lets a name resolve to addresses.
    pub(crate) fn resolve(&mut self, name: &str, addresses: &[&str]) {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.driver.on_resolved(name, &addresses);
    }

    /// What the clock is ahead of true time, seconds.
    pub(crate) fn clock_error_s(&self) -> f64 {
        self.look(|state| state.oscillator.ahead_s)
    }

    /// What served time is ahead of true time, seconds; `None` when nothing is served.
    pub(crate) fn served_error_s(&self) -> Option<f64> {
        self.look(|state| match state.publications.last() {
            Some(Publication::Snapshot { snapshot, .. }) => {
                let now = state.now();
                let valid = snapshot.is_valid_at(now.mono);
                valid.then(|| seconds(snapshot.time_at(now.mono).since(state.true_time(0.0))))
            }
            Some(Publication::Withdrawn) | None => None,
        })
    }

    /// The snapshot published last.
    pub(crate) fn snapshot(&self) -> RefSnapshot {
        self.look(|state| match state.publications.last() {
            Some(Publication::Snapshot { snapshot, .. }) => *snapshot,
            Some(Publication::Withdrawn) | None => RefSnapshot::INVALID,
        })
    }

    /// Characters of the sources' states, in the order of the configuration.
    pub(crate) fn states(&self) -> String {
        let now = self.driver.now();
        self.driver.engine().sources(now).iter().map(|source| source.state.symbol()).collect()
    }
}
