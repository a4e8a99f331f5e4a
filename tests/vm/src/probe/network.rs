//! The guest's network: the daemon's interface, and a peer's in a network namespace of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::gettid;
use ntp_common::wire::NTP_PORT;
use ntp_lab::query::Client;
use ntp_lab::run;

/// The daemon's interface, and its addresses there.
pub(crate) const INTERFACE: &str = "eth0";
pub(crate) const SERVER_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const SERVER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
const SERVER_VLAN: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

/// The peer's interface and its address.
const PEER_INTERFACE: &str = "eth1";
pub(crate) const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

/// The interfaces that stamp packets, if the module of devices is loaded.
pub(crate) const STAMPING: [&str; 2] = ["stamp0", "stamp1"];

/// The upstream's port there.
pub(crate) const UPSTREAM_PORT: u16 = 11123;

/// Addresses of both ends: of the daemon's interface, and of the VLAN's.
const SERVER_ADDRESSES: [&str; 2] = ["192.0.2.1/24", "2001:db8::1/64"];
const PEER_ADDRESSES: [&str; 2] = ["192.0.2.2/24", "2001:db8::2/64"];
const VLAN: &str = "5";
const SERVER_VLAN_ADDRESS: &str = "198.51.100.1/24";
const PEER_VLAN_ADDRESS: &str = "198.51.100.2/24";

/// How long a command may take in a guest that gets little of its machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the peer has open. Its namespace lives as long as they do.
#[derive(Debug)]
pub(crate) struct Peer {
    /// For an upstream.
    pub(crate) upstream: UdpSocket,
    /// Clients of the daemon.
    pub(crate) v4: Client,
    pub(crate) v6: Client,
    pub(crate) vlan: Client,
}

/// Sets both ends up.
pub(crate) fn set_up() -> Result<Peer> {
    ip("link set lo up")?;
    end(INTERFACE, SERVER_ADDRESSES, SERVER_VLAN_ADDRESS)?;
    elsewhere(PEER_INTERFACE, || {
        end(PEER_INTERFACE, PEER_ADDRESSES, PEER_VLAN_ADDRESS)?;
        let client = |server| Client::here([0; 16].into(), SocketAddr::new(server, NTP_PORT));
        let of_v4 = |server| Client::here([0; 4].into(), SocketAddr::new(server, NTP_PORT));
        Ok(Peer {
            upstream: UdpSocket::bind((PEER, UPSTREAM_PORT))?,
            v4: of_v4(SERVER_V4)?,
            v6: client(SERVER_V6)?,
            vlan: of_v4(SERVER_VLAN)?,
        })
    })
}

/// Sets up the interfaces that stamp packets: one here, and the other in a network namespace, in which `play` is
/// called; [`PEER`] is its address there.
pub(crate) fn set_stamping_up<T: Send + 'static>(
    play: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let [here, there] = STAMPING;
    ip("link set lo up")?;
    ip(&format!("link set {here} up"))?;
    ip(&format!("addr add {} dev {here}", SERVER_ADDRESSES[0]))?;
    elsewhere(there, move || {
        ip(&format!("link set {there} up"))?;
        ip(&format!("addr add {} dev {there}", PEER_ADDRESSES[0]))?;
        play()
    })
}

/// Calls `play` on a thread with a network namespace that `interface` is moved into.
fn elsewhere<T: Send + 'static>(
    interface: &str,
    play: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (made, is_made) = channel();
    let (given, is_given) = channel();
    let there = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET)?;
        made.send(gettid())?;
        is_given.recv()?;
        ip("link set lo up")?;
        play()
    });
    if let Ok(thread) = is_made.recv() {
        ip(&format!("link set {interface} netns {thread}"))?;
        given.send(()).context("the peer is gone")?;
    }
    there.join().map_err(|_| anyhow!("the peer panicked"))?
}

fn end(interface: &str, addresses: [&str; 2], vlan_address: &str) -> Result<()> {
    ip(&format!("link set {interface} up"))?;
    for address in addresses {
        let family = if address.contains(':') { " nodad" } else { "" };
        ip(&format!("addr add {address} dev {interface}{family}"))?;
    }
    let vlan = format!("{interface}.{VLAN}");
    ip(&format!("link add link {interface} name {vlan} type vlan id {VLAN}"))?;
    ip(&format!("addr add {vlan_address} dev {vlan}"))?;
    ip(&format!("link set {vlan} up"))
}

fn ip(words: &str) -> Result<()> {
    let mut command = Command::new("/bin/ip");
    run(command.args(words.split(' ')), PATIENCE)?.success()?;
    Ok(())
}
