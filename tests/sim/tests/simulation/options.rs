//! What the options of a source do to how it is asked and which of its answers count.

use std::net::IpAddr;

use ntp_common::wire::Header;
use ntp_engine::operation::{Operation, Selector};
use ntp_sim::delay::Delay;
use ntp_sim::scenario::{address, server};
use ntp_sim::server::Server;
use ntp_sim::setup::{self, clock, largest_error_s, largest_served_error_s, lines, servers};
use ntp_sim::world::World;

/// The driver with one source that has these options.
fn world(options: &str, server: Server, seed: u64) -> World {
    setup::world(&lines(1, options), clock(0.01), vec![server], seed)
}

fn good() -> Server {
    servers(1).remove(0)
}

/// Requests and accepted replies in the next seconds.
fn counted(world: &mut World, length_s: f64) -> (u64, u64) {
    let before = world.source(0);
    world.run(length_s);
    let after = world.source(0);
    (after.sent - before.sent, after.accepted - before.accepted)
}

#[test]
fn near_source_is_asked_64_times_a_second_if_wanted_and_a_far_one_once() {
    for (delay_s, expected) in [(1e-4, 1280_u64), (0.02, 20)] {
        let path = Delay::queued(delay_s, 1e-5);
        let mut world = world("iburst minpoll -6 maxpoll -6", server(1, &path), 1);
        world.run(20.0);
        let (sent, accepted) = counted(&mut world, 20.0);
        assert!(sent.abs_diff(expected) <= expected / 20, "{delay_s} s: {sent} requests");
        // Where delays vary little, one sample in thirty waited long enough to be left out.
        assert!(accepted * 100 >= sent * 93, "{delay_s} s: {accepted} of {sent}");
    }
}

#[test]
fn near_source_that_falls_silent_is_not_flooded() {
    let mut world = world("iburst minpoll -6 maxpoll 0", server(1, &Delay::queued(1e-4, 1e-5)), 1);
    world.run(20.0);
    world.machine_mut().servers[0].silent = true;
    world.run(60.0);
    let (sent, _) = counted(&mut world, 100.0);
    assert!(sent <= 102, "{sent} requests");
}

#[test]
fn samples_64_times_a_second_keep_the_clock_better_than_one_a_second() {
    let rms_s = |options: &str| {
        let path = Delay::queued(1e-4, 1e-4);
        let mut world = world(options, server(1, &path), 1);
        world.run(60.0);
        let trace = world.run(60.0);
        (trace.iter().map(|moment| moment.clock_s.powi(2)).sum::<f64>() / 60.0).sqrt()
    };
    let (often, seldom) = (rms_s("minpoll -6 maxpoll -6"), rms_s("minpoll 0 maxpoll 0"));
    assert!(often < 0.5 * seldom, "{often} {seldom}");
}

#[test]
fn presend_wakes_up_what_slept_before_the_request_that_is_measured_by() {
    let measured = |options: &str| {
        let mut world = world(options, Server { wakes_s: 5e-3, ..good() }, 1);
        world.run(4000.0);
        let (sent, accepted) = counted(&mut world, 6400.0);
        let trace = world.run(2000.0);
        (sent, accepted, largest_error_s(&trace))
    };
    let (sent, accepted, error_s) = measured("minpoll 6 maxpoll 6");
    assert!(sent.abs_diff(100) <= 1 && sent - accepted <= 1, "{sent} {accepted}");
    assert!((2e-3..3e-3).contains(&error_s), "half of what waking takes: {error_s}");
    let (sent, accepted, error_s) = measured("minpoll 6 maxpoll 6 presend 6");
    // Each pair takes two seconds more than the interval.
    assert!(sent.abs_diff(2 * accepted) <= 1 && (96..=98).contains(&accepted), "{sent} {accepted}");
    assert!(error_s < 2e-4, "{error_s}");
    let (sent, _, _) = measured("minpoll 6 maxpoll 6 presend 7");
    assert!(sent.abs_diff(100) <= 1, "shorter intervals than those that presend is for: {sent}");
}

