//! Makes UDP sockets: with plain libc calls and flags set one by one, which simulators know.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::address::{SocketName, family_of};
use super::control::{self, ControlBuffer, Destination};

/// A new UDP socket of the family of `address` that does not block.
///
/// # Errors
/// When the kernel refuses.
pub fn udp(address: SocketAddr) -> io::Result<OwnedFd> {
    // SAFETY: makes a descriptor and touches no memory.
    let fd = unsafe { libc::socket(family_of(address.ip()), libc::SOCK_DGRAM, 0) };
    check(fd)?;
    // SAFETY: the descriptor was just opened and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: sets a flag of an open descriptor and touches no memory.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: sets a flag of an open descriptor and touches no memory.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) })?;
    if address.is_ipv6() {
        set(&socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
    }
    Ok(socket)
}

/// Sets an integer option.
///
/// # Errors
/// When the kernel refuses.
pub fn set(socket: &OwnedFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    const LEN: u32 = i32::BITS / 8;
    let fd = socket.as_raw_fd();
    // SAFETY: `value` is as long as `LEN` says and lives during the call.
    check(unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), LEN) })
}

/// Has the kernel tell which address of ours each packet was sent to.
///
/// # Errors
/// When the kernel refuses.
pub fn tell_destination(socket: &OwnedFd, family: IpAddr) -> io::Result<()> {
    match family {
        IpAddr::V4(_) => set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1),
        IpAddr::V6(_) => set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1),
    }
}

/// Binds a socket to an address.
///
/// # Errors
/// When the kernel refuses: the port is in use, say.
pub fn bind(socket: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    let (name, len) = SocketName::of(address);
    let len = u32::try_from(len).unwrap_or_default();
    // SAFETY: `name` is as long as `len` says and lives during the call.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const name).cast(), len) })
}

/// Connects a socket: it then sends to one address and hears from no other.
///
/// # Errors
/// When there is no route, say.
pub fn connect(socket: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    let (name, len) = SocketName::of(address);
    let len = u32::try_from(len).unwrap_or_default();
    // SAFETY: `name` is as long as `len` says and lives during the call.
    check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const name).cast(), len) })
}

/// Lets a socket hear from one interface and send through it alone.
///
/// # Errors
/// When there is no such interface, or the kernel refuses.
pub fn bind_to_interface(socket: &OwnedFd, interface: &str) -> io::Result<()> {
    let len = u32::try_from(interface.len()).unwrap_or(u32::MAX);
    let (fd, name) = (socket.as_raw_fd(), interface.as_ptr().cast());
    // SAFETY: `interface` is as long as `len` says and lives during the call.
    check(unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name, len) })
}

/// What the configuration says of the packets of a socket, whatever is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// The interface that they come in on and leave by; `None`: any.
    pub interface: Option<String>,
    /// Differentiated Services Code Point of those that leave, 0..=63. RFC 2474.
    pub dscp: u8,
}

impl Manner {
    /// Nothing in particular.
    pub const ANY: Self = Self { interface: None, dscp: 0 };

    /// Has a socket, before it is bound, go by it.
    ///
    /// # Errors
    /// When there is no such interface, or the kernel refuses.
    pub fn apply(&self, socket: &OwnedFd, family: IpAddr) -> io::Result<()> {
        /// The code point stands above the two bits of congestion notification.
        const ABOVE: u32 = 2;
        if let Some(interface) = &self.interface {
            bind_to_interface(socket, interface)?;
        }
        let (level, option) = match family {
            IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_TOS),
            IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
        };
        match self.dscp {
            0 => Ok(()),
            dscp => set(socket, level, option, i32::from(dscp) << ABOVE),
        }
    }
}

/// Sends one packet: to `to`, or where the socket is connected to.
///
/// # Errors
/// When the network does not take it.
pub fn send(socket: BorrowedFd<'_>, octets: &[u8], to: Option<SocketAddr>) -> io::Result<()> {
    send_message(socket, octets, to, None)
}

/// Sends one packet to `to`, from the address that `from` says was asked.
///
/// # Errors
/// When the network does not take it.
pub fn reply(
    socket: BorrowedFd<'_>,
    octets: &[u8],
    to: SocketAddr,
    from: Option<&Destination>,
) -> io::Result<()> {
    send_message(socket, octets, Some(to), from)
}

fn send_message(
    socket: BorrowedFd<'_>,
    octets: &[u8],
    to: Option<SocketAddr>,
    from: Option<&Destination>,
) -> io::Result<()> {
    let mut name = to.map(SocketName::of);
    let mut control = ControlBuffer::EMPTY;
    let mut piece =
        libc::iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() };
    // SAFETY: zeros are a header: it consists of integers and pointers that may be null.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut piece;
    header.msg_iovlen = 1;
    if let Some((name, len)) = &mut name {
        header.msg_name = (&raw mut *name).cast();
        header.msg_namelen = u32::try_from(*len).unwrap_or_default();
    }
    if let Some(from) = from {
        header.msg_controllen = control::write_source(&mut control, from) as _;
        header.msg_control = (&raw mut control).cast();
    }
    // SAFETY: the header points at one piece, which points at octets that are only read, at a name, and at a
    // control message, all as long as it says.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
