//! End-to-end tests: hosts in network namespaces, the project's daemon, and other people's NTP programs.
//!
//! Invariant: a test that cannot run on this machine is reported as ignored, with the reason.

mod at_once;
mod command_line;
mod commands;
mod configurations;
mod degraded;
mod directives;
mod keys;
mod laboratory;
mod lifetime;
mod load;
mod logs;
mod metrics;
mod package;
mod packets;
mod peers;
mod played;
mod prometheus;
mod refclocks;
mod refusals;
mod reload;
mod restart;
mod side_by_side;
mod source_files;
mod status;
mod symmetric;
mod terminal;
mod trial;
mod user_path;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let topics = [
        laboratory::trials(),
        peers::trials(),
        packets::trials(),
        user_path::trials(),
        lifetime::trials(),
        load::trials(),
        logs::trials(),
        metrics::trials(),
        prometheus::trials(),
        refclocks::trials(),
        refusals::trials(),
        at_once::trials(),
        commands::trials(),
        side_by_side::trials(),
        command_line::trials(),
        configurations::trials(),
        symmetric::trials(),
        degraded::trials(),
        directives::trials(),
        keys::trials(),
        reload::trials(),
        restart::trials(),
        source_files::trials(),
        status::trials(),
        package::trials(),
    ];
    let trials = topics.into_iter().flatten().collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
