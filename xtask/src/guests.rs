//! The kernels of guests: unpacked from Debian's packages into `target/guests`, never installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use ntp_vm::kernel::{Kernel, SERIES, folder, unpacked};

use crate::peers::fetch;
use crate::process::capture;
use crate::report::{Paint, paint, present, step};
use crate::setup::Verbosity;

/// Makes sure of a kernel of each series; says which can't be had.
pub(crate) fn ensure(verbosity: Verbosity) {
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
    }
}

/// Unpacks the newest kernel of `series` beside its place, and puts it there once it is whole.
fn unpack(series: &'static str) -> Result<String> {
    let package = newest(series)?;
    let packages = folder().join("packages");
    let unfinished = folder().join("unfinished");
    for scratch in [&packages, &unfinished] {
        let _ = fs::remove_dir_all(scratch);
        fs::create_dir_all(scratch)?;
    }
    fetch(&[&package], &packages, &unfinished)?;
    let place = unpacked(series);
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(place.parent().unwrap_or(Path::new("/")))?;
    fs::rename(&unfinished, &place)?;
    Ok(Kernel::find(series)?.release)
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
