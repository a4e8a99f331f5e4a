//! A machine with a clock and a network, and what the daemon on it has done to it.

use std::net::{IpAddr, SocketAddr};

use ntp_common::snapshot::RefSnapshot;
use ntp_common::wire::HEADER_LEN;
use ntp_engine::seams::{ClockStatus, SourceId};

use crate::chance::Chance;
use crate::clock::KernelClock;
use crate::server::Server;
use crate::trace::Moment;
use crate::units::seconds;
use crate::visitor::Visitor;

/// What a snapshot's time is rounded by, seconds: served time has not gone back by that.
const ROUNDING_S: f64 = 2e-9;

/// A reply on its way.
#[derive(Clone, Debug)]
pub(crate) struct Flying {
    pub(crate) arrives_s: f64,
    pub(crate) source: SourceId,
    pub(crate) from: SocketAddr,
    /// The address that it is sent to, as far as that matters.
    pub(crate) to: Option<IpAddr>,
    pub(crate) packet: [u8; HEADER_LEN],
}

/// A packet that has left.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// When it left, seconds of true time.
    pub at_s: f64,
    /// Where to.
    pub to: SocketAddr,
    /// The packet.
    pub octets: [u8; HEADER_LEN],
}

/// Everything but the driver.
#[derive(Debug)]
pub struct Machine {
    /// The clock.
    pub clock: KernelClock,
    /// The servers that can be reached.
    pub servers: Vec<Server>,
    /// Requests that were sent.
    pub packets: u64,
    /// Steps that the driver made: when, seconds since the start, and by how much, seconds.
    pub steps: Vec<(f64, f64)>,
    /// How many of them were made while a snapshot was in force.
    pub steps_while_serving: usize,
    /// The snapshot in force.
    pub snapshot: RefSnapshot,
    /// Times at which a snapshot put served time back against the one before it: when, seconds since the start,
    /// and by how much, seconds. None of them was withdrawn in between.
    pub backward: Vec<(f64, f64)>,
    /// The most that a snapshot has moved served time by against the one before it, seconds.
    pub largest_jump_s: f64,
    /// What the kernel was told last.
    pub status: Option<ClockStatus>,
    /// What was written into the drift file, one after the other: frequency and skew, ppm.
    pub drifts: Vec<(f64, f64)>,
    /// Names that were asked for and not answered.
    pub asked_names: Vec<String>,
    /// How long after the daemon has made a packet to a peer it really leaves, seconds.
    pub late_s: f64,
    /// Packets to addresses at which there is no server.
    pub outbox: Vec<Outgoing>,
    /// Whether nothing can be sent: the cable is pulled.
    pub unplugged: bool,
    pub(crate) visitors: Vec<Visitor>,
    pub(crate) flying: Vec<Flying>,
    pub(crate) network_chance: Chance,
    pub(crate) next_second: f64,
}

impl Machine {
    /// A machine to which nothing has happened yet.
    pub(crate) fn new(clock: KernelClock, servers: Vec<Server>, seed: u64) -> Self {
        Self {
            clock,
            servers,
            packets: 0,
            steps: Vec::new(),
            steps_while_serving: 0,
            snapshot: RefSnapshot::INVALID,
            backward: Vec::new(),
            largest_jump_s: 0.0,
            status: None,
            drifts: Vec::new(),
            asked_names: Vec::new(),
            late_s: 0.0,
            outbox: Vec::new(),
            unplugged: false,
            visitors: Vec::new(),
            flying: Vec::new(),
            network_chance: Chance::new(seed, 2),
            next_second: 0.0,
        }
    }

    /// What served time is ahead of true time, seconds; `None` when nothing is served.
    #[must_use]
    pub fn served_error_s(&self) -> Option<f64> {
        let now = self.clock.read();
        let snapshot = self.snapshot.as_of(now.mono);
        let valid = snapshot.is_valid_at(now.mono) && snapshot.stratum() > 0;
        valid.then(|| seconds(snapshot.time_at(now.mono).since(self.clock.true_time(0.0))))
    }

    /// Bound of that error, as a reply would give it now: half of the root delay, and the root dispersion.
    #[must_use]
    pub fn root_distance_s(&self) -> f64 {
        let now = self.clock.read().mono;
        let snapshot = self.snapshot.as_of(now);
        let dispersion_s = f64::from(snapshot.dispersion_at(snapshot.time_at(now))) / 65_536.0;
        f64::from(snapshot.root_delay().to_bits()) / 131_072.0 + dispersion_s
    }

    /// Puts a snapshot into force.
    pub(crate) fn publish(&mut self, snapshot: &RefSnapshot) {
        let now = self.clock.read().mono;
        if self.is_serving() && snapshot.is_valid_at(now) && snapshot.stratum() > 0 {
            let moved_s = {
                let (new, old) = (snapshot.as_of(now), self.snapshot.as_of(now));
                seconds(new.time_at(now).since(old.time_at(now)))
            };
            self.largest_jump_s = self.largest_jump_s.max(moved_s.abs());
            if moved_s < -ROUNDING_S {
                self.backward.push((self.clock.now_s(), -moved_s));
            }
        }
        self.snapshot = *snapshot;
    }

    /// Whether a snapshot is in force that tells the time.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        let now = self.clock.read().mono;
        self.snapshot.is_valid_at(now) && self.snapshot.stratum() > 0
    }

    pub(crate) fn look(&self) -> Moment {
        Moment {
            at_s: self.clock.now_s(),
            clock_s: self.clock.ahead_s(),
            served_s: self.served_error_s(),
            frequency: self.clock.rate_error(),
        }
    }
}
