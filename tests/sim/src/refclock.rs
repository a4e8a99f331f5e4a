//! Reference clocks of a simulated machine: what their drivers would read, at the true times at which they would.

use ntp_common::wire::{LeapIndicator, ReferenceId};
use ntp_engine::seams::Reading;

use crate::chance::Chance;
use crate::trace::Trace;
use crate::units::duration;
use crate::world::World;

/// Interrupts that come late.
#[derive(Clone, Copy, Debug)]
pub enum Late {
    /// None.
    Never,
    /// The first of them, by so many seconds.
    First(u32, f64),
    /// One in so many, by so many seconds.
    One(u32, f64),
}

/// A reference clock that is read every second.
#[derive(Clone, Debug)]
pub struct RefClock {
    /// Its reference ID.
    pub id: ReferenceId,
    /// It gives nothing but the beginning of seconds.
    pub is_pulse: bool,
    /// What it is ahead of true time, seconds.
    pub ahead_s: f64,
    /// Standard deviation of what readings of it are off besides, seconds.
    pub jitter_s: f64,
    /// How long after the full second it is read, seconds.
    pub after_s: f64,
    /// The interrupts that come late, and by how much, seconds: they say that the second begins when it has begun.
    pub late: Late,
    /// Readings so far.
    pub number: u32,
    /// It is not read any more.
    pub silent: bool,
    /// What its noise is made of.
    pub chance: Chance,
}

impl RefClock {
    /// A clock that tells full time, exactly.
    #[must_use]
    pub fn new(name: [u8; 4], seed: u64) -> Self {
        let id = ReferenceId::from_octets(name);
        Self {
            id,
            is_pulse: false,
            ahead_s: 0.0,
            jitter_s: 0.0,
            after_s: 0.0,
            late: Late::Never,
            number: 0,
            silent: false,
            chance: Chance::new(seed, u64::from(id.0)),
        }
    }

    /// How late the next reading is, seconds.
    fn late_s(&mut self) -> f64 {
        match self.late {
            Late::Never => 0.0,
            Late::First(number, late_s) => {
                if self.number < number {
                    late_s
                } else {
                    0.0
                }
            }
            Late::One(in_so_many, late_s) => {
                let is_late = self.chance.happens(1.0 / f64::from(in_so_many));
                if is_late { late_s } else { 0.0 }
            }
        }
    }

    /// What is read of it now.
    fn read(&mut self, world: &World) -> Reading {
        let machine = world.machine();
        let (now, truth) = (machine.clock.read(), machine.clock.true_time(0.0));
        let error_s = self.ahead_s + self.jitter_s * self.chance.normal() - self.late_s();
        self.number += 1;
        if self.is_pulse {
            // It comes when the clock that gives it thinks that a second begins.
            return Reading::pulse(now.time - duration(error_s), 0.0);
        }
        Reading {
            at: now.time,
            offset: (truth + duration(error_s)).since(now.time),
            is_pulse: false,
            dispersion_s: 0.0,
            leap: LeapIndicator::Normal,
        }
    }
}

/// Lets the world run for whole seconds, and clocks be read in each of them.
pub fn run(world: &mut World, clocks: &mut [RefClock], length_s: u32) -> Trace {
    let mut trace = Trace::new();
    clocks.sort_by(|a, b| a.after_s.total_cmp(&b.after_s));
    for _ in 0..length_s {
        let mut passed_s = 0.0;
        for clock in clocks.iter_mut().filter(|clock| !clock.silent) {
            trace.extend(world.run(clock.after_s - passed_s));
            passed_s = clock.after_s;
            let reading = clock.read(world);
            world.driver_mut().on_clock_read(clock.id, reading);
        }
        trace.extend(world.run(1.0 - passed_s));
    }
    trace
}
