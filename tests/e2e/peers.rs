//! Other people's NTP programs: as our clients, and as our upstream.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ntp_common::wire::{LeapIndicator, ReferenceId};
use ntp_lab::counters::answered_over;
use ntp_lab::peers::Seen;
use ntp_lab::scene::{LAN, SERVER, UPSTREAM};
use ntp_lab::{kernel, peers};

use crate::played::{FAMILIES, LONG, Played, until};
use crate::trial::Needs::{Chronyd, Namespaces, Ntpdig, Xdp};
use crate::trial::trial;

/// The upstream's stratum.
const STRATUM: u8 = 3;

/// Polls of the server that are waited for.
const POLLS: u64 = 100;

/// What a server says that follows the upstream over IPv6: the first four octets of the MD5 hash of its address.
/// RFC 5905 section 7.3.
const UPSTREAM_V6_ID: ReferenceId = ReferenceId(0xf41e_54a3);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("chronyd selects us and is answered in XDP", &[Namespaces, Xdp, Chronyd], chronyd),
        trial("ntpdig agrees with us", &[Namespaces, Xdp, Chronyd, Ntpdig], ntpdig),
        trial("we follow chronyd over both families", &[Namespaces, Chronyd], upstream),
    ]
}

fn directives(upstream: &str) -> String {
    format!("server {upstream} iburst minpoll -2 maxpoll 0\nallow\n")
}

fn with_xdp() -> String {
    directives(&UPSTREAM.v4.to_string()) + &format!("xdp {LAN} mode native\n")
}

fn chronyd() -> Result<()> {
    let (played, _) = Played::following(STRATUM, &with_xdp())?;
    let chronyd = peers::chronyd().context("chronyd is gone")?;
    let (lab, host) = (&played.scene.lab, &played.scene.client);
    for (family, server) in FAMILIES.into_iter().zip(SERVER.both()) {
        let answered = || Ok::<u64, anyhow::Error>(answered_over(&played.xdp()?, family));
        let before = (answered()?, kernel::datagrams(host, family)?.sent);
        let mut client = chronyd.follow(lab, host, &[server], "iburst minpoll -4 maxpoll -4")?;
        client.wait_for_line(&format!("Selected source {server}"), LONG)?;
        until("chronyd polls", || Ok(kernel::datagrams(host, family)?.sent >= before.1 + POLLS))?;
        client.stop()?.success()?;
        let asked = kernel::datagrams(host, family)?.sent - before.1;
        let answered = answered()? - before.0;
        ensure!(answered * 100 > asked * 99, "{answered} of {asked} answered in XDP: {server}");
        for seen in chronyd.measure(lab, host, server)? {
            check(seen)?;
        }
    }
    Ok(())
}

fn ntpdig() -> Result<()> {
    let (played, _) = Played::following(STRATUM, &with_xdp())?;
    let ntpdig = peers::ntpdig().context("ntpdig is gone")?;
    for (family, server) in FAMILIES.into_iter().zip(SERVER.both()) {
        let before = answered_over(&played.xdp()?, family);
        check(ntpdig.measure(&played.scene.client, server)?)?;
        ensure!(answered_over(&played.xdp()?, family) == before + 1, "not in XDP: {server}");
    }
    Ok(())
}

/// One machine has one clock: an offset of a second would be one of the daemon's making.
fn check(seen: Seen) -> Result<()> {
    let upstream = ReferenceId::from_octets(UPSTREAM.v4.octets());
    ensure!(seen.stratum == STRATUM + 1, "{seen:?}");
    ensure!(seen.reference_id.is_none_or(|id| id == upstream), "{seen:?}");
    ensure!(seen.offset_s.abs() < 1.0, "{seen:?}");
    Ok(())
}

fn upstream() -> Result<()> {
    let ids = [ReferenceId::from_octets(UPSTREAM.v4.octets()), UPSTREAM_V6_ID];
    for (upstream, id) in UPSTREAM.both().into_iter().zip(ids) {
        let (_played, header) = Played::following(STRATUM, &directives(&upstream.to_string()))?;
        ensure!(header.stratum == STRATUM + 1, "{header:?} of {upstream}");
        ensure!(header.leap == LeapIndicator::Normal, "{header:?} of {upstream}");
        ensure!(header.reference_id == id, "{header:?} of {upstream}");
    }
    Ok(())
}
