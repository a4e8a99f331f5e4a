//! The UDP sockets of commands. Opened before privileges are dropped: the port is a privileged one.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use ntp_engine::conf::Config;

use crate::net::socket::{bind, bind_to_interface, set, udp};
use crate::resolver::Families;

/// Opens a socket of each family of use. One that can't be had is done without, and the log says so: the daemon
/// is worth more than its reports.
pub(crate) fn open(config: &Config, families: Families) -> Vec<OwnedFd> {
    if config.cmdport == 0 {
        return Vec::new();
    }
    let addresses = [IpAddr::V4(config.bindcmdaddress_v4), IpAddr::V6(config.bindcmdaddress_v6)];
    let mut sockets = Vec::new();
    for address in addresses.into_iter().filter(|&address| families.include(address)) {
        let address = SocketAddr::new(address, config.cmdport);
        match open_one(address, config.bindcmddevice.as_deref()) {
            Ok(socket) => sockets.push(socket),
            Err(error) if is_missing_family(&error) => {
                tracing::debug!(%address, %error, "Address family is not there");
            }
            Err(error) => {
                tracing::error!(%address, %error, "Could not open command socket on {address}");
            }
        }
    }
    sockets
}

fn open_one(address: SocketAddr, interface: Option<&str>) -> io::Result<OwnedFd> {
    let socket = udp(address)?;
    match address.ip() {
        IpAddr::V4(_) => set(&socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?,
        IpAddr::V6(_) => set(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?,
    }
    if let Some(interface) = interface {
        bind_to_interface(&socket, interface)?;
    }
    bind(&socket, address)?;
    Ok(socket)
}

fn is_missing_family(error: &io::Error) -> bool {
    let missing = [libc::EAFNOSUPPORT, libc::EADDRNOTAVAIL, libc::EPROTONOSUPPORT];
    error.raw_os_error().is_some_and(|errno| missing.contains(&errno))
}
