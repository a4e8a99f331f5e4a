//! `cargo xtask load-test`: builds the operator's tool and runs its load test.

use anyhow::Result;
use clap::Args;

use crate::process::{cargo, show};
use crate::{build_ebpf, report};

/// What to send, and where.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct LoadTestArguments {
    /// Arguments of `ntp-xdp load-test`, `--help` among them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// The task.
///
/// # Errors
/// The tool can't be built, or the load test fails.
pub(crate) fn run(arguments: &LoadTestArguments) -> Result<()> {
    // Sockets need no more than the tool; what stands on standard output is the tool's alone.
    if arguments.arguments.iter().any(|argument| argument.contains("frames")) {
        report::divert_to_stderr();
        build_ebpf::run()?;
    }
    let mut tool = cargo();
    tool.args(["run", "--quiet", "--release", "--package", "ntp-xdp", "--", "load-test"]);
    show(tool.args(&arguments.arguments))
}
