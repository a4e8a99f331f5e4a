//! The emulator: an installed one, or Debian's, unpacked below `target/guests` by `cargo xtask setup`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use ntp_lab::peers::library_folders;
use ntp_lab::run;

use crate::kernel::folder;

/// The emulator, and Debian's package of it.
pub const EMULATOR: &str = "qemu-system-x86_64";
/// See [`EMULATOR`].
pub const PACKAGE: &str = "qemu-system-x86";

/// Where firmware lies that Debian has in a package of its own.
const FIRMWARE: &str = "usr/share/seabios";

/// How long it may take to say its version.
const SHORT: Duration = Duration::from_secs(30);

/// An emulator that runs.
#[derive(Clone, Debug)]
pub struct Emulator {
    program: PathBuf,
    /// The folder that it was unpacked into, if it was.
    root: Option<PathBuf>,
    /// As it tells itself.
    pub version: String,
}

/// The folder that the emulator's packages are unpacked into.
#[must_use]
pub fn unpacked_emulator() -> PathBuf {
    folder().join("emulator")
}

impl Emulator {
    /// One that runs, an installed one first.
    #[must_use]
    pub fn find() -> Option<Self> {
        let root = unpacked_emulator();
        let installed = Self::tried(EMULATOR.into(), None);
        installed.or_else(|| Self::tried(root.join("usr/bin").join(EMULATOR), Some(root)))
    }

    /// A program that is taken for one.
    #[cfg(test)]
    pub(crate) fn at(program: PathBuf) -> Self {
        Self { program, root: None, version: String::new() }
    }

    fn tried(program: PathBuf, root: Option<PathBuf>) -> Option<Self> {
        let mut emulator = Self { program, root, version: String::new() };
        let asked = run(emulator.complete(&mut emulator.command()).arg("--version"), SHORT).ok()?;
        let first = asked.output.lines().next()?;
        first.trim_start_matches("QEMU emulator version ").clone_into(&mut emulator.version);
        asked.status.success().then_some(emulator)
    }

    /// A command that runs it and ends with its parent; arguments may follow.
    pub(crate) fn start(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program);
        self.complete(&mut command);
        command
    }

    fn command(&self) -> Command {
        Command::new(&self.program)
    }

    /// Adds what an emulator needs that lies where it was unpacked.
    fn complete<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let Some(root) = &self.root else { return command };
        if let Ok(libraries) = std::env::join_paths(library_folders(root)) {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command.arg("-L").arg(root.join("usr/share/qemu")).arg("-L").arg(root.join(FIRMWARE))
    }
}
