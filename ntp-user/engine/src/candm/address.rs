//! Addresses: 16 octets, a family, two octets of padding.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::octets::{Reader, Writer};
use super::status::Status;
use crate::operation::Selector;

/// Octets of an address.
pub(super) const ADDRESS_LEN: usize = 20;

/// An address or what stands in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// None.
    Unspecified,
    /// An address.
    Ip(IpAddr),
    /// A number in place of the address of a source whose name is not resolved.
    Id(u32),
}

impl Address {
    const V4: u16 = 1;
    const V6: u16 = 2;
    const ID: u16 = 3;
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        Self::Ip(address)
    }
}

impl Reader<'_> {
    /// An address; of a family that is unknown: none.
    pub(super) fn address(&mut self) -> Address {
        let octets: [u8; 16] = self.take();
        let family = self.u16();
        let _padding = self.u16();
        let [a, b, c, d, ..] = octets;
        match family {
            Address::V4 => Address::Ip(Ipv4Addr::from([a, b, c, d]).into()),
            Address::V6 => Address::Ip(Ipv6Addr::from(octets).into()),
            Address::ID => Address::Id(u32::from_be_bytes([a, b, c, d])),
            _ => Address::Unspecified,
        }
    }

    /// A mask and an address.
    ///
    /// # Errors
    /// [`Status::NoSuchSource`] for a number: what has no address yet is not told apart.
    pub(super) fn selector(&mut self) -> Result<Selector, Status> {
        let (mask, address) = (self.address(), self.address());
        match (mask, address) {
            (_, Address::Unspecified) => Ok(Selector::All),
            (Address::Ip(mask), Address::Ip(address)) => Ok(Selector::Masked { address, mask }),
            (_, Address::Ip(address)) => Ok(Selector::one(address)),
            (_, Address::Id(_)) => Err(Status::NoSuchSource),
        }
    }
}

impl Writer {
    pub(super) fn address(&mut self, address: Address) -> &mut Self {
        let (family, octets) = match address {
            Address::Unspecified => (0, [0; 16]),
            Address::Ip(IpAddr::V4(address)) => (Address::V4, padded(address.octets())),
            Address::Ip(IpAddr::V6(address)) => (Address::V6, address.octets()),
            Address::Id(id) => (Address::ID, padded(id.to_be_bytes())),
        };
        self.octets(&octets).u16(family).u16(0)
    }
}

fn padded(octets: [u8; 4]) -> [u8; 16] {
    let mut padded = [0; 16];
    padded[..4].copy_from_slice(&octets);
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_round_trip() {
        let addresses = ["192.0.2.1", "2001:db8::1", "0.0.0.0", "::"];
        let ips = addresses.map(|text| Address::Ip(text.parse().unwrap()));
        for address in ips.into_iter().chain([Address::Unspecified, Address::Id(u32::MAX)]) {
            let mut writer = Writer::new(ADDRESS_LEN);
            writer.address(address);
            let octets = writer.finish();
            assert_eq!(octets.len(), ADDRESS_LEN);
            assert_eq!(Reader::new(&octets).address(), address);
        }
        assert_eq!(Reader::new(&[255; ADDRESS_LEN]).address(), Address::Unspecified);
    }
}
