//! Leap seconds: what is served on both sides of one, to the nanosecond, and what becomes of the clock.

use ntp_common::snapshot::{NO_LEAP, RefSnapshot};
use ntp_common::time::{MonoNs, NtpTimestamp};
use ntp_common::wire::LeapIndicator;
use ntp_engine::conf;
use ntp_engine::leap::tables::LeapTable;
use ntp_engine::settings::EngineConfig;
use ntp_sim::clock::{KernelClock, Oscillator, Steering};
use ntp_sim::delay::Delay;
use ntp_sim::scenario::server;
use ntp_sim::server::Server;
use ntp_sim::units::seconds;
use ntp_sim::world::World;

/// 2026-12-31 22:00:00 and the end of that day, seconds of the NTP era.
const START: NtpTimestamp = NtpTimestamp::from_bits(4_007_743_200 << 32);
const MIDNIGHT: NtpTimestamp = NtpTimestamp::from_bits(4_007_750_400 << 32);
/// From the one to the other.
const EVENING_S: f64 = 7200.0;

const KINDS: [(LeapIndicator, f64); 2] =
    [(LeapIndicator::Insert, -1.0), (LeapIndicator::Delete, 1.0)];
const MODES: [&str; 4] = ["system", "step", "slew", "ignore"];

/// Where snapshots around the leap second are compared, nanoseconds from it: more than they move it by.
const AROUND_NS: u64 = 20_000;

/// When true time leaps, seconds since the start: the last second comes twice, or not at all.
fn leap_s(step_s: f64) -> f64 {
    if step_s < 0.0 { EVENING_S } else { EVENING_S - 1.0 }
}

fn servers(leap: LeapIndicator) -> Vec<Server> {
    (1..=3).map(|number| Server { leap, ..server(number, &Delay::queued(5e-5, 5e-6)) }).collect()
}

/// A clock 20 ppm fast in a world whose time leaps, and servers that announce what they please.
fn world(more: &str, ahead_s: f64, step_s: f64, announced: LeapIndicator) -> World {
    world_on(Steering::Kernel, more, ahead_s, step_s, announced)
}

fn world_on(
    steering: Steering,
    more: &str,
    ahead_s: f64,
    step_s: f64,
    announced: LeapIndicator,
) -> World {
    let servers = servers(announced);
    let lines = servers.iter().map(|s| format!("server {} iburst\n", s.address.ip()));
    let text = lines.collect::<Vec<String>>().concat() + more;
    let parsed = conf::parse("leap", &text).expect("the configuration is valid");
    let oscillator = Oscillator { frequency: 2e-5, ahead_s, ..Oscillator::default() };
    let clock =
        KernelClock::starting(START, oscillator, 1).with_leap_second(leap_s(step_s), step_s);
    let clock = clock.with_steering(steering);
    World::with_clock(EngineConfig::from_config(&parsed.config), None, clock, servers, 1)
}

fn snapshot(world: &World) -> RefSnapshot {
    world.machine().snapshot
}

/// What is served now: time, and the leap indicator.
fn served(world: &World) -> (NtpTimestamp, LeapIndicator) {
    let now = world.driver().now().mono;
    let snapshot = snapshot(world).as_of(now);
    assert!(snapshot.is_valid_at(now) && snapshot.stratum() == 2, "nothing is served");
    (snapshot.time_at(now), snapshot.leap())
}

#[track_caller]
fn assert_right(world: &World, when: &str) {
    let error_s = world.machine().served_error_s().expect("time is served");
    assert!(error_s.abs() < 1e-4, "{when}: {error_s}");
}

/// Runs through the leap second in small steps. Served time is right but for the moments in which the estimate's
/// error shows, and whatever is published says the same of each of them.
fn through(world: &mut World, name: &str) {
    let before = snapshot(world);
    let leap_ns = before.leap_at_ns;
    assert!(leap_ns > world.driver().now().mono.0, "{name}: not scheduled");
    for step in 0..8000 {
        world.run(5e-4);
        let now = world.driver().now().mono;
        if now.0.abs_diff(leap_ns) > 100_000 {
            assert_right(world, &format!("{name}, step {step}"));
        }
        let expected = if now.0 < leap_ns { before.leap() } else { LeapIndicator::Normal };
        assert_eq!(served(world).1, expected, "{name}, step {step}");
        let newest = snapshot(world);
        // Requests that came in just before a snapshot was published are answered from it, too.
        for nanos in [leap_ns - AROUND_NS, leap_ns + AROUND_NS] {
            let at = MonoNs(nanos);
            if newest.base_ns <= nanos && nanos <= now.0 + 100_000_000 {
                let (old, new) = (before.as_of(at), newest.as_of(at));
                let change_ns = new.time_at(at).since(old.time_at(at)).to_nanos().unsigned_abs();
                assert!(change_ns < AROUND_NS, "{name}, step {step}: {change_ns} ns at {nanos}");
                assert_eq!(new.leap(), old.leap(), "{name}, step {step}");
            }
        }
    }
}

