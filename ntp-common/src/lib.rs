//! What the XDP program and the daemon share, so that both paths answer the same bytes to the same request:
//! packet formats, the published snapshot of the time, access rules, counters and the layout of the maps.
//!
//! Invariant: `no_std`, no allocation, no floating point, no unsafe code, and no panic on any input: the
//! kernel's verifier must accept every function that the XDP program calls.
#![no_std]
#![expect(
    clippy::inline_always,
    reason = "the XDP program is one function: a call into it costs time and hides values from the verifier"
)]

pub mod acl;
pub mod arrival;
pub mod checksum;
pub mod classify;
pub mod clients;
pub mod counters;
pub mod load;
pub mod local;
pub mod maps;
pub mod ratelimit;
pub mod respond;
pub mod snapshot;
pub mod template;
pub mod time;
pub mod waiting;
pub mod wire;

#[cfg(test)]
extern crate std;
