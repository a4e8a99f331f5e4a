//! Sources that are configured by name.

use crate::{A, B, C, oscillator, world};

#[test]
fn server_takes_the_first_address_of_its_name() {
    let mut world = world("server ntp.example iburst", oscillator(0.1, 0.0), &[A, B]);
    assert_eq!(world.look(|state| state.asked_names.clone()), ["ntp.example"]);
    assert_eq!(world.states(), "?");
    world.resolve("ntp.example", &[A, B]);
    world.run(20.0);
    let reports = world.driver.engine().sources(world.driver.now());
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].address, Some(A.parse().unwrap()));
    assert_eq!((reports[0].name.as_deref(), reports[0].state.symbol()), (Some("ntp.example"), '*'));
}

#[test]
fn pool_takes_as_many_addresses_as_it_may() {
    let mut world = world("pool ntp.example iburst maxsources 2", oscillator(0.0, 0.0), &[A, B, C]);
    world.resolve("ntp.example", &[A, B, C, A]);
    world.run(20.0);
    assert_eq!(world.states().len(), 2);
    assert_eq!(world.states().matches(['*', '+', '-']).count(), 2, "{}", world.states());
}

#[test]
fn name_that_cannot_be_resolved_is_tried_again() {
    let mut world = world("server ntp.example iburst", oscillator(0.0, 0.0), &[A]);
    for tries in 1..=4 {
        assert_eq!(world.look(|state| state.asked_names.len()), tries);
        world.resolve("ntp.example", &[]);
        world.run(f64::from(u32::try_from(tries).unwrap()).exp2() + 0.5);
    }
    world.resolve("ntp.example", &[A]);
    world.run(20.0);
    assert_eq!(world.states(), "*");
}

#[test]
fn answers_to_names_that_nobody_asked_for_are_ignored() {
    let mut world = world("server ntp.example iburst", oscillator(0.0, 0.0), &[A]);
    world.resolve("other.example", &[B]);
    world.resolve("ntp.example", &[A]);
    world.resolve("ntp.example", &[B]);
    let reports = world.driver.engine().sources(world.driver.now());
    assert_eq!((reports.len(), reports[0].address), (1, Some(A.parse().unwrap())));
}

#[test]
fn source_that_is_out_of_reach_gives_way_to_another_of_its_name() {
    let mut world = world("server ntp.example iburst", oscillator(0.0, 0.0), &[A, B]);
    world.resolve("ntp.example", &[A, B]);
    world.run(200.0);
    world.change(|state| state.servers[0].silent = true);
    while world.look(|state| state.asked_names.len()) < 2 {
        world.run(10.0);
        assert!(world.look(|state| state.now_s) < 1000.0, "its name was not asked for");
    }
    assert!(world.look(|state| state.now_s) > 9.0 * 64.0, "given up too soon");
    world.resolve("ntp.example", &[A, B]);
    world.run(20.0);
    let reports = world.driver.engine().sources(world.driver.now());
    assert_eq!((reports.len(), reports[0].address), (1, Some(B.parse().unwrap())));
    assert_eq!(world.states(), "*");
}

#[test]
fn server_that_refuses_gives_way_to_another_of_its_name_for_good() {
    let mut world = world("server ntp.example iburst", oscillator(0.0, 0.0), &[A, B]);
    world.change(|state| state.servers[0].kiss = Some(*b"DENY"));
    world.resolve("ntp.example", &[A]);
    world.run(4.0);
    assert_eq!(world.look(|state| state.asked_names.len()), 2);
    world.resolve("ntp.example", &[A]);
    world.run(4.5);
    assert_eq!(world.look(|state| state.asked_names.len()), 3);
    world.resolve("ntp.example", &[A, B]);
    world.run(20.0);
    assert_eq!(world.states(), "*");
    assert_eq!(world.look(|state| state.servers[0].requests), 1);
}
