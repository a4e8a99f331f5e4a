//! Machines whose daemons send to each other, as clients, servers and peers.

use std::net::SocketAddr;

use ntp_common::wire::Mode;

use crate::chance::Chance;
use crate::delay::Delay;
use crate::machine::Outgoing;
use crate::world::World;

/// The machines take turns of this length after each thing that happens, seconds; no packet between them may
/// take less.
const TURN_S: f64 = 0.01;

/// Machines and the network between them.
#[derive(Debug)]
pub struct Net {
    /// The machines.
    pub worlds: Vec<World>,
    /// Which of them are switched off, whose time stands still meanwhile; packets to them are lost.
    pub off: Vec<bool>,
    /// The last packet that each has sent to another.
    pub last: Vec<Option<Outgoing>>,
    addresses: Vec<SocketAddr>,
    delay: Delay,
    chance: Chance,
}

impl Net {
    /// Connects machines, each with its address, with a delay of at least 10 ms.
    #[must_use]
    pub fn new(machines: Vec<(SocketAddr, World)>, delay: Delay, seed: u64) -> Self {
        let (addresses, worlds): (Vec<SocketAddr>, Vec<World>) = machines.into_iter().unzip();
        let (off, last) = (vec![false; worlds.len()], vec![None; worlds.len()]);
        Self { worlds, off, last, addresses, delay, chance: Chance::new(seed, 9) }
    }

    /// Lets all run for `length_s` seconds of true time, and gives the largest error of each clock, seconds.
    pub fn run(&mut self, length_s: f64) -> Vec<f64> {
        let mut worst_s = vec![0.0_f64; self.worlds.len()];
        let mut now_s = self.now_s();
        let end_s = now_s + length_s;
        while now_s < end_s {
            let next_s = self.awake().map(|index| self.worlds[index].next_s());
            let next_s = next_s.fold(end_s, f64::min).max(now_s);
            now_s = (next_s + TURN_S).min(end_s);
            for index in self.awake().collect::<Vec<usize>>() {
                let world = &mut self.worlds[index];
                let left_s = now_s - world.machine().clock.now_s();
                let errors_s = world.run(left_s).into_iter().map(|moment| moment.clock_s.abs());
                worst_s[index] = errors_s.fold(worst_s[index], f64::max);
            }
            self.exchange();
        }
        worst_s
    }

    fn awake(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.worlds.len()).filter(|&index| !self.off[index])
    }

    fn now_s(&self) -> f64 {
        self.worlds.iter().map(|world| world.machine().clock.now_s()).fold(0.0, f64::max)
    }

    fn exchange(&mut self) {
        for from in self.awake().collect::<Vec<usize>>() {
            let sent = std::mem::take(&mut self.worlds[from].machine_mut().outbox);
            for packet in sent {
                let to = self.addresses.iter().position(|&address| address == packet.to);
                let Some(to) = to.filter(|&to| !self.off[to]) else { continue };
                let delay_s = self.delay.draw(packet.at_s, &mut self.chance);
                self.deliver(from, to, &packet, packet.at_s + delay_s);
                self.last[from] = Some(packet);
            }
        }
    }

    fn deliver(&mut self, from: usize, to: usize, packet: &Outgoing, at_s: f64) {
        let (sender, receiver) = (self.addresses[from], self.addresses[to]);
        let delay_s = at_s - self.worlds[to].machine().clock.now_s();
        if packet.octets[0] & 7 == Mode::Client as u8 {
            self.worlds[to].be_asked(sender, packet.octets, delay_s);
        } else {
            self.worlds[to].hear((sender, receiver.ip()), packet.octets, delay_s);
        }
    }

    /// Repeats the last packet of one to the one it was sent to, at once.
    ///
    /// # Panics
    /// When there is none.
    pub fn repeat(&mut self, from: usize) {
        let packet = self.last[from].clone().expect("a packet was sent");
        let to = self.addresses.iter().position(|&address| address == packet.to);
        self.deliver(from, to.expect("to one of the machines"), &packet, self.now_s());
    }
}
