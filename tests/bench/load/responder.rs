//! A bare responder: one thread that receives a batch, puts one reading of the clock into every packet, and sends the
//! batch back. No access rules, no counters, no kernel timestamps: what a user-space server can at most be.

use std::io::{IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};
use ntp_common::time::NtpTimestamp;
use ntp_common::wire::{HEADER_LEN, Header, Mode, NTP_PORT};
use ntp_lab::{Host, Process};

/// The argument by which this program becomes the responder.
pub(crate) const NAME: &str = "responder";
const BATCH: usize = 64;
const READY: &str = "responding";

/// Starts it in `host`.
pub(crate) fn start(host: &Host) -> Result<Process> {
    let mut command = host.daemon(std::env::current_exe()?);
    let mut process = Process::start(NAME, command.arg(NAME))?;
    process.wait_for_line(READY, Duration::from_secs(5))?;
    Ok(process)
}

/// Responds for ever.
pub(crate) fn run() -> Result<()> {
    let socket = UdpSocket::bind(("0.0.0.0", NTP_PORT)).context("cannot bind the port")?;
    println!("{READY}");
    let descriptor = socket.as_raw_fd();
    let mut incoming = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let mut outgoing = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let mut packets = [[0; HEADER_LEN]; BATCH];
    loop {
        let mut clients: Vec<Option<SockaddrIn>> = Vec::with_capacity(BATCH);
        {
            let mut slices: Vec<[IoSliceMut<'_>; 1]> =
                packets.iter_mut().map(|packet| [IoSliceMut::new(packet)]).collect();
            let flags = MsgFlags::MSG_WAITFORONE;
            let received = recvmmsg(descriptor, &mut incoming, slices.iter_mut(), flags, None)?;
            clients.extend(received.map(|packet| packet.address));
        }
        let now = now();
        for packet in &mut packets[..clients.len()] {
            let request = Header::read(packet);
            let reply = Header {
                mode: Mode::Server,
                stratum: 5,
                origin_timestamp: request.transmit_timestamp,
                receive_timestamp: now,
                ..Header::request(now)
            };
            *packet = reply.write();
        }
        let slices: Vec<[IoSlice<'_>; 1]> =
            packets[..clients.len()].iter().map(|packet| [IoSlice::new(packet)]).collect();
        // What does not fit into the socket's buffer is lost, as it is for other servers.
        let _ = sendmmsg(descriptor, &mut outgoing, &slices, &clients, [], MsgFlags::empty());
    }
}

fn now() -> NtpTimestamp {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    NtpTimestamp::from_unix(time.as_secs().cast_signed(), time.subsec_nanos())
}
