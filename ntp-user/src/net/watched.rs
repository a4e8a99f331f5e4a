//! Waits for a descriptor to have something to read, as part of the timekeeping thread's event loop.
//!
//! mio's `poll(2)` backend forgets a descriptor once it has reported it: a descriptor is registered anew for
//! every wait. `poll(2)` reports states, not events, so that nothing is missed in between.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor that is waited for.
#[derive(Debug)]
pub struct Watched<T: AsFd> {
    // `None` once it could not be registered again.
    registered: Option<AsyncFd<Owner<T>>>,
}

/// Owns a descriptor.
#[derive(Debug)]
struct Owner<T>(T);

impl<T: AsFd> AsRawFd for Owner<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl<T: AsFd> Watched<T> {
    /// Watches `owner`, which owns the descriptor; to be called within the runtime.
    ///
    /// # Errors
    /// When it can't be registered.
    pub fn new(owner: T) -> io::Result<Self> {
        Ok(Self { registered: Some(register(Owner(owner))?) })
    }

    /// Returns when there is something to read or an error to ask for, or when there may be. May be dropped
    /// before that.
    ///
    /// # Errors
    /// When the descriptor can't be registered any more; it is closed then.
    pub async fn readable(&mut self) -> io::Result<()> {
        let Some(registered) = &self.registered else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        drop(registered.ready(interest()).await?);
        if let Some(registered) = self.registered.take() {
            self.registered = Some(register(registered.into_inner())?);
        }
        Ok(())
    }

    /// The owner of the descriptor.
    ///
    /// # Errors
    /// When it could not be registered again and was closed.
    pub fn get(&self) -> io::Result<&T> {
        let registered = self.registered.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        Ok(&registered.get_ref().0)
    }
}

fn register<T: AsFd>(owner: Owner<T>) -> io::Result<AsyncFd<Owner<T>>> {
    // SAFETY: the owner keeps the descriptor open and the same until it is taken out of the registration.
    Ok(unsafe { AsyncFd::register_with_interest(owner, interest()) }?)
}

/// What there is to read, and errors: timestamps of packets that have left are reported as such.
fn interest() -> Interest {
    Interest::READABLE | Interest::ERROR
}
