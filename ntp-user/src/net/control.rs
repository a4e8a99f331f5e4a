//! Control messages of `recvmsg(2)` and `sendmsg(2)`: read and written as octets, laid out as `cmsg(3)` says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::clock::readings::UnixTime;

/// Octets that all control messages of one packet take at most, with room to spare: packet information and
/// three timestamps.
pub const CONTROL_LEN: usize = 160;

/// Length, level and type.
const HEADER_LEN: usize = align(size_of::<libc::cmsghdr>());

/// A buffer for control messages, aligned as the kernel wants it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct ControlBuffer(pub [u8; CONTROL_LEN]);

impl ControlBuffer {
    /// An empty buffer.
    pub const EMPTY: Self = Self([0; CONTROL_LEN]);
}

/// What the kernel tells of a packet that came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// When it passed the driver, as the kernel took it.
    pub stamp: Option<UnixTime>,
    /// When it passed the interface, on the interface's clock.
    pub hardware: Option<UnixTime>,
    /// The interface that took that.
    pub interface: Option<u32>,
    /// Where to.
    pub to: Option<Destination>,
}

/// Where a packet came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The address that it was sent to.
    pub address: IpAddr,
    /// Whether that is an address of this host, and not one of many hosts.
    pub is_unicast: bool,
    /// The interface.
    pub interface: u32,
}

/// One control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Message<'a> {
    level: i32,
    kind: i32,
    data: &'a [u8],
}

const fn align(len: usize) -> usize {
    len.next_multiple_of(size_of::<usize>())
}

/// Reads what came with a packet.
#[must_use]
pub fn read(control: &[u8]) -> Received {
    let mut received = Received::default();
    for message in messages(control) {
        match (message.level, message.kind) {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS | libc::SCM_TIMESTAMPING) => {
                received.stamp = received.stamp.or_else(|| timestamp(message.data));
                let hardware = message.data.get(HARDWARE_AT..).and_then(timestamp);
                received.hardware = received.hardware.or(hardware);
            }
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING_PKTINFO) => {
                let interface = message.data.first_chunk().map(|it| u32::from_ne_bytes(*it));
                received.interface = interface.filter(|&number| number != 0);
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => received.to = destination_v4(message.data),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => received.to = destination_v6(message.data),
            _ => {}
        }
    }
    received
}

/// Writes the control message that makes a reply come from `from`, and gives its length.
pub fn write_source(buffer: &mut ControlBuffer, from: &Destination) -> usize {
    match from.address {
        IpAddr::V4(address) => {
            let mut info = [0; size_of::<libc::in_pktinfo>()];
            info[4..8].copy_from_slice(&address.octets());
            write(buffer, libc::IPPROTO_IP, libc::IP_PKTINFO, &info)
        }
        IpAddr::V6(address) => {
            let mut info = [0; size_of::<libc::in6_pktinfo>()];
            info[..16].copy_from_slice(&address.octets());
            // The same link-local address may exist on every interface.
            let interface = if address.is_unicast_link_local() { from.interface } else { 0 };
            info[16..].copy_from_slice(&interface.to_ne_bytes());
            write(buffer, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info)
        }
    }
}

/// Writes behind the first `len` octets the control message that asks when the packet leaves, on a socket
/// with [`super::timestamping::stamp_chosen`]; `by_hardware` asks the interface, too. Gives the length of both.
pub fn write_stamped(buffer: &mut ControlBuffer, len: usize, by_hardware: bool) -> usize {
    let hardware = if by_hardware { libc::SOF_TIMESTAMPING_TX_HARDWARE } else { 0 };
    let flags = (libc::SOF_TIMESTAMPING_TX_SOFTWARE | hardware).to_ne_bytes();
    let rest = &mut buffer.0[len..];
    len + write_message(rest, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, &flags)
}

fn write(buffer: &mut ControlBuffer, level: i32, kind: i32, data: &[u8]) -> usize {
    write_message(&mut buffer.0, level, kind, data)
}

