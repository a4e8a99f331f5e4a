//! All servers under the same generator and pinning.

use anyhow::Result;
use ntp_lab::{NtpXdpd, Profile};

use crate::figures::Figures;
use crate::servers::{Candidate, chronyd, others};
use crate::table::Table;

pub(crate) fn run(table: &mut Table, tries: usize) -> Result<()> {
    let daemon = NtpXdpd::build(Profile::Release)?;
    let chronyd = chronyd()?;
    let (mut candidates, absent) = others();
    candidates.retain(|candidate| candidate.name != chronyd.name);
    candidates.push(Candidate::user("ntp-xdpd, user path, one thread", &daemon, 1));
    candidates.push(Candidate::xdp("ntp-xdpd, XDP", &daemon, ""));
    Figures::measure(&chronyd, tries)?.rows(table, chronyd.name, "");
    for candidate in &candidates {
        // A peer that does not run here says nothing of the others.
        match Figures::measure(candidate, tries) {
            Ok(figures) => figures.rows(table, candidate.name, chronyd.name),
            Err(error) => table.remark(format!("{} was not measured: {error:#}", candidate.name)),
        }
    }
    for remark in absent {
        table.remark(remark);
    }
    Ok(())
}
