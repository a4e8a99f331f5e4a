//! A server that tells true time.

use std::net::UdpSocket;
use std::thread;

use anyhow::Result;
use ntp_common::time::NtpShort;
use ntp_common::wire::{HEADER_LEN, Header, LeapIndicator, Mode, ReferenceId};

use crate::machine;
use crate::stamped::Stamped;
use crate::truth::{Instant, Truth, ntp};

/// Serves `truth` until the guest ends; announces a leap second until it is over.
pub(crate) fn serve(socket: UdpSocket, truth: Truth) {
    thread::spawn(move || {
        machine::hurry();
        let mut request = [0; HEADER_LEN];
        while let Ok((length, client)) = socket.recv_from(&mut request) {
            let receive = truth.now();
            if length == HEADER_LEN {
                let reply = reply(&Header::read(&request), receive, &truth);
                let _ = socket.send_to(&reply.write(), client);
            }
        }
    });
}

/// The same on an interface that stamps packets with a clock that is `ahead_ns` ahead of true time.
pub(crate) fn serve_stamped(socket: UdpSocket, truth: Truth, ahead_ns: i64) -> Result<()> {
    let socket = Stamped::new(socket)?;
    thread::spawn(move || {
        machine::hurry();
        let mut request = [0; HEADER_LEN];
        while let Ok(received) = socket.receive(&mut request) {
            let Some((client, stamp_ns)) = received else { continue };
            let receive = Instant::at(stamp_ns - ahead_ns);
            let reply = reply(&Header::read(&request), receive, &truth);
            let _ = socket.send(&reply.write(), client);
        }
    });
    Ok(())
}

fn reply(request: &Header, receive: Instant, truth: &Truth) -> Header {
    let is_announced = truth.until_leap(receive).is_finite() && !truth.is_past_leap(receive);
    let receive_timestamp = ntp(truth.utc(receive));
    Header {
        leap: if is_announced { LeapIndicator::Insert } else { LeapIndicator::Normal },
        mode: Mode::Server,
        stratum: 1,
        // 2^-20 s: about a microsecond.
        precision: -20,
        root_delay: NtpShort::from_bits(0),
        root_dispersion: NtpShort::from_bits(0),
        reference_id: ReferenceId::from_octets(*b"TRUE"),
        reference_timestamp: receive_timestamp,
        origin_timestamp: request.transmit_timestamp,
        receive_timestamp,
        transmit_timestamp: ntp(truth.utc(truth.now())),
        ..*request
    }
}
