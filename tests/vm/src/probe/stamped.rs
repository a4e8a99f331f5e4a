//! A socket whose packets the interface stamps as they come in.

use std::io::IoSliceMut;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use anyhow::Result;
use nix::sys::socket::sockopt::Timestamping;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn, TimestampingFlag, recvmsg, setsockopt,
};
use nix::sys::time::TimeSpec;
use ntp_common::wire::HEADER_LEN;

use crate::truth::SECOND;

/// Who sent a packet, and what the interface's clock showed when it came in, nanoseconds.
type Packet = (SockaddrIn, i64);

/// The socket.
#[derive(Debug)]
pub(crate) struct Stamped(UdpSocket);

impl Stamped {
    /// Asks for the stamps; the interface at the peer's end takes them unasked.
    pub(crate) fn new(socket: UdpSocket) -> Result<Self> {
        let flags = TimestampingFlag::SOF_TIMESTAMPING_RX_HARDWARE
            | TimestampingFlag::SOF_TIMESTAMPING_RAW_HARDWARE;
        setsockopt(&socket, Timestamping, &flags)?;
        Ok(Self(socket))
    }

    /// Waits for a packet; nothing if it is no request, or was not stamped.
    pub(crate) fn receive(&self, request: &mut [u8; HEADER_LEN]) -> Result<Option<Packet>> {
        let mut control = nix::cmsg_space!([TimeSpec; 3]);
        let mut pieces = [IoSliceMut::new(request)];
        let received = recvmsg::<SockaddrIn>(
            self.0.as_raw_fd(),
            &mut pieces,
            Some(&mut control),
            MsgFlags::empty(),
        )?;
        let stamps = received.cmsgs()?.find_map(|message| {
            let ControlMessageOwned::ScmTimestampsns(stamps) = message else { return None };
            Some(stamps.hw_raw)
        });
        let stamp_ns = stamps.map(|stamp| stamp.tv_sec() * SECOND + stamp.tv_nsec());
        let stamp_ns = stamp_ns.filter(|&stamp_ns| stamp_ns != 0 && received.bytes == HEADER_LEN);
        Ok(received.address.zip(stamp_ns))
    }

    /// Sends a packet.
    pub(crate) fn send(&self, octets: &[u8], to: SockaddrIn) -> Result<()> {
        self.0.send_to(octets, std::net::SocketAddrV4::from(to))?;
        Ok(())
    }
}
