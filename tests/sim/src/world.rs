//! A machine, the driver on it, and the passage of time.

use std::cell::{Ref, RefCell, RefMut};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use ntp_common::time::NtpTimestamp;
use ntp_common::wire::HEADER_LEN;
use ntp_engine::driver::{Driver, Seams};
use ntp_engine::engine::Drift;
use ntp_engine::history::History;
use ntp_engine::operation::{Operation, OperationError};
use ntp_engine::report::SourceReport;
use ntp_engine::seams::{Stamped, StampedBy};
use ntp_engine::settings::EngineConfig;
use rand_chacha::ChaCha8Rng;

use crate::chance::Chance;
use crate::clock::{KernelClock, Oscillator};
use crate::machine::{Flying, Machine};
use crate::seam::Seam;
use crate::server::Server;
use crate::trace::{Moment, Trace};
use crate::visitor::Visitor;

/// How late timers are, seconds: what a kernel needs to wake a process.
const LATENESS_S: f64 = 5e-5;

/// The machine and the driver on it.
#[derive(Debug)]
pub struct World {
    machine: Rc<RefCell<Machine>>,
    driver: Driver<Seam, Seam, Seam, Seam, Seam, ChaCha8Rng>,
}

impl World {
    /// Starts the driver on a machine.
    #[must_use]
    pub fn new(
        config: EngineConfig,
        drift: Option<Drift>,
        oscillator: Oscillator,
        servers: Vec<Server>,
        seed: u64,
    ) -> Self {
        Self::with_clock(config, drift, KernelClock::new(oscillator, seed), servers, seed)
    }

    /// Starts the driver where the simulation starts at another time.
    #[must_use]
    pub fn starting(
        start: NtpTimestamp,
        config: EngineConfig,
        drift: Option<Drift>,
        oscillator: Oscillator,
        servers: Vec<Server>,
        seed: u64,
    ) -> Self {
        let clock = KernelClock::starting(start, oscillator, seed);
        Self::with_clock(config, drift, clock, servers, seed)
    }

    /// Starts the driver on a machine with this clock.
    #[must_use]
    pub fn with_clock(
        config: EngineConfig,
        drift: Option<Drift>,
        clock: KernelClock,
        servers: Vec<Server>,
        seed: u64,
    ) -> Self {
        let machine = Rc::new(RefCell::new(Machine::new(clock, servers, seed)));
        let mut driver = driver_on(&machine, config, drift, seed);
        driver.start();
        Self { machine, driver }
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> Ref<'_, Machine> {
        self.machine.borrow()
    }

