//! How right the served time is under load: the offset error of a prober that shares the server's clock.

use std::time::Duration;

use anyhow::{Context, Result};
use ntp_lab::{NtpXdpd, Profile};
use ntp_xdp::load::outcome::Step;
use ntp_xdp::units::show_rate;

use crate::field::Field;
use crate::servers::{Candidate, SETTLE, chronyd};
use crate::table::Table;

/// Rates that ours is measured at, requests a second; chrony at the first.
const RATES: [f64; 3] = [200e3, 500e3, 1e6];
/// How long each, at 200 probes a second.
const DURATION: Duration = Duration::from_secs(10);

pub(crate) fn run(table: &mut Table) -> Result<()> {
    let daemon = NtpXdpd::build(Profile::Release)?;
    let chronyd = chronyd()?;
    let base = measure(table, &chronyd, &RATES[..1], "")?;
    measure(table, &Candidate::xdp("ntp-xdpd, XDP", &daemon, ""), &RATES, &base)?;
    Ok(())
}

/// Measures a server at each rate; gives the name of its first row.
fn measure(table: &mut Table, candidate: &Candidate, rates: &[f64], base: &str) -> Result<String> {
    let field = Field::open(candidate.pollings()[0])?;
    let server = candidate.start(&field)?;
    std::thread::sleep(SETTLE);
    let outcomes = field.test("--probe 200", |test| {
        let steps = rates.iter().map(|rate| Step { rate: Some(*rate), duration: DURATION });
        steps.map(|step| test.step(step)).collect::<Result<Vec<_>>>()
    });
    server.stop()?;
    let mut first = String::new();
    for (outcome, rate) in outcomes?.iter().zip(rates) {
        let probe = outcome.probe.as_ref().context("no prober")?;
        let name = format!("{}: p99 offset error at {}/s", candidate.name, show_rate(*rate));
        let error = probe.error.value_at_quantile(0.99) as f64 / 1000.0;
        table.row_against(&name, error, "us", base);
        let trip = probe.round_trip.value_at_quantile(0.99) as f64 / 1000.0;
        table.row(
            &format!("{}: p99 round trip at {}/s", candidate.name, show_rate(*rate)),
            trip,
            "us",
        );
        let lost = 100.0 - probe.answered as f64 / probe.sent.max(1) as f64 * 100.0;
        table.row(&format!("{}: probes lost at {}/s", candidate.name, show_rate(*rate)), lost, "%");
        if !outcome.kept_rate() {
            table.remark(format!(
                "{}/s was not reached: {}",
                show_rate(*rate),
                show_rate(outcome.sent_rate())
            ));
        }
        if first.is_empty() {
            first = name;
        }
    }
    Ok(first)
}
