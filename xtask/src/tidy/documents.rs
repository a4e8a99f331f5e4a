//! What documents name is there: files and folders of the workspace, and `cargo xtask` commands with their options.

use std::collections::BTreeSet;
use std::path::Path;

use clap::CommandFactory;
use clap::error::ErrorKind;

use crate::Arguments;

/// Endings of the names of files that documents name.
const ENDINGS: [&str; 7] = [".rs", ".md", ".toml", ".json", ".svg", ".yml", ".conf"];

/// How a command of the project begins.
const XTASK: &str = "cargo xtask ";

/// The title of the map of the code, of which every name is looked for below that which it is under.
const MAP: &str = "## Code map";

/// What is wrong with what a document names, of a workspace with these `paths`.
pub(super) fn faults(name: &Path, text: &str, paths: &BTreeSet<String>) -> Vec<String> {
    let is_document = name.extension().is_some_and(|ending| ending == "md");
    let mut faults: Vec<String> =
        commands(text, is_document).filter_map(|it| refused(&it)).collect();
    if is_document {
        // Spans go on in the next line.
        let joined = text.replace('\n', " ");
        let spans = joined.split('`').skip(1).step_by(2);
        let named = spans.filter(|span| is_path(span)).flat_map(expanded);
        let missing = named.chain(links(text)).filter(|path| !is_there(path, paths));
        faults.extend(missing.map(|path| format!("names `{path}`, which is not there")));
        faults.extend(map_faults(text, paths));
    }
    faults
}

/// Commands of the project in a text: to the end of the span of code that they are in, or of the line.
fn commands(text: &str, is_document: bool) -> impl Iterator<Item = String> {
    // In sources a span may go on behind the next line's slashes; its first line is enough. Their tests name what is not.
    let text = if is_document {
        text.replace("`cargo\n", "`cargo ")
    } else {
        text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned()
    };
    let mut found = Vec::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once(XTASK) {
        let is_span = before.ends_with('`');
        let end =
            if is_span && is_document { after.find('`') } else { after.find(['`', '\n', '"']) };
        let command = &after[..end.unwrap_or(after.len())];
        found.push(command.replace('\n', " "));
        rest = after;
    }
    found.into_iter()
}

/// Why the program would not take a command, if it knows a part of it not. What stands for something else is taken.
fn refused(command: &str) -> Option<String> {
    let stands_for = |word: &str| {
        let is_name = word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        is_name || word.contains(['{', '[', '|', '<', '('])
    };
    let ends = |word: &&str| word.starts_with(['#', '&', '>', '|', '"']);
    let all: Vec<&str> = command.split_whitespace().take_while(|word| !ends(word)).collect();
    let is_open = all.iter().any(|word| stands_for(word));
    let words: Vec<&str> = all
        .into_iter()
        .take_while(|word| !stands_for(word))
        .map(|word| word.trim_end_matches([')', ',', ';', '.', ':', '"', '\'']))
        .collect();
    let line = std::iter::once("xtask").chain(words.iter().copied());
    let error = Arguments::command().try_get_matches_from(line).err()?;
    let is_kind = |kinds: [ErrorKind; 2]| kinds.contains(&error.kind());
    // Of an option whose value is left to the reader there is none.
    let is_wrong = is_kind([ErrorKind::InvalidSubcommand, ErrorKind::UnknownArgument])
        || !is_open && is_kind([ErrorKind::InvalidValue, ErrorKind::ValueValidation]);
    is_wrong.then(|| format!("names `{XTASK}{}`, which is no command", words.join(" ")))
}

/// Whether a span of code is a path in the workspace.
fn is_path(span: &str) -> bool {
    let is_named = span.contains('/') || ENDINGS.iter().any(|ending| span.ends_with(ending));
    // Of the machine, of what is built, of a name with something to be filled in, or no path at all.
    let is_else = span.starts_with(['/', '-', '.']) && !span.starts_with(".c");
    let is_open = span.contains([' ', '<', '*', ':', '"', '=']) || span.contains("://");
    let is_given = ["ntp-xdp.conf", "chrony.conf", "ntp.conf"].contains(&span);
    is_named && !is_else && !is_open && !is_given && !span.starts_with("target/")
}

