//! What peers are told of our clock, and what the packets of sources said.

use std::net::IpAddr;

use ntp_common::time::NtpTimestamp;
use ntp_common::wire::{HEADER_LEN, Header};
use rand::Rng;

use super::Engine;
use crate::report::PacketReport;
use crate::seams::Now;
use crate::seconds;
use crate::select::is_authenticated;
use crate::source::{LastPacket, Presentation, Source};

impl<R: Rng> Engine<R> {
    /// Our clock and what it follows, as a packet to a peer gives them.
    pub(super) fn presentation(&self, now: &Now) -> Presentation {
        let served = self.served(now);
        let header = Header {
            leap: served.leap,
            stratum: served.stratum,
            precision: self.config.precision_log2,
            root_delay: seconds::short(served.root_delay_s),
            root_dispersion: seconds::short(served.root_dispersion_s),
            reference_id: served.reference_id,
            reference_timestamp: served.reference_timestamp,
            ..Header::request(NtpTimestamp::UNKNOWN)
        };
        Presentation { header, now: now.time, ahead: self.true_time(now).since(now.time) }
    }
    /// What the packets of the source with this address said; `None` when there is none.
    #[must_use]
    pub fn packet_report(&self, address: IpAddr) -> Option<PacketReport> {
        let mut servers = self.servers();
        let source = servers.find(|source| source.address().ip() == address)?;
        Some(packet_report(source))
    }
}

fn packet_report(source: &Source) -> PacketReport {
    let (last, counts) = (source.last_packet(), source.counts());
    let number = |of: fn(&LastPacket) -> f64| last.map_or(0.0, of);
    PacketReport {
        remote: source.address(),
        local: source.local(),
        header: last.map_or(Header::read(&[0; HEADER_LEN]), |last| last.header),
        interleaved: last.is_some_and(|last| last.interleaved),
        // Without the right code a packet is not looked at.
        authenticated: last.is_some() && is_authenticated(source.options()),
        tests: last.map_or(0, |last| last.tests),
        offset_s: number(|last| last.offset_s),
        delay_s: number(|last| last.delay_s),
        dispersion_s: number(|last| last.dispersion_s),
        response_s: number(|last| last.response_s),
        jitter_asymmetry: source.options().asymmetry.unwrap_or(0.0),
        stamped_by: last.and_then(|last| last.stamped_by),
        sent: counts.sent,
        received: counts.accepted + counts.rejected,
        valid: counts.valid,
        good: counts.accepted,
        kernel_stamps: counts.kernel_stamps,
        hardware_stamps: counts.hardware_stamps,
    }
}
