//! The daemon `ntp-xdpd`: it gives the engine clocks, sockets and files, serves time in user space, and puts
//! the XDP program to work.
//!
//! Timekeeping is one thread. Unsafe code lives in `bpf`, `clock` and `net` alone.

#![deny(unsafe_code)]

pub mod access;
pub mod args;
mod atomic_file;
#[expect(unsafe_code, reason = "maps memory and calls the kernel")]
pub mod bpf;
mod call_filter;
#[expect(unsafe_code, reason = "steers the kernel's clock")]
pub mod clock;
mod command;
pub mod config;
mod counter_log;
mod daemon;
pub mod drift_file;
mod event_loop;
mod features;
mod first_time;
mod history_files;
pub mod key_file;
mod leap_file;
mod log;
mod logs;
pub mod metrics;
#[expect(unsafe_code, reason = "calls the kernel's socket interface")]
pub mod net;
mod owner;
mod pid_file;
mod privileges;
mod reload;
pub mod resolver;
pub mod serving;
mod setup;
mod signals;
mod startup;
mod supervisor;
mod tasks;
mod temperature;

pub use startup::startup;
