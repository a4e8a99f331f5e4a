//! Runs scenarios and prints their figures.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use ntp_sim::plot;
use ntp_sim::scenario::{self, Scenario};
use ntp_sim::search::{self, Violation};
use ntp_sim::table::{self, Row};
use ntp_sim::unseen;

/// Simulates clocks and networks.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask sim")]
struct Arguments {
    /// Scenarios by name; all that chrony was measured in when none is given, `unseen` for the others
    scenarios: Vec<String>,
    /// Simulate with this seed alone
    #[arg(long)]
    seed: Option<u64>,
    /// Number of seeds whose median is printed
    #[arg(long, default_value_t = 15)]
    seeds: u64,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Print the comparison with chrony: what is done when no scenario is given
    #[arg(long, conflicts_with = "scenarios")]
    table: bool,
    /// Look at so many random worlds, from the seed on, for one where served time is further off than it says, or
    /// goes backward
    #[arg(long, value_name = "WORLDS", conflicts_with_all = ["scenarios", "table", "json"])]
    search: Option<u64>,
    /// Draw offset and frequency over time to a file, as SVG
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "sim.svg")]
    plot: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(worlds) = arguments.search {
        return look_for_violations(arguments.seed.unwrap_or(1), worlds);
    }
    let scenarios = chosen(&arguments.scenarios)?;
    if let Some(path) = &arguments.plot {
        let [scenario] = scenarios.as_slice() else { bail!("--plot draws one scenario") };
        draw(scenario, arguments.seed.unwrap_or(1), path)?;
    }
    let (first, seeds) = arguments.seed.map_or((1, arguments.seeds), |seed| (seed, 1));
    let simulated_s: f64 = scenarios.iter().map(|scenario| scenario.length_s).sum();
    let begun_s = processor_s();
    let rows: Result<Vec<Row>, String> =
        scenarios.into_iter().map(|scenario| Row::measure(scenario, first, seeds)).collect();
    let rows = rows.map_err(anyhow::Error::msg)?;
    print!("{}", if arguments.json { table::json(&rows) } else { table::text(&rows) });
    tell_cost(&rows, simulated_s, seeds, processor_s() - begun_s);
    Ok(())
}

/// Says what the simulation cost, engine and all, apart from its results.
#[expect(clippy::cast_precision_loss, reason = "a small count")]
fn tell_cost(rows: &[Row], simulated_s: f64, seeds: u64, took_s: f64) {
    let seeds = seeds as f64;
    let requests = seeds * rows.iter().map(|row| row.ours.packets).sum::<f64>();
    eprintln!(
        "{:.2} s of processor time: {:.1} ms for 20,000 simulated seconds, {:.0} us for a request",
        took_s,
        1e3 * took_s * 20_000.0 / (simulated_s * seeds),
        1e6 * took_s / requests
    );
}

/// Processor time that this thread has used, seconds; not a number where the kernel doesn't tell.
fn processor_s() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.unwrap_or(f64::NAN) * 1e-9
}

fn look_for_violations(first: u64, worlds: u64) -> Result<()> {
    let findings = search::search(first, worlds).map_err(anyhow::Error::msg)?;
    for violation in &findings.violations {
        let Violation { seed, at_s, what, text, happened } = violation;
        println!("seed {seed} at {at_s:.0} s: {what}\n{text}\n{happened:?}\n");
    }
    println!(
        "{worlds} worlds, {:.0} hours simulated, {:.0} % of them served; {} violations",
        findings.simulated_s / 3600.0,
        100.0 * findings.served_s / findings.simulated_s,
        findings.violations.len()
    );
    if findings.violations.is_empty() { Ok(()) } else { bail!("what must hold did not") }
}

fn chosen(names: &[String]) -> Result<Vec<Scenario>> {
    if names.is_empty() {
        return Ok(scenario::table());
    }
    let mut chosen = Vec::new();
    for name in names {
        if name == "unseen" {
            chosen.extend(unseen::unseen());
            continue;
        }
        let mut all = scenario::table().into_iter().chain(unseen::unseen());
        let found = all.find(|scenario| scenario.name == name);
        chosen.push(found.with_context(|| format!("there is no scenario {name}"))?);
    }
    Ok(chosen)
}

fn draw(scenario: &Scenario, seed: u64, path: &PathBuf) -> Result<()> {
    let (trace, _) = scenario.run(seed).map_err(anyhow::Error::msg)?;
    let title = format!("{}, seed {seed}", scenario.name);
    std::fs::write(path, plot::svg(&title, &trace, scenario.settling_s))
        .with_context(|| format!("cannot write {}", path.display()))
}
