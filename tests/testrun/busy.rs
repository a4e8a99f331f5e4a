//! Rate limiting and the record of clients on a CPU whose requests follow each other at once: with a table that is
//! not near it answers before it charges, see [`ntp_common::waiting`].

use anyhow::{Result, ensure};
use ntp_common::counters::{Counters, LEAKED, Reason, answered};
use ntp_common::ratelimit::{ClientRules, Limit};
use ntp_common::time::MonoNs;
use ntp_common::waiting::{NEAR_SETS, WAITING};

use crate::again::{Again, sender};
use crate::kernel::monotonic_ns;
use crate::world::{Server, running};

/// Eight at once, then one in an hour: the time that a test takes allows nobody more.
const LIMIT: Limit = Limit { interval_log2: 12, burst: 8, leak_log2: 4, kod_log2: 0 };

/// Requests of each client, with as many clients.
const CASES: [(u32, u32); 4] = [(1, 10_000), (10, 2_000), (1_000, 40), (1_000, 7)];

/// Tables, with the requests that may wait to be charged.
const TABLES: [(u32, u64); 2] = [(NEAR_SETS, 0), (2 * NEAR_SETS, WAITING as u64)];

/// What became of the requests of clients: counters, and what the table says of all together.
struct Outcome {
    counted: Counters,
    hits: u64,
}

pub(crate) fn limit_and_counts() -> Result<()> {
    let mut again = Again::load()?;
    for (sets, waiting) in TABLES {
        for (clients, each) in CASES {
            let rules = ClientRules::new(sets, SECRET).with_limit(LIMIT);
            let Outcome { counted, hits } = ask(&mut again, rules, clients, each)?;
            let (clients, each) = (u64::from(clients), u64::from(each));
            let (leaked, dropped) = (counted[LEAKED], counted[Reason::RateLimited as usize]);
            let within = answered(&counted) - leaked;
            println!(
                "{sets} sets, {clients} clients, {each} requests each: {within} answered, {leaked} leaked, {dropped} dropped"
            );
            ensure!(within + leaked + dropped == clients * each, "a request is missing");
            // Each of those that wait may be one more answer, and so may each that a word of the set of those
            // over the limit was forgotten for.
            let burst = u64::from(LIMIT.burst).min(each);
            let most = clients * burst + if waiting == 0 { 0 } else { clients * waiting + 64 };
            ensure!(
                (clients * burst..=most).contains(&within),
                "{within} answers, not {burst} for each"
            );
            ensure!(each <= 8 || leaked + dropped > 0, "nobody was limited");
            let all = clients * each;
            ensure!((all - waiting..=all).contains(&hits), "{hits} of {all} requests counted");
        }
    }
    Ok(())
}

pub(crate) fn without_a_limit() -> Result<()> {
    let mut again = Again::load()?;
    for (sets, waiting) in TABLES {
        for (clients, each) in CASES {
            let rules = ClientRules::new(sets, SECRET);
            let Outcome { counted, hits } = ask(&mut again, rules, clients, each)?;
            let all = u64::from(clients * each);
            let leaked = counted[LEAKED];
            println!("{sets} sets, {clients} clients, {each} requests each: {hits} counted");
            ensure!(answered(&counted) == all, "a request is missing");
            ensure!(leaked == 0, "{leaked} requests counted as over a limit that is none");
            ensure!((all - waiting..=all).contains(&hits), "{hits} of {all} requests counted");
        }
    }
    Ok(())
}

const SECRET: [u64; 2] = [0x1234_5678_9abc_def1, 7];

/// Has clients take turns, without a pause.
fn ask(again: &mut Again, rules: ClientRules, clients: u32, each: u32) -> Result<Outcome> {
    let mut server = Server::load_with(rules)?;
    server.page.publish(&running());
    let senders: Vec<u64> = (0..clients).map(|number| sender(0x0a00_0001 + number)).collect();
    let frame = again.set_senders(&senders)?;
    again.set_measured(&server.descriptor()?)?;
    again.run("again_many", &frame, clients * each)?;
    let now = MonoNs(monotonic_ns());
    let hits = server.clients.iter(now).map(|one| u64::from(one.requests.hits)).sum();
    Ok(Outcome { counted: server.counters(), hits })
}
