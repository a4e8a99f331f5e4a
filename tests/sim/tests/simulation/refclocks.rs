//! Reference clocks as sources: how well they are followed, alone and beside servers, and what becomes of those that
//! fall silent or are wrong.

use ntp_engine::conf;
use ntp_engine::leap::tables::LeapTable;
use ntp_engine::operation::{Change, Operation, OperationError, SelectOptions};
use ntp_engine::record::Record;
use ntp_engine::report::{Named, SourceReport, Verdict, clock_name};
use ntp_engine::settings::EngineConfig;
use ntp_sim::clock::Oscillator;
use ntp_sim::delay::Delay;
use ntp_sim::figures::Figures;
use ntp_sim::refclock::{Late, RefClock, run};
use ntp_sim::scenario::server;
use ntp_sim::server::Server;
use ntp_sim::trace::Trace;
use ntp_sim::world::World;

/// Time after which errors count, seconds.
const SETTLED_S: f64 = 1_000.0;

/// The driver with a configuration, on a clock 100 ppm fast and 0.1 s ahead that wanders by 1e-9 a second.
fn world(text: &str, servers: Vec<Server>, seed: u64) -> World {
    let parsed = conf::parse("refclocks", text).expect("the configuration is valid");
    let config = EngineConfig::from_config(&parsed.config);
    World::new(config, None, Oscillator::default(), servers, seed)
}

/// Good servers, and their lines.
fn servers(count: u8) -> (Vec<Server>, String) {
    let servers: Vec<Server> =
        (1..=count).map(|number| server(number, &Delay::queued(2e-4, 1e-4))).collect();
    let lines = servers.iter().map(|server| format!("server {} iburst\n", server.address.ip()));
    let lines = lines.collect();
    (servers, lines)
}

/// A receiver on a serial line: right within a microsecond, and read with 10 us of noise.
fn gps(seed: u64) -> RefClock {
    RefClock { ahead_s: 1e-6, jitter_s: 1e-5, after_s: 0.3, ..RefClock::new(*b"GPS\0", seed) }
}

/// Its pulses, with 100 ns of noise.
fn pulses(seed: u64) -> RefClock {
    RefClock { is_pulse: true, jitter_s: 1e-7, ..RefClock::new(*b"PPS\0", seed) }
}

/// Sentences of a receiver without pulses: late by an amount that is known, and noisy.
fn sentences(seed: u64) -> RefClock {
    RefClock { ahead_s: -0.1, jitter_s: 0.02, after_s: 0.4, ..RefClock::new(*b"NMEA", seed) }
}

/// The report of a reference clock.
fn report(world: &World, name: &str) -> SourceReport {
    let reports = world.driver().engine().sources(world.driver().now());
    let is_it = |report: &SourceReport| report.clock.is_some_and(|id| clock_name(id) == name);
    reports.into_iter().find(is_it).expect("the clock is a source")
}

/// Root mean squares of the errors of the steered clock and of what is served, seconds.
fn rms_s(trace: &Trace) -> (f64, f64) {
    let figures = Figures::of(trace, SETTLED_S, 0);
    (figures.rms_s, figures.served_rms_s)
}

/// Pulses with 100 ns of noise every second, ten of which make a sample of 32 ns every 16 s. The rate is known to some
/// 4e-9, what it wanders by in 16 s, and samples are 8 to 24 s old: 100 ns. The clock is slewed after that over two
/// polls.
#[track_caller]
fn check_pulses((clock_s, served_s): (f64, f64)) {
    assert!(served_s < 1.5e-7 && clock_s < 3e-7, "{served_s} {clock_s}");
}

#[test]
fn clock_is_kept_better_than_samples_of_the_receiver_are() {
    for seed in 1..=5 {
        let mut world = world("refclock SHM 0 refid GPS\nmakestep 0.01 1\n", Vec::new(), seed);
        let (rms_s, _) = rms_s(&run(&mut world, &mut [gps(seed)], 5_000));
        // A sample is the mean of 10 readings with a deviation of 10 us: 3.2 us, and 1 us that nobody can see.
        assert!(rms_s < 3.2e-6, "{seed}: {rms_s}");
        let report = report(&world, "GPS");
        assert_eq!((world.states().as_str(), report.reach, report.stratum), ("*", 0xff, 0));
        assert_eq!(world.machine().snapshot.stratum(), 1);
        let tracking = world.driver().engine().tracking(world.driver().now());
        assert_eq!((tracking.clock.map(clock_name), tracking.address), (Some("GPS".into()), None));
    }
}

