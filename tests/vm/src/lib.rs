//! The daemon in a guest: a Debian kernel under QEMU's software emulation, a clock that may really be set, two
//! virtio interfaces joined by a hub inside QEMU, and a probe that plays upstream, client and observer.
//!
//! Invariant: nothing of a guest is outside QEMU's process but files below `target/guests`: no interface, no
//! namespace, no right is taken from this machine, and the clocks of a guest share one counter, so that what is
//! measured does not depend on how this machine schedules it.

pub mod devices;
pub mod emulator;
pub mod guest;
pub mod image;
pub mod kernel;
pub mod line;
mod modules;
pub mod scenario;
pub mod service;
pub mod system;
pub mod verdict;
