//! What becomes of single packets, in XDP and in the daemon.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use ntp_common::counters::{Reason, answered};
use ntp_common::wire::{HEADER_LEN, Mode};
use ntp_lab::query::{EXTENSION_FIELD, Reply};
use ntp_lab::scene::{CLIENT, DENIED, LAN, SERVER, SERVER_TOO};

use crate::played::{LOCAL, PATIENCE, Played, QUIET, answer, counted};
use crate::trial::Needs::{Namespaces, Xdp};
use crate::trial::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("broken packets are counted in XDP and not answered", &[Namespaces, Xdp], || {
            broken(Path::Xdp)
        }),
        trial("broken packets are counted by the daemon and not answered", &[Namespaces], || {
            broken(Path::User)
        }),
        trial("replies of XDP come from the address asked", &[Namespaces, Xdp], || {
            addresses(Path::Xdp)
        }),
        trial("replies of the daemon come from the address asked", &[Namespaces], || {
            addresses(Path::User)
        }),
        trial("most specific rule decides in XDP", &[Namespaces, Xdp], || access(Path::Xdp)),
        trial("most specific rule decides in the daemon", &[Namespaces], || access(Path::User)),
    ]
}

/// Who is to see the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Xdp,
    User,
}

impl Path {
    fn open(self, directives: &str) -> Result<Played> {
        let xdp = match self {
            Self::Xdp => format!("xdp {LAN} mode native\n"),
            Self::User => String::new(),
        };
        Played::open(&format!("{LOCAL}{directives}{xdp}"))
    }

    /// Packets that the path has left unanswered for `reason`.
    fn count(self, played: &mut Played, reason: Reason) -> Result<u64> {
        Ok(match self {
            Self::Xdp => played.xdp()?[reason as usize],
            Self::User => played.daemon.served()?.user.count(reason),
        })
    }
}

/// Packets that are never answered, and the reason that they are counted with.
fn broken_packets() -> Vec<(Reason, Vec<u8>)> {
    let packet = |version: u8, mode: Mode, len: usize| {
        let mut packet = vec![0; len];
        if let Some(first) = packet.first_mut() {
            *first = version << 3 | mode as u8;
        }
        packet
    };
    let mut packets = Vec::new();
    for len in [0, 1, 8, 40, HEADER_LEN - 1] {
        packets.push((Reason::Short, packet(4, Mode::Client, len)));
    }
    for len in [HEADER_LEN + 1, HEADER_LEN + 2, HEADER_LEN + 3, HEADER_LEN + 21] {
        packets.push((Reason::BadLength, packet(4, Mode::Client, len)));
    }
    for version in [0, 5, 7] {
        packets.push((Reason::BadVersion, packet(version, Mode::Client, HEADER_LEN)));
    }
    for mode in [Mode::Control, Mode::Private] {
        packets.push((Reason::BadMode, packet(4, mode, HEADER_LEN)));
    }
    packets
}

fn broken(path: Path) -> Result<()> {
    let mut played = path.open("allow\n")?;
    for server in SERVER.both() {
        let client = played.client(server)?;
        for (reason, packet) in broken_packets() {
            let before = path.count(&mut played, reason)?;
            client.send(&packet)?;
            // Packets do not overtake each other: once this is answered, that one was seen.
            answer(&client)?;
            let after = path.count(&mut played, reason)?;
            let what = format!("{} octets, first {:?}, to {server}", packet.len(), packet.first());
            ensure!(after == before + 1, "{} {before} -> {after}: {what}", reason.name());
            let late = client.receive(QUIET)?;
            ensure!(late == Reply::Silence, "{late:?}: {what}");
        }
    }
    Ok(())
}

fn addresses(path: Path) -> Result<()> {
    let mut played = path.open("allow\n")?;
    let servers = [SERVER.both(), SERVER_TOO.both()].concat();
    for &server in &servers {
        // The kernel lets nothing through to the client that comes from another address.
        let client = played.client(server)?;
        for version in 1..=4 {
            let answer = client.query_as(version, &[], PATIENCE)?.answered()?;
            ensure!(answer.header.version == version, "{answer:?} of {server}");
            ensure!(answer.header.stratum == 5, "{answer:?} of {server}");
        }
        client.query_with(&EXTENSION_FIELD, PATIENCE)?.answered()?;
    }
    let servers = servers.len() as u64;
    match path {
        Path::Xdp => {
            let answered = answered(&played.xdp()?);
            ensure!(answered == servers * 4, "{answered} answered in XDP");
            let told = played.daemon.served()?.xdp.answered;
            ensure!(told == answered, "the daemon says {told}, the kernel {answered}");
            Ok(())
        }
        Path::User => counted(&mut played.daemon, servers * 5),
    }
}

fn access(path: Path) -> Result<()> {
    // The narrower rules come first in one family and last in the other: order must not matter.
    let rules = format!(
        "deny {}\nallow 10.123.0.0/24\ndeny 10.0.0.0/8\ndeny fd00::/8\nallow fd12:3000::/64\ndeny {}\n",
        DENIED.v4, DENIED.v6
    );
    let mut played = path.open(&rules)?;
    for ((allowed, denied), server) in
        CLIENT.both().into_iter().zip(DENIED.both()).zip(SERVER.both())
    {
        is_answered(&played, allowed, server)?;
        let before = path.count(&mut played, Reason::AccessDenied)?;
        let client = played.client_from(denied, server)?;
        for trailer in [&[], EXTENSION_FIELD.as_slice()] {
            let reply = client.query_with(trailer, QUIET)?;
            ensure!(matches!(reply, Reply::Silence), "{reply:?} to {denied}");
        }
        is_answered(&played, allowed, server)?;
        let after = path.count(&mut played, Reason::AccessDenied)?;
        ensure!(after == before + 2, "{before:?} -> {after:?}: {denied}");
    }
    Ok(())
}

fn is_answered(played: &Played, from: IpAddr, server: IpAddr) -> Result<()> {
    let client = played.client_from(from, server)?;
    for trailer in [&[], EXTENSION_FIELD.as_slice()] {
        client.query_with(trailer, PATIENCE)?.answered()?;
    }
    Ok(())
}
