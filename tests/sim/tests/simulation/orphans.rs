//! `local orphan`: servers that have lost their upstream agree on one of them and keep the same time.

use std::net::{IpAddr, SocketAddr};

use ntp_sim::clock::Oscillator;
use ntp_sim::delay::Delay;
use ntp_sim::net::Net;
use ntp_sim::setup;
use ntp_sim::world::World;

fn address(number: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::from([192, 0, 2, number]), 123)
}

/// The configuration of a server without upstream that has others as its `servers` or `peers`.
fn text(kind: &str, others: &[u8]) -> String {
    let line = |number: &u8| format!("{kind} 192.0.2.{number} minpoll 4 maxpoll 4\n");
    "allow\nlocal stratum 10 orphan waitunsynced 60\n".to_owned()
        + &others.iter().map(line).collect::<String>()
}

/// A server without upstream whose clock is `ahead_s` ahead.
fn orphan(text: &str, ahead_s: f64, seed: u64) -> World {
    let oscillator = Oscillator { ahead_s, ..Oscillator::default() };
    setup::world(text, oscillator, Vec::new(), seed)
}

#[test]
fn the_one_with_the_lower_address_is_followed_by_the_other() {
    // Whichever was made first, and whoever is ahead.
    for (one, two, seed) in [(11, 12, 1), (12, 11, 2)] {
        let machines = vec![
            (address(one), orphan(&text("peer", &[two]), 0.0, seed)),
            (address(two), orphan(&text("peer", &[one]), 0.05, seed + 100)),
        ];
        let mut pair = Net::new(machines, Delay::queued(0.02, 1e-4), seed);
        pair.run(4000.0);
        let (lower, upper) = if one < two { (0, 1) } else { (1, 0) };
        assert_eq!((stratum(&pair, lower), stratum(&pair, upper)), (10, 11), "{one} {two}");
        assert_eq!(pair.worlds[upper].states(), "*");
        assert_ne!(pair.worlds[lower].states(), "*", "who is followed follows nobody");
        assert_together(&pair, &[0, 1]);
    }
}

/// The stratum that a machine serves.
fn stratum(net: &Net, index: usize) -> u8 {
    net.worlds[index].machine().snapshot.stratum()
}

/// Whatever the time may be: they serve the same.
#[track_caller]
fn assert_together(net: &Net, which: &[usize]) {
    let served_s = |&index: &usize| net.worlds[index].machine().served_error_s().expect("serves");
    let times: Vec<f64> = which.iter().map(served_s).collect();
    let spread_s = times.iter().fold(f64::MIN, |a, b| a.max(*b))
        - times.iter().fold(f64::MAX, |a, b| a.min(*b));
    assert!(spread_s < 2e-3, "{times:?}");
}

/// Three servers that have each other, and perhaps themselves, as their servers. They were given their addresses in no
/// order, and the clock of each is somewhere else.
fn three(with_themselves: bool, seed: u64) -> (Net, Vec<String>) {
    let numbers = [22, 23, 21];
    let texts = numbers.map(|own| {
        let others = numbers.into_iter().filter(|&other| with_themselves || other != own);
        text("server", &others.collect::<Vec<u8>>())
    });
    let made = |(index, number): (usize, u8)| {
        let ahead_s = [0.3, -0.2, 0.1][index];
        let seed = seed + 100 * u64::try_from(index).expect("small");
        (address(number), orphan(&texts[index], ahead_s, seed))
    };
    let machines = numbers.into_iter().enumerate().map(made).collect();
    (Net::new(machines, Delay::queued(0.02, 1e-4), seed), texts.to_vec())
}

#[test]
fn of_three_the_one_with_the_lowest_reference_id_serves_and_the_others_sit_one_stratum_below() {
    for (with_themselves, seed) in [(false, 1), (false, 2), (true, 3)] {
        let (mut net, _) = three(with_themselves, seed);
        net.run(2000.0);
        // 192.0.2.21 is the third.
        let strata = [0, 1, 2].map(|index| stratum(&net, index));
        assert_eq!(strata, [11, 11, 10], "{with_themselves} {seed}");
        for index in 0..2 {
            let served = net.worlds[index].machine().snapshot.reference_id();
            assert_eq!(served.to_octets(), [192, 0, 2, 21], "{with_themselves} {seed}");
        }
        assert!(!net.worlds[2].states().contains('*'), "who is followed follows nobody");
        assert_together(&net, &[0, 1, 2]);
    }
}

#[test]
fn when_the_lowest_of_three_dies_the_next_takes_over_until_it_comes_back() {
    let (mut net, texts) = three(false, 4);
    net.run(2000.0);
    net.off[2] = true;
    // Its samples are believed for as long as it is in the reachability register: eight polls of 16 s.
    net.run(1000.0);
    assert_eq!([0, 1].map(|index| stratum(&net, index)), [10, 11]);
    assert_together(&net, &[0, 1]);
    net.off[2] = false;
    net.worlds[2].restart(setup::config(&texts[2]), 1000.0, false, 5);
    net.run(2000.0);
    assert_eq!([0, 1, 2].map(|index| stratum(&net, index)), [11, 11, 10]);
    assert_together(&net, &[0, 1, 2]);
}

#[test]
fn orphans_leave_each_other_for_a_server_with_the_time() {
    let (mut net, texts) = three(false, 6);
    net.run(2000.0);
    // The second one finds its way out again.
    net.worlds[1].machine_mut().servers = setup::servers(1);
    net.worlds[1].reconfigure(setup::config(&(setup::lines(1, "iburst") + &texts[1])));
    net.run(2000.0);
    assert_eq!([0, 1, 2].map(|index| stratum(&net, index)), [3, 2, 3]);
    for world in &net.worlds {
        let error_s = world.machine().served_error_s().expect("serves");
        // Those that follow the same server keep no error that they share.
        assert!(error_s.abs() < 3e-4, "{error_s}");
    }
}
