//! Two machines whose daemons send to each other: peers.

use std::net::SocketAddr;

use crate::chance::Chance;
use crate::delay::Delay;
use crate::world::World;

/// The worlds take turns of this length, seconds; no packet between them may take less.
const TURN_S: f64 = 0.01;

/// Two machines and the network between them.
#[derive(Debug)]
pub struct Pair {
    /// The machines.
    pub worlds: [World; 2],
    addresses: [SocketAddr; 2],
    delay: Delay,
    chance: Chance,
    /// The last packet that each has sent to the other.
    pub last: [Option<Vec<u8>>; 2],
}

impl Pair {
    /// Connects two machines, with a delay of at least 10 ms.
    #[must_use]
    pub fn new(worlds: [World; 2], addresses: [SocketAddr; 2], delay: Delay, seed: u64) -> Self {
        Self { worlds, addresses, delay, chance: Chance::new(seed, 9), last: [None, None] }
    }

    /// Lets both run for `length_s` seconds of true time, and gives the largest error of each clock, seconds.
    pub fn run(&mut self, length_s: f64) -> [f64; 2] {
        let mut worst_s = [0.0_f64; 2];
        let end_s = self.worlds[0].machine().clock.now_s() + length_s;
        while self.worlds[0].machine().clock.now_s() < end_s {
            for (world, worst_s) in self.worlds.iter_mut().zip(&mut worst_s) {
                let trace = world.run(TURN_S);
                let errors_s = trace.iter().map(|moment| moment.clock_s.abs());
                *worst_s = errors_s.fold(*worst_s, f64::max);
            }
            self.exchange();
        }
        worst_s
    }

    fn exchange(&mut self) {
        for from in 0..2 {
            let to = 1 - from;
            let sent = std::mem::take(&mut self.worlds[from].machine_mut().outbox);
            let now_s = self.worlds[from].machine().clock.now_s();
            for packet in sent.into_iter().filter(|packet| packet.to == self.addresses[to]) {
                let delay_s = self.delay.draw(now_s, &mut self.chance);
                self.last[from] = Some(packet.octets.to_vec());
                let left_s = packet.at_s - now_s;
                let path = (self.addresses[from], self.addresses[to].ip());
                self.worlds[to].hear(path, packet.octets, left_s + delay_s);
            }
        }
    }

    /// Repeats the last packet from one to the other, at once.
    ///
    /// # Panics
    /// When there is none.
    pub fn repeat(&mut self, from: usize) {
        let packet = self.last[from].as_ref().and_then(|packet| packet.first_chunk().copied());
        let packet = packet.expect("a packet was sent");
        let path = (self.addresses[from], self.addresses[1 - from].ip());
        self.worlds[1 - from].hear(path, packet, 0.0);
    }
}
