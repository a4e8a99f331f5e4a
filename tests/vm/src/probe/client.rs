//! A client of the daemon that knows what it should be told.

use std::time::Duration;

use anyhow::{Context, Result};
use ntp_common::time::NtpTimestamp;
use ntp_common::wire::{HEADER_LEN, Header};
use ntp_lab::query::{Client, Reply};

use crate::truth::{Instant, Truth, seconds};

/// How long a reply is waited for: an emulated processor may be kept from its work for long.
const PATIENCE: Duration = Duration::from_millis(500);

/// A reply, held against true time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// The reply.
    pub(crate) header: Header,
    /// When the request was sent.
    pub(crate) sent: Instant,
    /// When the reply was there.
    pub(crate) arrived: Instant,
    /// By how much it was surely wrong, seconds.
    pub(crate) error_s: f64,
}

impl Told {
    /// Whether it was surely wrong by more than it said that it might be.
    pub(crate) fn is_lie(&self) -> bool {
        let Header { root_delay, root_dispersion, .. } = self.header;
        let root_distance = root_delay.to_nanos() / 2 + root_dispersion.to_nanos();
        self.error_s > seconds(root_distance.cast_signed())
    }
}

/// Asks once, with `trailer` behind the request; nothing if there is no reply.
pub(crate) fn ask(client: &Client, truth: &Truth, trailer: &[u8]) -> Result<Option<Told>> {
    let sent = truth.now();
    let cookie = NtpTimestamp::from_bits(truth.utc(sent).cast_unsigned());
    client.send(&[&Header::request(cookie).write(), trailer].concat())?;
    loop {
        let reply = client.receive(PATIENCE)?;
        let arrived = truth.now();
        let Reply::Answered(octets) = reply else { return Ok(None) };
        let octets = octets.first_chunk::<HEADER_LEN>().context("a short reply")?;
        let header = Header::read(octets);
        if header.origin_timestamp == cookie {
            let [receive, transmit] = [header.receive_timestamp, header.transmit_timestamp]
                .map(|timestamp| truth.error(timestamp, sent, arrived));
            let error_s = receive.max(transmit);
            return Ok(Some(Told { header, sent, arrived, error_s }));
        }
    }
}
