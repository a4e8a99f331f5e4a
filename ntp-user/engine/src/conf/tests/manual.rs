//! The manual page and the table of directives say the same.

use std::collections::BTreeSet;

use crate::conf::directive::names_that_work;

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
