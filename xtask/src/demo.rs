//! `cargo xtask demo`: the daemon between an upstream and its clients, each in a network namespace, and an
//! account of who answered what.
//!
//! Invariant: ends with a failure if anything is not as it should be, and leaves nothing behind.

mod account;
mod clients;
mod play;
mod row;

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Args;
use ntp_lab::rights;

use crate::report::{self, Paint, paint, say, step};
use crate::{build_ebpf, setup};
use account::Account;
use ntp_lab::{NtpXdpd, Profile};
use play::Play;

/// How the demonstration ends.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Leave everything running after the account, until Ctrl-C, and print what to try
    #[arg(long)]
    keep: bool,
    /// Print the account as JSON; everything else goes to standard error
    #[arg(long)]
    json: bool,
}

/// The task. The exit code tells whether everything was as it should be.
///
/// # Errors
/// Something could not be built or started.
pub(crate) fn run(arguments: &DemoArguments) -> Result<ExitCode> {
    if arguments.json {
        report::divert_to_stderr();
    }
    rights::make_namespaces().map_err(|why| anyhow!("no demonstration: {why}"))?;
    rights::load_bpf().map_err(|why| anyhow!("no demonstration: {why}"))?;
    let daemon = build()?;

    say(&paint(Paint::Strong, "Demonstration: time served from XDP, in three network namespaces"));
    let mut play = Play::open(&daemon)?;
    let rows = clients::ask_all(&mut play)?;
    let mut account = Account::new(&mut play, rows)?;
    if arguments.keep {
        account.print(arguments.json)?;
        play.keep();
    }
    if let Err(error) = step("the end", "stopping the daemon", || play.stop()) {
        account.add_fault(format!("{error:#}"));
    }
    account.print(arguments.json)?;
    Ok(if account.passes() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes sure of everything that the demonstration runs.
fn build() -> Result<NtpXdpd> {
    setup::ensure_test_tools();
    let toolchain = setup::ensure_ebpf_toolchain()?;
    say(&paint(Paint::Strong, "Building"));
    build_ebpf::build(&toolchain)?;
    let mut daemon = None;
    step("ntp-xdpd", "cargo build --release", || {
        daemon = Some(NtpXdpd::build(Profile::Release)?);
        Ok("built".to_owned())
    })?;
    daemon.ok_or_else(|| anyhow!("the daemon was not built"))
}