#[test]
fn what_is_served_is_within_the_root_distance() {
    for seed in 1..=5 {
        let mut world = world("refclock SHM 0 refid GPS\nmakestep 0.01 1\n", Vec::new(), seed);
        let mut clocks = [RefClock { ahead_s: 0.0, ..gps(seed) }];
        for _ in 0..2_000 {
            run(&mut world, &mut clocks, 1);
            if let Some(error_s) = world.machine().served_error_s() {
                let distance_s = world.machine().root_distance_s();
                assert!(error_s.abs() <= distance_s, "{seed}: {error_s} beyond {distance_s}");
            }
        }
    }
}

#[test]
fn pulses_that_are_locked_to_a_noisy_clock_are_followed_to_their_own_precision() {
    let text = "refclock PPS /dev/pps0 refid PPS lock NMEA\n\
                refclock SHM 0 refid NMEA offset 0.1 delay 0.2 noselect\nmakestep 0.01 1\n";
    for seed in 1..=5 {
        let mut world = world(text, Vec::new(), seed);
        check_pulses(rms_s(&run(&mut world, &mut [pulses(seed), sentences(seed)], 5_000)));
        assert_eq!(world.states(), "*?");
    }
}

#[test]
fn pulses_are_completed_by_a_server_and_then_followed() {
    let (servers, lines) = servers(1);
    let text = lines + "refclock PPS /dev/pps0 refid PPS prefer\nmakestep 0.01 1\n";
    for seed in 1..=5 {
        let mut world = world(&text, servers.clone(), seed);
        let mut clocks = [RefClock { ahead_s: 0.0, ..pulses(seed) }];
        check_pulses(rms_s(&run(&mut world, &mut clocks, 5_000)));
        assert_eq!(world.states(), "*-");
        assert_eq!(world.machine().snapshot.stratum(), 1);
    }
}

#[test]
fn pulses_alone_are_no_time_but_keep_local_time_steady() {
    let mut alone = world("refclock PPS /dev/pps0 refid PPS\n", Vec::new(), 1);
    run(&mut alone, &mut [pulses(1)], 500);
    assert_eq!((report(&alone, "PPS").reach, alone.machine().snapshot.stratum()), (0, 0));
    let mut local = world("refclock PPS /dev/pps0 refid PPS\nlocal stratum 8\n", Vec::new(), 1);
    run(&mut local, &mut [pulses(1)], 2_000);
    assert_eq!((local.states().as_str(), report(&local, "PPS").reach), ("*", 0xff));
    assert_eq!(local.machine().snapshot.stratum(), 8, "no better than local time");
    assert!(local.machine().clock.rate_error().abs() < 1e-7);
}

#[test]
fn clock_goes_on_with_the_server_when_pulses_are_lost_and_comes_back_to_them() {
    let (servers, lines) = servers(1);
    let text = lines + "refclock PPS /dev/pps0 refid PPS prefer maxunreach 4\nmakestep 0.01 1\n";
    let mut world = world(&text, servers, 3);
    let mut clocks = [pulses(3)];
    run(&mut world, &mut clocks, 2_000);
    assert_eq!(world.states(), "*-");
    clocks[0].silent = true;
    run(&mut world, &mut clocks, 16 * 9);
    assert_eq!(report(&world, "PPS").reach, 0);
    run(&mut world, &mut clocks, 2_000);
    assert_eq!(world.states(), "?*");
    clocks[0].silent = false;
    run(&mut world, &mut clocks, 600);
    assert_eq!(world.states(), "*-");
    assert!(world.machine().clock.ahead_s().abs() < 1e-6);
}

