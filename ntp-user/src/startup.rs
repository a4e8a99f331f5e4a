//! From the command line to the running daemon: what is wrong is said on the terminal before anything is
//! started.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use ntp_engine::conf::{Config, Effective, Parsed};

use crate::args::Args;
use crate::tasks::Outcome;
use crate::{config, daemon, features, log, supervisor};

/// Does what the command line asks for. The exit status is 0, or 1 after a failure.
#[must_use]
pub fn startup() -> ExitCode {
    // The background has another working directory.
    let arguments = env::args_os();
    let args = match Args::read(features::name(), config::usual_files(), arguments) {
        Ok(args) => args.with_absolute_file(),
        Err(message) => {
            // Help is a message, too. There is nowhere else to say that it can't be printed.
            let _printed = message.print();
            return if message.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    if args.version {
        println!("{}", features::version_line());
        return ExitCode::SUCCESS;
    }
    let config = match config::load(&args) {
        Ok(parsed) => {
            if !args.in_background {
                parsed.warnings.iter().for_each(|warning| eprintln!("{warning}"));
            }
            if args.check || args.print {
                return print(&args, &parsed);
            }
            parsed.config
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match start(&args, &config) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("{}: {error:#}", features::name());
            ExitCode::FAILURE
        }
    }
}

/// Prints the configuration, to be read again.
fn print(args: &Args, Parsed { config, lines, .. }: &Parsed) -> ExitCode {
    let text = if args.check { Effective(config).to_string() } else { lines.join("\n") };
    let mut output = io::stdout().lock();
    match writeln!(output, "{}", text.trim_end()).and_then(|()| output.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: cannot print the configuration: {error}", features::name());
            ExitCode::FAILURE
        }
    }
}

fn start(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    if !args.stays() && !args.in_background {
        return supervisor::start_in_background();
    }
    if args.in_background {
        supervisor::leave_session()?;
    }
    log::start(args)?;
    match daemon::run(args, config)? {
        Outcome::Ended => Ok(ExitCode::SUCCESS),
        Outcome::NoTime => {
            tracing::error!("No suitable source for synchronisation");
            Ok(ExitCode::FAILURE)
        }
    }
}
