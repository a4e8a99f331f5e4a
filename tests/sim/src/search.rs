//! Looks for worlds in which something that must always hold does not.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::random::Drawn;

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

/// Looks at the world of one seed: served time is never further off than the root distance that is served with it,
/// and never goes backward while a snapshot is in force.
///
/// # Errors
/// The world's configuration is not valid.
pub fn look(seed: u64) -> Result<Findings, String> {
    let drawn = Drawn::new(seed);
    let mut world = drawn.world()?;
    let mut findings = Findings { simulated_s: drawn.length_s(), ..Findings::default() };
    let violation = |at_s, what| Violation { seed, at_s, what, text: drawn.text.clone() };
    let mut at_s = 0.0;
    while at_s < drawn.length_s() && findings.violations.is_empty() {
        world.run(1.0);
        at_s += 1.0;
        let machine = world.machine();
        let backward = machine.backward.first();
        findings.violations.extend(backward.map(|(when_s, by_s)| {
            violation(*when_s, format!("served time went back by {by_s:.9} s"))
        }));
        let Some(error_s) = machine.served_error_s() else { continue };
        findings.served_s += 1.0;
        let distance_s = machine.root_distance_s();
        if error_s.abs() > distance_s {
            let what = format!("served time is {error_s:.9} s off, {distance_s:.9} s was said");
            findings.violations.push(violation(at_s, what));
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
