//! `cargo xtask sim`: keeps simulated clocks, and prints how well, beside chrony.

use anyhow::Result;
use clap::Args;

use crate::process::{cargo, show};

/// What to simulate.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct SimArguments {
    /// Scenarios and options of the simulator, `--help` among them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// The task.
///
/// # Errors
/// The simulator can't be built, or does not know a scenario.
pub(crate) fn run(arguments: &SimArguments) -> Result<()> {
    let mut simulator = cargo();
    // Optimised: it is a million steps of a clock to a table.
    simulator.args(["run", "--quiet", "--release", "--package", "ntp-sim", "--"]);
    simulator.args(&arguments.arguments);
    show(&mut simulator)
}
