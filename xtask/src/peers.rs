//! Other NTP programs to test against: unpacked from Debian's packages into `target/peers`, never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use ntp_lab::lintian::{lintian, unpacked_lintian};
use ntp_lab::peers::{
    Chronyd, Ntpdig, chronyd, library_folders, ntpd, ntpd_rs, ntpd_rs_root, ntpdig, unpacked,
};
use ntp_lab::prometheus::prometheus;

use crate::process::{capture, cargo};
use crate::report::{present, step};
use crate::setup::Verbosity;
use crate::versions::{NTPD_RS, NTPSEC_PACKAGE, PEER_LIBRARIES, PEER_PACKAGES, PROMETHEUS_PACKAGE};

/// Makes sure of chronyd and ntpdig.
///
/// # Errors
/// chronyd is not to be had here. An ntpdig without a Python to run it is no error: it is reported.
pub(crate) fn ensure(verbosity: Verbosity) -> Result<()> {
    let stamp = unpacked().join("complete");
    if !stamp.exists() && (chronyd().is_none() || ntpdig().is_none()) {
        step("peers", &format!("unpacking {}", PEER_PACKAGES.join(" ")), || {
            unpack()?;
            fs::write(&stamp, "")?;
            Ok("unpacked".to_owned())
        })?;
    }
    if verbosity == Verbosity::Everything {
        present("chronyd", chronyd().as_ref().map_or("absent", Chronyd::version));
        present("ntpdig", ntpdig().as_ref().map_or("absent", Ntpdig::version));
    }
    Ok(())
}

/// Makes sure of Prometheus, which reads the metrics in tests.
///
/// # Errors
/// It is not to be had here.
pub(crate) fn ensure_prometheus(verbosity: Verbosity) -> Result<()> {
    if let Some(prometheus) = prometheus() {
        if verbosity == Verbosity::Everything {
            present("prometheus", prometheus.version());
        }
        return Ok(());
    }
    step("prometheus", "unpacking it", || {
        add(PROMETHEUS_PACKAGE)?;
        prometheus().context("the unpacked prometheus does not run")?;
        Ok("unpacked".to_owned())
    })
}

/// Makes sure of the servers that the benchmark measures beside those of [`ensure`]; what is not to be had is left
/// out, and the benchmark names it.
///
/// # Errors
/// ntpd-rs was to be built, and could not be.
pub(crate) fn ensure_servers(install: bool) -> Result<()> {
    if ntpd().is_none() {
        let unpacking = step("ntpsec", "unpacking its daemon", || {
            add(NTPSEC_PACKAGE)?;
            Ok("unpacked".to_owned())
        });
        if let Err(error) = unpacking {
            present("ntpsec", &format!("absent: {error:#}"));
        }
    }
    if install && ntpd_rs().is_none() {
        step("ntpd-rs", &format!("building {NTPD_RS}"), || {
            let mut cargo = cargo();
            cargo.args(["install", "ntpd", "--version", NTPD_RS, "--locked", "--root"]);
            capture(cargo.arg(ntpd_rs_root()))?;
            Ok("built".to_owned())
        })?;
    }
    Ok(())
}

/// Makes sure of Debian's judge of packages.
///
/// # Errors
/// It is not to be had here.
pub(crate) fn ensure_lintian(verbosity: Verbosity) -> Result<()> {
    if lintian().is_some() {
        if verbosity == Verbosity::Everything {
            present("lintian", "runs");
        }
        return Ok(());
    }
    step("lintian", "unpacking it and its libraries", || {
        let root = unpacked_lintian();
        let packages = root.join("packages");
        fs::create_dir_all(&packages)?;
        let needed = with_what_it_needs("lintian")?;
        fetch(&needed.iter().map(String::as_str).collect::<Vec<_>>(), &packages, &root)?;
        lintian().context("the unpacked lintian does not run")?;
        Ok("unpacked".to_owned())
    })
}

/// A package and all that it depends on that is not installed.
fn with_what_it_needs(package: &str) -> Result<Vec<String>> {
    let simulate = || {
        let options = ["install", "--simulate", "--no-install-recommends", package];
        capture(Command::new("apt-get").args(options))
    };
    let said = simulate().or_else(|_| {
        capture(Command::new("apt-get").arg("update"))?;
        simulate()
    })?;
    // "Inst diffstat (1.65-1 Debian:12.13/oldstable [amd64])"
    let name = |line: &str| Some(line.strip_prefix("Inst ")?.split(' ').next()?.to_owned());
    Ok(said.lines().filter_map(name).collect())
}

/// Unpacks one more package beside the others.
fn add(package: &str) -> Result<()> {
    let packages = unpacked().join("packages");
    fs::create_dir_all(&packages)?;
    fetch(&[package], &packages, &unpacked())
}

fn unpack() -> Result<()> {
    let root = unpacked();
    let packages = root.join("packages");
    fs::create_dir_all(&packages)?;
    fetch(PEER_PACKAGES, &packages, &root)?;
    beside_its_python(&root)?;
    for program in ["usr/sbin/chronyd", "usr/bin/chronyc"] {
        let missing = missing_libraries(&root.join(program))?;
        if !missing.is_empty() {
            fetch(&missing, &packages, &root)?;
        }
    }
    if chronyd().is_none() {
        bail!("the unpacked chronyd does not run");
    }
    Ok(())
}

/// Downloads Debian packages into `folder` and unpacks them below `root`.
///
/// # Errors
/// They are not to be had, or not to be unpacked.
pub(crate) fn fetch(packages: &[&str], folder: &Path, root: &Path) -> Result<()> {
    let download =
        || capture(Command::new("apt-get").arg("download").args(packages).current_dir(folder));
    if download().is_err() {
        // The lists of packages may be missing or old; what that says is in the second try's error.
        let _ = capture(Command::new("apt-get").arg("update"));
        download().with_context(|| format!("cannot download {}", packages.join(" ")))?;
    }
    for package in files(folder)? {
        capture(Command::new("dpkg").arg("-x").arg(&package).arg(root))?;
        fs::remove_file(package)?;
    }
    Ok(())
}

/// The packages of the libraries that `program` does not find.
fn missing_libraries(program: &Path) -> Result<Vec<&'static str>> {
    let path = std::env::join_paths(library_folders(&unpacked()))?;
    let listed = capture(Command::new("ldd").arg(program).env("LD_LIBRARY_PATH", path))?;
    let missing = listed.lines().filter(|line| line.ends_with("not found"));
    missing
        .filter_map(|line| line.split_whitespace().next())
        .map(|library| {
            let known = PEER_LIBRARIES.iter().find(|(name, _)| *name == library);
            known.map(|(_, package)| *package).with_context(|| format!("no package has {library}"))
        })
        .collect()
}

/// Puts ntpdig's library beside the Python files that load it: that is where they look first.
fn beside_its_python(root: &Path) -> Result<()> {
    let python = root.join("usr/lib/python3/dist-packages/ntp");
    for folder in library_folders(root) {
        let library = folder.join("ntp/libntpc.so");
        if library.exists() && python.exists() {
            fs::copy(library, python.join("libntpc.so"))?;
        }
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    Ok(entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<_>>()?)
}
