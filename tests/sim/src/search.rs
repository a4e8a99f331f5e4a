//! Looks for worlds in which something that must always hold does not.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::random::{Drawn, Happening};
use crate::world::World;

/// What did not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// The seed of the world.
    pub seed: u64,
    /// When, seconds since the start.
    pub at_s: f64,
    /// What.
    pub what: String,
    /// The configuration of the world.
    pub text: String,
    /// What happened to it, and when.
    pub happened: Vec<(f64, Happening)>,
}

/// Something that should not be.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
enum Wrong {
    #[error("served time went back by {0:.9} s")]
    Backward(f64),
    #[error("the clock was stepped while a snapshot was in force")]
    Exposed,
    #[error("served time is {0:.9} s off, {1:.9} s was said")]
    Off(f64, f64),
}

impl Wrong {
    /// Whether that is so although something has just happened that nobody could know of.
    fn is_always_wrong(self) -> bool {
        !matches!(self, Self::Off(..))
    }
}

/// What is wrong with a world now.
fn wrong(world: &World) -> Option<Wrong> {
    let machine = world.machine();
    if let Some(&(_, by_s)) = machine.backward.first() {
        return Some(Wrong::Backward(by_s));
    }
    if machine.steps_while_serving > 0 {
        return Some(Wrong::Exposed);
    }
    let smoothing = world.driver().engine().smoothing(world.driver().now());
    let smoothed_s = smoothing.map_or(0.0, |smoothing| smoothing.offset_s);
    let off_s = machine.served_error_s()? - smoothed_s;
    let said_s = machine.root_distance_s();
    // A root delay of nothing is what no source has.
    let is_local = machine.snapshot.root_delay().to_bits() == 0;
    (off_s.abs() > said_s && !is_local).then_some(Wrong::Off(off_s, said_s))
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The violations, by seed.
    pub violations: Vec<Violation>,
    /// Time simulated, seconds.
    pub simulated_s: f64,
    /// Part of it in which time was served, seconds.
    pub served_s: f64,
}

/// Looks at the world of one seed: what is served is never further off than the root distance that is served with
/// it, and never goes backward while a snapshot is in force; the clock is not stepped while one is.
///
/// Two things are as they were asked for: `smoothtime` keeps what is served from true time on purpose, so that the
/// smoothed time is what it is measured against, and a `local` clock claims to be right.
///
/// # Errors
/// The world's configuration is not valid.
pub fn look(seed: u64) -> Result<Findings, String> {
    let mut drawn = Drawn::new(seed);
    let mut world = drawn.world()?;
    let mut findings = Findings { simulated_s: drawn.length_s(), ..Findings::default() };
    let (mut happenings, mut excused_until_s) =
        (drawn.happenings.clone().into_iter().peekable(), 0.0);
    let (mut at_s, end_s) = (0.0, drawn.length_s());
    while at_s < end_s && findings.violations.is_empty() {
        world.run(1.0);
        at_s += 1.0;
        if let Some(what) = wrong(&world) {
            let (at_s, text) = (world.machine().clock.now_s(), drawn.text.clone());
            let happened = drawn.happenings.clone();
            if at_s > excused_until_s || what.is_always_wrong() {
                findings.violations.push(Violation {
                    seed,
                    at_s,
                    what: what.to_string(),
                    text,
                    happened,
                });
            }
        }
        findings.served_s += f64::from(u8::from(world.machine().is_serving()));
        while let Some((_, what)) = happenings.next_if(|(when_s, _)| *when_s <= at_s) {
            let unknowable_s = drawn.let_happen(what, &mut world)?;
            excused_until_s = world.machine().clock.now_s() + unknowable_s;
        }
    }
    Ok(findings)
}

/// Looks at `count` worlds from the seed `first` on, on all processors.
///
/// # Errors
/// As [`look`].
pub fn search(first: u64, count: u64) -> Result<Findings, String> {
    let next = AtomicU64::new(first);
    let work = || {
        let mut all = Findings::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return Ok(all);
            }
            all.add(look(seed)?);
        }
    };
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let parts: Vec<Result<Findings, String>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        let ended = |_| Err("a simulation ended in a panic".to_owned());
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(ended)).collect()
    });
    let mut all = Findings::default();
    for part in parts {
        all.add(part?);
    }
    all.violations.sort_by_key(|violation| violation.seed);
    Ok(all)
}

impl Findings {
    fn add(&mut self, other: Self) {
        self.violations.extend(other.violations);
        self.simulated_s += other.simulated_s;
        self.served_s += other.served_s;
    }
}
