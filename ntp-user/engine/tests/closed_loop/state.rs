//! What is so in the world: a clock with a frequency error, servers behind paths with jitter, and true time,
//! which only the tests know. All of it follows from a seed.

use std::net::SocketAddr;

use ntp_common::snapshot::RefSnapshot;
use ntp_common::time::{MonoNs, NtpDuration, NtpShort, NtpTimestamp};
use ntp_common::wire::{HEADER_LEN, Header, LeapIndicator, Mode, ReferenceId};
use ntp_engine::seams::{ClockStatus, Now, RequestId, SourceId};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// True time at the start: 2026, seconds of the NTP era.
const START: u64 = 3_976_000_000 << 32;
/// The monotonic clock at the start, seconds.
const BOOT_S: f64 = 50.0;
/// Time that a server takes to answer, seconds.
const PROCESSING_S: f64 = 2e-5;

/// The clock as it really is.
#[derive(Clone, Debug)]
pub(crate) struct Oscillator {
    /// How much faster than true time it runs by itself, seconds a second.
    pub(crate) error: f64,
    /// Standard deviation by which that changes in a second.
    pub(crate) wander: f64,
    /// What the clock is ahead of true time, seconds.
    pub(crate) ahead_s: f64,
    /// Whether it may be set and steered.
    pub(crate) permitted: bool,
    /// Whether it is a calculated clock: steering it leaves the monotonic clock alone.
    pub(crate) calculated: bool,
}

/// A server and the path to it.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// What its clock is ahead of true time, seconds.
    pub(crate) ahead_s: f64,
    /// Shortest delay of one direction, seconds.
    pub(crate) delay_s: f64,
    /// Mean of the delay beyond, which is exponential, seconds.
    pub(crate) jitter_s: f64,
    pub(crate) silent: bool,
    pub(crate) stratum: u8,
    /// The code of its refusals, if it refuses.
    pub(crate) kiss: Option<[u8; 4]>,
    /// Copies of each reply that arrive.
    pub(crate) copies: usize,
    /// Requests that came.
    pub(crate) requests: u64,
}

impl Server {
    pub(crate) fn new(address: &str) -> Self {
        Self {
            address: SocketAddr::new(address.parse().unwrap(), 123),
            ahead_s: 0.0,
            delay_s: 5e-4,
            jitter_s: 5e-5,
            silent: false,
            stratum: 1,
            kiss: None,
            copies: 1,
            requests: 0,
        }
    }
}

/// What is published, in its order.
#[derive(Clone, Debug)]
pub(crate) enum Publication {
    Snapshot { mono: MonoNs, snapshot: RefSnapshot },
    Withdrawn,
}

/// A reply on its way.
#[derive(Clone, Debug)]
pub(crate) struct Flying {
    pub(crate) arrives_s: f64,
    pub(crate) source: SourceId,
    pub(crate) from: SocketAddr,
    pub(crate) packet: [u8; HEADER_LEN],
}

/// Everything that the seams share.
#[derive(Debug)]
pub(crate) struct State {
    /// True time since the start, seconds.
    pub(crate) now_s: f64,
    mono_s: f64,
    pub(crate) oscillator: Oscillator,
    pub(crate) frequency: f64,
    pub(crate) servers: Vec<Server>,
    pub(crate) flying: Vec<Flying>,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) publications: Vec<Publication>,
    pub(crate) steps: Vec<f64>,
    pub(crate) status: Option<ClockStatus>,
    pub(crate) drift: Vec<(f64, f64)>,
    pub(crate) asked_names: Vec<String>,
    pub(crate) log: Vec<String>,
    pub(crate) last_request: Option<(SourceId, RequestId, [u8; HEADER_LEN])>,
}

impl State {
    pub(crate) fn new(seed: u64, oscillator: Oscillator, servers: Vec<Server>) -> Self {
        Self {
            now_s: 0.0,
            mono_s: 0.0,
            oscillator,
            frequency: 0.0,
            servers,
            flying: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            publications: Vec::new(),
            steps: Vec::new(),
            status: None,
            drift: Vec::new(),
            asked_names: Vec::new(),
            log: Vec::new(),
            last_request: None,
        }
    }

