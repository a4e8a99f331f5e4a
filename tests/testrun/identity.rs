//! One frame after another through the program and through the model.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use ntp_common::counters::{COUNTER_COUNT, Reason};
use ntp_common::snapshot::{RefSnapshot, YOUNG_NS};
use ntp_common::time::{MonoNs, NtpTimestamp};

use crate::corpus;
use crate::frame::Frame;
use crate::kernel::monotonic_ns;
use crate::model::{Verdict, World, judge};
use crate::world::{Rules, Server, allows, frozen, running};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;

/// Fewest cases that the corpus must have.
const CASES: usize = 200;

/// Ages of snapshots, nanoseconds: young, about to be no longer, old.
const AGES_NS: [u64; 4] = [0, 1_000_000_000, YOUNG_NS - 1_000_000, 20_000_000_000];

/// The action for a frame with a fate.
pub(crate) fn action(fate: Option<Reason>) -> u32 {
    match fate {
        None => XDP_TX,
        Some(reason) if reason.is_drop() => XDP_DROP,
        Some(_) => XDP_PASS,
    }
}

pub(crate) fn corpus() -> Result<()> {
    let mut server = Server::load()?;
    server.page.publish(&frozen());
    let cases = corpus::cases();
    println!("{} cases", cases.len());
    ensure!(cases.len() >= CASES, "too few cases");
    for case in &cases {
        let before = server.counters();
        let outcome = server.run(&case.frame)?;
        let got = (outcome.action, outcome.frame.to_vec());
        let after = server.counters();
        let expected = action(case.fate);
        ensure!(got.0 == expected, "{}: action {} for {:?}", case.name, got.0, case.fate);
        ensure!(got.1.len() == case.frame.len(), "{}: another length", case.name);
        match case.fate {
            None => ensure!(got.1 != case.frame, "{}: answered with itself", case.name),
            Some(reason) => {
                ensure!(got.1 == case.frame, "{}: changed without an answer", case.name);
                let counted = after[reason as usize] - before[reason as usize];
                ensure!(counted == 1, "{}: {reason:?} counted {counted} times", case.name);
            }
        }
        let total = |counters: &[u64; COUNTER_COUNT]| counters.iter().sum::<u64>();
        ensure!(total(&after) - total(&before) == 1, "{}: not counted once", case.name);
    }
    Ok(())
}

pub(crate) fn corpus_and_model() -> Result<()> {
    let mut server = Server::load()?;
    let cases = corpus::cases();
    for age_ns in AGES_NS {
        let snapshot = RefSnapshot { base_ns: monotonic_ns() - age_ns, ..frozen() };
        server.page.publish(&snapshot);
        let receive = NtpTimestamp::from_bits(snapshot.base_ntp);
        for case in &cases {
            let world = World { snapshot, is_valid: true, access: &|_| true };
            let verdict = judge(&case.frame, &world, receive);
            let outcome = server.run(&case.frame)?;
            agree(&case.frame, &verdict, outcome.action, outcome.frame)
                .with_context(|| format!("{}, {age_ns} ns old", case.name))?;
        }
    }
    Ok(())
}

/// Fails where the program did something else than the model.
pub(crate) fn agree(frame: &[u8], verdict: &Verdict, done: u32, left: &[u8]) -> Result<()> {
    let (expected, octets) = match verdict {
        Verdict::Answer { frame, .. } => (XDP_TX, frame.as_slice()),
        Verdict::Refuse(reason) => (action(Some(*reason)), frame),
    };
    ensure!(
        done == expected && left == octets,
        "frame {frame:02x?}\nmodel {verdict:02x?}\nprogram: action {done}, {left:02x?}"
    );
    Ok(())
}

pub(crate) fn running_time() -> Result<()> {
    let mut server = Server::load()?;
    // The last is too fast for a young snapshot.
    let multiplier_changes = [0, 1 << 40, -(1 << 45), 1 << 61];
    for (multiplier_change, age_ns) in
        multiplier_changes.into_iter().flat_map(|change| AGES_NS.map(|age_ns| (change, age_ns)))
    {
        let mut snapshot = RefSnapshot { base_ns: monotonic_ns() - age_ns, ..running() };
        snapshot.multiplier = snapshot.multiplier.wrapping_add_signed(multiplier_change);
        // Grows by many units a second.
        snapshot.dispersion_rate = 1 << 24;
        server.page.publish(&snapshot);
        for frame in [Frame::v4(), Frame::v6()] {
            let frame = frame.octets();
            let earliest = monotonic_ns();
            let outcome = server.run(&frame)?;
            let latest = monotonic_ns();
            let (done, left) = (outcome.action, outcome.frame.to_vec());
            let receive = receive_time(&snapshot, &left, earliest, latest)?;
            let world = World { snapshot, is_valid: true, access: &|_| true };
            agree(&frame, &judge(&frame, &world, receive), done, &left)?;
        }
    }
    Ok(())
}

