//! `cargo xtask bench inline|live|peers|quality|user`: servers under load in network namespaces, beside others under the
//! same load.
//!
//! Invariant: every server is started, pinned and stopped here; no packet leaves the namespaces.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts are far below 2^53, and are shown in a few digits"
)]

mod field;
mod figures;
mod flood;
mod inline;
mod live;
mod peers;
mod quality;
mod responder;
mod servers;
mod table;
mod tasks;
mod user;

use anyhow::{Result, bail};
use ntp_lab::rights;

use table::Table;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let is_json = words.iter().any(|word| word == "--json");
    let mut names = words.iter().filter(|word| !word.starts_with("--"));
    let name = names.next().map_or("", String::as_str);
    if name == responder::NAME {
        return responder::run();
    }
    let may = rights::make_namespaces().and_then(|()| rights::load_bpf());
    if let Err(reason) = may {
        bail!("cannot measure: {reason}");
    }
    let mut table = Table::new(name);
    match name {
        "inline" => inline::run(&mut table)?,
        "live" => live::run(&mut table)?,
        "peers" => peers::run(&mut table)?,
        "quality" => quality::run(&mut table)?,
        "user" => user::run(&mut table)?,
        _ => bail!("there are the benchmarks inline, live, peers, quality and user"),
    }
    table.finish(is_json)
}
