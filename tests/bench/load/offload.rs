//! Switches on that an interface joins packets (GRO): without, a veth pair takes frames of the generator only where the other
//! end has an XDP program in the driver, and with one there is none behind it.

use std::io::Error;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;

use anyhow::{Context, Result};

/// `SIOCETHTOOL`'s command and its value, linux/ethtool.h.
const ETHTOOL_SGRO: u32 = 0x2c;

/// Switches it on at an interface of this thread's namespace.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn receive_offload(interface: &str) -> Result<()> {
    let socket = UdpSocket::bind(("127.0.0.1", 0))?;
    let mut words = [ETHTOOL_SGRO, 1];
    // SAFETY: zeros are a request: it consists of integers and pointers that may be null.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
    // SAFETY: the request's name ends with a zero, and its words live until the call returns.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if result < 0 { Err(Error::last_os_error()).context("generic-receive-offload") } else { Ok(()) }
}