/// The served time that gives the receive timestamp in a reply.
fn receive_time(
    snapshot: &RefSnapshot,
    reply: &[u8],
    earliest: u64,
    latest: u64,
) -> Result<NtpTimestamp> {
    Ok(snapshot.time_at(arrival(snapshot, reply, earliest, latest)?))
}

/// The reading of the clock, between two others, that gives the receive timestamp in a reply.
pub(crate) fn arrival(
    snapshot: &RefSnapshot,
    reply: &[u8],
    earliest: u64,
    latest: u64,
) -> Result<MonoNs> {
    let payload = reply.last_chunk::<48>().context("a reply has 48 octets")?;
    let stamp = u64::from_be_bytes(payload[32..40].try_into().expect("eight octets"));
    (earliest..=latest)
        .map(MonoNs)
        .find(|&now| snapshot.time_at(now).to_bits() | 1 == stamp)
        .context("the receive timestamp is of no time between the readings around the run")
}

const RULES: Rules<'_> = &[
    ("0.0.0.0/0", true),
    ("10.0.0.0/8", false),
    ("10.1.0.0/16", true),
    ("10.1.2.0/23", false),
    ("10.1.2.128/25", true),
    ("10.1.2.129/32", false),
    ("2001:db8::/32", true),
    ("2001:db8:1::/48", false),
    ("2001:db8:1:2::/64", true),
    ("2001:db8:1:2::5/128", false),
];

pub(crate) fn access() -> Result<()> {
    let mut server = Server::load()?;
    server.page.publish(&frozen());
    for (rules, addresses) in [
        (
            RULES,
            &[
                "192.168.0.1",
                "10.0.0.1",
                "10.1.0.1",
                "10.1.2.1",
                "10.1.3.255",
                "10.1.4.0",
                "10.1.2.128",
                "10.1.2.129",
                "10.1.2.130",
                "2001:db8::1",
                "2001:db8:1::1",
                "2001:db8:1:2::1",
                "2001:db8:1:2::5",
                "2001:db8:1:2::6",
                "2001:db9::1",
                "fe80::1",
            ][..],
        ),
        (&[("0.0.0.0/0", true)], &["192.168.0.1", "2001:db8::1"]),
        (&[("::/0", true), ("fd00::/8", false)], &["192.168.0.1", "2001:db8::1", "fd00::1"]),
        (&[], &["192.168.0.1", "2001:db8::1"]),
    ] {
        server.allow(rules)?;
        for address in addresses {
            let address: IpAddr = address.parse()?;
            let frame = if address.is_ipv4() { Frame::v4() } else { Frame::v6() };
            let frame = frame.with(|frame| frame.source = address).octets();
            let fate = (!allows(rules, address)).then_some(Reason::AccessDenied);
            let outcome = server.run(&frame)?;
            ensure!(outcome.action == action(fate), "{address} under {rules:?}: {fate:?}");
        }
    }
    Ok(())
}

pub(crate) fn expiry() -> Result<()> {
    let mut server = Server::load()?;
    let frame = Frame::v4().octets();
    let fate_is = |server: &mut Server, what: &str, fate| {
        let outcome = server.run(&frame)?;
        ensure!(outcome.action == action(fate), "{what}: action {}", outcome.action);
        ensure!(fate.is_none() || outcome.frame == frame, "{what}: the frame changed");
        Ok(())
    };
    fate_is(&mut server, "nothing published", Some(Reason::NoSnapshot))?;
    server.page.publish(&running());
    fate_is(&mut server, "published", None)?;
    server.page.invalidate();
    fate_is(&mut server, "withdrawn", Some(Reason::NoSnapshot))?;
    let now = monotonic_ns();
    server.page.publish(&RefSnapshot { valid_until_ns: now, ..running() });
    fate_is(&mut server, "expired", Some(Reason::NoSnapshot))?;
    server.page.publish(&RefSnapshot { base_ns: now + 60_000_000_000, ..running() });
    fate_is(&mut server, "from the future", Some(Reason::NoSnapshot))?;
    server.page.publish(&running());
    fate_is(&mut server, "published again", None)
}

pub(crate) fn minimum_poll() -> Result<()> {
    let mut server = Server::load()?;
    for min_poll in [-128, -7, -1, 0, 3, 6, 17, 127] {
        let snapshot = RefSnapshot { min_poll, ..frozen() };
        server.page.publish(&snapshot);
        for asked in i8::MIN..=i8::MAX {
            let frame = Frame::v4().with(|frame| frame.payload[2] = asked.cast_unsigned()).octets();
            let outcome = server.run(&frame)?;
            let given = outcome.frame[14 + 20 + 8 + 2].cast_signed();
            ensure!(given == asked.max(min_poll), "asked {asked}, minimum {min_poll}: {given}");
        }
    }
    Ok(())
}