#[test]
fn clock_that_is_wrong_is_a_falseticker_and_not_followed() {
    let (servers, lines) = servers(3);
    let text = lines + "refclock SHM 0 refid GPS\nmakestep 0.01 1\n";
    let mut world = world(&text, servers, 4);
    let mut clocks = [RefClock { ahead_s: 0.05, ..gps(4) }];
    let trace = run(&mut world, &mut clocks, 4_000);
    assert!(world.states().starts_with('x'), "{}", world.states());
    assert!(Figures::of(&trace, SETTLED_S, 0).max_s < 1e-3);
}

#[test]
fn trusted_clock_outvotes_servers() {
    let (servers, lines) = servers(2);
    let wrong: Vec<Server> =
        servers.into_iter().map(|server| Server { ahead_s: 0.05, ..server }).collect();
    let text = lines + "refclock SHM 0 refid GPS trust\nmakestep 0.01 1\n";
    let mut world = world(&text, wrong, 5);
    run(&mut world, &mut [gps(5)], 2_000);
    assert_eq!(world.states(), "*xx");
}

#[test]
fn stepped_clock_is_measured_anew() {
    let mut world = world("refclock SHM 0 refid GPS\nmakestep 0.01 -1\n", Vec::new(), 6);
    let mut clocks = [gps(6)];
    run(&mut world, &mut clocks, 1_000);
    world.machine_mut().clock.step(0.3);
    run(&mut world, &mut clocks, 200);
    assert!(world.machine().clock.ahead_s().abs() < 1e-4);
    assert_eq!(world.states(), "*");
}

#[test]
fn another_configuration_takes_clocks_away_and_adds_others() {
    let config =
        |text: &str| EngineConfig::from_config(&conf::parse("refclocks", text).unwrap().config);
    let mut world = world("refclock SHM 0 refid GPS\nmakestep 0.01 1\n", Vec::new(), 7);
    let mut clocks = [gps(7)];
    run(&mut world, &mut clocks, 500);
    let samples = report(&world, "GPS").samples;
    world.reconfigure(config("refclock SHM 1 refid NEW\nrefclock SHM 0 refid GPS\n"));
    assert_eq!((report(&world, "GPS").samples, world.states().len()), (samples, 2));
    world.reconfigure(config("refclock SHM 1 refid NEW\n"));
    assert_eq!(world.states(), "?");
    run(&mut world, &mut clocks, 10);
    assert_eq!(report(&world, "NEW").samples, 0, "readings of clocks that are gone are nobody's");
}

#[test]
fn clock_that_keeps_tai_needs_no_other_source_to_know_utc() {
    const LIST: &str =
        "#$ 3676924800\n#@ 4102444800\n3534710400 34\n3550089600 35\n4007750400 36\n";
    let table = LeapTable::from_list(LIST).expect("a table");
    for mode in ["system", "step", "slew", "ignore"] {
        let text =
            format!("refclock PHC /dev/ptp0 refid PHC tai\nmakestep 0.1 1\nleapsecmode {mode}\n");
        let mut world = world(&text, Vec::new(), 8);
        world.driver_mut().set_leap_table(table.clone());
        let mut clocks =
            [RefClock { ahead_s: 35.0, jitter_s: 1e-7, ..RefClock::new(*b"PHC\0", 8) }];
        let trace = run(&mut world, &mut clocks, 500);
        let end = trace.last().expect("500 seconds");
        assert!(end.clock_s.abs() < 1e-5, "{mode}: {end:?}");
        assert!(end.served_s.is_some_and(|it| it.abs() < 1e-5), "{mode}: {end:?}");
    }
}

#[test]
fn clock_is_given_another_offset_and_other_options_while_it_runs() {
    let mut world = world("refclock SHM 0 refid GPS\nmakestep 0.01 1\n", Vec::new(), 8);
    let mut clocks = [gps(8)];
    run(&mut world, &mut clocks, 500);
    let source = Named::Clock(clocks[0].id);
    let change = |change| Operation::Change { source, change };
    world.operate(&change(Change::Offset(0.003))).unwrap();
    run(&mut world, &mut clocks, 1_000);
    let ahead_s = world.machine().clock.ahead_s();
    assert!((ahead_s - 0.003).abs() < 1e-4, "{ahead_s}");
    let noselect = SelectOptions { noselect: true, ..SelectOptions::default() };
    let leave = |options| change(Change::Selection { mask: noselect, options });
    world.operate(&leave(noselect)).unwrap();
    assert_eq!(world.states(), "?");
    let [report] = &world.driver().engine().selection()[..] else { panic!("one source") };
    assert_eq!((report.verdict, report.configured), (Verdict::NoSelect, noselect));
    world.operate(&leave(SelectOptions::default())).unwrap();
    assert_eq!(world.states(), "*");
    let polls = world.operate(&change(Change::Minpoll(4)));
    assert_eq!(polls, Err(OperationError::NoSuchSource), "what a clock has not");
}

