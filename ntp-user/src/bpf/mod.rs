//! The XDP program: loads the embedded object, maps its memory, attaches it to interfaces.
//!
//! One loaded program serves all interfaces, from one page of snapshots and one set of access tables.

pub mod acl_map;
pub mod attachment;
pub mod capabilities;
pub mod clients_map;
mod memory;
pub mod pins;
pub mod program;
pub mod serving_map;
pub mod xdp;
