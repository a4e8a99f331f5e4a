//! The laboratory itself: what the other tests rely on, checked with a server that is known to be right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ntp_common::wire::{NTP_PORT, ReferenceId};
use ntp_lab::query::{Client, Reply};
use ntp_lab::{End, Host, Lab, peers};

use crate::trial::Needs::{Chronyd, Namespaces};
use crate::trial::trial;

const SERVER_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 123, 0, 1));
const SERVER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd12, 0x3000, 0, 0, 0, 0, 0, 1));
const DENIED: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 123, 0, 66));
const TIMEOUT: Duration = Duration::from_millis(500);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("query tells answers, silence and refusals apart", &[Namespaces, Chronyd], query),
        trial("dropped laboratory leaves nothing behind", &[Namespaces], cleanup),
    ]
}

fn query() -> Result<()> {
    let lab = Lab::open()?;
    let (server, client) = pair(&lab)?;
    let refused = Client::open(&client, SERVER_V4)?.query(TIMEOUT)?;
    ensure!(matches!(refused, Reply::Refused), "{refused:?} of a server that is not there");

    let chronyd = peers::chronyd().context("chronyd is gone")?;
    let _process =
        chronyd.serve(&lab, &server, &format!("local stratum 5\nallow\ndeny {DENIED}\n"))?;
    for address in [SERVER_V4, SERVER_V6] {
        let answer = Client::open(&client, address)?.query(TIMEOUT)?.answered()?;
        ensure!(answer.header.stratum == 5, "{answer:?}");
        ensure!(answer.header.reference_id == ReferenceId::LOCAL, "{answer:?}");
        // One machine has one clock: all that is seen is how long the packets took.
        let half = answer.delay.to_nanos() / 2;
        ensure!(half > 0 && answer.offset.abs().to_nanos() <= half, "{answer:?}");
    }
    let silent = Client::between(&client, DENIED, SocketAddr::new(SERVER_V4, NTP_PORT))?;
    let silence = silent.query(TIMEOUT)?;
    ensure!(matches!(silence, Reply::Silence), "{silence:?} for a denied client");
    Ok(())
}

fn cleanup() -> Result<()> {
    let lab = Lab::open()?;
    let (server, client) = pair(&lab)?;
    let folder = lab.folder().to_owned();
    let names = [server.namespace().to_owned(), client.namespace().to_owned()];
    // The folder stays until nothing in it is mounted any more, whatever is dropped first.
    drop(lab);
    ensure!(folder.exists(), "{} is gone too early", folder.display());
    drop((server, client));
    ensure!(!folder.exists(), "{} is still there", folder.display());
    for name in names {
        ensure!(!Path::new("/run/netns").join(&name).exists(), "{name} is still there");
    }
    Ok(())
}

fn pair(lab: &Lab) -> Result<(Host, Host)> {
    let (server, client) = (lab.host("server")?, lab.host("client")?);
    lab.link(
        End { host: &server, interface: "lan", addresses: &["10.123.0.1/24", "fd12:3000::1/64"] },
        End {
            host: &client,
            interface: "lan",
            addresses: &["10.123.0.2/24", "10.123.0.66/24", "fd12:3000::2/64"],
        },
    )?;
    Ok((server, client))
}
