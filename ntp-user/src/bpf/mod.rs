//! The XDP program: loads the embedded object, maps its memory, attaches it to interfaces.
//!
//! One loaded program serves all interfaces, from one page of snapshots and one set of access tables; only where
//! receive timestamps of the hardware are asked for, an interface has a program of its own beside the same maps.

pub mod acl_map;
pub mod arrivals;
pub mod attachment;
pub mod capabilities;
pub mod clients_map;
pub mod clocks_map;
pub mod counters_map;
pub mod earlier_runs;
mod link;
pub mod linked;
mod maps;
mod memory;
pub mod pins;
pub mod program;
pub mod serving_map;
pub mod stamped;
mod system_call;
pub mod xdp;
