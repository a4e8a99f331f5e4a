//! Rate limiting and the record of clients: what the program decides and writes is what the user path
//! decides and writes of the same requests at the same times.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use ntp_common::clients::seen_at;
use ntp_common::counters::{KISSES, LEAKED, Reason, answered};
use ntp_common::ratelimit::{ClientRules, Limit, Verdict};
use ntp_common::respond::Reply;
use ntp_common::snapshot::RefSnapshot;
use ntp_common::time::MonoNs;
use ntp_user::serving::clients::Clients;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

use crate::frame::Frame;
use crate::identity::{action, arrival};
use crate::kernel::monotonic_ns;
use crate::model::{Verdict as Fate, World, judge};
use crate::world::{Server, running};

const SEED: u64 = 0x6e74_7078;

/// Requests that are compared under each limit.
const REQUESTS: usize = 60_000;

/// Limits that clients meet within a millisecond.
const LIMITS: [Limit; 3] = [
    Limit { interval_log2: -12, burst: 8, leak_log2: 2, kod_log2: 0 },
    Limit { interval_log2: -16, burst: 1, leak_log2: 1, kod_log2: 1 },
    Limit { interval_log2: 3, burst: 255, leak_log2: 4, kod_log2: 3 },
];

pub(crate) fn identity() -> Result<()> {
    let mut random = ChaCha12Rng::seed_from_u64(SEED);
    for limit in LIMITS {
        // Fewer records than clients: some must make room.
        let rules = ClientRules::new(8, random.random()).with_limit(limit);
        let mut server = Server::load_with(rules)?;
        let mut snapshot = running();
        snapshot.fuzz_mask = 0;
        server.page.publish(&snapshot);
        let model = Clients::on_heap(rules);
        let mut tally = [0u64; 4];
        for index in 0..REQUESTS {
            let client = client(&mut random);
            let verdict = compare(&mut server, &model, &snapshot, client)
                .with_context(|| format!("{limit:?}, request {index} of {client}"))?;
            tally[verdict as usize] += 1;
        }
        let [answers, leaks, kisses, drops] = tally;
        let counted = server.counters();
        ensure!(answered(&counted) == answers + leaks && counted[LEAKED] == leaks);
        ensure!(counted[KISSES] == kisses && counted[Reason::RateLimited as usize] == drops);
        let now = MonoNs(monotonic_ns());
        let without_time = |clients: &Clients| -> Vec<_> {
            clients.iter(now).map(|record| (record.address, record.requests)).collect()
        };
        ensure!(without_time(&server.clients) == without_time(&model), "{limit:?}: other records");
        println!("{limit:?}: {answers} answers, {leaks} leaks, {kisses} kisses, {drops} drops");
        ensure!(answers > 500 && leaks > 500 && drops > 500, "{limit:?}: too few of a kind");
        ensure!((kisses > 500) == (limit.kod_log2 > 0), "{limit:?}: kisses");
    }
    Ok(())
}

/// Clients of both families, some of which ask more often.
fn client(random: &mut impl Rng) -> IpAddr {
    let number = random.random_range(0..24u8).saturating_sub(random.random_range(0..24));
    match random.random_range(0..2) {
        0 => Ipv4Addr::new(198, 51, 100, number).into(),
        _ => Ipv6Addr::new(0x2001, 0xdb8, 0xc11e, number.into(), 0, 0, 0, 7).into(),
    }
}

