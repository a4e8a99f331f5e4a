//! Links that earlier runs of the daemon left pinned.

use std::io;
use std::path::Path;

use ntp_engine::conf::Xdp as Wanted;

use super::attachment::{AttachMode, modes};
use super::link::Link;
use super::pins::{self, Pin};

/// Removes pins that nobody wants any more: of interfaces that are no longer configured, of modes that are
/// no longer wanted, and of other builds. That detaches their programs.
pub fn remove_stale_pins(wanted: &[Wanted]) {
    for pin in pins::list() {
        let is_wanted =
            wanted.iter().any(|xdp| xdp.interface == pin.interface && is_wanted_as(xdp, &pin));
        if !is_wanted {
            tracing::info!(interface = pin.interface, "Detached the program of a previous run");
            unpin(&pin.path);
        }
    }
}

fn is_wanted_as(wanted: &Wanted, pin: &Pin) -> bool {
    pin.is_ours && modes(wanted.mode).contains(&pin.mode)
}

/// The link that an earlier run has left pinned, and its mode. Unless the program is to hold over this run,
/// too, the link is unpinned: then it lasts as long as it is held here.
pub(super) fn earlier(wanted: &Wanted) -> Option<(Link, AttachMode)> {
    let is_ours = |pin: &Pin| pin.interface == wanted.interface && is_wanted_as(wanted, pin);
    let pin = pins::list().into_iter().find(is_ours)?;
    let link = Link::open(&pin.path);
    if link.is_err() || wanted.holdover_s == 0 {
        unpin(&pin.path);
    }
    link.ok().map(|link| (link, pin.mode))
}

/// Removes all pins of an interface.
pub(super) fn remove_pins(interface: &str) {
    let pins = pins::list().into_iter().filter(|pin| pin.interface == interface);
    pins.for_each(|pin| unpin(&pin.path));
}

fn unpin(pin: &Path) {
    if let Err(error) = std::fs::remove_file(pin)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(pin = %pin.display(), %error, "A pinned link can't be removed");
    }
}
