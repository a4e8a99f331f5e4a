//! Files: the configuration, keys, tables of leap seconds, histories of sources. Operators write some, and others
//! may be damaged.

use ntp_engine::auth::Keys;
use ntp_engine::conf::parse;
use ntp_engine::history::History;
use ntp_engine::leap::tables::LeapTable;

/// A configuration: what is wrong is told with its place in the text.
pub(crate) fn configuration(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    match parse("fuzz.conf", &text) {
        Ok(parsed) => parsed.warnings.iter().for_each(|warning| {
            assert!(warning.to_string().contains("fuzz.conf:"), "{warning}");
        }),
        Err(errors) => assert!(errors.to_string().contains("fuzz.conf:"), "{errors}"),
    }
}

/// A key file: a key for each line at most, and two problems.
pub(crate) fn keys(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    let (keys, problems) = Keys::parse(&text);
    let lines = text.lines().count();
    assert!(keys.len() <= lines && problems.len() <= 2 * lines, "{problems:?}");
    assert!(problems.iter().all(|problem| !problem.to_string().is_empty()));
}

/// A table of leap seconds, as text or as a time zone; or the history of a source, which is written as it was read.
pub(crate) fn tables(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    for table in [LeapTable::from_list(&text), LeapTable::from_time_zone(octets)] {
        drop(table.map(|table| table.expires()));
    }
    if let Ok(history) = History::parse(&text) {
        let again = History::parse(&history.to_text()).expect("what was written can be read");
        assert_eq!(again.to_text(), history.to_text());
    }
}
