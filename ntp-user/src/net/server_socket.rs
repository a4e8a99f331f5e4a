//! The sockets that requests come in on.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::socket::{Manner, bind, set, tell_destination, udp};
use super::steering::by_cpu;
use super::timestamping::stamp_received;

/// Memory of the packets that wait in a socket, octets; the kernel gives twice as much.
const QUEUE_LEN: i32 = 1 << 20;

/// How server sockets are opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddresses {
    /// Addresses to bind, each with the port.
    pub addresses: Vec<SocketAddr>,
    /// How many sockets share each address.
    pub sockets_each: usize,
    /// The CPU of each socket: it gets what is received there. Empty: the kernel spreads clients over the sockets.
    pub cpus: Vec<u16>,
    /// The manner of what is served.
    pub manner: Manner,
}

/// A server socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ServerSocketError {
    /// Somebody else serves on the address.
    #[error("UDP port {} is in use on {}: is another time server running?", .0.port(), .0.ip())]
    InUse(SocketAddr),
    /// The port is privileged.
    #[error("no permission to bind UDP port {} (CAP_NET_BIND_SERVICE)", .0.port())]
    NotPermitted(SocketAddr),
    /// Another reason.
    #[error("cannot serve on {address}: {error}")]
    Failed {
        /// The address.
        address: SocketAddr,
        /// The reason.
        error: io::Error,
    },
}

impl ServerSocketError {
    fn new(address: SocketAddr, error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EADDRINUSE) => Self::InUse(address),
            Some(libc::EACCES | libc::EPERM) => Self::NotPermitted(address),
            _ => Self::Failed { address, error },
        }
    }
}

/// Opens the sockets: as many groups as share an address, each with a socket for every address.
///
/// A family that the host does not have is left out, unless an address of it was asked for.
///
/// # Errors
/// [`ServerSocketError`], with nothing left open.
pub fn open(wanted: &ServerAddresses) -> Result<Vec<Vec<OwnedFd>>, ServerSocketError> {
    let mut groups: Vec<Vec<OwnedFd>> = Vec::new();
    groups.resize_with(wanted.sockets_each, Vec::new);
    let among_threads = (wanted.sockets_each > 1).then_some(libc::SO_REUSEPORT);
    for &address in &wanted.addresses {
        if wanted.sockets_each > 1 {
            // Sockets that share a port would share it with another daemon's, too. One that does not
            // tells whether there is any.
            match open_one(address, &wanted.manner, None) {
                Err(error) if is_missing_family(&error, address) => continue,
                probe => drop(probe.map_err(|error| ServerSocketError::new(address, error))?),
            }
        }
        for group in &mut groups {
            match open_one(address, &wanted.manner, among_threads) {
                Err(error) if is_missing_family(&error, address) => {
                    tracing::debug!(%address, %error, "Address family is not there");
                }
                socket => {
                    group.push(socket.map_err(|error| ServerSocketError::new(address, error))?);
                }
            }
        }
        steer(&groups, &wanted.cpus);
    }
    Ok(groups)
}

/// Has the sockets that were opened last get what the CPU of each receives.
fn steer(groups: &[Vec<OwnedFd>], cpus: &[u16]) {
    let Some(socket) = groups.first().and_then(|group| group.last()) else { return };
    if cpus.len() < 2 {
        return;
    }
    if let Err(error) = by_cpu(socket, cpus) {
        tracing::warn!(%error, "Requests are not answered on the CPU that receives them");
    }
}

/// Opens a socket whose port may be shared with others, as an option of sockets says.
fn open_one(address: SocketAddr, manner: &Manner, sharing: Option<i32>) -> io::Result<OwnedFd> {
    let socket = udp(address)?;
    manner.apply(&socket, address.ip())?;
    if let Some(option) = sharing {
        set(&socket, libc::SOL_SOCKET, option, 1)?;
    }
    tell_destination(&socket, address.ip())?;
    stamp_received(&socket);
    widen_queue(&socket);
    bind(&socket, address)?;
    // From now on sockets of ours that are connected to a source may have the same port. Whoever bound it before
    // has been noticed.
    set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    Ok(socket)
}

/// Lets more packets wait while a worker waits for its turn of the CPU: the kernel's default of 208 KiB is 277
/// packets, 2 ms of a busy server. Without the right to go beyond the system's limit, up to that.
fn widen_queue(socket: &OwnedFd) {
    let widened = set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, QUEUE_LEN)
        .or_else(|_| set(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, QUEUE_LEN));
    if let Err(error) = widened {
        tracing::debug!(%error, "The queue of a server socket stays as it is");
    }
}

fn is_missing_family(error: &io::Error, address: SocketAddr) -> bool {
    let is_missing = matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::EINVAL | libc::EPROTONOSUPPORT)
    );
    is_missing && address.ip().is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    fn wanted(port: u16, sockets_each: usize) -> ServerAddresses {
        let addresses = vec![SocketAddr::from(([127, 0, 0, 1], port))];
        ServerAddresses { addresses, sockets_each, cpus: Vec::new(), manner: Manner::ANY }
    }

    fn free_port() -> u16 {
        UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    #[test]
    fn every_thread_gets_a_socket_of_its_own() {
        let groups = open(&wanted(free_port(), 3)).unwrap();
        assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
    }

    #[test]
    fn port_in_use_is_named_even_when_it_could_be_shared() {
        let port = free_port();
        let first = open(&wanted(port, 2)).unwrap();
        for threads in [1, 2] {
            let error = open(&wanted(port, threads)).unwrap_err();
            assert!(matches!(error, ServerSocketError::InUse(_)), "{error}");
            let message = error.to_string();
            assert!(
                message.contains(&format!("UDP port {port} is in use on 127.0.0.1")),
                "{message}"
            );
        }
        drop(first);
        assert!(open(&wanted(port, 2)).is_ok());
    }

    #[test]
    fn address_of_another_host_is_refused() {
        let addresses = vec![SocketAddr::from(([192, 0, 2, 1], free_port()))];
        let (cpus, manner) = (Vec::new(), Manner::ANY);
        let wanted = ServerAddresses { addresses, sockets_each: 2, cpus, manner };
        let error = open(&wanted).unwrap_err().to_string();
        assert!(error.starts_with("cannot serve on 192.0.2.1:"), "{error}");
    }
}
