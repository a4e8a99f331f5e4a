//! Directives about sockets and the process: what they do is seen on the wire, or in what the kernel says of the daemon.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use nix::errno::Errno;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket,
};
use nix::sys::time::TimeVal;
use ntp_common::wire::NTP_PORT;
use ntp_lab::query::{Client, Reply};
use ntp_lab::scene::{LAN, SERVER, SERVER_UPWARDS, Scene, UPSTREAM, WAN};
use ntp_lab::{Daemon, Host, Way, peers, run};

use crate::played::{LOCAL, PATIENCE, Played, answer};
use crate::trial::Needs::{Chronyc, Namespaces};
use crate::trial::{daemon, trial};

/// Another address of the server's in the upstream's network.
const SERVER_UPWARDS_TOO: Ipv4Addr = Ipv4Addr::new(10, 123, 1, 3);

/// How long a request is waited for, and how long none is to come.
const A_REQUEST: Duration = Duration::from_secs(5);
const NO_REQUEST: Duration = Duration::from_secs(1);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("only the bound interface is served", &[Namespaces], binddevice),
        trial("XDP on another than the bound interface is refused", &[Namespaces], unbound_xdp),
        trial("requests leave by the bound interface and address", &[Namespaces], requests),
        trial("commands come in on the bound interface", &[Namespaces, Chronyc], commands),
        trial("packets that leave have the code point", &[Namespaces], dscp),
        trial("daemon is locked into memory and runs in real time", &[Namespaces], process),
        trial("daemon without these rights says so and serves", &[Namespaces], no_rights),
        trial("filter of system calls is in force", &[Namespaces], filter),
    ]
}

fn binddevice() -> Result<()> {
    for threads in [0, 2] {
        let played =
            Played::open(&format!("{LOCAL}allow\nbinddevice {LAN}\nserverthreads {threads}\n"))?;
        for (near, far) in SERVER.both().into_iter().zip(SERVER_UPWARDS.both()) {
            answer(&played.client(near)?)?;
            let reply = Client::open(&played.scene.upstream, far)?.query(PATIENCE)?;
            // The kernel says that nobody listens, unless it has said so too often.
            ensure!(matches!(reply, Reply::Refused | Reply::Silence), "{reply:?} by way of {WAN}");
        }
    }
    Ok(())
}

fn unbound_xdp() -> Result<()> {
    let scene = Scene::open()?;
    for (directives, said) in [
        (format!("{LOCAL}allow\nbinddevice {LAN}\nxdp {WAN}\n"), "`binddevice` serves lan alone"),
        (format!("{LOCAL}allow\nbinddevice nosuch0\n"), "interface `nosuch0` does not exist"),
    ] {
        let finished = daemon()?.refuse(&scene.lab, &scene.server, &directives)?;
        ensure!(finished.status.code() == Some(1), "{}", finished.status);
        ensure!(finished.output.contains(said), "not said: {said}\n{}", finished.output);
    }
    Ok(())
}

