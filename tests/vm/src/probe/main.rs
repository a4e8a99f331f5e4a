//! The first process of a guest: sets it up, plays the scenario that the kernel's command line names, tells what it
//! measured on the second serial port, and switches the guest off.
//!
//! Invariant: never runs where it is not the first process.

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
    if id() != 1 {
        eprintln!("guest-probe is the first process of a guest: `cargo xtask vm` runs it there");
        return ExitCode::FAILURE;
    }
    let told = machine::set_up().and_then(|()| Wire::open()).map(|wire| {
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

fn play(guest: &mut Guest) -> Result<()> {
    let name = std::env::var(SCENARIO).context("the kernel's command line names no scenario")?;
    scenarios::play(&name, guest).with_context(|| format!("in scenario {name}"))
}
