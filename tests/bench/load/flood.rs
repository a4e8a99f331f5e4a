//! A flood from random source addresses, with clients among it that ask once a second: how many of those are answered.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ntp_lab::NtpXdpd;
use ntp_xdp::load::mix::Kind;
use ntp_xdp::load::outcome::{Outcome, Step};

use crate::field::{Field, Polling};
use crate::servers::{Candidate, SETTLE};
use crate::table::Table;

/// Addresses that the flood comes from.
const SPOOFED: u64 = 8_000_000;
/// Clients that ask once a second.
const REGULAR: u32 = 1000;
/// What they may do, and the flood's addresses too: two requests a second.
const LIMIT: &str = "ratelimit interval -1 burst 8 leak 3\n";
/// How long.
const DURATION: Duration = Duration::from_secs(10);

/// Floods at the highest rate at which at most 0.1 % is lost.
pub(crate) fn run(table: &mut Table, daemon: &NtpXdpd) -> Result<()> {
    let candidate = Candidate::xdp("ntp-xdpd under flood", daemon, LIMIT);
    let field = Field::open(Polling::ByThread)?;
    let server = candidate.start(&field)?;
    std::thread::sleep(SETTLE);
    let words = format!("--find-limit 0.1 --duration 1 --clients {SPOOFED} --regular {REGULAR}");
    let (rate, outcome) = field.test(&words, |test| {
        let report = test.run()?;
        let rate = report.main_step().map(Outcome::answered_rate).context("everything is lost")?;
        Ok((rate, test.step(Step { rate: Some(rate), duration: DURATION })?))
    })?;
    server.stop()?;
    let regular = outcome.count(Kind::Regular);
    ensure!(regular.sent > 0, "no regular client asked");
    let share = regular.answered as f64 / regular.sent as f64 * 100.0;
    table.row("flood", rate, "requests/s");
    table.row("regular clients answered under flood", share, "%");
    if let Some(probe) = &outcome.probe {
        let error = probe.error.value_at_quantile(0.99) as f64 / 1000.0;
        table.row("p99 offset error under flood", error, "us");
    }
    Ok(())
}