fn requests() -> Result<()> {
    let scene = Scene::open()?;
    let network = format!("{SERVER_UPWARDS_TOO}/24");
    let add = ["-n", scene.server.namespace(), "addr", "add", &network, "dev", WAN];
    run(Command::new("ip").args(add), A_REQUEST)?.success()?;
    let upstream = scene.upstream.enter(|| Ok(UdpSocket::bind((UPSTREAM.v4, NTP_PORT))?))?;
    for (directive, from) in [
        (String::new(), Some(SERVER_UPWARDS.v4)),
        (format!("bindacqaddress {SERVER_UPWARDS_TOO}"), Some(SERVER_UPWARDS_TOO)),
        (format!("bindacqdevice {WAN}"), Some(SERVER_UPWARDS.v4)),
        (format!("bindacqdevice {LAN}"), None),
        ("bindacqdevice nosuch0".to_owned(), None),
    ] {
        let directives = format!("{LOCAL}allow\nserver {} iburst\n{directive}\n", UPSTREAM.v4);
        let mut daemon = daemon()?.start(&scene.lab, &scene.server, &directives)?;
        let within = if from.is_some() { A_REQUEST } else { NO_REQUEST };
        upstream.set_read_timeout(Some(within))?;
        let asked = loop {
            match upstream.recv_from(&mut [0; 128]) {
                Ok((_, from)) => break Some(from.ip()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break None,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        };
        ensure!(asked == from.map(IpAddr::V4), "`{directive}`: asked from {asked:?}");
        if directive.contains("nosuch0") {
            daemon.wait_for_line("no source can be asked", A_REQUEST)?;
        }
        daemon.stop()?.success()?;
        // What is left of this run is not the next one's.
        upstream.set_nonblocking(true)?;
        while upstream.recv(&mut [0; 128]).is_ok() {}
        upstream.set_nonblocking(false)?;
    }
    Ok(())
}

fn commands() -> Result<()> {
    const PORT: u16 = 1323;
    let directives = format!(
        "{LOCAL}allow\ncmdport {PORT}\nbindcmdaddress 0.0.0.0\nbindcmddevice {LAN}\ncmdallow\n"
    );
    let played = Played::open(&directives)?;
    let chronyc = peers::chronyc().context("chronyc is gone")?;
    let ask = |host: &Host, server: Ipv4Addr| {
        chronyc.give(host, &Way::Network(server.into(), PORT), "tracking")
    };
    ask(&played.scene.client, SERVER.v4)?.success()?;
    let other = ask(&played.scene.upstream, SERVER_UPWARDS.v4)?;
    ensure!(!other.is_success, "answered by way of {WAN}: {}", other.output);
    Ok(())
}

fn dscp() -> Result<()> {
    const POINT: u8 = 46;
    let scene = Scene::open()?;
    let (upwards, clientwards) = (frames(&scene.upstream)?, frames(&scene.client)?);
    let directives = format!(
        "{LOCAL}allow\ndscp {POINT}\nserver {} iburst\nserver {} iburst\n",
        UPSTREAM.v4, UPSTREAM.v6
    );
    let _daemon = daemon()?.start(&scene.lab, &scene.server, &directives)?;
    for server in SERVER.both() {
        answer(&Client::open(&scene.client, server)?)?;
        ensure!(traffic_class(&clientwards, server)? == POINT << 2, "a reply of {server}");
    }
    for server in SERVER_UPWARDS.both() {
        ensure!(traffic_class(&upwards, server)? == POINT << 2, "a request from {server}");
    }
    Ok(())
}

/// A socket that hears all frames of a host.
fn frames(host: &Host) -> Result<OwnedFd> {
    host.enter(|| {
        let (family, protocol) = (AddressFamily::Packet, SockProtocol::EthAll);
        let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::new(1, 0))?;
        Ok(socket)
    })
}

/// The traffic class (of IPv4: type of service) of the next UDP packet that comes from an address.
fn traffic_class(frames: &OwnedFd, from: IpAddr) -> Result<u8> {
    const UDP: u8 = 17;
    let mut frame = [0; 2048];
    // A request may take its time: names, and the delay at the start.
    let deadline = std::time::Instant::now() + A_REQUEST;
    while std::time::Instant::now() < deadline {
        match recv(frames.as_raw_fd(), &mut frame, MsgFlags::empty()) {
            Ok(_) => {}
            Err(Errno::EAGAIN) => continue,
            Err(error) => return Err(error.into()),
        }
        let packet = &frame[14..];
        match (from, packet[0] >> 4) {
            (IpAddr::V4(from), 4) if packet[9] == UDP && packet[12..16] == from.octets() => {
                return Ok(packet[1]);
            }
            (IpAddr::V6(from), 6) if packet[6] == UDP && packet[8..24] == from.octets() => {
                return Ok(packet[0] << 4 | packet[1] >> 4);
            }
            _ => {}
        }
    }
    bail!("no packet of {from}")
}

fn process() -> Result<()> {
    let said = format!("{LOCAL}allow\nserverthreads 2\n");
    let scene = Scene::open()?;
    let plain = daemon()?.start(&scene.lab, &scene.server, &said)?;
    ensure!(locked_kib(&plain)? == 0, "memory is locked though nobody asked for it");
    ensure!(policies(&plain)?.iter().all(|policy| *policy == ORDINARY), "{:?}", policies(&plain)?);
    plain.stop()?.success()?;

    let directives = format!("{said}lock_all\nsched_priority 7\n");
    let strict = daemon()?.start(&scene.lab, &scene.server, &directives)?;
    ensure!(locked_kib(&strict)? > 1000, "{} KiB locked", locked_kib(&strict)?);
    let policies = policies(&strict)?;
    ensure!(policies[0] == (1, 7), "{policies:?}: the first is timekeeping");
    ensure!(policies.len() == 3 && policies[1..] == [ORDINARY; 2], "{policies:?}");
    answer(&Client::open(&scene.client, SERVER.v4)?)?;
    Ok(())
}

fn no_rights() -> Result<()> {
    let scene = Scene::open()?;
    let mut command = daemon()?.command_without(&scene.server, &["ipc_lock", "sys_nice"]);
    command.args(["-m", "-P", "7"]);
    let mut daemon = Daemon::start(&scene.lab, &scene.server, command, &format!("{LOCAL}allow\n"))?;
    for right in ["CAP_IPC_LOCK", "CAP_SYS_NICE"] {
        daemon.wait_for_line(right, A_REQUEST)?;
    }
    ensure!(policies(&daemon)?[0] == ORDINARY, "{:?}", policies(&daemon)?);
    answer(&Client::open(&scene.client, SERVER.v4)?)?;
    Ok(())
}

fn filter() -> Result<()> {
    let scene = Scene::open()?;
    for level in ["1", "2", "-2"] {
        let mut command = daemon()?.command(&scene.server);
        command.args(["-F", level]);
        let directives = format!("{LOCAL}allow\nallow localhost\nserver localhost\n");
        let mut daemon = Daemon::start(&scene.lab, &scene.server, command, &directives)?;
        ensure!(status(&daemon, "Seccomp")? == "2", "level {level}: no filter");
        daemon.wait_for_line("Access rule takes effect", A_REQUEST)?;
        answer(&Client::open(&scene.client, SERVER.v4)?)?;
        daemon.stop()?.success()?;
    }
    Ok(())
}

/// Policy and real-time priority of a thread that nobody cares about.
const ORDINARY: (u32, u32) = (0, 0);

/// Memory of the daemon's that is locked, KiB.
fn locked_kib(daemon: &Daemon) -> Result<u64> {
    let value = status(daemon, "VmLck")?;
    Ok(value.trim_end_matches(" kB").trim().parse()?)
}

/// What the kernel says of the daemon under a name.
fn status(daemon: &Daemon, name: &str) -> Result<String> {
    let text = fs::read_to_string(format!("/proc/{}/status", daemon.id()))?;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    Ok(line.with_context(|| format!("no {name}"))?.trim().to_owned())
}

/// Scheduling policy and real-time priority of the daemon's threads, the first one first.
fn policies(daemon: &Daemon) -> Result<Vec<(u32, u32)>> {
    let folder = format!("/proc/{}/task", daemon.id());
    let mut threads: Vec<u32> = fs::read_dir(&folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().parse()?))
        .collect::<Result<_>>()?;
    threads.sort_unstable();
    let policy = |thread: u32| {
        let text = fs::read_to_string(format!("{folder}/{thread}/stat"))?;
        // Behind the name, which may have blanks; fields 40 and 41 of proc(5).
        let (_, fields) = text.rsplit_once(')').context("no name")?;
        let mut fields = fields.split_whitespace().skip(37);
        let priority = fields.next().context("no priority")?.parse()?;
        Ok((fields.next().context("no policy")?.parse()?, priority))
    };
    threads.into_iter().map(policy).collect()
}
