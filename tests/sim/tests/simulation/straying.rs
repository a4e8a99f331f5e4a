//! Servers whose own clocks are not perfect, and samples that are used late.

use ntp_sim::scenario::Scenario;
use ntp_sim::table::Row;
use ntp_sim::unseen::unseen;

fn measured(name: &str) -> Row {
    let scenario: Scenario =
        unseen().into_iter().find(|scenario| scenario.name == name).expect("there is one");
    Row::measure(scenario, 1, 7).expect("options are valid")
}

/// The bars of the comparison with chrony; of its error at most this part.
fn assert_better_than_chrony(row: &Row, part: f64) {
    let Row { scenario, ours } = row;
    let chrony = scenario.chrony.expect("chrony was measured");
    let name = scenario.name;
    assert!(ours.rms_s * 1e6 <= part * chrony.rms_us, "{name}: {ours:?}");
    assert!(ours.packets <= 1.1 * chrony.packets, "{name}: {ours:?}");
    assert!(ours.frequency_rms * 1e9 <= 1.2 * chrony.frequency_ppb, "{name}: {ours:?}");
}

#[test]
fn noise_of_a_server_is_not_taken_for_the_clock() {
    assert_better_than_chrony(&measured("noisy-server"), 0.8);
}

#[test]
fn server_that_strays_does_not_drag_the_rate_along() {
    assert_better_than_chrony(&measured("straying-server"), 0.9);
    assert_better_than_chrony(&measured("slowly-straying"), 1.0);
}

#[test]
fn servers_that_stray_apart_are_weighed_against_each_other() {
    assert_better_than_chrony(&measured("three-straying"), 1.0);
}

#[test]
fn sample_of_a_source_that_is_followed_later_is_no_surprise() {
    assert_better_than_chrony(&measured("eight-servers"), 0.2);
    assert_better_than_chrony(&measured("five-wan"), 0.6);
}
