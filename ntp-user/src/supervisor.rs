//! Going to the background: a second process serves, and the first waits until it does, so that whoever
//! started the daemon knows that it is ready.
//!
//! The second process is started anew and not forked: nothing is carried over but arguments and files.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::{env, path};

use anyhow::Context;
use nix::unistd::{chdir, dup2_stderr, dup2_stdin, dup2_stdout, setsid};

/// What the second process says when it serves.
const READY: &[u8] = b"ready";

/// Starts the daemon in the background and waits until it serves or has failed.
///
/// # Errors
/// When it can't be started.
pub(crate) fn start_in_background() -> anyhow::Result<ExitCode> {
    let program = env::current_exe().context("cannot find the daemon's own program")?;
    let mut arguments = env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.arg("--in-background").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start in the background")?;
    let mut said = Vec::new();
    if let Some(stdout) = &mut child.stdout {
        stdout.read_to_end(&mut said)?;
    }
    Ok(if said == READY { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Leaves the session of whoever started the daemon, as the second process.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn leave_session() -> anyhow::Result<()> {
    setsid().context("cannot leave the session")?;
    Ok(())
}

/// Tells the first process that the daemon serves, and lets go of the terminal.
///
/// # Errors
/// When the first process has gone, or the kernel refuses.
pub(crate) fn report_ready() -> anyhow::Result<()> {
    io::stdout().write_all(READY)?;
    io::stdout().flush()?;
    let null = File::options().read(true).write(true).open(path::Path::new("/dev/null"))?;
    chdir("/")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}
