//! `cargo xtask tidy`: rules of the sources that neither rustfmt nor clippy knows.

mod documents;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::paths;
use crate::test::Tally;

/// Most lines of a Rust file outside its tests.
const MOST_LINES: usize = 400;
/// Most lines of a file of the eBPF program.
const MOST_LINES_EBPF: usize = 160;

/// Endings of the names of files that are looked at.
const TEXT: [&str; 10] = ["rs", "toml", "md", "conf", "service", "sh", "yml", "json", "c", "h"];

/// Hidden folders that are the project's.
const HIDDEN: [&str; 2] = [".ci", ".cargo"];

/// The task alone.
///
/// # Errors
/// A file could not be read.
pub(crate) fn run() -> Result<ExitCode> {
    let tally = check()?;
    println!("{tally}");
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Looks at every text file of the workspace, prints what is wrong, and counts files.
///
/// # Errors
/// A file could not be read.
pub(crate) fn check() -> Result<Tally> {
    let root = paths::workspace();
    let mut tally = Tally::default();
    let tree = tree(&root)?;
    let paths: BTreeSet<String> = tree
        .iter()
        .filter_map(|path| Some(path.strip_prefix(&root).ok()?.to_str()?.to_owned()))
        .collect();
    for path in tree.into_iter().filter(|path| is_text(path)) {
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.strip_prefix(&root).unwrap_or(&path);
        let mut faults = faults(name, &text);
        faults.extend(documents::faults(name, &text, &paths));
        for fault in &faults {
            println!("{}: {fault}", name.display());
        }
        if faults.is_empty() {
            tally.passed += 1;
        } else {
            tally.failed += 1;
        }
    }
    Ok(tally)
}

/// What is wrong with the file `name` of the text `text`.
fn faults(name: &Path, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.ends_with([' ', '\t']) {
            faults.push(format!("line {} ends in a blank", index + 1));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        faults.push("the last line does not end".to_owned());
    }
    if name.extension().is_some_and(|ending| ending == "rs") {
        if !text.starts_with("//!") {
            faults.push("does not open with what it is for (`//!`)".to_owned());
        }
        let most = if name.starts_with("ntp-ebpf") { MOST_LINES_EBPF } else { MOST_LINES };
        let lines = lines_outside_tests(text);
        if lines > most {
            faults.push(format!("{lines} lines outside tests, at most {most} are allowed"));
        }
    }
    faults
}

/// Lines before the file's test module, which comes last.
fn lines_outside_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| {
        pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
    });
    tests.unwrap_or(lines.len())
}

/// The workspace's files and folders; folders of build artefacts and hidden ones, but for two, are left out.
fn tree(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let is_hidden = name.as_encoded_bytes().starts_with(b".");
            if is_hidden && !HIDDEN.iter().any(|it| name == *it) || name == "target" {
                continue;
            }
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn is_text(path: &Path) -> bool {
    let is_text = path.extension().is_some_and(|ending| TEXT.iter().any(|text| ending == *text));
    path.ends_with(".ci/run") || is_text && path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, text: &str, expected: &[&str]) {
        assert_eq!(faults(Path::new(name), text), expected, "{name}: {text:?}");
    }

    #[test]
    fn rust_file_opens_with_what_it_is_for() {
        check("a.rs", "//! The letter a.\n", &[]);
        check("a.rs", "use b;\n", &["does not open with what it is for (`//!`)"]);
        check("a.toml", "[package]\n", &[]);
    }

    #[test]
    fn blanks_at_the_end_of_a_line_are_found() {
        check("a.md", "fine\nnot \n", &["line 2 ends in a blank"]);
        check("a.md", "fine", &["the last line does not end"]);
    }

    #[test]
    fn lines_are_counted_up_to_the_tests() {
        let body = "//! Long.\n".to_owned() + &"x\n".repeat(MOST_LINES - 1);
        check("a.rs", &body, &[]);
        check("a.rs", &format!("{body}#[cfg(test)]\nmod tests {{\n}}\n"), &[]);
        check("a.rs", &format!("{body}y\n"), &["401 lines outside tests, at most 400 are allowed"]);
        check("ntp-ebpf/src/a.rs", &body, &["400 lines outside tests, at most 160 are allowed"]);
    }
}
