//! Waits for a socket to have something to read, as part of the timekeeping thread's event loop.
//!
//! mio's `poll(2)` backend forgets a descriptor once it has reported it: a socket is registered anew for
//! every wait. `poll(2)` reports states, not events, so that nothing is missed in between.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A socket that is waited for.
#[derive(Debug)]
pub struct WatchedSocket {
    // `None` only while it is registered anew.
    registered: Option<AsyncFd<OwnedFd>>,
}

impl WatchedSocket {
    /// Watches `socket`; to be called within the runtime.
    ///
    /// # Errors
    /// When it can't be registered.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self { registered: Some(register(socket)?) })
    }

    /// Returns when there is a packet or a report to read, or when there may be.
    ///
    /// # Errors
    /// When the socket can't be registered any more; it is closed then.
    pub async fn readable(&mut self) -> io::Result<()> {
        let Some(registered) = &self.registered else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        drop(registered.ready(interest()).await?);
        if let Some(registered) = self.registered.take() {
            let socket = registered.into_inner();
            self.registered = Some(register(socket)?);
        }
        Ok(())
    }

    /// The socket.
    ///
    /// # Errors
    /// When it could not be registered again and was closed.
    pub fn socket(&self) -> io::Result<BorrowedFd<'_>> {
        let registered = self.registered.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        Ok(registered.get_ref().as_fd())
    }
}

fn register(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor stays the same and open until it is taken out of the registration.
    Ok(unsafe { AsyncFd::register_with_interest(socket, interest()) }?)
}

/// Packets to read, and errors: timestamps of packets that have left are reported as such.
fn interest() -> Interest {
    Interest::READABLE | Interest::ERROR
}