fn write_message(octets: &mut [u8], level: i32, kind: i32, data: &[u8]) -> usize {
    octets[..size_of::<usize>()].copy_from_slice(&(HEADER_LEN + data.len()).to_ne_bytes());
    octets[size_of::<usize>()..][..4].copy_from_slice(&level.to_ne_bytes());
    octets[size_of::<usize>() + 4..][..4].copy_from_slice(&kind.to_ne_bytes());
    octets[HEADER_LEN..][..data.len()].copy_from_slice(data);
    HEADER_LEN + align(data.len())
}

fn messages(control: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = control;
    std::iter::from_fn(move || {
        let len = usize::from_ne_bytes(*rest.first_chunk()?);
        let level = i32::from_ne_bytes(*rest.get(size_of::<usize>()..)?.first_chunk()?);
        let kind = i32::from_ne_bytes(*rest.get(size_of::<usize>() + 4..)?.first_chunk()?);
        let data = rest.get(HEADER_LEN..len)?;
        rest = rest.get(align(len)..).unwrap_or_default();
        Some(Message { level, kind, data })
    })
}

/// Where the third of three timestamps is: the one that the interface took.
const HARDWARE_AT: usize = 32;

/// The first of the timestamps: the one that the kernel's software took.
fn timestamp(data: &[u8]) -> Option<UnixTime> {
    let seconds = i64::from_ne_bytes(*data.first_chunk()?);
    let nanos = i64::from_ne_bytes(*data.get(8..)?.first_chunk()?);
    UnixTime::from_kernel(seconds, nanos)
}

/// `struct in_pktinfo`: interface, local address, address in the header. The latter two differ when the
/// packet was sent to a broadcast or multicast address.
fn destination_v4(data: &[u8]) -> Option<Destination> {
    let interface = u32::from_ne_bytes(*data.first_chunk()?);
    let local: &[u8; 4] = data.get(4..)?.first_chunk()?;
    let address: &[u8; 4] = data.get(8..)?.first_chunk()?;
    let is_unicast = local == address;
    Some(Destination { address: IpAddr::V4(Ipv4Addr::from(*address)), is_unicast, interface })
}

