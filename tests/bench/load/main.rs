//! `cargo xtask bench inline|live|peers|quality|user`: servers under load in network namespaces, beside others under the
//! same load.
//!
//! Invariant: every server is started, pinned and stopped here; no packet leaves the namespaces.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts are far below 2^53, and are shown in a few digits"
)]

mod ceiling;
mod field;
mod figures;
mod flood;
mod generator;
mod inline;
mod live;
mod machine;
mod offload;
mod peers;
mod quality;
mod responder;
mod servers;
mod table;
mod tasks;
mod user;

use anyhow::{Context as _, Result, bail};
use ntp_lab::rights;

use table::Table;

/// How often something is measured unless told otherwise; the best counts, as whatever else the machine does only takes
/// away.
const TRIES: usize = 5;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let tries = words.iter().skip_while(|word| *word != "--tries").nth(1);
    let tries = tries.map_or(Ok(TRIES), |tries| tries.parse()).context("--tries")?;
    let is_json = words.iter().any(|word| word == "--json");
    let name = words.first().map_or("", String::as_str);
    if name == responder::NAME {
        return responder::run();
    }
    let may = rights::make_namespaces().and_then(|()| rights::load_bpf());
    if let Err(reason) = may {
        bail!("cannot measure: {reason}");
    }
    let mut table = Table::new(name);
    if let Some(remark) = machine::claim() {
        table.remark(remark);
    }
    match name {
        "inline" => inline::run(&mut table)?,
        "live" => live::run(&mut table, tries)?,
        "peers" => peers::run(&mut table, tries)?,
        "quality" => quality::run(&mut table)?,
        "user" => user::run(&mut table, tries)?,
        _ => bail!("there are the benchmarks inline, live, peers, quality and user"),
    }
    table.finish(is_json)
}
