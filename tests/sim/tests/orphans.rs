//! `local orphan`: servers that have lost their upstream agree on one of them and keep the same time.

use std::net::{IpAddr, SocketAddr};

use ntp_engine::conf;
use ntp_engine::settings::EngineConfig;
use ntp_sim::clock::Oscillator;
use ntp_sim::delay::Delay;
use ntp_sim::pair::Pair;
use ntp_sim::world::World;

fn address(number: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::from([192, 0, 2, number]), 123)
}

/// A server without upstream, whose clock is `ahead_s` ahead and has the other one as its peer.
fn orphan(peer: SocketAddr, ahead_s: f64, seed: u64) -> World {
    let text = format!(
        "allow\nlocal stratum 10 orphan waitunsynced 60\npeer {} minpoll 4 maxpoll 4\n",
        peer.ip()
    );
    let parsed = conf::parse("orphans", &text).expect("the configuration is valid");
    assert!(parsed.warnings.is_empty());
    let oscillator = Oscillator { ahead_s, ..Oscillator::default() };
    World::new(EngineConfig::from_config(&parsed.config), None, oscillator, Vec::new(), seed)
}

#[test]
fn the_one_with_the_lower_address_is_followed_by_the_other() {
    // Whichever was made first, and whoever is ahead.
    for (one, two, seed) in [(11, 12, 1), (12, 11, 2)] {
        let addresses = [address(one), address(two)];
        let worlds = [orphan(addresses[1], 0.0, seed), orphan(addresses[0], 0.05, seed + 100)];
        let mut pair = Pair::new(worlds, addresses, Delay::queued(0.02, 1e-4), seed);
        pair.run(4000.0);
        let (lower, upper) = if one < two { (0, 1) } else { (1, 0) };
        let stratum = |index: usize| pair.worlds[index].machine().snapshot.stratum();
        assert_eq!((stratum(lower), stratum(upper)), (10, 11), "{one} {two}");
        assert_eq!(pair.worlds[upper].states(), "*");
        assert_ne!(pair.worlds[lower].states(), "*", "who is followed follows nobody");
        let served_s = |index: usize| pair.worlds[index].machine().served_error_s();
        let apart_s = served_s(0).zip(served_s(1)).map(|(a, b)| (a - b).abs());
        assert!(apart_s.is_some_and(|apart_s| apart_s < 2e-3), "{one} {two}: {apart_s:?}");
    }
}
