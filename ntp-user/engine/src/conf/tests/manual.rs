//! The manual page and the table of directives say the same.

use std::collections::BTreeSet;

use crate::conf::directive::names_that_work;
use crate::conf::error::Problem;
use crate::conf::parse;

/// The page as the package has it.
const PAGE: &str = include_str!("../../../../dist/man/ntp-xdp.conf.5");

/// Names under which the page, between these two headings, explains something.
fn explained(from: &str, to: &str) -> BTreeSet<&'static str> {
    let (_, part) = PAGE.split_once(from).expect("the heading is there");
    let (part, _) = part.split_once(to).expect("the next heading is there");
    let headings = part.split(".TP\n").skip(1).filter_map(|entry| entry.strip_prefix("\\fB"));
    headings.filter_map(|heading| heading.split_once("\\fR")).map(|(name, _)| name).collect()
}

#[test]
fn manual_page_explains_the_directives_that_work_and_no_others() {
    let explained = explained(".SH TIME SOURCES", ".SH SOURCE OPTIONS");
    let work: BTreeSet<&str> = names_that_work().into_iter().collect();
    let missing: Vec<_> = work.difference(&explained).collect();
    let too_many: Vec<_> = explained.difference(&work).collect();
    assert!(
        missing.is_empty() && too_many.is_empty(),
        "missing {missing:?}, too many {too_many:?}"
    );
}

/// The options that a directive takes, as it says when it is given another one.
fn accepted(line: &str) -> BTreeSet<&'static str> {
    let errors = parse("a.conf", &format!("{line} nosuchoption\n")).expect_err("a wrong option");
    let lists = errors.iter().filter_map(|error| {
        let Problem::UnknownOption { accepted, .. } = &error.problem else { return None };
        Some(accepted.clone())
    });
    lists.flatten().collect()
}

/// The options that the page explains between these two headings. An entry may be of several.
fn options(from: &str, to: &str) -> BTreeSet<&'static str> {
    let (_, part) = PAGE.split_once(from).expect("the heading is there");
    let (part, _) = part.split_once(to).expect("the next heading is there");
    let headings = part.split(".TP\n").skip(1).filter_map(|entry| entry.lines().next());
    let bold = headings.flat_map(|heading| heading.split("\\fB").skip(1));
    let names = bold.filter_map(|rest| rest.split("\\fR").next());
    names.flat_map(|names| names.split(", ")).filter_map(|it| it.split(' ').next()).collect()
}

#[test]
fn manual_page_explains_the_options_of_sources_and_no_others() {
    let sources = options(".SH SOURCE OPTIONS", ".SH OPTIONS OF REFERENCE CLOCKS");
    // What only a pool takes, and what only a host that is no server takes.
    let mut accept = accepted("server 192.0.2.1");
    accept.extend(accepted("pool pool.example.net"));
    accept.extend(accepted("peer 192.0.2.1"));
    let clocks = options(".SH OPTIONS OF REFERENCE CLOCKS", ".SH EXAMPLE");
    for (explained, accept) in [(sources, accept), (clocks, accepted("refclock SHM 0"))] {
        let missing: Vec<_> = accept.difference(&explained).collect();
        let too_many: Vec<_> = explained.difference(&accept).collect();
        assert!(
            missing.is_empty() && too_many.is_empty(),
            "missing {missing:?}, too many {too_many:?}"
        );
    }
}

#[test]
fn manual_page_explains_the_options_of_our_own_directives() {
    for line in ["xdp eth0", "hwtimestamp eth0", "serverthreads 2"] {
        let (directive, _) = line.split_once(' ').expect("a directive with an argument");
        let entries = PAGE.split(".TP\n");
        let entry = entries.filter(|entry| entry.starts_with(&format!("\\fB{directive}\\fR")));
        let entry: String = entry.collect();
        let accept = accepted(line);
        assert!(!accept.is_empty());
        for option in accept {
            assert!(entry.contains(&format!("\\fB{option}\\fR")), "{directive}: no {option}");
        }
    }
}
