//! Rate limiting and the record of clients on a CPU whose requests follow each other at once: it answers before
//! it charges, see [`ntp_common::waiting`].

use anyhow::{Result, ensure};
use ntp_common::counters::{LEAKED, Reason, answered};
use ntp_common::ratelimit::{ClientRules, Limit};
use ntp_common::time::MonoNs;
use ntp_common::waiting::WAITING;
use ntp_user::serving::clients::sets_in;

use crate::again::{Again, sender};
use crate::kernel::monotonic_ns;
use crate::world::{Server, running};

/// Eight at once, then one in an hour: the time that a test takes allows nobody more.
const LIMIT: Limit = Limit { interval_log2: 12, burst: 8, leak_log2: 4, kod_log2: 0 };

/// Requests of each client, with as many clients.
const CASES: [(u32, u32); 4] = [(1, 10_000), (10, 2_000), (1_000, 40), (1_000, 7)];

pub(crate) fn limit_and_counts() -> Result<()> {
    let mut again = Again::load()?;
    for (clients, each) in CASES {
        let rules =
            ClientRules::new(sets_in(1 << 20), [0x1234_5678_9abc_def1, 7]).with_limit(LIMIT);
        let mut server = Server::load_with(rules)?;
        server.page.publish(&running());
        let addresses: Vec<u32> = (0..clients).map(|number| 0x0a00_0001 + number).collect();
        let senders: Vec<u64> = addresses.iter().copied().map(sender).collect();
        let frame = again.set_senders(&senders)?;
        again.set_measured(&server.descriptor()?)?;
        again.run("again_many", &frame, clients * each)?;

        let (clients, each) = (u64::from(clients), u64::from(each));
        let counted = server.counters()?;
        let (leaked, dropped) = (counted[LEAKED], counted[Reason::RateLimited as usize]);
        let within = answered(&counted) - leaked;
        println!(
            "{clients} clients, {each} requests each: {within} answered, {leaked} leaked, {dropped} dropped"
        );
        ensure!(within + leaked + dropped == clients * each, "a request is missing");
        // Each of those that wait may be one more answer, and so may each that a word of the set of those
        // over the limit was forgotten for.
        let burst = u64::from(LIMIT.burst).min(each);
        let most = clients * (burst + WAITING as u64) + 64;
        ensure!(
            (clients * burst..=most).contains(&within),
            "{within} answers, not {burst} for each"
        );
        ensure!(each <= 8 || leaked + dropped > 0, "nobody was limited");

        let now = MonoNs(monotonic_ns());
        let hits: u64 = server.clients.iter(now).map(|one| u64::from(one.requests.hits)).sum();
        let counted = clients * each - WAITING as u64..=clients * each;
        ensure!(counted.contains(&hits), "{hits} of {} requests counted", clients * each);
    }
    Ok(())
}
