//! The seams between the engine and the world: values that go in and out, and the traits that the daemon
//! implements with real clocks and sockets and the simulator with virtual ones.
//!
//! Sign convention, stated once: an offset is positive when our clock is behind the source, so that adding
//! the offset to our clock corrects it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ntp_common::snapshot::RefSnapshot;
use ntp_common::time::{MonoNs, NtpDuration, NtpTimestamp};
use ntp_common::wire::LeapIndicator;

use crate::seconds;

/// One reading of the clocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Now {
    /// `CLOCK_MONOTONIC`: timers and the age of snapshots go by it.
    pub mono: MonoNs,
    /// The clock that is steered, at the same instant.
    pub time: NtpTimestamp,
    /// Seconds that the steered clock advances while `mono` advances one: exactly 1 for the kernel's clock,
    /// whose steering moves both; the steered frequency for a clock that is only followed.
    pub rate: f64,
}

impl Now {
    /// What the steered clock is off from where it should have come since `earlier`, had nobody set it.
    pub(crate) fn strayed_since(&self, earlier: &Self) -> NtpDuration {
        let mono_ns = i64::try_from(self.mono.since(earlier.mono)).unwrap_or(i64::MAX);
        let elapsed = self.time.since(earlier.time);
        elapsed - seconds::times(NtpDuration::from_nanos(mono_ns), earlier.rate)
    }
}

/// Where a timestamp of a packet was taken, from the least to the most exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StampedBy {
    /// By the daemon, when it made the system call.
    Daemon,
    /// By the kernel, when the packet passed the driver.
    Kernel,
    /// By the network interface.
    Hardware,
}

/// When a packet arrived or left, on the steered clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// The time.
    pub at: NtpTimestamp,
    /// Who took it.
    pub by: StampedBy,
}

/// A source of the engine, for as long as it is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// One request that was sent to a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What the kernel is told of the clock's state, for `ntp_adjtime(2)` and those who ask it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockStatus {
    /// Leap second that the kernel is to take at the end of the day, or [`LeapIndicator::Unsynchronised`].
    pub leap: LeapIndicator,
    /// TAI - UTC, seconds, when it is known.
    pub tai_offset: Option<i32>,
    /// Whether the kernel may copy the time to the real-time clock: `rtcsync` is on and the clock is right.
    pub sync_rtc: bool,
    /// Estimated error, seconds.
    pub estimated_error_s: f64,
    /// Maximum error (root distance), seconds.
    pub maximum_error_s: f64,
}

/// The port that a packet leaves from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// That of a new socket; the source's previous one is closed.
    New,
    /// The one that is served, always from the same socket, which hears from the source alone: a peer sends to
    /// that port whenever it likes.
    Served,
}

/// What happened outside of the engine.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// A deadline that the engine asked for has come, or may have.
    Timer,
    /// A request has left. May come twice for one request, the second time with a better timestamp.
    Sent {
        /// Which request.
        request: RequestId,
        /// The source it went to.
        source: SourceId,
        /// When it left (T1).
        at: Stamped,
    },
    /// A request could not be sent.
    SendFailed {
        /// The source it was meant for.
        source: SourceId,
    },
    /// A packet came in on the socket of a source.
    Received {
        /// The source whose socket it came in on.
        source: SourceId,
        /// Whom it came from.
        from: SocketAddr,
        /// The address that it was sent to, if that is known.
        to: Option<IpAddr>,
        /// The packet.
        packet: &'a [u8],
        /// When it arrived (T4).
        at: Stamped,
    },
    /// A name was resolved, or could not be: then there are no addresses.
    Resolved {
        /// The name as the engine gave it.
        name: &'a str,
        /// Its addresses, in the order in which they are to be tried.
        addresses: &'a [IpAddr],
    },
    /// The steered clock was changed, by an action of the engine or by somebody else.
    ClockChanged {
        /// What was added to the clock.
        step: NtpDuration,
        /// The frequency correction that is in force now, seconds a second.
        frequency: f64,
    },
    /// The machine has slept, and the steered clock has stood still meanwhile.
    Slept,
}

