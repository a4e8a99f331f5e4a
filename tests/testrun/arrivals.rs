//! Receive timestamps of the hardware in the XDP program, with a driver that is told what to say: what they make of
//! replies, and what is counted.

use std::os::fd::AsFd as _;

use anyhow::{Context, Result, bail, ensure};
use ntp_common::arrival::{Arrival, InterfaceClock};
use ntp_common::snapshot::{NO_LEAP, RefSnapshot};
use ntp_common::time::{MonoNs, NANOS_PER_SECOND, NtpTimestamp};

use crate::frame::{Frame, sum};
use crate::kernel::monotonic_ns;
use crate::world::{Server, running};

/// The interface's place among the clocks: any but the first.
const SLOT: usize = 5;
/// What the interface's clock shows when the monotonic clock shows zero: it is of another era.
const AHEAD_NS: u64 = 1_790_000_000 * NANOS_PER_SECOND;
/// From a reply's receive timestamp to its transmit timestamp when the program read the clock, 2^-32 s.
const TURNAROUND: u64 = 256;
/// What is lost in multiplications, and the mark in the lowest bit, 2^-32 s.
const ROUNDING: u64 = 8;

/// How often a request is asked: on a busy machine the program may take longer to load than a timestamp is good for.
const TRIES: usize = 10;

/// A clock that was told of a second ago and is good for a while.
fn clock() -> InterfaceClock {
    let base_ns = monotonic_ns() - NANOS_PER_SECOND;
    let valid_until_ns = base_ns + 100 * NANOS_PER_SECOND;
    InterfaceClock { base_stamp_ns: AHEAD_NS + base_ns, base_ns, drift: 0, valid_until_ns }
}

/// Asks once, with a request that came in at the monotonic clock's `at_ns` by the interface's clock, or at a time that
/// is not told. Gives both timestamps of the reply.
fn ask(server: &mut Server, at_ns: Option<u64>) -> Result<[NtpTimestamp; 2]> {
    let program = server.stamped(SLOT, at_ns.map(|at_ns| at_ns.wrapping_add(AHEAD_NS)))?;
    let outcome = server.run_other(program.as_fd(), &Frame::v4().octets())?;
    ensure!(outcome.action == 3, "not sent back: {}", outcome.action);
    let payload = outcome.frame.last_chunk::<48>().context("the frame is short")?;
    let (addresses, datagram) = (&outcome.frame[26..34], &outcome.frame[34..]);
    let pseudo = [addresses, &[0, 17], &datagram[4..6]].concat();
    ensure!(sum(&[&pseudo[..], datagram].concat()) == 0xffff, "the checksum is wrong");
    let word = |at: usize| -> Result<NtpTimestamp> {
        let octets = payload[at..].first_chunk().context("the frame is short")?;
        Ok(NtpTimestamp::from_bits(u64::from_be_bytes(*octets)))
    };
    Ok([word(32)?, word(40)?])
}

/// What was counted since, which must be one request.
fn counted(server: &Server, before: &mut [u64; 4]) -> Result<[u64; 4]> {
    let now = server.arrivals(SLOT)?;
    let since = std::array::from_fn(|at| now[at] - before[at]);
    *before = now;
    Ok(since)
}

fn one(arrival: Arrival) -> [u64; 4] {
    std::array::from_fn(|at| u64::from(at == arrival as usize))
}

fn apart(left: NtpTimestamp, right: NtpTimestamp) -> u64 {
    left.since(right).to_bits().unsigned_abs()
}

