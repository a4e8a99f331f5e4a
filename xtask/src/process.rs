//! Running other programs: their output is captured, and shown when they fail.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus, Output, Stdio};

use anyhow::{Context, Result, bail};

/// How many of a failed program's last lines are shown.
const TAIL_LINES: usize = 25;

/// Cargo, in the workspace's root, free of what the cargo that runs this task told this task about itself.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(crate::paths::workspace()).env_remove("LD_LIBRARY_PATH");
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs `command` and returns what it printed on its standard output.
///
/// # Errors
/// It could not be started, or it failed: then the error has the last lines that it printed.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = start(command)?;
    if !output.status.success() {
        bail!("{} failed ({})\n{}", name(command), output.status, tail(&output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What `command` printed on its standard output, or nothing if it could not be run or failed.
pub(crate) fn probe(command: &mut Command) -> Option<String> {
    let output = start(command).ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `command` with its output shown as it comes.
///
/// # Errors
/// It could not be started, or it failed.
pub(crate) fn show(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {}", name(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", name(command));
    }
    Ok(())
}

/// Runs `command` and gives each line of its standard output to `line` as it comes.
///
/// # Errors
/// It could not be started, or its output could not be read.
pub(crate) fn stream(command: &mut Command, mut line: impl FnMut(&str)) -> Result<ExitStatus> {
    let started = command.stdout(Stdio::piped()).spawn();
    let mut child = started.with_context(|| format!("cannot run {}", name(command)))?;
    if let Some(output) = child.stdout.take() {
        for octets in BufReader::new(output).split(b'\n') {
            line(&String::from_utf8_lossy(&octets?));
        }
    }
    Ok(child.wait()?)
}

fn start(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("cannot run {}", name(command)))
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn tail(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