#[test]
fn readings_samples_and_lines_of_a_clock_are_noted() {
    let text = "refclock SHM 0 refid GPS poll 3 offset 0.25\nmakestep 0.01 1\n\
        log refclocks statistics tracking selection\nlogdir /x\n";
    let mut world = world(text, Vec::new(), 9);
    let clock = RefClock { ahead_s: -0.25, ..gps(9) };
    let (id, name) = (clock.id, Named::Clock(clock.id));
    run(&mut world, &mut [clock], 100);
    let records = world.driver_mut().take_records();
    let readings: Vec<_> = records
        .iter()
        .filter_map(|record| if let Record::ClockReading(it) = record { Some(it) } else { None })
        .collect();
    let samples: Vec<_> = records
        .iter()
        .filter_map(|record| if let Record::ClockSample(it) = record { Some(it) } else { None })
        .collect();
    assert!((11..=13).contains(&samples.len()), "{}", samples.len());
    assert!(readings.len() > 7 * samples.len());
    assert!(readings.iter().all(|it| it.clock == id && !it.is_pulse && it.number < 9));
    for it in &readings[50..] {
        assert!((it.raw_s + 0.25).abs() < 1e-2 && it.cooked_s.abs() < 2e-4, "{it:?}");
        assert!((it.raw_s + 0.25 - it.cooked_s).abs() < 1e-2, "{it:?}");
    }
    let before = readings.partition_point(|it| it.number < 7);
    assert_eq!(readings[before..].iter().find(|it| it.number == 0).map(|it| it.clock), Some(id));
    assert!(samples[6..].iter().all(|it| it.cooked_s.abs() < 1e-4 && it.dispersion_s > 0.0));
    let source_of = |record: &Record| match record {
        Record::Statistics(it) => Some(it.source),
        Record::Selection(it) => Some(it.source),
        Record::Tracking(it) => it.source,
        Record::Measurement(_)
        | Record::ClockReading(_)
        | Record::ClockSample(_)
        | Record::Temperature(_) => None,
    };
    let sources: Vec<_> = records.iter().filter_map(source_of).collect();
    assert!(sources.len() > 3 * 9 && sources.iter().all(|it| *it == name), "{sources:?}");
}

#[test]
fn pulses_that_are_taken_late_are_left_out() {
    // One that was late by 18 ms was once learnt as a rate of thousands of ppm, or was all there was at the start.
    const LATE_S: f64 = 0.018;
    for (poll, late) in [
        (0, Late::One(8, LATE_S)),
        (2, Late::One(8, LATE_S)),
        (4, Late::One(8, LATE_S)),
        (0, Late::First(1, LATE_S)),
        (4, Late::First(1, LATE_S)),
    ] {
        let text = format!(
            "refclock PPS /dev/pps0 refid PPS lock NMEA poll {poll}\n\
             refclock SHM 0 refid NMEA offset 0.1 delay 0.2 noselect\nmakestep 0.01 3\n"
        );
        for seed in 1..=4 {
            let mut world = world(&text, Vec::new(), seed);
            let mut clocks = [RefClock { late, ..pulses(seed) }, sentences(seed)];
            // Until there are some 25 samples.
            run(&mut world, &mut clocks, 100.max(25 << poll));
            let trace = run(&mut world, &mut clocks, 300);
            let worst_s = trace.iter().map(|moment| moment.clock_s.abs()).fold(0.0, f64::max);
            assert!(worst_s < LATE_S / 1e3, "poll {poll}, {late:?}, seed {seed}: {worst_s}");
        }
    }
}