/// A request is as old as its interface says, whatever rate the clocks run at.
pub(crate) fn hardware() -> Result<()> {
    let mut server = Server::load()?;
    let clocks = server.clocks()?;
    let mut before = server.arrivals(SLOT)?;
    for (drift, ago_ns) in
        [(0, 250_000_000), (0, 1_000), (1 << 14, 250_000_000), (-(1 << 28), 1_000_000)]
    {
        let (mut told, mut at_ns, mut snapshot) = (clock(), 0, running());
        let mut reply = None;
        for _ in 0..TRIES {
            snapshot = running();
            server.page.publish(&snapshot);
            told = InterfaceClock { drift, ..clock() };
            clocks.tell(SLOT, &told);
            at_ns = monotonic_ns() - ago_ns;
            // The stamp that a clock of that rate shows then.
            let since_base = i128::from(at_ns) - i128::from(told.base_ns);
            let stamp_since = (since_base << 32) / ((1 << 32) + i128::from(drift));
            let stamp = u64::try_from(i128::from(told.base_ns) + stamp_since)?;
            let timestamps = ask(&mut server, Some(stamp))?;
            if counted(&server, &mut before)? == one(Arrival::Hardware) {
                reply = Some(timestamps);
                break;
            }
        }
        let [receive, transmit] = reply.with_context(|| format!("{told:?} was never used"))?;
        let expected = snapshot.time_at(MonoNs(at_ns));
        // A nanosecond is 4.3 units, and the stamp is whole nanoseconds.
        let off = apart(receive, expected);
        ensure!(off <= ROUNDING + 10, "{drift} {ago_ns}: off by {off} units of 2^-32 s");
        let served = transmit.since(receive).to_nanos();
        ensure!(served >= i64::try_from(ago_ns)?, "{drift} {ago_ns}: left after {served} ns");
    }
    Ok(())
}

/// What does not add up is not used, and the program's reading of the clock is.
pub(crate) fn fallback() -> Result<()> {
    let mut server = Server::load()?;
    let clocks = server.clocks()?;
    server.page.publish(&running());
    let mut before = server.arrivals(SLOT)?;
    let now = monotonic_ns;
    let stale = InterfaceClock { valid_until_ns: now(), ..clock() };
    let cases = [
        (clock(), None, Arrival::Absent),
        (clock(), Some(0u64.wrapping_sub(AHEAD_NS)), Arrival::Absent),
        (clock(), Some(now() + 3_600 * NANOS_PER_SECOND), Arrival::Nonsense),
        (clock(), Some(now() - 2 * NANOS_PER_SECOND), Arrival::Nonsense),
        (InterfaceClock { base_stamp_ns: 0, ..clock() }, Some(now() - 1_000), Arrival::Nonsense),
        (InterfaceClock::default(), Some(now() - 1_000), Arrival::ClockUnknown),
        (stale, Some(now() - 1_000), Arrival::ClockUnknown),
    ];
    for (told, at_ns, arrival) in cases {
        clocks.tell(SLOT, &told);
        let [receive, transmit] = ask(&mut server, at_ns)?;
        ensure!(counted(&server, &mut before)? == one(arrival), "{told:?} {at_ns:?}: {arrival:?}");
        let apart = apart(transmit, receive);
        ensure!(apart.abs_diff(TURNAROUND) <= 1, "{told:?} {at_ns:?}: {apart} units");
    }
    Ok(())
}

/// Both timestamps of a reply are on the same side of a leap second, also when the request came before it.
pub(crate) fn leap() -> Result<()> {
    let mut server = Server::load()?;
    let mut before = server.arrivals(SLOT)?;
    for _ in 0..TRIES {
        server.clocks()?.tell(SLOT, &clock());
        let now = monotonic_ns();
        let snapshot = RefSnapshot { leap_at_ns: now - 1_000_000, leap_step: -1, ..running() };
        server.page.publish(&snapshot);
        let [receive, transmit] = ask(&mut server, Some(now - 100_000_000))?;
        if counted(&server, &mut before)? != one(Arrival::Hardware) {
            continue;
        }
        let leapt = RefSnapshot { leap_at_ns: NO_LEAP, ..snapshot.as_of(MonoNs(now)) };
        let off = apart(receive, leapt.time_at(MonoNs(now - 100_000_000)));
        ensure!(off <= ROUNDING, "off by {off} units of 2^-32 s");
        let served = transmit.since(receive).to_nanos();
        ensure!((100_000_000..1_000_000_000).contains(&served), "left after {served} ns");
        return Ok(());
    }
    bail!("{TRIES} requests were all asked a second late")
}