#[test]
fn served_time_leaps_at_one_nanosecond_in_every_mode_that_corrects_the_clock() {
    for (leap, step_s) in KINDS {
        for mode in ["system", "step", "slew"] {
            let name = format!("{leap:?} {mode}");
            let text = format!("leapsecmode {mode}\nmakestep 1 3\n");
            let mut world = world(&text, 0.01, step_s, leap);
            world.run(leap_s(step_s) - 2.0);
            let before = snapshot(&world);
            let (last, first) = (MonoNs(before.leap_at_ns - 1), MonoNs(before.leap_at_ns));
            let at = |mono| (before.as_of(mono).time_at(mono), before.as_of(mono).leap());
            let edge_s = leap_s(step_s) - EVENING_S;
            let (time, bits) = at(last);
            let to_edge = seconds(MIDNIGHT.since(time)) + edge_s;
            assert!(to_edge > 0.0 && to_edge < 2e-9, "{name}: {to_edge}");
            assert_eq!(bits, leap, "{name}");
            let (time, bits) = at(first);
            let past_edge = seconds(time.since(MIDNIGHT)) - edge_s - step_s;
            assert!((0.0..2e-9).contains(&past_edge), "{name}: {past_edge}");
            assert_eq!(bits, LeapIndicator::Normal, "{name}");
            through(&mut world, &name);
        }
    }
}

#[test]
fn leap_second_that_is_to_be_ignored_is_announced_up_to_its_nanosecond_and_not_taken() {
    for (leap, step_s) in KINDS {
        let mut world = world("leapsecmode ignore\nmakestep 5 3\n", 0.01, step_s, leap);
        world.run(leap_s(step_s) - 2.0);
        let before = snapshot(&world);
        let at = |nanos| (before.as_of(MonoNs(nanos)), before.as_of(MonoNs(nanos)).leap());
        let (last, announced) = at(before.leap_at_ns - 1);
        let (first, over) = at(before.leap_at_ns);
        assert_eq!((announced, over), (leap, LeapIndicator::Normal));
        let edge = MIDNIGHT.since(first.time_at(MonoNs(before.leap_at_ns)));
        let expected_s = leap_s(step_s) - EVENING_S;
        assert!((seconds(edge) + expected_s).abs() < 2e-9, "{leap:?}: {}", seconds(edge));
        let around = (MonoNs(before.leap_at_ns - 1), MonoNs(before.leap_at_ns));
        let runs_on = first.time_at(around.1).since(last.time_at(around.0));
        assert!((0.0..3e-9).contains(&seconds(runs_on)), "{leap:?}: {}", seconds(runs_on));
        world.run(3.0);
        let error_s = world.machine().served_error_s().expect("time is served");
        assert!((error_s + step_s).abs() < 1e-2, "{leap:?}: {error_s}");
    }
}

#[test]
fn clock_itself_leaps_or_is_slewed_or_is_left_to_the_next_measurements() {
    for (leap, step_s) in KINDS {
        for mode in MODES {
            let name = format!("{leap:?} {mode}");
            let text = format!("leapsecmode {mode}\nmakestep 5 3\n");
            let mut world = world(&text, 0.01, step_s, leap);
            world.run(leap_s(step_s) - 2.0);
            let told = world.machine().status.expect("a status").leap;
            let expected = if mode == "system" { leap } else { LeapIndicator::Normal };
            assert_eq!(told, expected, "{name}: what the kernel is told");
            world.run(3.0);
            let ahead_s = world.machine().clock.ahead_s();
            let (low_s, high_s) = match mode {
                "slew" => (0.9, 0.95),
                "ignore" => (0.99, 1.01),
                _ => (-1e-4, 1e-4),
            };
            let off_s = ahead_s * -step_s.signum();
            assert!((low_s..=high_s).contains(&off_s), "{name}: {ahead_s}");
            assert_eq!(world.machine().steps.len(), usize::from(mode == "step"), "{name}");
            assert_eq!(world.machine().status.expect("a status").leap, LeapIndicator::Normal);
            if mode == "slew" {
                world.run(12.0);
                let ahead_s = world.machine().clock.ahead_s();
                assert!(ahead_s.abs() < 1e-4, "{name}: {ahead_s} after 12 s");
            }
            world.run(6000.0);
            assert_right(&world, &name);
            let ahead_s = world.machine().clock.ahead_s();
            assert!(ahead_s.abs() < 1e-3, "{name}: {ahead_s}");
        }
    }
}

#[test]
fn clock_that_is_only_followed_leaps_without_a_kernel() {
    for (leap, step_s) in KINDS {
        // With -x the daemon takes `step` for `system`.
        for mode in ["step", "slew"] {
            let name = format!("{leap:?} {mode}");
            let text = format!("leapsecmode {mode}\nmakestep 5 3\n");
            let mut world = world_on(Steering::Calculated, &text, 0.01, step_s, leap);
            world.run(leap_s(step_s) - 2.0);
            through(&mut world, &name);
            assert_eq!(world.machine().steps.len(), usize::from(mode == "step"), "{name}");
            world.run(600.0);
            assert_right(&world, &name);
            let ahead_s = world.machine().clock.ahead_s();
            assert!(ahead_s.abs() < 1e-3, "{name}: {ahead_s}");
        }
    }
}

