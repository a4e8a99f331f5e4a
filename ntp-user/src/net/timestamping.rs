//! Timestamps that the kernel takes of packets: when they arrive, and of our requests also when they leave.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use libc::{
    SOF_TIMESTAMPING_OPT_CMSG, SOF_TIMESTAMPING_OPT_PKTINFO, SOF_TIMESTAMPING_OPT_TSONLY,
    SOF_TIMESTAMPING_RAW_HARDWARE, SOF_TIMESTAMPING_RX_HARDWARE, SOF_TIMESTAMPING_RX_SOFTWARE,
    SOF_TIMESTAMPING_SOFTWARE, SOF_TIMESTAMPING_TX_HARDWARE, SOF_TIMESTAMPING_TX_SOFTWARE,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ntp_common::wire::HEADER_LEN;

use super::control::{self, CONTROL_LEN, ControlBuffer, Received};
use super::socket::set;

/// What is asked for besides where interfaces may take timestamps: theirs, and which of them it was. Of a packet that
/// left, the kernel tells that only with its octets, and by the information of packets (see `INFORMATION`).
const HARDWARE: u32 = SOF_TIMESTAMPING_RAW_HARDWARE
    | SOF_TIMESTAMPING_RX_HARDWARE
    | SOF_TIMESTAMPING_TX_HARDWARE
    | SOF_TIMESTAMPING_OPT_CMSG
    | SOF_TIMESTAMPING_OPT_PKTINFO;

/// Options that bring the interface with a packet, in either family.
const INFORMATION: [(i32, i32); 2] =
    [(libc::IPPROTO_IP, libc::IP_PKTINFO), (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)];

/// Asks for timestamps of packets that come in. Where there are none, the daemon reads the clock instead.
pub fn stamp_received(socket: &OwnedFd) {
    if let Err(error) = set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1) {
        tracing::debug!(%error, "No kernel timestamps of received packets");
    }
}

/// Asks for timestamps of packets that come in and of those that leave. Whether there are to be any of the
/// latter: without, [`sent_at`] must not be called. With `by_hardware`, interfaces that can take them do.
#[must_use]
pub fn stamp_both(socket: &OwnedFd, by_hardware: bool) -> bool {
    let flags = SOF_TIMESTAMPING_SOFTWARE
        | SOF_TIMESTAMPING_RX_SOFTWARE
        | SOF_TIMESTAMPING_TX_SOFTWARE
        | if by_hardware { HARDWARE } else { SOF_TIMESTAMPING_OPT_TSONLY };
    for (level, option) in INFORMATION.into_iter().filter(|_| by_hardware) {
        // A socket of the other family refuses.
        let _ = set(socket, level, option, 1);
    }
    let stamps = set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, flags.cast_signed()).is_ok();
    if !stamps {
        stamp_received(socket);
    }
    stamps
}

/// When a packet that was just sent left, if the kernel tells within so many milliseconds: most drivers take the
/// timestamp before the call that sends returns, interfaces after it.
#[must_use]
pub fn just_sent_at(socket: BorrowedFd<'_>, wait_ms: u8) -> Option<Received> {
    let first = sent_at(socket).ok().flatten();
    first.or_else(|| {
        let mut watched = [PollFd::new(socket, PollFlags::empty())];
        let is_reported =
            poll(&mut watched, PollTimeout::from(wait_ms)).is_ok_and(|ready| ready > 0);
        if is_reported { sent_at(socket).ok().flatten() } else { None }
    })
}

/// When the packet that was sent last left; `None` when the kernel has not told yet. Other reports in the
/// socket's queue of errors are thrown away.
///
/// # Errors
/// What the kernel says, but not that the queue is empty.
pub fn sent_at(socket: BorrowedFd<'_>) -> io::Result<Option<Received>> {
    loop {
        match read_error_queue(socket) {
            Ok(report) if report.stamp.or(report.hardware).is_some() => return Ok(Some(report)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Lets packets be stamped that are sent with [`control::write_stamped`], and no others: their octets come
/// back with the stamp. Whether there are to be any. What comes in is stamped as before, and with `by_hardware` by
/// interfaces that can.
#[must_use]
pub fn stamp_chosen(socket: &OwnedFd, by_hardware: bool) -> bool {
    // What leaves is stamped by whom the packet asks.
    let by_interfaces = if by_hardware { HARDWARE & !SOF_TIMESTAMPING_TX_HARDWARE } else { 0 };
    let flags = SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE | by_interfaces;
    let stamps = set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, flags.cast_signed()).is_ok();
    if stamps && let Err(error) = set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 0) {
        // Then every packet brings its stamp twice.
        tracing::debug!(%error, "Received packets are stamped in both ways");
    }
    stamps
}

/// A packet that was stamped when it left: the last 48 of its octets, and the report. `None` when it is of something
/// else.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] when there is no report.
pub fn sent_packet(socket: BorrowedFd<'_>) -> io::Result<Option<([u8; HEADER_LEN], Received)>> {
    let mut octets = [0u8; 256];
    let (len, report) = read_report(socket, &mut octets)?;
    let payload = octets.get(..len).and_then(|packet| packet.last_chunk().copied());
    let is_of_stamp = report.stamp.or(report.hardware).is_some();
    Ok(payload.filter(|_| is_of_stamp).map(|payload| (payload, report)))
}

fn read_error_queue(socket: BorrowedFd<'_>) -> io::Result<Received> {
    // Without payload (OPT_TSONLY) there are no octets; simulators insist on a buffer.
    let mut octets = [0u8; 256];
    Ok(read_report(socket, &mut octets)?.1)
}

/// Reads a report of the socket's queue of errors: octets of the packet, and what the kernel tells of it.
fn read_report(socket: BorrowedFd<'_>, octets: &mut [u8]) -> io::Result<(usize, Received)> {
    let mut controls = ControlBuffer::EMPTY;
    let mut piece = libc::iovec { iov_base: octets.as_mut_ptr().cast(), iov_len: octets.len() };
    // SAFETY: zeros are a header: it consists of integers and pointers that may be null.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut piece;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut controls).cast();
    header.msg_controllen = CONTROL_LEN as _;
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: the header is valid, and so is all that it points at, with the lengths it gives.
    let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    let control_len = CONTROL_LEN.min(header.msg_controllen);
    Ok((received, control::read(&controls.0[..control_len])))
}
