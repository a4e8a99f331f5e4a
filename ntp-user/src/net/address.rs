//! Socket addresses as the kernel lays them out, read and written as octets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Octets of the longest address: `struct sockaddr_in6`.
pub const NAME_LEN: usize = size_of::<libc::sockaddr_in6>();

/// The same as the kernel takes it.
#[expect(clippy::cast_possible_truncation, reason = "28 octets")]
pub const NAME_LEN_U32: u32 = NAME_LEN as u32;

/// A `struct sockaddr_in` or `sockaddr_in6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct SocketName(pub [u8; NAME_LEN]);

impl SocketName {
    /// No address.
    pub const EMPTY: Self = Self([0; NAME_LEN]);

    /// Writes an address; the second value is its length.
    #[must_use]
    pub fn of(address: SocketAddr) -> (Self, usize) {
        let mut name = Self::EMPTY;
        let octets = &mut name.0;
        octets[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(address) => {
                octets[..2].copy_from_slice(&family(libc::AF_INET));
                octets[4..8].copy_from_slice(&address.ip().octets());
                (name, size_of::<libc::sockaddr_in>())
            }
            SocketAddr::V6(address) => {
                octets[..2].copy_from_slice(&family(libc::AF_INET6));
                octets[4..8].copy_from_slice(&address.flowinfo().to_ne_bytes());
                octets[8..24].copy_from_slice(&address.ip().octets());
                octets[24..].copy_from_slice(&address.scope_id().to_ne_bytes());
                (name, NAME_LEN)
            }
        }
    }

    /// Reads the address; `None` when it is of another family.
    #[must_use]
    pub fn read(&self) -> Option<SocketAddr> {
        let octets = &self.0;
        let port = u16::from_be_bytes([octets[2], octets[3]]);
        if octets[..2] == family(libc::AF_INET) {
            let address: &[u8; 4] = octets[4..].first_chunk()?;
            return Some(SocketAddrV4::new(Ipv4Addr::from(*address), port).into());
        }
        if octets[..2] == family(libc::AF_INET6) {
            let address: &[u8; 16] = octets[8..].first_chunk()?;
            let scope = u32::from_ne_bytes(*octets[24..].first_chunk()?);
            return Some(SocketAddrV6::new(Ipv6Addr::from(*address), port, 0, scope).into());
        }
        None
    }
}

/// The address family of an address.
#[must_use]
pub const fn family_of(address: IpAddr) -> i32 {
    match address {
        IpAddr::V4(_) => libc::AF_INET,
        IpAddr::V6(_) => libc::AF_INET6,
    }
}

fn family(family: i32) -> [u8; 2] {
    u16::try_from(family).unwrap_or_default().to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_round_trip() {
        for address in ["192.0.2.1:123", "[2001:db8::1]:1024", "[fe80::1%7]:123", "0.0.0.0:0"] {
            let address: SocketAddr = address.parse().unwrap();
            let (name, len) = SocketName::of(address);
            assert_eq!(name.read(), Some(address));
            assert_eq!(len, if address.is_ipv4() { 16 } else { 28 });
        }
        assert_eq!(SocketName::EMPTY.read(), None);
    }
}
