//! Running test programs and counting by what they print: Rust's own harness and those that print as it does.

use std::process::Command;

use anyhow::Result;

use super::tally::Tally;
use crate::process::stream;

/// How much of a test program's output is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Every line.
    Everything,
    /// No line for a test that passed.
    Trouble,
}

/// Runs `cargo test ...` and counts the tests of every program that it runs. A failure that no test accounts
/// for (it did not compile, or it crashed) counts as one.
///
/// # Errors
/// `command` could not be started.
pub(crate) fn run(command: &mut Command, detail: Detail) -> Result<Tally> {
    let mut tally = Tally::default();
    let status = stream(command, |line| {
        if let Some(counted) = summary(line) {
            tally = [tally, counted].into_iter().sum();
        } else if detail == Detail::Everything || !is_routine(line) {
            println!("{line}");
        }
    })?;
    if !status.success() && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(tally)
}

/// The counts of a harness's last line:
/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`.
fn summary(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut tally = Tally::default();
    for count in counts.split(';') {
        let Some((number, name)) = count.trim().split_once(' ') else { continue };
        let Ok(number) = number.parse() else { continue };
        match name {
            "passed" => tally.passed = number,
            "failed" => tally.failed = number,
            "ignored" => tally.skipped = number,
            _ => {}
        }
    }
    Some(tally)
}

fn is_routine(line: &str) -> bool {
    line.is_empty()
        || (line.starts_with("test ") && line.ends_with(" ... ok"))
        || (line.starts_with("running ") && (line.ends_with(" tests") || line.ends_with(" test")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_off_the_last_line_of_a_harness() {
        let check = |line: &str, expected: Option<(u64, u64, u64)>| {
            let expected =
                expected.map(|(passed, failed, skipped)| Tally { passed, failed, skipped });
            assert_eq!(summary(line), expected, "{line}");
        };
        check(
            "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 7 filtered out; finished in 0.01s",
            Some((12, 0, 3)),
        );
        check(
            "test result: FAILED. 0 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
            Some((0, 2, 0)),
        );
        check("test result_is_printed ... ok", None);
        check("running 3 tests", None);
    }

    #[test]
    fn failures_and_skipped_tests_are_not_routine() {
        assert!(is_routine("test wire::round_trip ... ok"));
        assert!(!is_routine("test wire::round_trip ... FAILED"));
        assert!(!is_routine("test wire::round_trip ... ignored"));
    }

    #[test]
    fn program_that_crashes_counts_as_one_failure() {
        let tally = run(&mut Command::new("false"), Detail::Everything).unwrap();
        assert_eq!(tally, Tally::failed());
    }
}