/// `struct in6_pktinfo`: address in the header, interface.
fn destination_v6(data: &[u8]) -> Option<Destination> {
    let address: &[u8; 16] = data.first_chunk()?;
    let interface = u32::from_ne_bytes(*data.get(16..)?.first_chunk()?);
    let address = Ipv6Addr::from(*address);
    let is_unicast = !address.is_multicast();
    Some(Destination { address: IpAddr::V6(address), is_unicast, interface })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Control messages one behind the other, as the kernel lays them out.
    fn control(messages: &[(i32, i32, &[u8])]) -> Vec<u8> {
        let mut octets = Vec::new();
        for (level, kind, data) in messages {
            let mut buffer = ControlBuffer::EMPTY;
            let len = write(&mut buffer, *level, *kind, data);
            octets.extend(&buffer.0[..len]);
        }
        octets
    }

    fn timespec(seconds: i64, nanos: i64) -> Vec<u8> {
        [seconds.to_ne_bytes(), nanos.to_ne_bytes()].concat()
    }

    #[test]
    fn timestamp_and_destination_are_found_among_other_messages() {
        let mut info = 3u32.to_ne_bytes().to_vec();
        info.extend([192, 0, 2, 1, 192, 0, 2, 1]);
        let octets = control(&[
            (libc::SOL_SOCKET, 4711, &[1, 2, 3]),
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &timespec(5, 6)),
            (libc::IPPROTO_IP, libc::IP_PKTINFO, &info),
        ]);
        let received = read(&octets);
        assert_eq!(received.stamp, Some(UnixTime { seconds: 5, nanos: 6 }));
        let address = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(received.to, Some(Destination { address, is_unicast: true, interface: 3 }));
    }

    #[test]
    fn software_timestamp_is_the_first_of_three() {
        let stamps = [timespec(7, 8), timespec(0, 0), timespec(0, 0)].concat();
        let octets = control(&[(libc::SOL_SOCKET, libc::SCM_TIMESTAMPING, &stamps)]);
        assert_eq!(read(&octets).stamp, Some(UnixTime { seconds: 7, nanos: 8 }));
        let hardware = [timespec(0, 0), timespec(0, 0), timespec(7, 8)].concat();
        let octets = control(&[(libc::SOL_SOCKET, libc::SCM_TIMESTAMPING, &hardware)]);
        let read = read(&octets);
        assert_eq!((read.stamp, read.hardware), (None, Some(UnixTime { seconds: 7, nanos: 8 })));
    }

    #[test]
    fn interface_that_took_a_stamp_is_told() {
        let info = [3u32, 90, 0, 0].map(u32::to_ne_bytes).concat();
        let octets = control(&[(libc::SOL_SOCKET, libc::SCM_TIMESTAMPING_PKTINFO, &info)]);
        assert_eq!(read(&octets).interface, Some(3));
    }

    #[test]
    fn broadcast_and_multicast_destinations_are_told_from_unicast() {
        let mut info = 1u32.to_ne_bytes().to_vec();
        info.extend([192, 0, 2, 1, 192, 0, 2, 255]);
        let octets = control(&[(libc::IPPROTO_IP, libc::IP_PKTINFO, &info)]);
        assert!(!read(&octets).to.unwrap().is_unicast);
        let mut info = "ff02::101".parse::<Ipv6Addr>().unwrap().octets().to_vec();
        info.extend(1u32.to_ne_bytes());
        let octets = control(&[(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info)]);
        assert!(!read(&octets).to.unwrap().is_unicast);
    }

    #[test]
    fn interface_of_a_reply_is_fixed_for_link_local_addresses_only() {
        for (address, interface) in [("fe80::1", 9), ("2001:db8::1", 0)] {
            let address: IpAddr = address.parse().unwrap();
            let mut buffer = ControlBuffer::EMPTY;
            let from = Destination { address, is_unicast: true, interface: 9 };
            let len = write_source(&mut buffer, &from);
            assert_eq!(read(&buffer.0[..len]).to.unwrap(), Destination { interface, ..from });
        }
    }

    #[test]
    fn stamp_is_asked_for_behind_the_source() {
        let mut buffer = ControlBuffer::EMPTY;
        let address = IpAddr::from([192, 0, 2, 1]);
        let from = Destination { address, is_unicast: true, interface: 0 };
        let len = write_source(&mut buffer, &from);
        let whole = write_stamped(&mut buffer, len, false);
        let kinds: Vec<_> =
            messages(&buffer.0[..whole]).map(|message| (message.level, message.kind)).collect();
        let expected =
            [(libc::IPPROTO_IP, libc::IP_PKTINFO), (libc::SOL_SOCKET, libc::SO_TIMESTAMPING)];
        assert_eq!(kinds, expected);
        let stamped = write_stamped(&mut buffer, 0, true);
        assert_eq!(messages(&buffer.0[..stamped]).count(), 1);
    }

    #[test]
    fn truncated_messages_end_the_list() {
        let octets = control(&[(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &timespec(5, 6))]);
        for len in 0..octets.len() {
            assert_eq!(read(&octets[..len]), Received::default(), "{len} octets");
        }
    }

    #[test]
    fn lengths_are_those_of_libc() {
        // SAFETY: computes lengths.
        let space = unsafe { libc::CMSG_SPACE(20) };
        let mut buffer = ControlBuffer::EMPTY;
        let address = IpAddr::from([0u8; 16]);
        let from = Destination { address, is_unicast: true, interface: 0 };
        assert_eq!(write_source(&mut buffer, &from), space as usize);
    }
}
