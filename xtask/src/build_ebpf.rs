//! `cargo xtask build-ebpf`: compiles the eBPF objects and puts those that pass every check where the daemon's
//! build looks for them.
//!
//! Invariant: an object that failed a check is never in `target/bpf`.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::object_check::{self, Loaded};
use crate::process::show;
use crate::report::{Paint, elapsed, paint, present, say};
use crate::toolchain::{TARGET, Toolchain};
use crate::{paths, setup};

/// The package that holds the eBPF programs.
pub(crate) const PACKAGE: &str = "ntp-ebpf";

/// Its programs: the server's, the load generator's, and the reference programs of the benchmark.
const OBJECTS: [&str; 3] = ["ntp-xdp", "load", "reference"];

/// The task.
///
/// # Errors
/// There is no toolchain and none could be installed, the crate does not compile, or an object fails a check.
pub(crate) fn run() -> Result<()> {
    let start = Instant::now();
    let toolchain = setup::ensure_ebpf_toolchain()?;
    build(&toolchain)?;
    say(&format!("{} in {}", paint(Paint::Good, "eBPF objects built"), elapsed(start.elapsed())));
    Ok(())
}

/// Builds and checks every object with `toolchain`.
///
/// # Errors
/// The crate does not compile, or an object fails a check.
pub(crate) fn build(toolchain: &Toolchain) -> Result<()> {
    show(toolchain.cargo("build").args(["--quiet", "--package", PACKAGE]))?;
    for name in OBJECTS {
        let built = paths::ebpf_target().join(TARGET).join("release").join(name);
        let octets =
            fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
        let installed = object(name);
        let outcome = check(name, &octets);
        if outcome.is_err() {
            // Whatever a former build left is not what the sources say.
            let _ = fs::remove_file(&installed);
        }
        outcome?;
        install(&installed, &octets)?;
    }
    Ok(())
}

/// Where the finished object `name` is.
pub(crate) fn object(name: &str) -> PathBuf {
    paths::objects().join(format!("{name}.o"))
}

fn check(name: &str, octets: &[u8]) -> Result<()> {
    object_check::no_panic_path(octets).with_context(|| format!("{name}.o"))?;
    let verdict = match object_check::load(octets).with_context(|| format!("{name}.o"))? {
        Loaded::Programs(programs) => format!("the kernel accepts {}", programs.join(", ")),
        Loaded::NotAllowed => paint(Paint::Note, "not checked in the kernel: needs CAP_BPF"),
    };
    present(&format!("{name}.o"), &format!("{} octets, no panic path, {verdict}", octets.len()));
    Ok(())
}

/// Writes `octets` unless they are there already: a new modification time would rebuild the daemon.
fn install(path: &PathBuf, octets: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == octets) {
        return Ok(());
    }
    fs::create_dir_all(paths::objects())?;
    fs::write(path, octets).with_context(|| format!("cannot write {}", path.display()))
}
