//! Runs scenarios and prints their figures.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use ntp_sim::plot;
use ntp_sim::scenario::{self, Scenario};
use ntp_sim::search;
use ntp_sim::table::{self, Row};

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
    let rows: Result<Vec<Row>, String> =
        scenarios.into_iter().map(|scenario| Row::measure(scenario, first, seeds)).collect();
    let rows = rows.map_err(anyhow::Error::msg)?;
    print!("{}", if arguments.json { table::json(&rows) } else { table::text(&rows) });
    Ok(())
}

fn look_for_violations(first: u64, worlds: u64) -> Result<()> {
    let findings = search::search(first, worlds).map_err(anyhow::Error::msg)?;
    for violation in &findings.violations {
        println!("seed {} at {:.0} s: {}", violation.seed, violation.at_s, violation.what);
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
            chosen.extend(scenario::unseen());
            continue;
        }
        let mut all = scenario::table().into_iter().chain(scenario::unseen());
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
