//! `ntp-xdp load-test`: requests to a server at a known rate, and what came back.
//!
//! Invariant: every run ends by itself, and nothing is sent to a server that is not this machine's own unless its
//! address was given by `--allow-remote`.

pub mod arguments;
pub mod frame;
pub mod frames;
mod live;
pub mod mix;
pub mod neighbour;
pub mod outcome;
pub mod plan;
pub mod prober;
mod progress;
pub mod report;
pub mod request;
mod run;
mod sender;
pub mod sockets;
pub mod target;

pub use run::{Generator, Test, run};
