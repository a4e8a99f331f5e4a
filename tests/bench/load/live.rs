//! Ours on two CPUs: one sends, the other is the server's; with XDP and without, beside chrony; what a program
//! that does nothing but send frames back reaches there; then a flood.

use anyhow::Result;
use ntp_lab::{NtpXdpd, Profile};

use crate::ceiling;
use crate::figures::Figures;
use crate::flood;
use crate::servers::{Candidate, chronyd};
use crate::table::Table;

pub(crate) fn run(table: &mut Table, tries: usize) -> Result<()> {
    let daemon = NtpXdpd::build(Profile::Release)?;
    let chronyd = chronyd()?;
    Figures::measure(&chronyd, tries)?.rows(table, chronyd.name, "");
    let candidates = [
        Candidate::xdp("ntp-xdpd, XDP", &daemon, ""),
        Candidate::generic("ntp-xdpd, generic XDP", &daemon, ""),
        Candidate::user("ntp-xdpd, user path, one thread", &daemon, 1),
    ];
    for candidate in &candidates {
        Figures::measure(candidate, tries)?.rows(table, candidate.name, chronyd.name);
    }
    ceiling::run(table, chronyd.name)?;
    flood::run(table, &daemon)
}