    /// Seconds of the clock to a second of true time.
    pub(crate) fn rate(&self) -> f64 {
        (1.0 + self.oscillator.error) * (1.0 + self.frequency)
    }

    /// Seconds of the monotonic clock to a second of true time.
    pub(crate) fn mono_rate(&self) -> f64 {
        if self.oscillator.calculated { 1.0 + self.oscillator.error } else { self.rate() }
    }

    /// What the clock gains in a second.
    pub(crate) fn rate_error(&self) -> f64 {
        self.rate() - 1.0
    }

    pub(crate) fn advance(&mut self, seconds: f64) {
        let advanced = seconds * self.rate();
        self.now_s += seconds;
        self.mono_s += seconds * self.mono_rate();
        self.oscillator.ahead_s += advanced - seconds;
        let normal = (0..12).map(|_| self.rng.random::<f64>()).sum::<f64>() - 6.0;
        self.oscillator.error += self.oscillator.wander * seconds.sqrt() * normal;
    }

    pub(crate) fn true_time(&self, after_s: f64) -> NtpTimestamp {
        NtpTimestamp::from_bits(START) + duration(self.now_s + after_s)
    }

    pub(crate) fn now(&self) -> Now {
        let time = self.true_time(0.0) + duration(self.oscillator.ahead_s);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive")]
        let mono = MonoNs(((BOOT_S + self.mono_s) * 1e9) as u64);
        Now { mono, time, rate: self.rate() / self.mono_rate() }
    }

    fn path_delay_s(&mut self, server: usize) -> f64 {
        let Server { delay_s, jitter_s, .. } = self.servers[server];
        delay_s - jitter_s * (1.0 - self.rng.random::<f64>()).ln()
    }

    pub(crate) fn answer(&mut self, source: SourceId, to: SocketAddr, packet: &[u8; HEADER_LEN]) {
        let Some(index) = self.servers.iter().position(|server| server.address == to) else {
            return;
        };
        self.servers[index].requests += 1;
        if self.servers[index].silent {
            return;
        }
        let (there_s, back_s) = (self.path_delay_s(index), self.path_delay_s(index));
        let server = &self.servers[index];
        let receive = self.true_time(there_s + server.ahead_s);
        let mut reply = Header {
            mode: Mode::Server,
            stratum: server.stratum,
            precision: -24,
            root_delay: NtpShort::from_bits(0),
            root_dispersion: NtpShort::from_bits(3),
            reference_id: ReferenceId::from_octets(*b"GPS\0"),
            origin_timestamp: Header::read(packet).transmit_timestamp,
            receive_timestamp: receive,
            transmit_timestamp: receive + duration(PROCESSING_S),
            ..Header::request(NtpTimestamp::UNKNOWN)
        };
        if let Some(code) = server.kiss {
            reply.stratum = 0;
            reply.leap = LeapIndicator::Unsynchronised;
            reply.reference_id = ReferenceId::from_octets(code);
        }
        for copy in 0..server.copies {
            let copy_s = f64::from(u32::try_from(copy).unwrap()) * 1e-4;
            let arrives_s = self.now_s + there_s + PROCESSING_S + back_s + copy_s;
            self.flying.push(Flying { arrives_s, source, from: to, packet: reply.write() });
        }
    }
}

pub(crate) fn duration(seconds: f64) -> NtpDuration {
    #[expect(clippy::cast_possible_truncation, reason = "small enough")]
    NtpDuration::from_bits((seconds * 4_294_967_296.0).round() as i64)
}

#[expect(clippy::cast_precision_loss, reason = "a difference of clocks, small")]
pub(crate) fn seconds(duration: NtpDuration) -> f64 {
    duration.to_bits() as f64 / 4_294_967_296.0
}
