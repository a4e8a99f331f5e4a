//! The root file system of guests with a whole system: made of Debian's packages once, in `target/guests`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use ntp_vm::kernel::folder;
use ntp_vm::system::{PACKAGES, base, make_base};

use crate::process::capture;
use crate::report::{Paint, paint, present, step};
use crate::setup::Verbosity;

/// Makes sure of it; says when it can't be had.
pub(crate) fn ensure(verbosity: Verbosity) {
    if base().exists() {
        if verbosity == Verbosity::Everything {
            present("guests' system", "made");
        }
    } else if let Err(error) = step("guests' system", "unpacking Debian's systemd", make) {
        present("guests' system", &format!("{}: {error:#}", paint(Paint::Note, "absent")));
    }
}

fn make() -> Result<String> {
    let scratch = folder().join("unfinished-system");
    let _ = fs::remove_dir_all(&scratch);
    let (packages, root) = (scratch.join("packages"), scratch.join("root"));
    fs::create_dir_all(&packages)?;
    fs::create_dir_all(&root)?;
    let names = with_what_they_need(&scratch)?;
    capture(Command::new("apt-get").arg("download").args(&names).current_dir(&packages))?;
    let mut status = String::new();
    for entry in fs::read_dir(&packages)? {
        let package = entry?.path();
        capture(Command::new("dpkg").arg("-x").arg(&package).arg(&root))?;
        status += &installed(&package)?;
    }
    let archive = make_base(&root, &status, &names)?;
    fs::write(scratch.join("archive"), archive)?;
    // Whole, or not there.
    fs::rename(scratch.join("archive"), base())?;
    fs::remove_dir_all(&scratch)?;
    Ok("made".to_owned())
}

/// The packages and all that they depend on, of a machine that has none.
fn with_what_they_need(scratch: &Path) -> Result<Vec<String>> {
    let nothing: PathBuf = scratch.join("nothing-installed");
    fs::write(&nothing, "")?;
    let simulate = || {
        let mut command = Command::new("apt-get");
        command.args(["install", "--simulate", "--no-install-recommends"]);
        command.arg(format!("-oDir::State::status={}", nothing.display()));
        capture(command.args(PACKAGES))
    };
    let said = simulate().or_else(|_| {
        capture(Command::new("apt-get").arg("update"))?;
        simulate()
    })?;
    let name = |line: &str| Some(line.strip_prefix("Inst ")?.split(' ').next()?.to_owned());
    Ok(said.lines().filter_map(name).collect())
}

/// dpkg's account of a package as of one that is installed.
fn installed(package: &Path) -> Result<String> {
    let fields = capture(Command::new("dpkg-deb").arg("--field").arg(package))?;
    let (first, rest) = fields.split_once('\n').context("a package without fields")?;
    Ok(format!("{first}\nStatus: install ok installed\n{rest}\n"))
}
