//! What chronyc changes while XDP answers is in force there when chronyc says that it is done: the next request is
//! answered by it, in the kernel.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use ntp_common::counters::Reason;
use ntp_common::wire::LeapIndicator;
use ntp_lab::query::{Client, Reply};
use ntp_lab::scene::{CLIENT, LAN, SERVER, UPSTREAM};
use ntp_lab::{Chronyc, Way, command_socket, peers};

use crate::played::{PATIENCE, Played, QUIET, answer, until};
use crate::trial::Needs::{Chronyc as ChronycNeeded, Chronyd, Namespaces, Xdp};
use crate::trial::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial(
        "what chronyc changes is in force in XDP at once",
        &[Namespaces, Xdp, Chronyd, ChronycNeeded],
        changes,
    )]
}

/// The daemon with an XDP program, somebody who changes it, and somebody who is answered.
struct Changed {
    played: Played,
    chronyc: Chronyc,
    way: Way,
    client: Client,
}

impl Changed {
    fn give(&self, command: &str) -> Result<()> {
        let told = self.chronyc.give(&self.played.scene.server, &self.way, command)?;
        told.success().map(drop).with_context(|| command.to_owned())
    }

    /// Gives a command; the next request is to be answered in the kernel, with this stratum.
    fn check(&self, command: &str, stratum: u8) -> Result<()> {
        self.give(command)?;
        let before = self.in_kernel()?;
        let header = answer(&self.client).with_context(|| command.to_owned())?.header;
        ensure!(header.stratum == stratum, "after `{command}`: {header:?}");
        let is_synchronised = header.leap != LeapIndicator::Unsynchronised;
        ensure!(is_synchronised == (stratum > 0), "after `{command}`: {header:?}");
        ensure!(self.in_kernel()? == before + 1, "after `{command}`: not answered in the kernel");
        Ok(())
    }

    fn in_kernel(&self) -> Result<u64> {
        Ok(ntp_common::counters::answered(&self.played.xdp()?))
    }

    fn is_followed_again(&self, stratum: u8) -> Result<()> {
        until("the upstream is followed again", || {
            Ok(answer(&self.client)?.header.stratum == stratum)
        })
    }
}

fn changes() -> Result<()> {
    let source = format!("{} iburst minpoll -2 maxpoll 0", UPSTREAM.v4);
    let directives = format!("server {source}\nallow\nxdp {LAN} mode native\n");
    let (played, _) = Played::following(3, &directives)?;
    let way = command_socket(&played.scene.lab, &played.scene.server).into();
    let client = played.client(SERVER.v4)?;
    let chronyc = peers::chronyc().context("chronyc is gone")?;
    let changed = Changed { played, chronyc, way, client };

    changed.check("activity", 4)?;
    let denied = changed.played.xdp()?[Reason::AccessDenied as usize];
    changed.give(&format!("deny {}", CLIENT.v4))?;
    ensure!(matches!(changed.client.query(QUIET)?, Reply::Silence), "answered though denied");
    let now_denied = changed.played.xdp()?[Reason::AccessDenied as usize];
    ensure!(now_denied == denied + 1, "denied by others than XDP");
    changed.check(&format!("allow {}", CLIENT.v4), 4)?;
    changed.give("deny all")?;
    ensure!(matches!(changed.client.query(QUIET)?, Reply::Silence), "answered though denied");
    changed.check("allow all", 4)?;

    for command in ["makestep", "doffset 0.001", "dfreq 0.01", "rekey", "offline", "online"] {
        changed.check(command, 4)?;
    }
    // A source that answers may be followed again before the next request comes.
    changed.played.signal_upstream(Signal::SIGSTOP)?;
    changed.check("reset sources", 0)?;
    changed.played.signal_upstream(Signal::SIGCONT)?;
    changed.is_followed_again(4)?;
    changed.check("local stratum 9", 4)?;
    changed.check(&format!("delete {}", UPSTREAM.v4), 9)?;
    changed.check("local stratum 7", 7)?;
    changed.check("local off", 0)?;
    changed.give(&format!("add server {source}"))?;
    changed.is_followed_again(4)?;
    let reply = changed.client.query(PATIENCE)?.answered()?;
    ensure!(reply.header.reference_id.0 == UPSTREAM.v4.to_bits(), "{reply:?}");
    Ok(())
}
