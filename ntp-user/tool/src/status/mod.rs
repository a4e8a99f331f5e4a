//! `ntp-xdp status` and `ntp-xdp top`: is the time good, from whom, how sure, who asks, at what rate, by which path.
//!
//! Invariant: nothing is changed by looking, and what the daemon does not tell is said to be missing.

mod arguments;
mod clients;
mod gather;
mod health;
mod json;
mod link;
mod look;
mod rates;
mod requests;
mod screen;
mod table;
mod terminal;
#[cfg(test)]
mod tests;
mod top;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

pub use arguments::{StatusArguments, TopArguments};
use gather::{Reading, State};
use health::Health;
use link::Link;
use look::Look;
use rates::Rates;
use screen::Screen;
pub use top::run as top;

/// The exit status when the daemon can't be asked.
const UNREACHABLE: u8 = 3;

/// Two readings a while apart.
struct Seen {
    state: State,
    rates: Option<Rates>,
    health: Health,
}

impl Seen {
    /// What a reading shows after another one.
    fn new(reading: Reading, before: Option<&Reading>) -> Self {
        let rates = before.and_then(|before| Rates::between(before, &reading));
        let health = Health::of(&reading.state);
        Self { state: reading.state, rates, health }
    }
}

/// Shows the state once. The exit status says whether the time is good: 0 yes, 1 with a reservation, 2 no, 3 nobody
/// answers.
///
/// # Errors
/// The screen can't be written.
pub fn run(arguments: &StatusArguments) -> Result<ExitCode> {
    let seen = match look(arguments) {
        Ok(seen) => seen,
        Err(error) => {
            if arguments.json {
                println!("{:#}", json::unreachable(&error));
            }
            eprintln!("error: {error:#}");
            return Ok(ExitCode::from(UNREACHABLE));
        }
    };
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{:#}", json::value(&seen))?;
    } else {
        let look = Look::of(out.is_terminal());
        for line in Screen::new(&seen, look).lines(None) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(ExitCode::from(seen.health.level as u8))
}

fn look(arguments: &StatusArguments) -> Result<Seen> {
    let mut link = Link::open(&arguments.link)?;
    let first = gather::read(&mut link, arguments.clients)?;
    if arguments.interval_s <= 0.0 || first.state.paths.is_none() {
        return Ok(Seen::new(first, None));
    }
    sleep(Duration::from_secs_f64(arguments.interval_s));
    let second = gather::read(&mut link, arguments.clients)?;
    Ok(Seen::new(second, Some(&first)))
}
