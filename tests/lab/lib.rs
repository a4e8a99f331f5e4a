//! A laboratory in network namespaces: hosts joined by veth pairs, daemons that run in them, and a minimal NTP
//! client. The end-to-end tests and `cargo xtask demo` share it.
//!
//! Invariant: whatever is made here is removed again: on drop (so also when a test panics), on SIGINT, SIGTERM
//! and SIGHUP, and what a killed process left behind, when the next laboratory opens. No daemon that runs here has
//! the right to set the clock, and no packet leaves the namespaces.

mod built;
mod chronyc;
pub mod counters;
mod daemon;
mod held;
mod host;
pub mod kernel;
mod lab;
mod leftovers;
pub mod lintian;
mod passing;
pub mod peers;
mod process;
pub mod prometheus;
pub mod query;
pub mod rights;
pub mod scene;

pub use built::{Profile, build};
pub use chronyc::{Chronyc, Told, Way};
pub use daemon::{Daemon, NtpXdpd, command_socket, pidfile, workspace};
pub use host::Host;
pub use lab::{End, Lab};
pub use passing::Passing;
pub use process::{Finished, Process, run};