#[test]
fn nothing_that_was_learnt_is_lost_in_a_leap_second() {
    for (leap, step_s) in KINDS {
        for mode in ["system", "step", "slew"] {
            let text = format!("leapsecmode {mode}\nmakestep 1 3\n");
            let mut world = world(&text, 0.01, step_s, leap);
            world.run(leap_s(step_s) - 6.0);
            let look = |world: &World| {
                let sources = world.driver().engine().sources(world.driver().now());
                let one = sources.first().expect("a source").clone();
                (one.samples, one.reach, one.poll_log2)
            };
            let before = look(&world);
            world.run(12.0);
            assert_eq!(look(&world), before, "{leap:?} {mode}");
            let text = format!("{leap:?} {mode}, after an hour");
            for _ in 0..3600 {
                world.run(1.0);
                assert_right(&world, &text);
            }
        }
    }
}

#[test]
fn served_time_leaps_at_its_own_midnight_when_the_kernels_clock_is_off() {
    for (leap, step_s) in KINDS {
        for ahead_s in [-0.05, 0.05] {
            let name = format!("{leap:?}, clock {ahead_s} s ahead");
            let mut world = world("maxslewrate 20\n", 0.0, step_s, leap);
            world.run(leap_s(step_s) - 20.0);
            world.machine_mut().clock.step(ahead_s);
            // Not told of it, and not measured yet: the engine takes it for a step by somebody else.
            world.run(10.0);
            assert_right(&world, &name);
            let off_s = world.machine().clock.ahead_s();
            assert!((off_s - ahead_s).abs() < 1e-2, "{name}: slewed already, {off_s}");
            world.run(8.0);
            through(&mut world, &name);
            let off_s = world.machine().clock.ahead_s();
            assert!((off_s - ahead_s).abs() < 1e-2, "{name}: the clock has not leapt, {off_s}");
        }
    }
}

#[test]
fn leap_second_that_the_kernel_does_not_take_is_slewed() {
    let mut world = world("makestep 5 3\n", 0.0, -1.0, LeapIndicator::Insert);
    world.run(EVENING_S - 0.01);
    world.machine_mut().clock.announce(LeapIndicator::Normal);
    world.run(1.5);
    assert_right(&world, "waiting for the kernel");
    assert!(world.machine().clock.ahead_s() > 0.99, "the kernel has leapt");
    world.run(0.6);
    assert_right(&world, "given up");
    world.run(14.0);
    assert!(world.machine().clock.ahead_s().abs() < 1e-4);
    assert_right(&world, "slewed");
    assert!(world.machine().steps.is_empty());
}

#[test]
fn minority_is_not_believed_and_a_leap_second_that_is_called_off_does_not_take_place() {
    let mut divided = world("", 0.0, -1.0, LeapIndicator::Normal);
    divided.machine_mut().servers[0].leap = LeapIndicator::Insert;
    divided.run(EVENING_S - 10.0);
    assert_eq!(served(&divided).1, LeapIndicator::Normal);

    let mut called_off = world("makestep 5 3\n", 0.0, -1.0, LeapIndicator::Insert);
    called_off.run(600.0);
    assert_eq!(served(&called_off).1, LeapIndicator::Insert);
    for server in &mut called_off.machine_mut().servers {
        server.leap = LeapIndicator::Normal;
    }
    called_off.run(EVENING_S - 610.0);
    assert_eq!(served(&called_off).1, LeapIndicator::Normal);
    assert_eq!(called_off.machine().status.expect("a status").leap, LeapIndicator::Normal);
    assert_eq!(snapshot(&called_off).leap_at_ns, NO_LEAP);
}

#[test]
fn announcement_on_another_day_is_not_believed() {
    let mut world = world("", 0.0, -1.0, LeapIndicator::Insert);
    world.run(EVENING_S - 100.0);
    assert_eq!(served(&world).1, LeapIndicator::Insert);
    world.run(200.0);
    for server in &mut world.machine_mut().servers {
        server.leap = LeapIndicator::Insert;
    }
    world.run(6000.0);
    assert_eq!(served(&world).1, LeapIndicator::Normal);
}

#[test]
fn leap_second_is_taken_after_a_table_when_no_source_announces_it() {
    let list = "#$ 3676924800\n#@ 4102444800\n3534710400 34\n3550089600 35\n4007750400 36\n";
    let mut world = world("", 0.0, -1.0, LeapIndicator::Normal);
    world.driver_mut().set_leap_table(LeapTable::from_list(list).expect("a table"));
    world.run(EVENING_S - 2.0);
    let status = world.machine().status.expect("a status");
    assert_eq!((status.leap, status.tai_offset), (LeapIndicator::Insert, Some(35)));
    through(&mut world, "table");
    let status = world.machine().status.expect("a status");
    assert_eq!((status.leap, status.tai_offset), (LeapIndicator::Normal, Some(36)));
}