#[test]
fn source_that_cannot_be_sent_to_goes_offline_with_auto_offline_and_is_tried_on_without() {
    for (options, is_left_alone) in [("iburst", false), ("iburst auto_offline", true)] {
        let mut world = world(options, good(), 1);
        world.run(500.0);
        world.machine_mut().unplugged = true;
        world.run(2000.0);
        assert_eq!(world.driver().engine().activity().offline == 1, is_left_alone, "{options}");
        world.machine_mut().unplugged = false;
        let (sent, accepted) = counted(&mut world, 4000.0);
        assert_eq!(sent == 0, is_left_alone, "{options}: {sent}");
        assert_eq!(accepted == 0, is_left_alone, "{options}: {accepted}");
        let ip: IpAddr = address(1).ip();
        world.operate(&Operation::Online(Selector::one(ip))).expect("there is such a source");
        let (_, accepted) = counted(&mut world, 4000.0);
        assert!(accepted > 0, "{options}");
    }
}

#[test]
fn burst_repeats_requests_that_are_not_answered_where_the_interval_has_room_for_them() {
    let measured = |options: &str| {
        let mut world = world(options, Server { loss: 0.5, ..good() }, 1);
        world.run(10_000.0);
        counted(&mut world, 25_600.0)
    };
    // A hundred polls.
    let (sent, accepted) = measured("minpoll 6 maxpoll 8");
    assert!((95..=115).contains(&sent) && (35..=70).contains(&accepted), "{sent} {accepted}");
    let (sent, accepted) = measured("minpoll 6 maxpoll 8 burst");
    // A poll is given up after four requests; the mean of their number is 1.9.
    assert!((85..=115).contains(&accepted), "{accepted}");
    assert!((150..=250).contains(&sent), "{sent}");
    let (sent, _) = measured("minpoll 8 maxpoll 8 burst");
    assert!((95..=105).contains(&sent), "shorter than minpoll on average: {sent}");
}

#[test]
fn filter_makes_one_sample_of_several_polls() {
    for (filter, seed) in [(1, 1), (4, 2), (10, 3)] {
        let options = format!("minpoll 2 maxpoll 2 maxsamples 1000 filter {filter}");
        let mut world = world(&options, good(), seed);
        world.run(160.0);
        let report = world.source(0);
        assert!((38..=42).contains(&report.accepted), "{filter}: {}", report.accepted);
        assert_eq!(u64::try_from(report.samples), Ok(report.accepted / filter), "{filter}");
        world.run(1000.0);
        let error_s = largest_error_s(&world.run(1000.0));
        assert!(error_s < 1e-4, "{filter}: {error_s}");
    }
}

#[test]
fn estimator_that_wants_samples_seldom_asks_more_often_for_filtered_ones() {
    let sent = |options: &str| {
        let mut world = world(options, good(), 1);
        world.run(20_000.0);
        counted(&mut world, 20_000.0).0
    };
    let (plain, filtered) = (sent("minpoll 2"), sent("minpoll 2 filter 5"));
    assert!(filtered > 3 * plain && filtered < 8 * plain, "{plain} {filtered}");
}

#[test]
fn samples_that_waited_longer_than_an_option_allows_are_left_out() {
    // In three tenths of the time everything takes 20 ms more, in both directions.
    let queue = Box::new(Delay::Fixed(0.02));
    let path = Delay::queued(2e-4, 1e-5)
        + Delay::Periodic { period_s: 1000.0, part_s: 300.0, delay: queue };
    let cases = [
        ("maxdelaydevratio 1e6", 0.0..=0.0),
        ("maxdelaydevratio 1e6 maxdelay 0.005", 0.28..=0.32),
        ("maxdelaydevratio 1e6 maxdelay 0.1", 0.0..=0.0),
        ("maxdelaydevratio 1e6 maxdelayratio 3", 0.28..=0.32),
        ("maxdelaydevratio 1e6 maxdelayratio 300", 0.0..=0.0),
        ("maxdelaydevratio 1e6 maxdelayratio 3 mindelay 0.02", 0.0..=0.0),
        ("", 0.28..=0.32),
        ("maxdelayquant 0.5", 0.4..=0.6),
        ("maxdelayquant 0.9", 0.05..=0.15),
    ];
    for (options, share) in cases {
        let options = format!("iburst minpoll 4 maxpoll 4 {options}");
        let mut world = world(&options, server(1, &path), 1);
        world.run(8000.0);
        let (before, trace, after) = (world.source(0), world.run(8000.0), world.source(0));
        let accepted = after.accepted - before.accepted;
        let rejected = after.rejected - before.rejected;
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let found = rejected as f64 / (accepted + rejected) as f64;
        assert!(share.contains(&found), "{options}: {found}");
        let error_s = largest_error_s(&trace);
        assert!(error_s < 5e-4, "{options}: {error_s}");
    }
}

