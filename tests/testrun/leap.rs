//! Leap seconds in the XDP program: before, at and after the instant that a snapshot schedules. What a snapshot
//! says after it is written down here a second time, by seconds of wide integers.

use anyhow::{Context, Result, ensure};
use ntp_common::snapshot::{RefSnapshot, head};
use ntp_common::time::{MonoNs, NtpShort, NtpTimestamp};
use ntp_common::wire::LeapIndicator;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

use crate::corpus;
use crate::identity::agree;
use crate::kernel::monotonic_ns;
use crate::model::{World, judge};
use crate::world::{Server, frozen, running};

/// Snapshots that are drawn.
const SNAPSHOTS: u32 = 60;
/// How long before the leap second requests are made, nanoseconds.
const BEFORE_NS: u64 = 20_000_000;
/// Replies that are looked at after it.
const LATE_REPLIES: u32 = 100;

/// Seconds, and what replies say of them, after the leap second.
fn after(snapshot: &RefSnapshot) -> RefSnapshot {
    let moved = |bits: u64| {
        let units = i128::from(bits) + i128::from(snapshot.leap_step) * (1 << 32);
        u64::try_from(units.rem_euclid(1 << 64)).expect("an era has 2^64 units")
    };
    let [first, rest @ ..] = snapshot.head.to_be_bytes();
    let head = [&[first % 64], &rest[..]].concat();
    RefSnapshot {
        base_ntp: moved(snapshot.base_ntp),
        head: u64::from_be_bytes(head.try_into().expect("eight octets")),
        reference_timestamp: match snapshot.reference_timestamp {
            0 => 0,
            known => moved(known),
        },
        ..*snapshot
    }
}

pub(crate) fn corpus_around_it() -> Result<()> {
    let mut random = ChaCha12Rng::seed_from_u64(0x1ea9);
    let mut server = Server::load()?;
    let cases = corpus::cases();
    for _ in 0..SNAPSHOTS {
        let is_over = random.random();
        let snapshot = RefSnapshot {
            base_ntp: random.random(),
            head: random.random::<u64>() & 0xc0ff_00ff_ffff_ffff | 4 << 56,
            reference_timestamp: if random.random_ratio(1, 4) { 0 } else { random.random() },
            leap_at_ns: if is_over { monotonic_ns() } else { u64::MAX - 1 },
            leap_step: random.random_range(-1..=1),
            ..frozen()
        };
        server.page.publish(&snapshot);
        let expected = if is_over { after(&snapshot) } else { snapshot };
        let world = World { snapshot: expected, is_valid: true, access: &|_| true };
        let receive = NtpTimestamp::from_bits(expected.base_ntp);
        for case in &cases {
            let verdict = judge(&case.frame, &world, receive);
            let outcome = server.run(&case.frame)?;
            agree(&case.frame, &verdict, outcome.action, outcome.frame)
                .with_context(|| format!("{}, {snapshot:?}", case.name))?;
        }
    }
    Ok(())
}

pub(crate) fn instant() -> Result<()> {
    let mut server = Server::load()?;
    let frame = crate::frame::Frame::v4().octets();
    for (leap, leap_step) in [(LeapIndicator::Insert, -1), (LeapIndicator::Delete, 1)] {
        let leap_at_ns = monotonic_ns() + BEFORE_NS;
        let head = head(leap, 2, -25, NtpShort::from_bits(0x123));
        let before = RefSnapshot { leap_at_ns, leap_step, head, ..running() };
        server.page.publish(&before);
        let after = after(&before);
        let (mut early, mut late) = (0, 0);
        while late < LATE_REPLIES {
            let earliest = monotonic_ns();
            let outcome = server.run(&frame)?;
            let latest = monotonic_ns();
            let reply = outcome.frame.last_chunk::<48>().context("a reply has 48 octets")?;
            let stamp = u64::from_be_bytes(reply[32..40].try_into().expect("eight octets"));
            let read = (earliest..=latest).find(|&nanos| {
                let then = if nanos < leap_at_ns { &before } else { &after };
                then.time_at(MonoNs(nanos)).to_bits() | 1 == stamp
            });
            let read = read.context("the receive timestamp is of no time around the run")?;
            let announced = if read < leap_at_ns { leap } else { LeapIndicator::Normal };
            ensure!(LeapIndicator::from_octet(reply[0]) == announced, "{leap:?} at {read}");
            if read < leap_at_ns { early += 1 } else { late += 1 }
        }
        println!("{leap:?}: {early} replies before, {late} after");
        ensure!(early > 0, "no reply before the leap second");
    }
    Ok(())
}