/// What `a/{b,c}.rs` stands for.
fn expanded(path: &str) -> Vec<String> {
    let parts = path.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once('}')?)));
    let Some((head, (names, tail))) = parts else { return vec![path.to_owned()] };
    names.split(',').map(|name| format!("{head}{name}{tail}")).collect()
}

/// Targets of links that lead to files beside the document's folder or in the workspace.
fn links(text: &str) -> impl Iterator<Item = String> + '_ {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    local.map(|target| {
        let path = target.split('#').next().unwrap_or(target);
        path.trim_start_matches("../").trim_start_matches("./").to_owned()
    })
}

/// Whether there is such a file or folder: documents leave out the folders that go without saying.
fn is_there(path: &str, paths: &BTreeSet<String>) -> bool {
    let path = path.trim_end_matches('/');
    paths.contains(path) || paths.iter().any(|known| ends_with(known, path))
}

fn ends_with(known: &str, path: &str) -> bool {
    known.strip_suffix(path).is_some_and(|rest| rest.ends_with('/'))
}

/// Names in the map of the code that are not where the map has them: each line opens with names, up to two blanks,
/// and is below the last one that is indented less.
fn map_faults(text: &str, paths: &BTreeSet<String>) -> Vec<String> {
    let section = text.split_once(MAP).map_or("", |(_, rest)| rest);
    let map = section.split("```").nth(1).unwrap_or_default();
    let mut above: Vec<(usize, Vec<String>)> = Vec::new();
    let mut faults = Vec::new();
    for line in map.lines().filter(|line| !line.trim().is_empty()) {
        let indent = line.len() - line.trim_start().len();
        let names = line.trim_start().split("  ").next().unwrap_or_default();
        let is_names = names.split(' ').all(|name| name.contains(['.', '/']));
        // A line that only goes on with what the one above says.
        if indent > 16 || !is_names {
            continue;
        }
        above.retain(|(other, _)| *other < indent);
        let folders = above.last().map_or_else(|| vec![String::new()], |(_, it)| it.clone());
        let mut here = Vec::new();
        for name in names.split(' ').flat_map(expanded) {
            let name = name.trim_end_matches('/');
            let places = folders.iter().flat_map(|folder| {
                // Of a package, its sources.
                [format!("{folder}{name}"), format!("{folder}src/{name}")]
            });
            match places.into_iter().find(|place| paths.contains(place)) {
                Some(place) => here.push(format!("{place}/")),
                None => faults.push(format!("its map has `{name}` where it is not")),
            }
        }
        above.push((indent, here));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let paths = ["a", "a/src", "a/src/b.rs", "a/src/c", "a/src/c/d.rs", "docs/E.md", "f.toml"];
        let paths = paths.into_iter().map(str::to_owned).collect();
        assert_eq!(faults(Path::new("README.md"), text, &paths), expected, "{text}");
    }

    #[test]
    fn files_that_are_named_must_be_there() {
        check("`a/src/b.rs`, `c/d.rs`, `a/`, `f.toml` and [this](docs/E.md#part)", &[]);
        check("`a/src/{b,c/d}.rs` and `/etc/passwd` and `target/x`", &[]);
        check("`a/src/{b,x}.rs`", &["names `a/src/x.rs`, which is not there"]);
        check("[this](docs/F.md)", &["names `docs/F.md`, which is not there"]);
        check("`g.toml`", &["names `g.toml`, which is not there"]);
    }

    #[test]
    fn commands_that_are_named_must_be_taken() {
        check("`cargo xtask test --only e2e`, `cargo xtask bench\nprog`, `cargo xtask TASK`", &[]);
        check("```\ncargo xtask demo --json    # comment\n```", &[]);
        check("`cargo xtask dance`", &["names `cargo xtask dance`, which is no command"]);
        check(
            "cargo xtask demo --slow\n",
            &["names `cargo xtask demo --slow`, which is no command"],
        );
        let only = "names `cargo xtask test --only all`, which is no command";
        check("`cargo xtask test --only all`", &[only]);
    }

    #[test]
    fn map_of_the_code_has_files_below_their_folders() {
        let map = |lines: &str| format!("{MAP}\n```\n{lines}\n```\n");
        check(&map("a/         the crate\n  b.rs     one file\n  c/ src/b.rs\n    d.rs"), &[]);
        check(&map("a/\n  d.rs   elsewhere"), &["its map has `d.rs` where it is not"]);
    }
}
