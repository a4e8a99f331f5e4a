//! Everything in a simulation follows from its scenario and its seed.

use ntp_sim::scenario::{Scenario, table};
use ntp_sim::trace::Trace;

fn run(scenario: &Scenario, seed: u64) -> Trace {
    scenario.run(seed).expect("the scenario's options are valid").0
}

#[test]
fn same_seed_gives_the_same_bytes_and_another_seed_others() {
    for scenario in table() {
        let scenario = Scenario { length_s: 2000.0, ..scenario };
        let first = run(&scenario, 1);
        assert_eq!(first.len(), 2000, "{}", scenario.name);
        assert_eq!(format!("{first:?}"), format!("{:?}", run(&scenario, 1)), "{}", scenario.name);
        assert_ne!(first, run(&scenario, 2), "{}", scenario.name);
    }
}
