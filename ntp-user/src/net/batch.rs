//! Receives and sends packets in batches with one system call, out of memory that is allocated once.
//!
//! Invariant: the headers that the kernel is handed point into buffers of the same value, which are boxed,
//! never resized, and written by nobody else during a call.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libc::{iovec, mmsghdr};

use super::address::{NAME_LEN_U32, SocketName};
use super::answer::REPLY_LEN;
use super::control::{self, CONTROL_LEN, ControlBuffer, Destination, Received};

/// Packets that are received at once.
pub const INBOX_LEN: usize = 64;

/// Replies that are sent at once: few enough that the last of them does not leave long after the clock was
/// read for all of them.
pub const OUTBOX_LEN: usize = 8;

/// Octets of the longest packet that is read; none that is longer is well-formed.
const PACKET_LEN: usize = 2048;

/// How the kernel is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// Many packets at once, with `recvmmsg(2)` and `sendmmsg(2)`.
    Batched,
    /// One packet at a time, with `recvmsg(2)` and `sendmsg(2)`: what simulators stand in for.
    Single,
}

/// Packets that have come in.
pub struct Inbox {
    calls: Calls,
    packets: Box<[[u8; PACKET_LEN]]>,
    names: Box<[SocketName]>,
    controls: Box<[ControlBuffer]>,
    // The headers point at these.
    _pieces: Box<[iovec]>,
    headers: Box<[mmsghdr]>,
    received: usize,
}

// SAFETY: the pointers in the headers lead to the inbox's own boxes, which move along with it.
unsafe impl Send for Inbox {}

/// A packet that has come in.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Its octets.
    pub octets: &'a [u8],
    /// Whether there were more octets than were read.
    pub is_truncated: bool,
    /// Whom it came from.
    pub from: SocketAddr,
    /// What the kernel told of it.
    pub received: Received,
}

impl Inbox {
    /// Makes an empty inbox.
    #[must_use]
    pub fn new(calls: Calls) -> Self {
        let len = capacity(calls, INBOX_LEN);
        let mut packets = vec![[0; PACKET_LEN]; len].into_boxed_slice();
        let mut names = vec![SocketName::EMPTY; len].into_boxed_slice();
        let mut controls = vec![ControlBuffer::EMPTY; len].into_boxed_slice();
        let mut pieces: Box<[iovec]> = packets.iter_mut().map(|packet| piece(packet)).collect();
        let mut headers: Box<[mmsghdr]> = pieces.iter_mut().map(header).collect();
        for ((header, name), control) in headers.iter_mut().zip(&mut names).zip(&mut controls) {
            header.msg_hdr.msg_name = ptr::from_mut(name).cast();
            header.msg_hdr.msg_control = ptr::from_mut(control).cast();
        }
        Self { calls, packets, names, controls, _pieces: pieces, headers, received: len }
    }

    /// Receives what has come in on a socket, up to a full inbox, and gives the number of packets.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing has.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        for header in &mut self.headers[..self.received] {
            header.msg_hdr.msg_namelen = NAME_LEN_U32;
            header.msg_hdr.msg_controllen = CONTROL_LEN as _;
            header.msg_hdr.msg_flags = 0;
        }
        self.received = 0;
        self.received = match self.calls {
            Calls::Batched => receive_many(socket, &mut self.headers)?,
            Calls::Single => receive_one(socket, &mut self.headers[0])?,
        };
        Ok(self.received)
    }

    /// The packets that were received last, but for those without a sender.
    pub fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        (0..self.received).filter_map(|index| {
            let header = &self.headers[index];
            let octets = &self.packets[index][..PACKET_LEN.min(header.msg_len as usize)];
            let control_len = CONTROL_LEN.min(header.msg_hdr.msg_controllen);
            Some(Packet {
                octets,
                is_truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
                from: self.names[index].read()?,
                received: control::read(&self.controls[index].0[..control_len]),
            })
        })
    }
}

/// Replies that are about to leave.
pub struct Outbox {
    calls: Calls,
    by_hardware: bool,
    replies: Box<[[u8; REPLY_LEN]]>,
    names: Box<[SocketName]>,
    controls: Box<[ControlBuffer]>,
    // The headers point at these.
    pieces: Box<[iovec]>,
    headers: Box<[mmsghdr]>,
    filled: usize,
}

impl Outbox {
    /// Makes an empty outbox; `by_hardware` says that interfaces may tell when replies leave.
    #[must_use]
    pub fn new(calls: Calls, by_hardware: bool) -> Self {
        let len = capacity(calls, OUTBOX_LEN);
        let mut replies = vec![[0; REPLY_LEN]; len].into_boxed_slice();
        let mut names = vec![SocketName::EMPTY; len].into_boxed_slice();
        let mut controls = vec![ControlBuffer::EMPTY; len].into_boxed_slice();
        let mut pieces: Box<[iovec]> = replies.iter_mut().map(|reply| piece(reply)).collect();
        let mut headers: Box<[mmsghdr]> = pieces.iter_mut().map(header).collect();
        for ((header, name), control) in headers.iter_mut().zip(&mut names).zip(&mut controls) {
            header.msg_hdr.msg_name = ptr::from_mut(name).cast();
            header.msg_hdr.msg_control = ptr::from_mut(control).cast();
        }
        Self { calls, by_hardware, replies, names, controls, pieces, headers, filled: 0 }
    }

