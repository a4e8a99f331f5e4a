//! What is published for those who ask us.

use std::time::Duration;

use ntp_common::snapshot::{MAX_LIFE_NS, RefSnapshot};
use ntp_common::time::MonoNs;
use ntp_common::wire::{LeapIndicator, ReferenceId};

use crate::state::{Oscillator, Publication, seconds};
use crate::world::World;
use crate::{A, B, config, oscillator, synchronised, world};

/// What served time jumps by at each publication, seconds.
fn jumps(world: &World) -> Vec<f64> {
    let mut before: Option<RefSnapshot> = None;
    let mut jumps = Vec::new();
    world.look(|state| {
        for publication in &state.publications {
            if let Publication::Snapshot { mono, snapshot } = publication
                && let Some(before) = before.replace(*snapshot)
            {
                jumps.push(seconds(snapshot.time_at(*mono).since(before.time_at(*mono))));
            }
        }
    });
    jumps
}

#[test]
fn served_time_is_right_and_continuous_while_the_clock_is_slewed() {
    for calculated in [false, true] {
        let oscillator = Oscillator { calculated, ..oscillator(2.0, 100.0) };
        let mut world = world(&format!("server {A} iburst"), oscillator, &[A]);
        // The first estimate has been made, and the slew goes on for a while after it.
        world.run(0.5);
        assert!(world.clock_error_s() > 1.9);
        world.change(|state| state.servers[0].silent = true);
        let first = jumps(&world).len();
        world.run_and_watch(60.0, |world| {
            let served_s = world.served_error_s().unwrap();
            assert!(served_s.abs() < 0.02, "served time is off by {served_s}");
        });
        assert!(world.clock_error_s().abs() < 0.02, "the slew is over: {}", world.clock_error_s());
        let jumps = &jumps(&world)[first..];
        assert!(jumps.len() > 50);
        for jump_s in jumps {
            assert!(jump_s.abs() < 1e-6, "served time jumps by {jump_s}");
        }
    }
}

#[test]
fn snapshots_run_at_the_rate_of_the_clock_they_were_published_for() {
    let mut world = world(&format!("server {A} iburst"), oscillator(2.0, 300.0), &[A]);
    let mut before: Option<(f64, f64)> = None;
    world.run_and_watch(300.0, |world| {
        if world.snapshot().stratum() == 0 {
            return;
        }
        let now_s = world.look(|state| state.now_s);
        let served_s = world.served_error_s().unwrap();
        let (since_s, was_s) = before.unwrap_or((now_s, served_s));
        if now_s - since_s < 0.1 {
            before = before.or(Some((now_s, served_s)));
            return;
        }
        // Served time waits for an estimate that fell behind, at most a tenth slower than the clock is believed to
        // run, and goes forward at once. Once the rate is known neither is worth much.
        let known = now_s > 20.0;
        let (slowest, fastest) = if known { (-2e-3, 600e-6) } else { (-0.101, f64::INFINITY) };
        let rate = (served_s - was_s) / (now_s - since_s);
        assert!((slowest..fastest).contains(&rate), "{now_s}: {rate}");
        before = Some((now_s, served_s));
    });
}

#[test]
fn snapshot_is_withdrawn_before_a_step_and_published_after_it() {
    let text = format!("server {A} iburst\nmakestep 1 3");
    let mut world = world(&text, oscillator(-5.0, 50.0), &[A]);
    world.run(10.0);
    let log = world.look(|state| state.log.clone());
    let step = log.iter().position(|entry| entry.starts_with("step")).unwrap();
    assert_eq!(log[step - 1], "invalidate");
    assert!(log[step + 1].starts_with("publish"), "{}", log[step + 1]);
    assert!(world.served_error_s().unwrap().abs() < 1e-3);
}

#[test]
fn snapshot_says_what_the_clock_follows() {
    let world = synchronised("rtcsync");
    let snapshot = world.snapshot();
    assert_eq!(snapshot.stratum(), 2);
    assert_eq!(snapshot.leap(), LeapIndicator::Normal);
    assert_eq!(snapshot.reference_id(), ReferenceId(0xc000_0201));
    let delay_s = f64::from(snapshot.root_delay().to_bits()) / 65_536.0;
    assert!((1e-3..2e-3).contains(&delay_s), "{delay_s}");
    assert!((1..66).contains(&snapshot.root_dispersion), "{}", snapshot.root_dispersion);
    assert!(snapshot.dispersion_rate > 4295, "at least 1 ppm");
    let status = world.look(|state| state.status).unwrap();
    assert!(status.sync_rtc && status.leap == LeapIndicator::Normal);
    assert!(status.maximum_error_s < 0.01);
}