/// Sends one request through the program and charges the model for it.
fn compare(
    server: &mut Server,
    model: &Arc<Clients>,
    snapshot: &RefSnapshot,
    client: IpAddr,
) -> Result<Verdict> {
    let frame = if client.is_ipv4() { Frame::v4() } else { Frame::v6() };
    let frame = frame.with(|frame| frame.source = client).octets();
    let earliest = monotonic_ns();
    let outcome = server.run(&frame)?;
    let (done, left) = (outcome.action, outcome.frame.to_vec());
    let latest = monotonic_ns();
    if done != action(None) {
        let now = dropped_at(server, client, earliest, latest)?;
        let verdict = model.request(client, now);
        ensure!(verdict == Verdict::Drop, "dropped, but the model says {verdict:?}");
        ensure!(done == action(Some(Reason::RateLimited)), "not dropped: {done}");
        return Ok(verdict);
    }
    let now = arrival(snapshot, &left, earliest, latest)?;
    let verdict = model.request(client, now);
    let world = World { snapshot: *snapshot, is_valid: true, access: &|_| true };
    let Fate::Answer { frame: mut expected, .. } = judge(&frame, &world, snapshot.time_at(now))
    else {
        anyhow::bail!("the model of frames refuses it");
    };
    let payload = expected.len() - 48;
    match verdict {
        Verdict::Answer | Verdict::Leak => {
            ensure!(left == expected, "another answer than the model's");
        }
        Verdict::Kiss => {
            let reply = expected.last_chunk_mut().context("a reply has 48 octets")?;
            *reply = Reply::of(*reply).kiss_rate().octets;
            ensure!(left[payload..] == expected[payload..], "another kiss than the model's");
        }
        Verdict::Drop => anyhow::bail!("answered, but the model says drop"),
    }
    Ok(verdict)
}

/// The earliest time at which the program may have dropped a request, by what it wrote of it: a request that
/// is over the limit then was over it before, too.
fn dropped_at(server: &Server, client: IpAddr, earliest: u64, latest: u64) -> Result<MonoNs> {
    let tick = MonoNs(latest >> 20 << 20);
    let record = server.clients.lookup(client, tick).context("a dropped client has a record")?;
    let since = record.requests.since_last.context("it was seen")?;
    if seen_at(MonoNs(earliest)) == seen_at(tick) || !since.is_zero() {
        return Ok(MonoNs(earliest));
    }
    Ok(tick)
}

pub(crate) fn shared_table() -> Result<()> {
    let limit = Limit { interval_log2: 12, burst: 8, leak_log2: 4, kod_log2: 0 };
    let mut server = Server::load_with(ClientRules::new(64, [11, 12]).with_limit(limit))?;
    server.page.publish(&running());
    let client = IpAddr::from([198, 51, 100, 9]);
    let frame = Frame::v4().with(|frame| frame.source = client).octets();
    for index in 0..4 {
        let verdict = server.clients.request(client, MonoNs(monotonic_ns()));
        ensure!(verdict == Verdict::Answer, "user path, {index}");
        ensure!(server.run(&frame)?.action == action(None), "program, {index}");
    }
    let refused = |verdict| matches!(verdict, Verdict::Drop | Verdict::Leak);
    ensure!(refused(server.clients.request(client, MonoNs(monotonic_ns()))), "a ninth answer");
    server.run(&frame)?;
    let counted = server.counters();
    let over = counted[LEAKED] + counted[Reason::RateLimited as usize];
    ensure!(over == 1, "the program did not see that the user path answered");
    let record = server.clients.lookup(client, MonoNs(monotonic_ns())).context("no record")?;
    ensure!(record.requests.hits == 10, "{record:?}");
    Ok(())
}

pub(crate) fn flood() -> Result<()> {
    const HONEST: u32 = 1000;
    const FLOOD_EACH: usize = 200;
    let mut random = ChaCha12Rng::seed_from_u64(SEED);
    let limit = Limit { interval_log2: 0, burst: 8, leak_log2: 2, kod_log2: 0 };
    let mut server = Server::load_with(ClientRules::new(1024, random.random()).with_limit(limit))?;
    server.page.publish(&running());
    let frame_of = |address: u32| {
        Frame::v4().with(|frame| frame.source = Ipv4Addr::from_bits(address).into()).octets()
    };
    let mut answers = 0;
    for honest in 0..HONEST {
        for _ in 0..FLOOD_EACH {
            server.run(&frame_of(random.random::<u32>() | 1 << 31))?;
        }
        let outcome = server.run(&frame_of(0x0a00_0001 + honest))?;
        answers += u32::from(outcome.action == action(None));
    }
    println!("{answers} of {HONEST} honest requests answered among {FLOOD_EACH} others each");
    ensure!(answers * 1000 >= HONEST * 999);
    Ok(())
}
