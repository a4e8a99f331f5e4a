//! What a task prints while it works: one line a step, and colour on a terminal only.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

/// Whether standard output is kept for a result that a program reads.
static DIVERTED: AtomicBool = AtomicBool::new(false);

/// From now on everything here prints to standard error.
pub(crate) fn divert_to_stderr() {
    DIVERTED.store(true, Ordering::Relaxed);
}

/// Prints a line for a person.
pub(crate) fn say(line: &str) {
    write(line);
    write("\n");
}

/// Prints without ending the line. A pipe that nobody reads must not stop the work.
fn write(text: &str) {
    if DIVERTED.load(Ordering::Relaxed) {
        let _ = stderr().write_all(text.as_bytes());
    } else {
        let _ = stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush());
    }
}

fn is_terminal() -> bool {
    if DIVERTED.load(Ordering::Relaxed) { stderr().is_terminal() } else { stdout().is_terminal() }
}

/// A colour by what it means.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Paint {
    /// As it should be.
    Good,
    /// Failed.
    Bad,
    /// Skipped, absent, or otherwise to be known about.
    Note,
    /// A header.
    Strong,
}

/// `text` in the colour of `paint` when it is printed to a terminal that wants colours.
pub(crate) fn paint(paint: Paint, text: &str) -> String {
    if !is_terminal() || std::env::var_os("NO_COLOR").is_some() {
        return text.to_owned();
    }
    let code = match paint {
        Paint::Good => "32",
        Paint::Bad => "31",
        Paint::Note => "33",
        Paint::Strong => "1",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// A length of time for a person to read: `0.04 s`, `3.2 s`, `1 min 12 s`.
pub(crate) fn elapsed(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{:.2} s", time.as_secs_f64()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// Prints `name  doing ... `, does `work`, and ends the line with what `work` says and the time it took.
pub(crate) fn step(name: &str, doing: &str, work: impl FnOnce() -> Result<String>) -> Result<()> {
    write(&format!("  {name:<16} {doing} ... "));
    let start = Instant::now();
    match work() {
        Ok(said) => {
            say(&format!("{}, took {}", paint(Paint::Good, &said), elapsed(start.elapsed())));
            Ok(())
        }
        Err(error) => {
            say(&paint(Paint::Bad, "failed"));
            Err(error)
        }
    }
}

/// Prints a step that had nothing to do.
pub(crate) fn present(name: &str, what: &str) {
    say(&format!("  {name:<16} {what}"));
}

/// Lines of cells in columns as wide as their widest cell; the last column may hold anything.
pub(crate) fn table(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| lines.iter().filter_map(|line| Some(line.get(column)?.chars().count())).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut text = String::new();
    for line in lines {
        for (index, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let is_last = index + 1 == line.len();
            let pad = if is_last { 0 } else { width - cell.chars().count() };
            let _ = write!(text, "  {cell}{:pad$}", "");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let lines = [["a", "long cell", "x"], ["much", "b", "µs"]];
        let lines = lines.map(|line| line.map(str::to_owned).to_vec());
        assert_eq!(table(&lines), "  a     long cell  x\n  much  b          µs\n");
        assert_eq!(table(&[]), "");
    }
}