#[test]
fn true_time_lies_within_what_the_snapshot_says() {
    let mut world = world(&format!("server {A} iburst"), oscillator(0.5, 100.0), &[A]);
    world.run(1.0);
    world.run_and_watch(20_000.0, |world| {
        let (snapshot, error_s) = (world.snapshot(), world.served_error_s().unwrap());
        let delay_s = f64::from(snapshot.root_delay().to_bits()) / 65_536.0;
        let distance_s = delay_s / 2.0 + f64::from(snapshot.root_dispersion) / 65_536.0;
        assert!(error_s.abs() <= distance_s, "off by {error_s}, said to be {distance_s}");
    });
}

#[test]
fn snapshots_are_refreshed_every_second_and_expire_when_nobody_does() {
    let mut world = synchronised("");
    let last = world.snapshot();
    let now = world.driver.now().mono;
    assert!(last.is_valid_at(now) && last.is_valid_at(now.after(8_000_000_000)));
    assert!(!last.is_valid_at(now.after(11_000_000_000)));
    assert!(last.valid_until_ns - last.base_ns <= MAX_LIFE_NS);
    assert!(last.is_valid_at(MonoNs(now.0 - 50_000_000)), "requests that came a moment ago");
    let before = world.look(|state| state.publications.len());
    world.run(60.0);
    assert!(world.look(|state| state.publications.len()) >= before + 59);
}

#[test]
fn without_sources_local_is_served_if_configured() {
    for (text, stratum) in [("", 0), ("local stratum 7", 7)] {
        let mut world = world(text, oscillator(0.0, 0.0), &[]);
        world.run(5.0);
        let snapshot = world.snapshot();
        assert_eq!(snapshot.stratum(), stratum);
        if stratum == 0 {
            assert_eq!(snapshot.leap(), LeapIndicator::Unsynchronised);
            assert_eq!(snapshot.reference_id(), ReferenceId::NONE);
            assert_eq!(
                (snapshot.root_delay().to_bits(), snapshot.root_dispersion),
                (65_536, 65_536)
            );
        } else {
            assert_eq!(snapshot.leap(), LeapIndicator::Normal);
            assert_eq!(snapshot.reference_id(), ReferenceId::LOCAL);
            assert_eq!((snapshot.root_delay().to_bits(), snapshot.root_dispersion), (0, 0));
        }
        assert!(world.served_error_s().unwrap().abs() < 1e-6);
    }
}

#[test]
fn loss_of_the_only_source_is_survived_with_growing_dispersion_until_maxdistance() {
    let mut world = synchronised("maxdistance 0.02");
    world.change(|state| state.servers[0].silent = true);
    let dispersion = |world: &World| f64::from(world.snapshot().root_dispersion) / 65_536.0;
    let before_s = dispersion(&world);
    world.run(2000.0);
    assert_eq!(world.snapshot().stratum(), 2);
    assert!(dispersion(&world) > before_s + 1e-3, "{}", dispersion(&world));
    let report = &world.driver.engine().sources(world.driver.now())[0];
    assert_eq!((report.reach, report.state.symbol()), (0, '*'), "{report:?}");
    world.run(40_000.0);
    assert_eq!(world.snapshot().stratum(), 0, "{}", dispersion(&world));
    assert_eq!(world.states(), "?");
    let status = world.look(|state| state.status).unwrap();
    assert_eq!(status.leap, LeapIndicator::Unsynchronised);
}

#[test]
fn sources_that_come_to_disagree_end_the_synchronisation() {
    let text = format!("server {A} iburst\nserver {B} iburst\nmakestep 1 3");
    let mut world = world(&text, oscillator(0.0, 0.0), &[A, B]);
    world.run(60.0);
    assert_eq!(world.snapshot().stratum(), 2);
    world.change(|state| state.servers[1].ahead_s = 0.2);
    world.run(3000.0);
    assert_eq!(world.states(), "xx");
    assert_eq!(world.snapshot().stratum(), 0);
}

#[test]
fn end_withdraws_the_snapshot_or_holds_it_for_at_most_a_minute() {
    let mut ended = synchronised("");
    ended.driver.shutdown(None);
    assert_eq!(ended.snapshot(), RefSnapshot::INVALID);

    for (hold_s, held_s) in [(30, 30), (3600, 60)] {
        let mut held = synchronised("");
        held.driver.shutdown(Some(Duration::from_secs(hold_s)));
        let (snapshot, now) = (held.snapshot(), held.driver.now().mono);
        assert!(snapshot.is_valid_at(now.after((held_s - 1) * 1_000_000_000)));
        assert!(!snapshot.is_valid_at(now.after((held_s + 1) * 1_000_000_000)));
        assert!(held.driver.next_deadline().is_some());
    }
}

#[test]
fn precision_and_rate_limit_reach_the_snapshot() {
    let mut settings = config("ratelimit interval 5");
    settings.precision_log2 = -20;
    let world = World::new(1, settings, None, oscillator(0.0, 0.0), Vec::new());
    let snapshot = world.snapshot();
    assert_eq!((snapshot.min_poll, snapshot.fuzz_mask), (5, 0xff));
    assert_eq!(snapshot.head >> 32 & 0xff, 0xec);
}
