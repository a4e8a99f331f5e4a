//! A flood from random source addresses, with clients among it that ask once a second: how many of those are answered.

use std::time::Duration;

use anyhow::{Result, ensure};
use ntp_lab::NtpXdpd;
use ntp_xdp::load::mix::Kind;
use ntp_xdp::load::outcome::Step;
use serde_json::{Value, json};

use crate::field::{Field, Polling, SERVER_CPU};
use crate::servers::{Candidate, SETTLE};
use crate::table::Table;

/// Addresses that the flood comes from.
const SPOOFED: u64 = 8_000_000;
/// Clients that ask once a second.
const REGULAR: u32 = 1000;
/// What they may do, and the flood's addresses too: two requests a second.
const LIMIT: &str = "ratelimit interval -1 burst 8 leak 3\n";
/// How long it is tried what the CPU makes, and how long that is sent.
const TRIAL: Duration = Duration::from_secs(1);
const DURATION: Duration = Duration::from_secs(10);

/// Floods at the rate that one CPU makes and answers: generator, server and sink share it, so that it can be no higher,
/// and none is lost on the way to the server.
pub(crate) fn run(table: &mut Table, daemon: &NtpXdpd) -> Result<()> {
    let candidate = Candidate::xdp("ntp-xdpd under flood", daemon, LIMIT);
    let field = Field::open(Polling::BySender)?;
    let server = candidate.start(&field)?;
    std::thread::sleep(SETTLE);
    let words = format!("--cpus {SERVER_CPU} --probe 0 --clients {SPOOFED} --regular {REGULAR}");
    let outcome = field.test(&words, |test| {
        let rate = test.step(Step { rate: None, duration: TRIAL })?.sent_rate();
        test.step(Step { rate: Some(rate), duration: DURATION })
    })?;
    server.stop()?;
    let regular = outcome.count(Kind::Regular);
    ensure!(regular.sent > 0, "no regular client asked");
    let share = regular.answered as f64 / regular.sent as f64 * 100.0;
    table.row("flood", outcome.sent_rate(), "requests/s");
    table.row("regular clients answered under flood", share, "%");
    let kinds = outcome.kinds.iter().map(|(kind, count)| {
        json!({ "kind": kind.name(), "sent": count.sent, "answered": count.answered, "kissed": count.kissed })
    });
    table.keep("flood", &Value::Array(kinds.collect()));
    Ok(())
}
