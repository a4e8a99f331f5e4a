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
    use std::collections::BTreeSet;

    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn manual_page_has_every_option_of_status_and_top_and_no_other() {
        let page = include_str!("../../dist/man/ntp-xdp.1");
        let (_, options) = page.split_once(".SH OPTIONS\n").unwrap();
        let (options, _) = options.split_once(".SH ").unwrap();
        let headings = options.split(".TP\n").skip(1).filter_map(|entry| entry.lines().next());
        let words = headings.map(|heading| heading.replace(['\\', '"', ','], ""));
        let is_long = |word: &&str| word.starts_with("--");
        let explained: BTreeSet<String> = words
            .filter_map(|heading| heading.split_whitespace().find(is_long).map(str::to_owned))
            .collect();
        let command = Arguments::command();
        let shown = ["status", "top"].map(|name| command.find_subcommand(name).unwrap());
        let taken = shown.into_iter().flat_map(clap::Command::get_arguments);
        let taken: BTreeSet<String> =
            taken.filter_map(|it| it.get_long().map(|name| format!("--{name}"))).collect();
        assert_eq!(taken, explained);
        for task in command.get_subcommands().map(clap::Command::get_name) {
            let name = task.replace('-', "\\-");
            assert!(page.contains(&format!(".B {name}\n")), "{task} is not explained");
        }
    }

    #[test]
    fn command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
