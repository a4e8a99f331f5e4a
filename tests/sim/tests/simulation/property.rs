//! What holds with any configuration, on any clock and any network, of which some are drawn at random.

use ntp_sim::search::{look, search};

/// Worlds that are drawn; `cargo xtask sim --search 3000` looks at more.
const WORLDS: u64 = 120;

#[test]
fn served_time_never_goes_backward_and_is_never_further_off_than_the_root_distance_served_with_it()
{
    let findings = search(1, WORLDS).expect("configurations that are drawn are valid");
    assert!(findings.violations.is_empty(), "{:#?}", findings.violations);
    let served = findings.served_s / findings.simulated_s;
    assert!(served > 0.8, "time was served in {served} of the time only");
}

/// Worlds that a search has found something in, and what: all of it is mended.
const FOUND: [(u64, &str); 2] = [
    (32433, "mean frequency of fallbackdrift was that of a clock beyond maxdrift"),
    (33109, "mean frequency of fallbackdrift was that of a clock beyond maxdrift"),
];

#[test]
fn worlds_that_were_found_to_be_wrong_are_right() {
    for (seed, what) in FOUND {
        let findings = look(seed).expect("configurations that are drawn are valid");
        assert!(findings.violations.is_empty(), "{what}: {:#?}", findings.violations);
    }
}
