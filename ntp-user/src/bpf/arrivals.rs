//! Receive timestamps of the hardware in XDP (`xdp INTERFACE hwtimestamp`): on which interfaces they are read, and what
//! their clocks show.

use std::fmt;
use std::fs::File;
use std::io;

use aya::maps::{Map, PerCpuArray};
use ntp_common::arrival::{ARRIVALS, Arrival, ArrivalCounters, InterfaceClock, MAX_CLOCKS};

use super::clocks_map::MappedClocks;
use super::stamped::StampedError;
use crate::clock::beside::Beside;
use crate::clock::phc::{Phc, device};
use crate::net::nic::ethtool::Socket;

/// The interfaces, each with a slot of the map of clocks.
#[derive(Debug)]
pub(super) struct Arrivals {
    clocks: MappedClocks,
    interfaces: [Option<Interface>; MAX_CLOCKS],
}

/// An interface whose timestamps are read.
#[derive(Debug)]
struct Interface {
    /// `None`: it has none that could be compared with the kernel's.
    clock: Option<Beside<File>>,
}

/// What became of the wish for receive timestamps of the hardware on an interface.
#[derive(Debug, Default)]
pub enum Stamping {
    /// Nobody wishes for them.
    #[default]
    Unwanted,
    /// There are none.
    Off(Refusal),
    /// The program asks for them.
    On {
        /// The interface's place among the clocks.
        slot: usize,
        /// Why none can be expected, if that is known.
        lacks: Option<String>,
    },
}

/// Why the program does not ask for timestamps.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The program is in the generic hook.
    #[error("XDP is not in the driver")]
    Generic,
    /// The kernel says that the driver has none.
    #[error("the driver `{0}` has none for XDP")]
    NotOffered(String),
    /// Too many interfaces.
    #[error("there are {MAX_CLOCKS} interfaces with them already")]
    TooMany,
    /// The program is not to be had.
    #[error(transparent)]
    Program(#[from] StampedError),
    /// The kernel does not attach it.
    #[error("the kernel does not attach the program: {0}")]
    Attach(io::Error),
}

impl Stamping {
    /// The interface's place among the clocks; `None`: its timestamps are not read.
    #[must_use]
    pub const fn slot(&self) -> Option<usize> {
        match self {
            Self::On { slot, .. } => Some(*slot),
            Self::Unwanted | Self::Off(_) => None,
        }
    }
}

impl Arrivals {
    pub(super) fn new(clocks: MappedClocks) -> Self {
        Self { clocks, interfaces: [const { None }; MAX_CLOCKS] }
    }

    /// A slot for one more interface.
    pub(super) fn free_slot(&self) -> Result<usize, Refusal> {
        self.interfaces.iter().position(Option::is_none).ok_or(Refusal::TooMany)
    }

    /// Has an interface stamp what it receives, and its clock watched. What it lacks is told.
    pub(super) fn watch(&mut self, slot: usize, interface: &str) -> Option<String> {
        self.clocks.tell(slot, &InterfaceClock::default());
        let (clock, lacks) = match open(interface) {
            Ok(clock) => (Some(Beside::new(clock)), None),
            Err(lacks) => (None, Some(lacks)),
        };
        self.interfaces[slot] = Some(Interface { clock });
        lacks
    }

    /// Forgets an interface.
    pub(super) fn forget(&mut self, slot: usize) {
        self.clocks.tell(slot, &InterfaceClock::default());
        self.interfaces[slot] = None;
    }

    /// Reads the clocks, and tells the program. To be called every second, and when the system clock is steered
    /// otherwise.
    pub(super) fn refresh(&mut self) {
        for (slot, interface) in self.interfaces.iter_mut().enumerate() {
            let clock = interface.as_mut().and_then(|interface| interface.clock.as_mut());
            if let Some(relation) = clock.and_then(Beside::read) {
                self.clocks.tell(slot, &relation);
            }
        }
    }
}

/// Has an interface stamp what it receives, and opens its clock.
fn open(interface: &str) -> Result<Phc, String> {
    let socket = Socket::open(interface).map_err(|error| error.to_string())?;
    let can = socket.timestamps().map_err(|_| "the interface stamps nothing")?;
    let number = can.clock.ok_or("the interface has no clock")?;
    socket.stamp_received(&can).map_err(|error| format!("it stamps no NTP packets: {error}"))?;
    let opened = Phc::open(&device(number), false, true);
    let mut clock = opened.map_err(|error| format!("its clock can't be opened: {error}"))?;
    clock.read().map_err(|error| format!("its clock can't be read: {error}"))?;
    Ok(clock)
}

/// What the program has counted of an interface, all CPUs together; `None` when the kernel does not tell.
pub(super) fn counted(map: &Map, slot: usize) -> Option<ArrivalCounters> {
    let map = PerCpuArray::<_, ArrivalCounters>::try_from(map).ok()?;
    let cpus = map.get(&u32::try_from(slot).ok()?, 0).ok()?;
    Some(cpus.iter().fold([0; ARRIVALS.len()], |sum, counters| {
        std::array::from_fn(|at| sum[at].wrapping_add(counters[at]))
    }))
}

/// What there is to say of an interface's timestamps, in a few words; `None`: nobody wishes for them.
pub(super) fn describe(stamping: &Stamping, counted: Option<ArrivalCounters>) -> Option<String> {
    let lacks = match stamping {
        Stamping::Unwanted => return None,
        Stamping::Off(refusal) => return Some(format!("off: {refusal}")),
        Stamping::On { lacks, .. } => lacks.as_deref(),
    };
    let counted = counted.unwrap_or_default();
    let of = |arrival: Arrival| counted[arrival as usize];
    let all = counted.iter().fold(0u64, |sum, &count| sum.saturating_add(count));
    let hardware = of(Arrival::Hardware);
    if hardware > 0 {
        return Some(format!("{hardware} of {all}"));
    }
    Some(match lacks {
        Some(lacks) => format!("absent: {lacks}"),
        None if of(Arrival::Absent) > 0 => format!("absent: the driver gave none in {all}"),
        None if all > 0 => format!("none could be used in {all}"),
        None => "no request yet".to_owned(),
    })
}

impl fmt::Display for Stamping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe(self, None).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stamping: &Stamping, counted: ArrivalCounters, expected: Option<&str>) {
        assert_eq!(describe(stamping, Some(counted)).as_deref(), expected, "{stamping:?}");
    }

    #[test]
    fn timestamps_are_told_of_as_they_are() {
        check(&Stamping::Unwanted, [0; 4], None);
        let off = Stamping::Off(Refusal::Generic);
        check(&off, [0; 4], Some("off: XDP is not in the driver"));
        let on = Stamping::On { slot: 0, lacks: None };
        check(&on, [0; 4], Some("no request yet"));
        check(&on, [90, 5, 4, 1], Some("90 of 100"));
        check(&on, [0, 7, 0, 0], Some("absent: the driver gave none in 7"));
        check(&on, [0, 0, 2, 1], Some("none could be used in 3"));
        let lacks = Stamping::On { slot: 0, lacks: Some("the interface has no clock".to_owned()) };
        check(&lacks, [0, 7, 0, 0], Some("absent: the interface has no clock"));
    }

    #[test]
    fn loopback_stamps_nothing() {
        assert_eq!(open("lo").unwrap_err(), "the interface has no clock");
        assert!(open("nowhere0").is_err());
    }
}
