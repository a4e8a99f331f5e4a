//! The first process of a guest: sets it up, plays the scenario that the kernel's command line names, tells what it
//! measured on the second serial port, and switches the guest off. In a guest with a whole system it is a service.
//!
//! Invariant: never runs but in a guest: as the first process, or on a kernel whose command line names its scenario.

mod client;
mod daemon;
mod devices;
mod guest;
mod kernel_clock;
mod machine;
mod network;
mod scenarios;
mod stamped;
mod truth;
mod upstream;
mod watch;

use std::process::{ExitCode, id};

use anyhow::{Context, Result};
use ntp_vm::guest::SCENARIO;
use ntp_vm::line::Line;

use guest::Guest;
use machine::Wire;

fn main() -> ExitCode {
    let is_first = id() == 1;
    if !is_first && scenario().is_none() {
        eprintln!("guest-probe is the first process of a guest: `cargo xtask vm` runs it there");
        return ExitCode::FAILURE;
    }
    let mounted = if is_first { machine::mount_all() } else { Ok(()) };
    let told =
        mounted.and_then(|()| machine::load_modules()).and_then(|()| Wire::open()).map(|wire| {
            let mut guest = Guest::new(wire);
            guest.tell(&Line::Begin);
            if let Err(error) = play(&mut guest) {
                guest.tell(&Line::Error(format!("{error:#}")));
            }
            guest.end();
        });
    if let Err(error) = told {
        // The console is all that is left.
        eprintln!("guest-probe: {error:#}");
    }
    machine::switch_off()
}

/// The scenario that the kernel's command line names.
fn scenario() -> Option<String> {
    let line = std::fs::read_to_string("/proc/cmdline").ok()?;
    let named = line.split_whitespace().find_map(|word| word.strip_prefix(SCENARIO));
    named?.strip_prefix('=').map(str::to_owned)
}

fn play(guest: &mut Guest) -> Result<()> {
    let name = scenario().context("the kernel's command line names no scenario")?;
    scenarios::play(&name, guest).with_context(|| format!("in scenario {name}"))
}
