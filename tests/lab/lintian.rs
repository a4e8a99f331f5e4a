//! Debian's judge of packages: an installed one, or the one that `cargo xtask setup` unpacked with its libraries.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::workspace;

/// Where its packages are unpacked to.
#[must_use]
pub fn unpacked_lintian() -> PathBuf {
    workspace().join("target/lintian")
}

/// Folders below that, in which its interpreter looks for modules.
const MODULES: [&str; 4] = [
    "usr/share/perl5",
    "usr/lib/x86_64-linux-gnu/perl5/5.36",
    "usr/share/perl/5.36",
    "usr/lib/x86_64-linux-gnu/perl/5.36",
];

/// A command that runs it, if it is there and runs; arguments may follow.
#[must_use]
pub fn lintian() -> Option<Command> {
    let makers: [fn() -> Command; 2] = [|| Command::new("lintian"), || within(&unpacked_lintian())];
    let runs = |make: &fn() -> Command| {
        let tried = make().arg("--version").stdin(Stdio::null()).output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    makers.into_iter().find(runs).map(|make| make())
}

/// It and its interpreter as they were unpacked into `root`.
fn within(root: &Path) -> Command {
    let within = |folder: &str| root.join(folder);
    let mut command = Command::new(within("usr/bin/perl"));
    let joined = |folders: &[PathBuf]| std::env::join_paths(folders).unwrap_or_default();
    command.env("PERL5LIB", joined(&MODULES.map(within)));
    command.env("LINTIAN_BASE", within("usr/share/lintian"));
    command.env("LD_LIBRARY_PATH", joined(&crate::peers::library_folders(root)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let programs = std::iter::once(within("usr/bin")).chain(std::env::split_paths(&path));
    command.env("PATH", joined(&programs.collect::<Vec<_>>()));
    command.arg(within("usr/bin/lintian"));
    command
}
