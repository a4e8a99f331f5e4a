//! Random frames: whole ones with random parts, and those of the corpus with octets changed, cut off and
//! added.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use ntp_common::counters::{COUNTER_COUNT, Counters, REASONS, Reason};
use ntp_common::snapshot::RefSnapshot;
use ntp_common::time::NtpTimestamp;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

use crate::corpus;
use crate::frame::{CLIENT_V4, CLIENT_V6, Frame, UdpChecksum, extension, request};
use crate::identity::agree;
use crate::model::{Verdict, World, judge};
use crate::world::{Rules, Server, allows, frozen};

const FRAMES: usize = 1_000_000;
const SEED: u64 = 0x6e74_7078;

/// Frames between changes of what the server was told.
const ROUND: usize = 50_000;

/// Rules that are in force in turn.
const RULE_SETS: [Rules<'_>; 3] = [
    &[("0.0.0.0/0", true), ("::/0", true)],
    &[("198.51.100.0/24", true), ("198.51.100.128/25", false), ("2001:db8:c11e::/48", true)],
    &[("0.0.0.0/0", true), ("198.51.0.0/16", false), ("198.51.100.4/30", true), ("::/0", true)],
];

pub(crate) fn frames() -> Result<()> {
    let mut random = ChaCha12Rng::seed_from_u64(SEED);
    let corpus: Vec<Vec<u8>> = corpus::cases().into_iter().map(|case| case.frame).collect();
    let mut server = Server::load()?;
    let mut tally: Counters = [0; COUNTER_COUNT];
    for round in 0..FRAMES / ROUND {
        let rules = RULE_SETS[round % RULE_SETS.len()];
        server.allow(rules)?;
        // In one round of seven nothing valid is published.
        let is_valid = round % 7 != 6;
        let snapshot = random_snapshot(&mut random, is_valid);
        server.page.publish(&snapshot);
        let access = |address: IpAddr| allows(rules, address);
        let world = World { snapshot, is_valid, access: &access };
        let receive = NtpTimestamp::from_bits(snapshot.base_ntp);
        for index in 0..ROUND {
            let frame = if random.random_ratio(1, 3) {
                composed(&mut random)
            } else {
                let frame = &corpus[random.random_range(0..corpus.len())];
                mutated(&mut random, frame)
            };
            let verdict = judge(&frame, &world, receive);
            let outcome = server.run(&frame)?;
            agree(&frame, &verdict, outcome.action, outcome.frame)
                .with_context(|| format!("seed {SEED:#x}, round {round}, frame {index}"))?;
            tally[counter(&verdict)] += 1;
        }
    }
    let counted = server.counters();
    ensure!(counted == tally, "counted {counted:?}, the model {tally:?}");
    check_coverage(&tally)
}

fn counter(verdict: &Verdict) -> usize {
    match verdict {
        Verdict::Answer { counter, .. } => *counter,
        Verdict::Refuse(reason) => *reason as usize,
    }
}

/// Random frames that never met some fate would prove nothing about it.
fn check_coverage(tally: &Counters) -> Result<()> {
    let answered = ntp_common::counters::answered(tally);
    ensure!(answered > FRAMES as u64 / 20, "only {answered} frames were answered");
    // Nobody publishes meanwhile and nobody is limited: other tests see to these. Codes are for the user path.
    let is_elsewhere = |reason: &Reason| {
        matches!(
            reason,
            Reason::SnapshotBusy | Reason::RateLimited | Reason::BadMac | Reason::NotSent
        )
    };
    for reason in REASONS.into_iter().filter(|reason| !is_elsewhere(reason)) {
        ensure!(tally[reason as usize] > 0, "no frame met {reason:?}");
    }
    Ok(())
}

fn random_snapshot(random: &mut impl Rng, is_valid: bool) -> RefSnapshot {
    RefSnapshot {
        base_ntp: random.random(),
        valid_until_ns: if is_valid { u64::MAX } else { 0 },
        head: random.random::<u64>() & 0xc0ff_00ff_ffff_ffff | 4 << 56,
        root_dispersion: random.random_range(0..1 << 20),
        reference_id: random.random(),
        min_poll: random.random(),
        reference_timestamp: random.random(),
        ..frozen()
    }
}

/// A frame whose parts were drawn one by one, most of them right.
fn composed(random: &mut impl Rng) -> Vec<u8> {
    let mut frame = if random.random() { Frame::v4() } else { Frame::v6() };
    random.fill(&mut frame.payload[1..]);
    let (version, mode) = if random.random_ratio(3, 4) {
        (random.random_range(1..=4), 3)
    } else {
        (random.random_range(0..8), random.random_range(0..8))
    };
    frame.payload[0] = request(version, mode)[0] | random.random::<u8>() & 0xc0;
    if random.random_ratio(3, 4) {
        frame.payload[31] &= !1;
    }
    frame.source = match frame.source {
        IpAddr::V4(_) => {
            let [a, b, c, _] = CLIENT_V4.octets();
            [a, b, c, random.random()].into()
        }
        IpAddr::V6(_) => {
            let mut segments = CLIENT_V6.segments();
            segments[2] ^= u16::from(random.random_ratio(1, 8));
            segments[7] = random.random();
            segments.into()
        }
    };
    frame.ports.0 = random.random();
    frame.ttl = random.random();
    for _ in 0..random.random_range(0..=3) {
        frame.vlans.push((if random.random() { 0x8100 } else { 0x88a8 }, random.random()));
    }
    if random.random_ratio(1, 4) {
        for _ in 0..random.random_range(0..6) {
            let kind = [0, 43, 60][random.random_range(0..3)];
            frame.extensions.push(extension(kind, random.random_range(0..3)));
        }
    }
    if random.random_ratio(1, 8) {
        frame.payload.resize(random.random_range(0..120), 0);
    }
    frame.checksum = match random.random_range(0..8) {
        0 => UdpChecksum::None,
        1 => UdpChecksum::Partial,
        2 => UdpChecksum::Wrong,
        _ => UdpChecksum::Right,
    };
    frame.octets()
}

/// A frame with some octets changed, and now and then cut off or made longer.
fn mutated(random: &mut impl Rng, frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    for _ in 0..random.random_range(0..4) {
        let at = random.random_range(0..frame.len());
        match random.random_range(0..3) {
            0 => frame[at] = random.random(),
            1 => frame[at] ^= 1 << random.random_range(0..8),
            _ => frame[at] = [0, 0xff, 0x11, 0x7b][random.random_range(0..4)],
        }
    }
    match random.random_range(0..12) {
        0 => frame.truncate(random.random_range(14..=frame.len())),
        1 => frame.extend((0..random.random_range(1..40)).map(|_| random.random::<u8>())),
        _ => {}
    }
    frame
}