/// What the engine wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send a packet, and report [`Event::Sent`] or [`Event::SendFailed`].
    Send {
        /// The source.
        source: SourceId,
        /// The request.
        request: RequestId,
        /// Where from.
        from: Port,
        /// Where to.
        to: SocketAddr,
        /// The packet.
        packet: Vec<u8>,
    },
    /// Close the source's socket: nothing is expected on it any more.
    Close {
        /// The source.
        source: SourceId,
    },
    /// Resolve a name and report [`Event::Resolved`].
    Resolve {
        /// The name.
        name: String,
    },
    /// Add this to the clock at once, and report [`Event::ClockChanged`].
    Step(NtpDuration),
    /// Let the clock run by so much faster than it would by itself, seconds a second, and report
    /// [`Event::ClockChanged`].
    SetFrequency(f64),
    /// Tell the kernel the state of the clock.
    SetStatus(ClockStatus),
    /// Answer requests from this snapshot from now on.
    Publish(RefSnapshot),
    /// Answer no more requests from the snapshot published last: the clock is about to be stepped.
    Invalidate,
    /// Store the clock's frequency error for the next start.
    SaveDrift {
        /// How much faster than true time the clock runs by itself, ppm.
        frequency_ppm: f64,
        /// Bound of its error, ppm.
        skew_ppm: f64,
    },
}

/// A clock could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// The process may not set the clock.
    #[error("no permission to set the clock (CAP_SYS_TIME)")]
    NotPermitted,
    /// The system call failed for another reason.
    #[error("cannot {action} the clock: {error}")]
    Failed {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        error: std::io::Error,
    },
}

/// A clock that can be steered.
pub trait Clock {
    /// Reads the clock.
    fn now(&self) -> Now;

    /// Adds `by` to the clock at once.
    ///
    /// # Errors
    /// When the clock can't be set; it is unchanged then.
    fn step(&mut self, by: NtpDuration) -> Result<(), ClockError>;

    /// Lets the clock run by `frequency` faster than it would by itself, seconds a second, as nearly as it
    /// can; gives the value that took effect.
    ///
    /// # Errors
    /// When the clock can't be steered; it is unchanged then.
    fn set_frequency(&mut self, frequency: f64) -> Result<f64, ClockError>;

    /// The frequency correction in force, seconds a second.
    fn frequency(&self) -> f64;

    /// How long the machine has slept since it was started, as far as can be told: never too much.
    fn slept(&self) -> Duration {
        Duration::ZERO
    }

    /// Publishes the state of the clock to the kernel, where there is one to tell.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn set_status(&mut self, status: &ClockStatus) -> Result<(), ClockError>;
}

/// Sends the requests of sources.
pub trait Transport {
    /// Sends `packet` from a socket of `source` and gives the time at which it left, on the clock that `clock`
    /// reads.
    ///
    /// # Errors
    /// When the packet could not be handed to the network.
    fn send(
        &mut self,
        source: SourceId,
        request: RequestId,
        path: (Port, SocketAddr),
        packet: &[u8],
        clock: &dyn Clock,
    ) -> std::io::Result<Stamped>;

    /// Closes the socket of `source`, if it has one.
    fn close(&mut self, source: SourceId);

    /// Whether a packet could be sent to `to` as things are.
    fn has_route(&self, to: SocketAddr) -> bool;
}

/// Where snapshots are published for those who answer requests.
pub trait RefMap {
    /// Puts a snapshot into force.
    fn publish(&mut self, snapshot: &RefSnapshot);

    /// Withdraws the snapshot in force.
    fn invalidate(&mut self);
}

/// Resolves names, somewhere else: the answers come back as [`Event::Resolved`].
pub trait Resolver {
    /// Starts to resolve `name`.
    fn resolve(&mut self, name: &str);
}

/// Keeps the drift file.
pub trait DriftStore {
    /// Stores frequency and skew, ppm, replacing what was stored.
    fn save(&mut self, frequency_ppm: f64, skew_ppm: f64);
}
