//! A program's link to an interface: the program can be replaced between two packets, and stays as long as the link.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::attachment::AttachMode;
use super::system_call;

/// An attached program. It is detached when this is dropped, unless the link is pinned.
#[derive(Debug)]
pub(super) struct Link(OwnedFd);

impl Link {
    /// Attaches a program to the interface with this index.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn new(program: impl AsFd, interface: u32, mode: AttachMode) -> io::Result<Self> {
        // `XDP_FLAGS_*` of linux/if_link.h.
        let flags = match mode {
            AttachMode::Generic => 1 << 1,
            AttachMode::Native => 1 << 2,
        };
        system_call::create_link(program, interface, flags).map(Self)
    }

    /// The link that is pinned as this file.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn open(pin: &Path) -> io::Result<Self> {
        system_call::open_pinned(pin).map(Self)
    }

    /// Lets the link outlive this process, for as long as the file is there.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn pin(&self, path: &Path) -> io::Result<()> {
        system_call::pin(&self.0, path)
    }

    /// Puts another program in the place of the one that is attached.
    ///
    /// # Errors
    /// What the kernel says; the former one stays.
    pub(super) fn replace(&self, program: impl AsFd) -> io::Result<()> {
        system_call::update_link(&self.0, program)
    }
}
