//! The project's own programs, built as cargo builds them for tests or for users.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace;

/// How programs are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// As tests are.
    Dev,
    /// As users run it.
    Release,
}

/// Builds programs of the workspace and returns where they are.
///
/// # Errors
/// They do not compile.
pub fn build<const COUNT: usize>(
    profile: Profile,
    programs: [&str; COUNT],
) -> Result<[PathBuf; COUNT]> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet"]);
    for program in programs {
        command.args(["--bin", program]);
    }
    match profile {
        // With a test, and of all packages, so that cargo chooses the features that it compiles tests with,
        // and has no dependency to compile once more.
        Profile::Dev => command.args(["--test", "e2e"]),
        Profile::Release => command.args(["--release", "--package", "ntp-user"]),
    };
    command.args(["--message-format", "json-render-diagnostics"]);
    command.current_dir(workspace()).stderr(Stdio::inherit());
    let output = command.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("{} does not build ({})", programs.join(", "), output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut paths = programs.map(PathBuf::from);
    for (path, program) in paths.iter_mut().zip(programs) {
        let built = text.lines().filter_map(|message| executable(message, program)).next_back();
        *path = built.with_context(|| format!("cargo built no {program}"))?;
    }
    Ok(paths)
}

/// The program's path, if one of cargo's messages is of the program.
fn executable(message: &str, program: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_it = message.pointer("/target/name")? == program;
    is_it.then_some(PathBuf::from(message.get("executable")?.as_str()?))
}
