//! The first correction, which hosts of its own are asked for before anything is served.

use std::net::IpAddr;

use ntp_engine::conf;
use ntp_engine::engine::Drift;
use ntp_engine::settings::EngineConfig;
use ntp_sim::clock::Oscillator;
use ntp_sim::delay::Delay;
use ntp_sim::scenario::server;
use ntp_sim::server::Server;
use ntp_sim::world::World;

/// A configuration as it is found in the field, for the servers 1 to 3, of which two are asked first.
const PRODUCTION: &str = "\
server 192.0.2.1 iburst prefer
server ntp.example iburst
server 192.0.2.3 iburst
makestep 1.0 3
initstepslew 30 ntp.example 192.0.2.1 192.0.2.9
rtcsync
allow 0.0.0.0/0
local stratum 10
";

fn world(text: &str, ahead_s: f64, servers: Vec<Server>) -> World {
    world_knowing(None, text, ahead_s, servers)
}

/// A world whose drift file says this.
fn world_knowing(drift: Option<Drift>, text: &str, ahead_s: f64, servers: Vec<Server>) -> World {
    let parsed = conf::parse("initial", text).expect("the configuration is valid");
    assert!(parsed.warnings.is_empty(), "{text}");
    let oscillator = Oscillator { ahead_s, ..Oscillator::default() };
    World::new(EngineConfig::from_config(&parsed.config), drift, oscillator, servers, 1)
}

fn servers() -> Vec<Server> {
    (1..=3).map(|number| server(number, &Delay::queued(2e-4, 1e-4))).collect()
}

/// The addresses that are sources now.
fn asked(world: &World) -> Vec<String> {
    let sources = world.driver().engine().sources(world.driver().now());
    let mut asked: Vec<String> =
        sources.iter().filter_map(|source| source.address).map(|ip| ip.to_string()).collect();
    asked.sort();
    asked
}

/// Runs until something is served, and tells when that was.
fn first_served_s(world: &mut World) -> Option<f64> {
    let trace = world.run(60.0);
    trace.iter().find(|moment| moment.served_s.is_some()).map(|moment| moment.at_s)
}

#[test]
fn nothing_is_served_before_the_first_correction() {
    for (ahead_s, steps) in [(1000.0, 1), (-31.0, 1), (29.0, 0), (0.3, 0)] {
        let mut world = world(PRODUCTION, ahead_s, servers());
        assert_eq!(asked(&world), ["192.0.2.1", "192.0.2.9"], "the hosts alone are asked");
        let second: IpAddr = servers()[1].address.ip();
        world.resolve("ntp.example", &[second]);
        let trace = world.run(60.0);
        let served: Vec<_> = trace.iter().filter(|moment| moment.served_s.is_some()).collect();
        let first_s = served.first().map_or(f64::INFINITY, |moment| moment.at_s);
        assert!((5.0..12.0).contains(&first_s), "{ahead_s}: {first_s}");
        let worst_s = served
            .iter()
            .filter_map(|moment| moment.served_s)
            .fold(0.0, |a: f64, b| a.max(b.abs()));
        assert!(worst_s < 2e-3, "{ahead_s}: {worst_s}");
        let by_threshold: Vec<_> =
            world.machine().steps.iter().filter(|step| step.1.abs() > 30.0).copied().collect();
        assert_eq!(by_threshold.len(), steps, "{ahead_s}: {by_threshold:?}");
        assert_eq!(world.machine().asked_names, ["ntp.example"], "asked anew as a source");
        world.resolve("ntp.example", &[second]);
        world.run(60.0);
        assert_eq!(asked(&world), ["192.0.2.1", "192.0.2.2", "192.0.2.3"], "{ahead_s}");
        assert!(world.states().contains('*'), "{ahead_s}: {}", world.states());
    }
}

#[test]
fn hosts_that_do_not_answer_are_given_up_in_the_end() {
    let text = "server 192.0.2.1 iburst\ninitstepslew 30 192.0.2.8 192.0.2.9\nallow\n";
    let mut world = world(text, 0.1, servers());
    let first_s = first_served_s(&mut world).expect("served after all");
    assert!((20.0..30.0).contains(&first_s), "{first_s}");
    assert!(world.machine().steps.is_empty());
}

#[test]
fn without_hosts_the_usual_sources_are_asked_for_the_first_correction() {
    for (rule, steps) in [("initstepslew 30\n", 1), ("", 0)] {
        let text = format!("server 192.0.2.1 iburst\nserver 192.0.2.2 iburst\nallow\n{rule}");
        let mut world = world(&text, 100.0, servers());
        assert!(first_served_s(&mut world).is_some());
        assert_eq!(world.machine().steps.len(), steps, "{rule}");
    }
}

#[test]
fn reload_ends_the_wait_for_hosts() {
    let text = "server 192.0.2.1 iburst\ninitstepslew 30 192.0.2.9\nallow\n";
    let mut world = world(text, 0.1, servers());
    world.run(2.0);
    let parsed = conf::parse("initial", text).expect("the configuration is valid");
    world.reconfigure(EngineConfig::from_config(&parsed.config));
    let first_s = first_served_s(&mut world).expect("served");
    assert!(first_s < 10.0, "{first_s}");
}

#[test]
fn source_that_is_first_heard_during_a_slew_is_no_nearer_than_it_is() {
    // All of the delay is on the way there: half of it is what the time is off by.
    let one_sided = Server { back: Delay::Fixed(1e-5), ..server(1, &Delay::Fixed(0.015)) };
    let text = "server 192.0.2.1 iburst\ninitstepslew 1 192.0.2.1\nallow\n";
    // A frequency that is known well: no doubt about it hides what the delay was found to be.
    let drift = Some(Drift { frequency_ppm: 100.0, skew_ppm: 0.1 });
    for ahead_s in [0.9, -0.9] {
        let mut world = world_knowing(drift, text, ahead_s, vec![one_sided.clone()]);
        let mut served_during_slew = false;
        for _ in 0..600 {
            world.run(0.05);
            let machine = world.machine();
            let Some(off_s) = machine.served_error_s() else { continue };
            served_during_slew |= machine.clock.rate_error().abs() > 0.08;
            let said_s = machine.root_distance_s();
            assert!(off_s.abs() <= said_s, "{ahead_s}: {off_s} s off, {said_s} s was said");
        }
        assert!(served_during_slew, "{ahead_s}");
    }
}
