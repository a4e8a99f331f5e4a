//! The operator's tool `ntp-xdp`, one subcommand a module. Its parts are a library for the benchmarks and tests.
//!
//! Invariant: unsafe code is in `load/live.rs` alone.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds of a run are far below 2^53, and are shown in a few digits"
)]

pub mod cli;
pub mod conditions;
pub mod load;
pub mod status;
pub mod units;
