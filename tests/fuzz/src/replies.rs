//! Packets from a source, to an engine that has asked it.

use std::net::SocketAddr;

use ntp_common::time::{MonoNs, NtpTimestamp};
use ntp_common::wire::HEADER_LEN;
use ntp_engine::auth::Keys;
use ntp_engine::conf::parse;
use ntp_engine::engine::Engine;
use ntp_engine::seams::{Action, Event, Now, RequestId, SourceId, Stamped, StampedBy};
use ntp_engine::settings::EngineConfig;
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;

use crate::requests::KEYS;

/// The sources that are asked, one of each kind; the first octet says which.
const SOURCES: [&str; 4] = [
    "server 192.0.2.1 iburst",
    "server 192.0.2.1 iburst key 2",
    "server 192.0.2.1 iburst xleave",
    "peer 192.0.2.1 key 3",
];

/// Where the origin timestamp is in a packet.
const ORIGIN: std::ops::Range<usize> = 24..32;
const TRANSMIT: std::ops::Range<usize> = 40..48;

/// The octets are packets with their lengths before them; with the highest bit of a length, the packet's origin
/// timestamp is made right. Whatever they say, the clock is not moved by more than they can prove.
pub(crate) fn replies(octets: &[u8]) {
    let Some((&kind, mut rest)) = octets.split_first() else { return };
    let mut asked = Asked::new(SOURCES[usize::from(kind) % SOURCES.len()]);
    while let Some((&len, after)) = rest.split_first() {
        let packet = &after[..after.len().min(usize::from(len & 0x7f))];
        rest = &after[packet.len()..];
        asked.hear(packet, len & 0x80 != 0);
    }
}

/// An engine that asks one source.
struct Asked {
    engine: Engine<ChaCha12Rng>,
    now: Now,
    /// The request that left last.
    sent: Option<(SourceId, RequestId, SocketAddr, Vec<u8>)>,
}

impl Asked {
    fn new(line: &str) -> Self {
        let config = parse("fuzz", line).expect("a right line").config;
        let time = NtpTimestamp::from_bits(0xe8f0_0000_0000_0000);
        let now = Now { mono: MonoNs(1_000_000_000), time, rate: 1.0 };
        let rng = ChaCha12Rng::seed_from_u64(1);
        let mut engine = Engine::new(EngineConfig::from_config(&config), rng, None, now);
        engine.set_keys(Keys::parse(KEYS).0);
        let actions = engine.start(0.0, now);
        let mut asked = Self { engine, now, sent: None };
        asked.carry_out(actions);
        asked
    }

    /// Lets time pass until the engine asks, and hands it a packet for an answer.
    fn hear(&mut self, packet: &[u8], is_answer: bool) {
        self.sent = None;
        for _ in 0..4 {
            let Some(due) = self.engine.next_deadline() else { return };
            self.pass(due.since(self.now.mono));
            let actions = self.engine.handle(&Event::Timer, self.now);
            self.carry_out(actions);
            if self.sent.is_some() {
                break;
            }
        }
        let Some((source, request, from, asked)) = self.sent.clone() else { return };
        let left = Stamped { at: self.now.time, by: StampedBy::Kernel };
        let sent = Event::Sent { request, source, at: left };
        let actions = self.engine.handle(&sent, self.now);
        self.carry_out(actions);
        self.pass(1_000_000);
        let mut packet = packet.to_vec();
        if is_answer && packet.len() >= HEADER_LEN {
            packet[ORIGIN].copy_from_slice(&asked[TRANSMIT]);
        }
        let at = Stamped { at: self.now.time, by: StampedBy::Kernel };
        let received = Event::Received { source, from, to: None, packet: &packet, at };
        let actions = self.engine.handle(&received, self.now);
        self.carry_out(actions);
    }

    fn pass(&mut self, nanos: u64) {
        self.now.mono = self.now.mono.after(nanos);
        let nanos = i64::try_from(nanos).expect("a short while");
        self.now.time = self.now.time + ntp_common::time::NtpDuration::from_nanos(nanos);
    }

    /// The clock obeys; requests are remembered.
    fn carry_out(&mut self, actions: Vec<Action>) {
        let mut pending = actions;
        while let Some(action) = pending.pop() {
            let step = match action {
                Action::Send { source, request, to, packet, .. } => {
                    self.sent = Some((source, request, to, packet));
                    continue;
                }
                Action::Step(step) => step,
                Action::SetFrequency(frequency) => {
                    assert!(frequency.is_finite() && frequency.abs() <= 0.2, "{frequency}");
                    continue;
                }
                Action::Publish(snapshot) => {
                    assert!(snapshot.valid_until_ns >= snapshot.base_ns, "{snapshot:?}");
                    continue;
                }
                Action::Close { .. }
                | Action::Resolve { .. }
                | Action::SetStatus(_)
                | Action::Invalidate
                | Action::SaveDrift { .. } => continue,
            };
            self.now.time = self.now.time + step;
            let changed = Event::ClockChanged { step, frequency: 0.0 };
            pending.extend(self.engine.handle(&changed, self.now));
        }
    }
}