    /// The machine, to have something happen to it.
    #[must_use]
    pub fn machine_mut(&mut self) -> RefMut<'_, Machine> {
        self.machine.borrow_mut()
    }

    /// The driver.
    #[must_use]
    pub fn driver(&self) -> &Driver<Seam, Seam, Seam, Seam, Seam, ChaCha8Rng> {
        &self.driver
    }

    /// The driver, to tell it of something.
    pub fn driver_mut(&mut self) -> &mut Driver<Seam, Seam, Seam, Seam, Seam, ChaCha8Rng> {
        &mut self.driver
    }

    /// Lets a name resolve to addresses.
    pub fn resolve(&mut self, name: &str, addresses: &[IpAddr]) {
        self.machine_mut().asked_names.retain(|asked| asked != name);
        self.driver.on_resolved(name, addresses);
    }

    /// Has the driver go over to another configuration.
    pub fn reconfigure(&mut self, config: EngineConfig) {
        self.driver.reconfigure(config);
    }

    /// Does what an operator would have done.
    ///
    /// # Errors
    /// What the daemon answers.
    pub fn operate(&mut self, operation: &Operation) -> Result<(), OperationError> {
        self.driver.operate(operation)
    }

    /// Lets a packet arrive, `delay_s` seconds from now, from an address that a source has; without one it is lost.
    pub fn hear(
        &mut self,
        (from, to): (SocketAddr, IpAddr),
        packet: [u8; HEADER_LEN],
        delay_s: f64,
    ) {
        let sources = self.driver.engine().sources(self.driver.now());
        // Before the first packet there is no socket.
        let is_meant = |s: &&SourceReport| s.address == Some(from.ip()) && s.sent > 0;
        let Some(source) = sources.iter().find(is_meant).and_then(|source| source.id) else {
            return;
        };
        let mut machine = self.machine.borrow_mut();
        let arrives_s = machine.clock.now_s() + delay_s;
        machine.flying.push(Flying { arrives_s, source, from, to: Some(to), packet });
    }

    /// Lets a client's request arrive, `delay_s` seconds from now; the answer is put into the outbox.
    pub fn be_asked(&mut self, from: SocketAddr, packet: [u8; HEADER_LEN], delay_s: f64) {
        let mut machine = self.machine.borrow_mut();
        let arrives_s = machine.clock.now_s() + delay_s;
        machine.visitors.push(Visitor { arrives_s, from, packet });
    }

    /// Hands the driver a packet, of any length, that comes in now on the socket of a source, by its place in the
    /// configuration.
    ///
    /// # Panics
    /// When there is no such source.
    pub fn forge(&mut self, index: usize, from: SocketAddr, packet: &[u8]) {
        let source = self.source(index).id.expect("a source with an address");
        let at = Stamped { at: self.driver.now().time, by: StampedBy::Kernel };
        self.driver.on_packet(source, (from, None), packet, at);
    }

    /// When something happens next, seconds since the start.
    #[must_use]
    pub fn next_s(&self) -> f64 {
        self.next_event().1
    }

    /// The report of a source, by its place in the configuration.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn source(&self, index: usize) -> SourceReport {
        self.driver.engine().sources(self.driver.now()).remove(index)
    }

    /// Ends the daemon and starts it anew after `pause_s` seconds, with what the drift file says, and what was
    /// measured if it `remembers`.
    pub fn restart(&mut self, config: EngineConfig, pause_s: f64, remembers: bool, seed: u64) {
        let histories = self.stop();
        self.pause(pause_s);
        self.start_again(config, if remembers { histories } else { Vec::new() }, seed);
    }

    /// Ends the daemon, and gives what it has measured, as it writes it and reads it again.
    ///
    /// # Panics
    /// When it can't be read.
    pub fn stop(&mut self) -> Vec<History> {
        self.driver.shutdown(None);
        let texts = self.driver.histories().into_iter().map(|history| history.to_text());
        texts.map(|text| History::parse(&text).expect("it was just written")).collect()
    }

    /// Lets time go by without a daemon.
    pub fn pause(&mut self, pause_s: f64) {
        let now_s = self.machine().clock.now_s();
        self.machine_mut().clock.advance_to(now_s + pause_s);
        self.machine_mut().flying.clear();
        self.machine_mut().visitors.clear();
    }

    /// Starts the daemon anew, with what the drift file says and what was measured before.
    pub fn start_again(&mut self, config: EngineConfig, histories: Vec<History>, seed: u64) {
        let stored = self.machine().drifts.last().copied();
        let drift = stored.map(|(frequency_ppm, skew_ppm)| Drift { frequency_ppm, skew_ppm });
        self.driver = driver_on(&self.machine, config, drift, seed);
        self.driver.remember(histories);
        self.driver.start();
    }

    /// Ends the daemon.
    pub fn shutdown(&mut self) {
        self.driver.shutdown(None);
    }

    /// Characters of the sources' states, in the order of the configuration.
    #[must_use]
    pub fn states(&self) -> String {
        let now = self.driver.now();
        self.driver.engine().sources(now).iter().map(|source| source.state.symbol()).collect()
    }

    /// Lets the world run for `length_s` seconds of true time, and gives what it looked like at every full second.
    pub fn run(&mut self, length_s: f64) -> Trace {
        let end_s = self.machine().clock.now_s() + length_s;
        let mut trace = Trace::new();
        loop {
            let (event, due_s) = self.next_event();
            let full_s = self.machine().next_second;
            let next_s = due_s.min(full_s).min(end_s);
            self.machine.borrow_mut().clock.advance_to(next_s);
            if next_s >= end_s {
                return trace;
            }
            if full_s <= due_s {
                trace.push(self.begin_second(full_s));
                continue;
            }
            match event {
                Due::Timer => self.driver.on_timer(),
                Due::Packet(index) => self.deliver(index),
                Due::Visitor(index) => self.machine.borrow_mut().answer(index),
            }
        }
    }

    fn begin_second(&mut self, full_s: f64) -> Moment {
        let mut machine = self.machine.borrow_mut();
        machine.clock.begin_second(full_s);
        // Seconds that the machine has slept through are not looked at.
        machine.next_second = full_s.max(machine.clock.now_s().floor()) + 1.0;
        machine.look()
    }

    /// What happens next, and when.
    fn next_event(&self) -> (Due, f64) {
        let machine = self.machine.borrow();
        let timer_s = self.driver.next_deadline().map_or(f64::INFINITY, |deadline| {
            machine.clock.now_s() + machine.clock.until_s(deadline) + LATENESS_S
        });
        let replies = machine.flying.iter().enumerate();
        let replies = replies.map(|(index, reply)| (Due::Packet(index), reply.arrives_s));
        let visitors = machine.visitors.iter().enumerate();
        let visitors = visitors.map(|(index, asks)| (Due::Visitor(index), asks.arrives_s));
        let arrivals = replies.chain(visitors);
        arrivals
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .filter(|&(_, arrives_s)| arrives_s <= timer_s)
            .unwrap_or((Due::Timer, timer_s))
    }

    fn deliver(&mut self, index: usize) {
        let mut machine = self.machine.borrow_mut();
        let Flying { source, from, to, packet, .. } = machine.flying.swap_remove(index);
        let at = Stamped { at: machine.clock.read().time, by: StampedBy::Kernel };
        drop(machine);
        self.driver.on_packet(source, (from, to), &packet, at);
    }
}

/// A driver on a machine.
fn driver_on(
    machine: &Rc<RefCell<Machine>>,
    config: EngineConfig,
    drift: Option<Drift>,
    seed: u64,
) -> Driver<Seam, Seam, Seam, Seam, Seam, ChaCha8Rng> {
    let seam = || Seam(Rc::clone(machine));
    let seams = Seams {
        clock: seam(),
        transport: seam(),
        ref_map: seam(),
        resolver: seam(),
        drift_store: seam(),
    };
    Driver::new(config, Chance::new(seed, 3).into_rng(), drift, seams)
}

/// What is due.
#[derive(Clone, Copy, Debug)]
enum Due {
    Timer,
    /// The arrival of the reply with this index.
    Packet(usize),
    /// That of the request with this index.
    Visitor(usize),
}
