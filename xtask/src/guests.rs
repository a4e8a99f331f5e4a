//! The emulator of guests, their kernels, and the headers that a module of ours is built against: unpacked from
//! Debian's packages into `target/guests`, never installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use ntp_vm::devices::{headers, headers_package, unpacked_headers};
use ntp_vm::emulator::{Emulator, PACKAGE, unpacked_emulator};
use ntp_vm::kernel::{Kernel, SERIES, folder, unpacked};

use crate::peers::fetch;
use crate::process::capture;
use crate::report::{Paint, paint, present, step};
use crate::setup::Verbosity;

/// Makes sure of the emulator, and of a kernel of each series with its headers; says what can't be had.
pub(crate) fn ensure(verbosity: Verbosity) {
    match Emulator::find() {
        Some(emulator) if verbosity == Verbosity::Everything => {
            present("emulator", &emulator.version);
        }
        Some(_) => {}
        None => {
            if let Err(error) = step("emulator", "unpacking Debian's", unpack_emulator) {
                present("emulator", &format!("{}: {error:#}", paint(Paint::Note, "absent")));
            }
        }
    }
    for series in SERIES {
        let name = format!("kernel {series}");
        match Kernel::find(series) {
            Ok(kernel) if verbosity == Verbosity::Everything => present(&name, &kernel.release),
            Ok(_) => {}
            Err(_) => {
                if let Err(error) = step(&name, "unpacking Debian's", || unpack(series)) {
                    present(&name, &format!("{}: {error:#}", paint(Paint::Note, "absent")));
                }
            }
        }
        if let Ok(kernel) = Kernel::find(series) {
            ensure_headers(&kernel, verbosity);
        }
    }
}

/// Unpacks the emulator with what it depends on that is not installed. It is not installed itself: with programs
/// of another version of it that may be installed it could not be.
fn unpack_emulator() -> Result<String> {
    let list = || {
        let options = ["install", "--simulate", "--no-install-recommends", PACKAGE];
        capture(Command::new("apt-get").args(options))
    };
    let installing = list().or_else(|_| {
        capture(Command::new("apt-get").arg("update"))?;
        list()
    })?;
    // "Inst seabios (1.16.2-1 Debian:12.13/oldstable [all])"
    let package = |line: &str| Some(line.strip_prefix("Inst ")?.split(' ').next()?.to_owned());
    let packages: Vec<String> = installing.lines().filter_map(package).collect();
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    unpack_into(&unpacked_emulator(), &packages)?;
    Ok(Emulator::find().context("the unpacked emulator does not run")?.version)
}

fn ensure_headers(kernel: &Kernel, verbosity: Verbosity) {
    let name = format!("headers {}", kernel.series);
    match headers(kernel) {
        Ok(_) if verbosity == Verbosity::Everything => present(&name, &kernel.release),
        Ok(_) => {}
        Err(_) => {
            if let Err(error) = step(&name, "unpacking Debian's", || unpack_headers(kernel)) {
                present(&name, &format!("{}: {error:#}", paint(Paint::Note, "absent")));
            }
        }
    }
}

/// Unpacks the newest kernel of `series`.
fn unpack(series: &'static str) -> Result<String> {
    unpack_into(&unpacked(series), &[&newest(series)?])?;
    Ok(Kernel::find(series)?.release)
}

/// Unpacks the headers of `kernel`; where Debian has them no more, a newer kernel with its own.
fn unpack_headers(kernel: &Kernel) -> Result<String> {
    let of = |kernel: &Kernel| -> Result<()> {
        let package = headers_package(&kernel.release);
        let needed = needed_headers(&package)?;
        let all: Vec<&str> = std::iter::once(&package).chain(&needed).map(String::as_str).collect();
        unpack_into(&unpacked_headers(kernel.series), &all)
    };
    if of(kernel).is_ok() {
        return Ok(kernel.release.clone());
    }
    let release = unpack(kernel.series)?;
    of(&Kernel::find(kernel.series)?)?;
    Ok(release)
}

/// The packages of headers and of their programs that a package of headers depends on.
fn needed_headers(package: &str) -> Result<Vec<String>> {
    let shown = capture(Command::new("apt-cache").args(["show", "--no-all-versions", package]))?;
    let depends = shown.lines().find_map(|line| line.strip_prefix("Depends: "));
    let depends = depends.with_context(|| format!("{package} depends on nothing"))?;
    let names = depends.split(',').filter_map(|one| one.split_whitespace().next());
    let is_wanted =
        |name: &&str| ["linux-headers-", "linux-kbuild-"].iter().any(|it| name.starts_with(it));
    Ok(names.filter(is_wanted).map(String::from).collect())
}

/// Unpacks packages beside `place`, and puts them there once they are whole.
fn unpack_into(place: &Path, wanted: &[&str]) -> Result<()> {
    let packages = folder().join("packages");
    let unfinished = folder().join("unfinished");
    for scratch in [&packages, &unfinished] {
        let _ = fs::remove_dir_all(scratch);
        fs::create_dir_all(scratch)?;
    }
    fetch(wanted, &packages, &unfinished)?;
    let _ = fs::remove_dir_all(place);
    fs::create_dir_all(place.parent().unwrap_or(Path::new("/")))?;
    fs::rename(&unfinished, place)?;
    Ok(())
}

/// The package of the newest kernel of `series` that Debian's suites, as this machine knows them, have.
fn newest(series: &str) -> Result<String> {
    let list = || -> Result<Option<String>> {
        let prefix = format!("linux-image-{series}.");
        let names = capture(Command::new("apt-cache").args(["pkgnames", &prefix]))?;
        Ok(names
            .lines()
            .filter(|name| is_kernel(name))
            .max_by_key(|name| numbers(name))
            .map(String::from))
    };
    if let Some(package) = list()? {
        return Ok(package);
    }
    capture(Command::new("apt-get").arg("update"))?;
    list()?.with_context(|| format!("Debian's suites, as configured here, have no kernel {series}"))
}

/// Whether the package is a signed kernel for clouds: not its symbols, and not another flavour.
fn is_kernel(package: &str) -> bool {
    package.ends_with("-cloud-amd64") && !package.contains("-rt-")
}

/// The numbers in a name: newer kernels have larger ones.
fn numbers(name: &str) -> Vec<u64> {
    let digits = name.split(|character: char| !character.is_ascii_digit());
    digits.filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_kernel_has_the_largest_numbers() {
        let check = |older: &str, newer: &str| assert!(numbers(older) < numbers(newer), "{newer}");
        check("linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-56-cloud-amd64");
        check("linux-image-6.12.101+deb12-cloud-amd64", "linux-image-6.12.117+deb12-cloud-amd64");
    }

    #[test]
    fn symbols_and_unsigned_kernels_are_no_kernels_to_boot() {
        assert!(is_kernel("linux-image-6.1.0-56-cloud-amd64"));
        assert!(!is_kernel("linux-image-6.1.0-56-cloud-amd64-dbg"));
        assert!(!is_kernel("linux-image-6.1.0-56-cloud-amd64-unsigned"));
        assert!(!is_kernel("linux-image-6.1.0-56-amd64"));
    }
}