#[test]
fn offset_that_is_known_of_a_source_is_taken_off() {
    // Requests take 4 ms less than replies: half of that is what the source seems to be off by.
    let path = || Server::new(address(1), Delay::queued(1e-3, 1e-5), Delay::queued(5e-3, 1e-5));
    for (options, error_s) in [("", 2e-3), (" offset 0.002", 0.0), (" offset -0.001", 3e-3)] {
        let mut world = world(&format!("iburst minpoll 4 maxpoll 4{options}"), path(), 1);
        world.run(2000.0);
        let found_s = world.machine().clock.ahead_s().abs();
        assert!((found_s - error_s).abs() < 2e-4, "{options}: {found_s}");
    }
}

#[test]
fn source_is_asked_in_the_version_and_taken_for_the_stratum_that_its_options_say() {
    for (options, version, stratum) in
        [("", 4, 2), ("version 3", 3, 2), ("minstratum 5", 4, 6), ("version 1 minstratum 1", 1, 2)]
    {
        let mut silent = world(options, Server { silent: true, ..good() }, 1);
        silent.machine_mut().servers.clear();
        silent.run(1.0);
        let request = silent.machine().outbox[0].octets;
        assert_eq!(Header::read(&request).version, version, "{options}");
        let mut world = world(&format!("iburst {options}"), good(), 1);
        world.run(20.0);
        assert_eq!(world.machine().snapshot.stratum(), stratum, "{options}");
    }
}

#[test]
fn clock_that_was_calm_is_looked_at_more_often_after_a_surprise() {
    let mut world = world("", good(), 1);
    world.run(20_000.0);
    let (calm, _) = counted(&mut world, 4000.0);
    world.machine_mut().clock.disturb(1e-6);
    world.run(500.0);
    let (surprised, _) = counted(&mut world, 4000.0);
    assert!(surprised > 2 * calm, "{calm} requests before, {surprised} after");
}

/// Median over seeds of the largest error of what is served from the tenth sample on, seconds.
fn median_error_s(options: &str, server: &Server) -> f64 {
    let mut errors_s: Vec<f64> = (1..=15)
        .map(|seed| {
            let mut world = world(&format!("minpoll 4 maxpoll 4 {options}"), server.clone(), seed);
            world.run(160.0);
            largest_served_error_s(&world.run(320.0))
        })
        .collect();
    errors_s.sort_by(f64::total_cmp);
    errors_s[7]
}

#[test]
fn direction_that_is_known_to_wait_is_taken_off_before_samples_show_it() {
    let waits = Delay::queued(1e-3, 5e-3);
    let (there, back) = (
        Server::new(address(1), waits.clone(), Delay::Fixed(1e-3)),
        Server::new(address(1), Delay::Fixed(1e-3), waits),
    );
    for (right, wrong, server) in [("-0.5", "0.5", there), ("0.5", "-0.5", back)] {
        let error_s = |asymmetry: &str| median_error_s(&format!("asymmetry {asymmetry}"), &server);
        let (with_s, without_s) = (error_s(right), median_error_s("", &server));
        assert!(with_s < 0.7 * without_s, "{right}: {with_s} {without_s}");
        assert!(error_s(wrong) > without_s, "{wrong}");
    }
}
