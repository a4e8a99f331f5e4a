//! `SOCK`: another process, such as gpsd, sends samples to a Unix datagram socket of ours: when it looked at the
//! clock, and what its reference was ahead of it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::{Listen, Shown, leap_indicator};
use crate::clock::readings::UnixTime;

/// A message: `struct timeval`, `double`, four `int`s, in the order and size of this machine.
const MESSAGE_LEN: usize = 40;
/// What the last of them is.
const MAGIC: i32 = 0x534f_434b;
/// Messages without use in a row that are passed over before others get their turn.
const MOST_USELESS: u32 = 16;

/// Makes the socket, in the place of one that was left behind.
pub(super) fn open(path: &Path) -> io::Result<(OwnedFd, Socket)> {
    if std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let socket = UnixDatagram::bind(path)?;
    socket.set_nonblocking(true)?;
    let made = Made { path: path.to_owned(), inode: inode(path) };
    Ok((socket.into(), Socket { _made: made, has_warned: false }))
}

/// The socket.
pub(super) struct Socket {
    /// Removes it in the end.
    _made: Made,
    has_warned: bool,
}

/// The socket's file. It is removed in the end, unless it has given way to another one.
struct Made {
    path: PathBuf,
    inode: Option<u64>,
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.inode.is_some() && self.inode == inode(&self.path) {
            // Without the right to it, it is left for the next start to replace.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

fn inode(path: &Path) -> Option<u64> {
    std::fs::symlink_metadata(path).ok().map(|it| it.ino())
}

impl Listen for Socket {
    fn read(&mut self, descriptor: &OwnedFd) -> io::Result<Option<Shown>> {
        for _ in 0..MOST_USELESS {
            // One octet more, to tell messages that are too long.
            let mut octets = [0; MESSAGE_LEN + 1];
            let received = match receive(descriptor, &mut octets) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let shown = decode(&octets[..received]);
            if shown.is_some() {
                return Ok(shown);
            }
            if !std::mem::replace(&mut self.has_warned, true) {
                tracing::warn!(octets = received, "What came for a reference clock is no sample");
            }
        }
        Ok(None)
    }
}

fn receive(descriptor: &OwnedFd, octets: &mut [u8]) -> io::Result<usize> {
    let (fd, buffer) = (descriptor.as_raw_fd(), octets.as_mut_ptr().cast());
    // SAFETY: the buffer is as long as is said and lives during the call.
    let received = unsafe { libc::recv(fd, buffer, octets.len(), libc::MSG_DONTWAIT) };
    usize::try_from(received).map_err(|_| io::Error::last_os_error())
}

/// Reads a message; `None` when it is none.
fn decode(octets: &[u8]) -> Option<Shown> {
    let octets: &[u8; MESSAGE_LEN] = octets.try_into().ok()?;
    let long = |at: usize| Some(i64::from_ne_bytes(*octets[at..].first_chunk()?));
    let int = |at: usize| Some(i32::from_ne_bytes(*octets[at..].first_chunk()?));
    if int(36)? != MAGIC {
        return None;
    }
    let ahead_s = f64::from_ne_bytes(*octets[16..].first_chunk()?);
    let at = UnixTime::from_kernel(long(0)?, long(8)?.checked_mul(1000)?)?;
    ahead_s.is_finite().then_some(Shown {
        at,
        time: Some(at),
        ahead_s,
        is_pulse: int(24)? != 0,
        dispersion_s: 0.0,
        leap: leap_indicator(int(28)?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntp_common::wire::LeapIndicator;

    /// A message as gpsd makes it.
    fn message(seconds: i64, micros: i64, offset_s: f64, ints: [i32; 4]) -> Vec<u8> {
        let mut octets = Vec::new();
        octets.extend(seconds.to_ne_bytes());
        octets.extend(micros.to_ne_bytes());
        octets.extend(offset_s.to_ne_bytes());
        for int in ints {
            octets.extend(int.to_ne_bytes());
        }
        octets
    }

    #[test]
    fn message_is_time_difference_pulse_and_leap_second() {
        let shown = decode(&message(1_800_000_000, 250_000, -0.125, [1, 2, 0, MAGIC])).unwrap();
        assert_eq!(shown.at, UnixTime { seconds: 1_800_000_000, nanos: 250_000_000 });
        assert!((shown.ahead_s + 0.125).abs() < 1e-12);
        assert_eq!((shown.is_pulse, shown.leap), (true, LeapIndicator::Delete));
    }

    #[test]
    fn what_is_no_message_is_not_read() {
        let good = message(1_800_000_000, 0, 0.0, [0, 0, 0, MAGIC]);
        assert!(decode(&good).is_some());
        assert_eq!(decode(&good[..39]), None);
        assert_eq!(decode(&[good.clone(), vec![0]].concat()), None);
        for bad in [
            message(1_800_000_000, 0, 0.0, [0, 0, 0, 7]),
            message(1_800_000_000, 0, 0.0, [0, 4, 0, MAGIC]),
            message(1_800_000_000, 0, f64::NAN, [0, 0, 0, MAGIC]),
            message(1_800_000_000, i64::MAX, 0.0, [0, 0, 0, MAGIC]),
            message(0, 0, 0.0, [0, 0, 0, MAGIC]),
        ] {
            assert_eq!(decode(&bad), None, "{bad:?}");
        }
    }
}
