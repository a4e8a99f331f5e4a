//! End-to-end tests: hosts in network namespaces, the project's daemon, and other people's NTP programs.
//!
//! Invariant: a test that cannot run on this machine is reported as ignored, with the reason.

mod laboratory;
mod trial;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = [laboratory::trials()].into_iter().flatten().collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