    /// How many replies are sent at once.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.headers.len()
    }

    /// Adds a reply, written into a buffer by `write`, which gives its length or that there is none. It goes to
    /// `to`, from the address that `from` says the request came to; with `is_stamped` the kernel tells when it
    /// leaves. There must be room.
    pub fn push(
        &mut self,
        to: SocketAddr,
        from: Option<&Destination>,
        is_stamped: bool,
        write: impl FnOnce(&mut [u8; REPLY_LEN]) -> Option<usize>,
    ) {
        let index = self.filled;
        let Some(len) = write(&mut self.replies[index]) else { return };
        self.pieces[index].iov_len = len.min(REPLY_LEN);
        let (name, name_len) = SocketName::of(to);
        self.names[index] = name;
        let control = &mut self.controls[index];
        let mut control_len = from.map_or(0, |from| control::write_source(control, from));
        if is_stamped {
            control_len = control::write_stamped(control, control_len, self.by_hardware);
        }
        let header = &mut self.headers[index].msg_hdr;
        header.msg_namelen = u32::try_from(name_len).unwrap_or_default();
        header.msg_controllen = control_len as _;
        self.filled += 1;
    }

    /// Sends all replies and empties the outbox. `on_end` is called with the index of each, and whether the network took
    /// it; one that it did not take is lost.
    pub fn send(&mut self, socket: BorrowedFd<'_>, mut on_end: impl FnMut(usize, bool)) {
        let filled = std::mem::take(&mut self.filled);
        let mut next = 0;
        while next < filled {
            let sent = match self.calls {
                Calls::Batched => send_many(socket, &mut self.headers[next..filled]),
                Calls::Single => send_one(socket, &self.headers[next]),
            };
            match sent {
                Ok(sent) => {
                    (next..next + sent).for_each(|index| on_end(index, true));
                    next += sent;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::trace!(%error, "A reply could not be sent");
                    on_end(next, false);
                    next += 1;
                }
            }
        }
    }
}

const fn capacity(calls: Calls, batched: usize) -> usize {
    match calls {
        Calls::Batched => batched,
        Calls::Single => 1,
    }
}

fn piece(octets: &mut [u8]) -> iovec {
    iovec { iov_base: octets.as_mut_ptr().cast(), iov_len: octets.len() }
}

fn header(piece: &mut iovec) -> mmsghdr {
    // SAFETY: zeros are a header: it consists of integers and pointers that may be null.
    let mut header: mmsghdr = unsafe { std::mem::zeroed() };
    header.msg_hdr.msg_iov = piece;
    header.msg_hdr.msg_iovlen = 1;
    header
}

fn receive_many(socket: BorrowedFd<'_>, headers: &mut [mmsghdr]) -> io::Result<usize> {
    let count = u32::try_from(headers.len()).unwrap_or(u32::MAX);
    let (fd, headers) = (socket.as_raw_fd(), headers.as_mut_ptr());
    // SAFETY: `count` headers are valid, and so is all that they point at, with the lengths they give.
    let received =
        unsafe { libc::recvmmsg(fd, headers, count, libc::MSG_DONTWAIT as _, ptr::null_mut()) };
    usize::try_from(received).map_err(|_| io::Error::last_os_error())
}

fn receive_one(socket: BorrowedFd<'_>, header: &mut mmsghdr) -> io::Result<usize> {
    // SAFETY: the header is valid, and so is all that it points at, with the lengths it gives.
    let received =
        unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header.msg_hdr, libc::MSG_DONTWAIT) };
    header.msg_len = u32::try_from(received).map_err(|_| io::Error::last_os_error())?;
    Ok(1)
}

fn send_many(socket: BorrowedFd<'_>, headers: &mut [mmsghdr]) -> io::Result<usize> {
    let count = u32::try_from(headers.len()).unwrap_or(u32::MAX);
    let (fd, headers) = (socket.as_raw_fd(), headers.as_mut_ptr());
    // SAFETY: `count` headers are valid, and so is all that they point at, with the lengths they give.
    let sent = unsafe { libc::sendmmsg(fd, headers, count, libc::MSG_DONTWAIT as _) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

fn send_one(socket: BorrowedFd<'_>, header: &mmsghdr) -> io::Result<usize> {
    // SAFETY: the header is valid, and so is all that it points at, with the lengths it gives.
    let sent =
        unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header.msg_hdr, libc::MSG_DONTWAIT) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(1) }
}
