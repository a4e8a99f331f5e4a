//! The network that the demonstration and most tests need: a server between its upstream and its client, each in
//! a host of its own, joined by links with addresses of both families.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use crate::{End, Host, Lab, Passing, rights};

/// The interfaces at both ends of the link between server and client.
pub const LAN: &str = "lan";
/// The interfaces at both ends of the link between upstream and server.
pub const WAN: &str = "wan";

/// The server's first addresses in the client's network.
pub const SERVER: Dual = Dual::new(0, 1, 0x1);
/// The server's second addresses there.
pub const SERVER_TOO: Dual = Dual::new(0, 11, 0x11);
/// The client's first addresses: what it asks from unless it is told otherwise.
pub const CLIENT: Dual = Dual::new(0, 2, 0x2);
/// The client's second addresses, for access rules to deny.
pub const DENIED: Dual = Dual::new(0, 66, 0x66);
/// The upstream's addresses.
pub const UPSTREAM: Dual = Dual::new(1, 1, 0x1);
/// The server's addresses in the upstream's network.
pub const SERVER_UPWARDS: Dual = Dual::new(1, 2, 0x2);

/// An address of each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dual {
    /// The IPv4 address.
    pub v4: Ipv4Addr,
    /// The IPv6 address.
    pub v6: Ipv6Addr,
}

/// The hosts, and the laboratory that they are in.
#[derive(Debug)]
pub struct Scene {
    /// The folder for files.
    pub lab: Lab,
    /// Where the server's time comes from.
    pub upstream: Host,
    /// Where the project's daemon runs.
    pub server: Host,
    /// Who asks it.
    pub client: Host,
    // What the server's XDP program sends back arrives; none where no XDP program can be loaded anyway.
    _passing: Option<Passing>,
}

impl Dual {
    const fn new(network: u8, v4: u8, v6: u16) -> Self {
        Self {
            v4: Ipv4Addr::new(10, 123, network, v4),
            v6: Ipv6Addr::new(0xfd12, 0x3000 + network as u16, 0, 0, 0, 0, 0, v6),
        }
    }

    /// Both addresses.
    #[must_use]
    pub const fn both(self) -> [IpAddr; 2] {
        [IpAddr::V4(self.v4), IpAddr::V6(self.v6)]
    }

    /// The networks that they are in.
    #[must_use]
    pub fn networks(self) -> [String; 2] {
        let v4 = Ipv4Addr::from_bits(self.v4.to_bits() >> 8 << 8);
        let v6 = Ipv6Addr::from_bits(self.v6.to_bits() >> 64 << 64);
        [format!("{v4}/24"), format!("{v6}/64")]
    }

    /// Both as `ip` takes them, with the lengths of their networks' prefixes.
    fn with_prefixes(self) -> [String; 2] {
        [format!("{}/24", self.v4), format!("{}/64", self.v6)]
    }
}

impl Scene {
    /// Makes the hosts and joins them.
    ///
    /// # Errors
    /// This process may not, or the kernel or a program refuses.
    pub fn open() -> Result<Self> {
        let lab = Lab::open()?;
        let [upstream, server, client] =
            [lab.host("upstream")?, lab.host("server")?, lab.host("client")?];
        join(&lab, WAN, (&upstream, &[UPSTREAM]), (&server, &[SERVER_UPWARDS]))?;
        join(&lab, LAN, (&server, &[SERVER, SERVER_TOO]), (&client, &[CLIENT, DENIED]))?;
        let may_load = rights::load_bpf().is_ok();
        let passing = may_load.then(|| Passing::attach(&client, LAN)).transpose()?;
        Ok(Self { lab, upstream, server, client, _passing: passing })
    }
}

/// Joins two hosts by a link whose ends have these addresses.
fn join(lab: &Lab, interface: &str, one: (&Host, &[Dual]), other: (&Host, &[Dual])) -> Result<()> {
    let [near, far] = [one, other].map(|(_, duals)| {
        duals.iter().flat_map(|dual| dual.with_prefixes()).collect::<Vec<String>>()
    });
    let [near, far] =
        [&near, &far].map(|addresses| addresses.iter().map(String::as_str).collect::<Vec<&str>>());
    lab.link(
        End { host: one.0, interface, addresses: &near },
        End { host: other.0, interface, addresses: &far },
    )
}
