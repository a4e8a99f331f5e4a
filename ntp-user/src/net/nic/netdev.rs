//! Asks the kernel what XDP can do at an interface: generic netlink, family `netdev`, Linux 6.3.
//! Documentation/netlink/specs/netdev.yaml.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use nix::net::if_::if_nametoindex;

/// Numbers of linux/netlink.h, linux/genetlink.h and linux/netdev.h.
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
const NETDEV_A_DEV_XDP_RX_METADATA_FEATURES: u16 = 5;
/// Dropping, passing on, sending back.
const NETDEV_XDP_ACT_BASIC: u64 = 1;
const NETDEV_XDP_RX_METADATA_TIMESTAMP: u64 = 1;

/// Octets before the attributes of a message: `nlmsghdr` and `genlmsghdr`.
const HEADERS_LEN: usize = 20;
/// The kind of an attribute without its flags.
const NLA_TYPE_MASK: u16 = 0x3fff;

/// What XDP can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct XdpFeatures {
    /// Send a packet back.
    pub(super) can_transmit: bool,
    /// Read when the hardware received a packet; `None`: the kernel does not tell (Linux before 6.8).
    pub(super) has_timestamps: Option<bool>,
}

/// Asks about an interface.
pub(super) fn features(interface: &str) -> io::Result<XdpFeatures> {
    let index = if_nametoindex(interface)?;
    let socket = open()?;
    let name = request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, b"netdev\0");
    let family = ask(&socket, &name)?;
    let family = attribute(&family, CTRL_ATTR_FAMILY_ID).and_then(|id| id.first_chunk().copied());
    let family = family.map(u16::from_ne_bytes).ok_or(io::ErrorKind::Unsupported)?;
    let of_interface =
        request(family, NETDEV_CMD_DEV_GET, NETDEV_A_DEV_IFINDEX, &index.to_ne_bytes());
    read(&ask(&socket, &of_interface)?).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn open() -> io::Result<OwnedFd> {
    let (family, kind) = (libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC);
    // SAFETY: makes a descriptor and touches no memory.
    let fd = unsafe { libc::socket(family, kind, libc::NETLINK_GENERIC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A message with one attribute.
fn request(family: u16, command: u8, attribute: u16, value: &[u8]) -> Vec<u8> {
    let attribute_len = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let len = HEADERS_LEN + usize::from(attribute_len).next_multiple_of(4);
    let mut message = Vec::with_capacity(len);
    message.extend(u32::try_from(len).unwrap_or(u32::MAX).to_ne_bytes());
    message.extend(family.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence and port, which nobody looks at on a socket for one question; then command, version 1.
    message.extend([0; 8]);
    message.extend([command, 1, 0, 0]);
    message.extend(attribute_len.to_ne_bytes());
    message.extend(attribute.to_ne_bytes());
    message.extend(value);
    message.resize(len, 0);
    message
}

/// Sends a message, and gives the attributes of the answer.
fn ask(socket: &OwnedFd, message: &[u8]) -> io::Result<Vec<u8>> {
    let fd = socket.as_raw_fd();
    // SAFETY: the message is as long as it says, and only read.
    let sent = unsafe { libc::send(fd, message.as_ptr().cast(), message.len(), 0) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut answer = vec![0; 8192];
    // The kernel has answered by the time that it has taken the message.
    // SAFETY: the buffer is as long as it says.
    let len =
        unsafe { libc::recv(fd, answer.as_mut_ptr().cast(), answer.len(), libc::MSG_DONTWAIT) };
    answer.truncate(usize::try_from(len).map_err(|_| io::Error::last_os_error())?);
    let kind = answer.get(4..6).and_then(|kind| kind.first_chunk().copied());
    if kind.map(u16::from_ne_bytes) == Some(NLMSG_ERROR) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(answer.split_off(HEADERS_LEN.min(answer.len())))
}

fn read(attributes: &[u8]) -> Option<XdpFeatures> {
    let number = |kind| {
        let value = attribute(attributes, kind)?.first_chunk()?;
        Some(u64::from_ne_bytes(*value))
    };
    let metadata = number(NETDEV_A_DEV_XDP_RX_METADATA_FEATURES);
    Some(XdpFeatures {
        can_transmit: number(NETDEV_A_DEV_XDP_FEATURES)? & NETDEV_XDP_ACT_BASIC != 0,
        has_timestamps: metadata.map(|bits| bits & NETDEV_XDP_RX_METADATA_TIMESTAMP != 0),
    })
}

/// The value of the first attribute of a kind.
fn attribute(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = attributes;
    loop {
        let len = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?) & NLA_TYPE_MASK;
        let value = rest.get(4..len)?;
        if kind == wanted {
            return Some(value);
        }
        rest = rest.get(len.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(all: &[(u16, &[u8])]) -> Vec<u8> {
        let mut octets = Vec::new();
        for (kind, value) in all {
            octets.extend(request(0, 0, *kind, value).split_off(HEADERS_LEN));
        }
        octets
    }

    #[test]
    fn features_are_read_from_what_the_kernel_says_of_veth() {
        let (index, basic, all) = ([3, 0, 0, 0], 0x23u64.to_ne_bytes(), 7u64.to_ne_bytes());
        let old = attributes(&[(1, &index), (3, &basic)]);
        let expected = XdpFeatures { can_transmit: true, has_timestamps: None };
        assert_eq!(read(&old), Some(expected));
        let new = attributes(&[(1, &index), (5, &all), (3, &basic)]);
        assert_eq!(read(&new), Some(XdpFeatures { has_timestamps: Some(true), ..expected }));
        let none = attributes(&[(3, &[0; 8]), (5, &[0; 8])]);
        let expected = XdpFeatures { can_transmit: false, has_timestamps: Some(false) };
        assert_eq!(read(&none), Some(expected));
    }

    #[test]
    fn attributes_that_end_early_are_none() {
        let octets = attributes(&[(1, &[3, 0, 0, 0]), (3, &[1; 8])]);
        assert!(read(&octets).is_some());
        for len in 0..octets.len() {
            assert_eq!(read(&octets[..len]), None, "{len} octets");
        }
        // A length of nothing must not be read for ever.
        assert_eq!(attribute(&[0, 0, 1, 0, 0, 0, 1, 0], 3), None);
    }

    #[test]
    fn kernel_knows_what_loopback_cannot_do_if_it_tells_at_all() {
        if let Ok(features) = features("lo") {
            assert!(!features.can_transmit);
            assert_ne!(features.has_timestamps, Some(true));
        }
        assert!(features("nowhere0").is_err());
    }
}
