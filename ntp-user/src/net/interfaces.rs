//! The addresses of this host's interfaces, and which of them are served.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use ntp_common::local::{LocalAddresses, v4_word, v6_words};

/// Addresses that are served: all of the host's, or the one of a family that is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Interfaces with XDP: their addresses come first, should there not be room for all.
    pub interfaces: Vec<String>,
    /// The addresses that are bound; an unspecified one stands for all of its family.
    pub bound: Vec<IpAddr>,
}

/// An address and its interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The interface's name.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
}

/// All addresses of the host, in the kernel's order.
///
/// # Errors
/// When the kernel does not tell.
pub fn host_addresses() -> io::Result<Vec<InterfaceAddress>> {
    let addresses = getifaddrs()?.filter_map(|entry| {
        let address = entry.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        let v6 = address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip()));
        Some(InterfaceAddress { interface: entry.interface_name, address: v4.or(v6)? })
    });
    Ok(addresses.collect())
}

impl Served {
    /// The addresses that are served, the most important first.
    #[must_use]
    pub fn addresses(&self, host: &[InterfaceAddress]) -> Vec<IpAddr> {
        let mut ranked: Vec<_> = host
            .iter()
            .filter(|entry| self.binds(entry.address))
            .map(|entry| (self.rank(entry), entry.address))
            .collect();
        ranked.sort_by_key(|&(rank, _)| rank);
        let mut seen = BTreeSet::new();
        ranked
            .into_iter()
            .map(|(_, address)| address)
            .filter(|&address| seen.insert(address))
            .collect()
    }

    fn binds(&self, address: IpAddr) -> bool {
        self.bound.iter().any(|&bound| {
            bound == address || bound.is_unspecified() && bound.is_ipv4() == address.is_ipv4()
        })
    }

    fn rank(&self, entry: &InterfaceAddress) -> u8 {
        if self.interfaces.contains(&entry.interface) {
            0
        } else if entry.address.is_loopback() {
            2
        } else {
            1
        }
    }
}

/// Tables of the addresses for the XDP program, and how many found no room.
#[must_use]
pub fn tables(addresses: &[IpAddr]) -> (LocalAddresses, usize) {
    let mut v4 = Vec::new();
    let mut v6 = Vec::new();
    for address in addresses {
        match address {
            IpAddr::V4(address) => v4.push(v4_word(address.octets())),
            IpAddr::V6(address) => v6.push(v6_words(address.octets())),
        }
    }
    LocalAddresses::build(&v4, &v6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Vec<InterfaceAddress> {
        let entries = [
            ("lo", "127.0.0.1"),
            ("lo", "::1"),
            ("eth0", "192.0.2.1"),
            ("eth1", "198.51.100.1"),
            ("eth1", "fe80::1"),
            ("eth1", "2001:db8::1"),
        ];
        let entry = |(interface, address): (&str, &str)| InterfaceAddress {
            interface: interface.to_owned(),
            address: address.parse().unwrap(),
        };
        entries.into_iter().map(entry).collect()
    }

    fn check(bound: &[&str], expected: &[&str]) {
        let served = Served {
            interfaces: vec!["eth1".to_owned()],
            bound: bound.iter().map(|address| address.parse().unwrap()).collect(),
        };
        let addresses: Vec<String> =
            served.addresses(&host()).iter().map(ToString::to_string).collect();
        assert_eq!(addresses, expected, "bound to {bound:?}");
    }

    #[test]
    fn addresses_of_interfaces_with_xdp_come_first_and_loopback_last() {
        check(
            &["0.0.0.0", "::"],
            &["198.51.100.1", "fe80::1", "2001:db8::1", "192.0.2.1", "127.0.0.1", "::1"],
        );
    }

    #[test]
    fn only_bound_addresses_of_this_host_are_served() {
        check(&["192.0.2.1"], &["192.0.2.1"]);
        check(&["192.0.2.1", "::"], &["fe80::1", "2001:db8::1", "192.0.2.1", "::1"]);
        check(&["203.0.113.1"], &[]);
    }

    #[test]
    fn tables_hold_the_served_addresses() {
        let addresses: Vec<IpAddr> = host().into_iter().map(|entry| entry.address).collect();
        let (tables, left_out) = tables(&addresses);
        assert_eq!(left_out, 0);
        assert!(tables.has_v4(v4_word([192, 0, 2, 1])));
        assert!(!tables.has_v4(v4_word([192, 0, 2, 2])));
    }
}
