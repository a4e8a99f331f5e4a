//! The command line: a subcommand for each thing that an operator does.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::load::{self, arguments::LoadTest};
use crate::status::{self, StatusArguments, TopArguments};

/// The operator's tool of ntp-xdp.
#[derive(Debug, Parser)]
#[command(name = "ntp-xdp", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show whether the time is good, from whom, and who asks for it
    Status(StatusArguments),
    /// Show the same again and again, on the whole terminal
    Top(TopArguments),
    /// Put an NTP server under load, and measure what it answers, how fast, and how right
    LoadTest(Box<LoadTest>),
}

/// Runs the tool with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Status(arguments) => status::run(&arguments),
        Command::Top(arguments) => status::top(&arguments),
        Command::LoadTest(arguments) => load::run(&arguments).map(|()| ExitCode::SUCCESS),
    };
    match outcome {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
