//! Whether a client is allowed, by the rules in force.

use core::ptr::read_volatile;

use ntp_common::acl::{AclControl, AclTable, FamilyRule};
use ntp_common::counters::Reason;
use ntp_common::maps::ServingPage;

use crate::maps::ACL;

/// Refuses an IPv4 client that the rules deny; its address is in network order.
#[inline(always)]
pub(crate) fn check_v4(page: *const ServingPage, source: u32) -> Result<(), Reason> {
    let control = control(page);
    let is_allowed = match whole_family(control.v4()) {
        Some(is_allowed) => is_allowed,
        None => table(control).allows_v4(u32::from_be(source)),
    };
    if is_allowed { Ok(()) } else { Err(Reason::AccessDenied) }
}

/// Refuses an IPv6 client that the rules deny; the halves of its address are in network order.
#[inline(always)]
pub(crate) fn check_v6(page: *const ServingPage, source: [u64; 2]) -> Result<(), Reason> {
    let control = control(page);
    let is_allowed = match whole_family(control.v6()) {
        Some(is_allowed) => is_allowed,
        None => table(control).allows_v6(u64::from_be(source[0]), u64::from_be(source[1])),
    };
    if is_allowed { Ok(()) } else { Err(Reason::AccessDenied) }
}

#[inline(always)]
fn whole_family(rule: FamilyRule) -> Option<bool> {
    match rule {
        FamilyRule::Allow => Some(true),
        FamilyRule::Deny => Some(false),
        FamilyRule::Table => None,
    }
}

#[inline(always)]
fn control(page: *const ServingPage) -> AclControl {
    // SAFETY: the page is a live map entry; the daemon replaces the word at once.
    AclControl::from_bits(unsafe { read_volatile(&raw const (*page).acl) })
}

#[inline(always)]
fn table<'a>(control: AclControl) -> &'a AclTable {
    // SAFETY: the tables live as long as the program, and the daemon does not write the one in force.
    unsafe { &(*ACL.get())[control.table()] }
}
