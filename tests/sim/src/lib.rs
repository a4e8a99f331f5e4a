//! A simulator of clocks and networks that the real engine and driver live in, through the same seams as in the
//! daemon. Invariant: everything follows from a scenario and a seed; no real clock is read.

#![forbid(unsafe_code)]

pub mod chance;
pub mod clock;
pub mod delay;
pub mod figures;
pub mod interleave;
mod leap;
pub mod machine;
pub mod net;
pub mod plot;
pub mod random;
pub mod refclock;
pub mod scenario;
mod seam;
pub mod search;
pub mod server;
pub mod setup;
pub mod table;
pub mod trace;
pub mod units;
pub mod unseen;
mod visitor;
pub mod world;
