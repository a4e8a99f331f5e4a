//! The module of devices that emulators lack (`tests/vm/devices`): built here for a kernel of guests, against Debian's
//! headers of it, which `cargo xtask setup` unpacks below `target/guests`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ntp_lab::{run, workspace};

use crate::kernel::{Kernel, folder};

/// The module, as kernels name it.
pub const MODULE: &str = "ntp_devices";

/// How long compiling it may take on a machine that has other work.
const PATIENCE: Duration = Duration::from_secs(180);

/// The folder that the packages of headers of a kernel of `series` are unpacked into.
#[must_use]
pub fn unpacked_headers(series: &str) -> PathBuf {
    folder().join("headers").join(series)
}

/// The Debian package of the headers of the kernel of that release.
#[must_use]
pub fn headers_package(release: &str) -> String {
    format!("linux-headers-{release}")
}

/// The folder with which modules of `kernel` are built.
///
/// # Errors
/// It is not there, or is of another release, or what builds with it is not installed.
pub fn headers(kernel: &Kernel) -> Result<PathBuf> {
    let sources = unpacked_headers(kernel.series).join("usr/src");
    let package = headers_package(&kernel.release);
    let headers = sources.join(&package);
    let is_whole = headers.join("Module.symvers").exists() && headers.join("scripts/").exists();
    ensure!(
        is_whole,
        "there are no headers of its kernel (package {package}, `cargo xtask setup`)"
    );
    for program in ["make", "gcc"] {
        let tried = run(Command::new(program).arg("--version"), Duration::from_secs(10));
        let is_there = tried.is_ok_and(|tried| tried.status.success());
        ensure!(is_there, "there is no `{program}` (`cargo xtask setup`)");
    }
    Ok(headers)
}

/// Builds the module for `kernel`, unless that was done; returns its file.
///
/// # Errors
/// The headers, `make` or a compiler are missing; or it does not compile.
pub fn build(kernel: &Kernel) -> Result<PathBuf> {
    let headers = headers(kernel)?;
    let folder = folder().join("devices").join(kernel.series);
    fs::create_dir_all(&folder)?;
    let module = folder.join(MODULE).with_extension("ko");
    let stamp = folder.join("built");
    let sources = sources()?;
    let wanted = wanted(kernel, &sources);
    if module.exists() && fs::read_to_string(&stamp).is_ok_and(|built| built == wanted) {
        return Ok(module);
    }
    let _ = fs::remove_file(&module);
    for (name, text) in &sources {
        fs::write(folder.join(name), text)?;
    }
    // What the package has there leads to where it would be installed.
    let common = common(&headers)?;
    fs::write(headers.join("Makefile"), format!("include {}/Makefile\n", common.display()))?;
    let mut make = Command::new("make");
    make.arg("--silent").arg("-C").arg(&headers).arg(format!("M={}", folder.display()));
    // Types for BPF programs take a program that the set-up need not have, and nobody looks at them.
    make.args(["CC=gcc", "CONFIG_DEBUG_INFO_BTF_MODULES=", "KCFLAGS=-Werror", "modules"]);
    run(&mut make, PATIENCE)?.success().context("the module of devices does not compile")?;
    ensure!(module.exists(), "make left no {}", module.display());
    fs::write(stamp, wanted)?;
    Ok(module)
}

/// The module's sources: names and texts.
fn sources() -> Result<Vec<(String, String)>> {
    let folder = workspace().join("tests/vm/devices");
    let mut sources = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))? {
        let entry = entry?;
        sources.push((
            entry.file_name().to_string_lossy().into_owned(),
            fs::read_to_string(entry.path())?,
        ));
    }
    sources.sort();
    Ok(sources)
}

/// What a built module is of: the kernel, and the sources.
fn wanted(kernel: &Kernel, sources: &[(String, String)]) -> String {
    let texts = sources.iter().map(|(name, text)| format!("== {name}\n{text}"));
    std::iter::once(format!("{}\n", kernel.release)).chain(texts).collect()
}

/// The headers that all flavours of the kernel share, unpacked beside `headers`.
fn common(headers: &Path) -> Result<PathBuf> {
    let name = headers.file_name().unwrap_or_default().to_string_lossy();
    let version = name.strip_suffix("-cloud-amd64").unwrap_or(&name);
    let common = headers.with_file_name(format!("{version}-common"));
    ensure!(common.join("Makefile").exists(), "there is no {}", common.display());
    Ok(common)
}
