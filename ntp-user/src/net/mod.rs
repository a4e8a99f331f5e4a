//! Sockets: those that requests to sources leave by ([`udp`]), and those that clients' requests come in on
//! ([`server`]).
//!
//! Calls that simulators must be able to stand in for go through libc, one packet at a time.

pub mod acl_table;
pub mod address;
pub mod answer;
pub mod batch;
pub mod control;
pub mod hardware;
pub mod interfaces;
pub mod interleaved;
pub mod nic;
pub mod server;
pub mod server_socket;
pub mod socket;
pub mod steering;
pub mod timestamping;
pub mod udp;
pub mod watched;
pub mod worker;
