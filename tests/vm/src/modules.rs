//! Modules of an unpacked kernel with what they depend on, in the order in which they can be loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A module.
#[derive(Debug)]
pub(crate) struct Module {
    /// As other modules name it.
    pub(crate) name: String,
    /// The object, unpacked.
    pub(crate) octets: Vec<u8>,
}

/// The modules in `folder` that `wanted` names and those that they need, each after what it needs. A name
/// without a file is of a module that is built in.
///
/// # Errors
/// A file can't be read or unpacked.
pub(crate) fn load(folder: &Path, wanted: &[&str]) -> Result<Vec<Module>> {
    let mut files = BTreeMap::new();
    list(folder, &mut files)?;
    ensure!(!files.is_empty(), "no modules in {}", folder.display());
    let mut seen = BTreeSet::new();
    let mut order = Vec::new();
    for name in wanted {
        add(name, &files, &mut seen, &mut order)?;
    }
    Ok(order)
}

fn add(
    name: &str,
    files: &BTreeMap<String, PathBuf>,
    seen: &mut BTreeSet<String>,
    order: &mut Vec<Module>,
) -> Result<()> {
    let Some(file) = files.get(name) else { return Ok(()) };
    if !seen.insert(name.to_owned()) {
        return Ok(());
    }
    let octets = unpack(file)?;
    for needed in dependencies(&octets) {
        add(&needed, files, seen, order)?;
    }
    order.push(Module { name: name.to_owned(), octets });
    Ok(())
}

/// All modules below `folder`, by name: file names may have dashes where names have underscores.
fn list(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()));
    for entry in entries? {
        let entry = entry?;
        let path = entry.path();
        // Links of a package lead to where it would be installed.
        if entry.file_type()?.is_dir() {
            list(&path, files)?;
        } else if let Some((name, _)) = entry.file_name().to_string_lossy().split_once(".ko") {
            files.insert(name.replace('-', "_"), path);
        }
    }
    Ok(())
}

/// The object in a module's file, which Debian compresses since Linux 6.12.
fn unpack(file: &Path) -> Result<Vec<u8>> {
    let program = match file.extension().and_then(|ending| ending.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return fs::read(file).with_context(|| format!("cannot read {}", file.display())),
    };
    let output = Command::new(program).args(["--decompress", "--stdout"]).arg(file).output();
    let output = output.with_context(|| format!("cannot run {program}"))?;
    ensure!(output.status.success(), "{program} cannot unpack {}", file.display());
    Ok(output.stdout)
}

/// What the module says that it needs: `depends=a,b` between zeros, in its section `.modinfo`.
fn dependencies(octets: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = octets.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = octets[at + KEY.len()..].split(|octet| *octet == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value);
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_off_the_object() {
        let check = |octets: &[u8], expected: &[&str]| assert_eq!(dependencies(octets), expected);
        check(
            b"\x7fELF\0license=GPL\0depends=net-failover,failover\0name=x\0",
            &["net_failover", "failover"],
        );
        check(b"\0depends=\0name=x\0", &[]);
        check(b"\0name=x\0", &[]);
    }
}
