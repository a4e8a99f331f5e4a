//! `PHC`: the clock of a network interface, or one beside it, is a source of time itself, or takes the time of pulses
//! from outside.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use ntp_common::wire::LeapIndicator;
use ntp_engine::conf::{Edge, ExternalPulses};

use super::{Listen, Poll, Reader, Shown};
use crate::clock::phc::{Phc, device, read_pulse};
use crate::net::nic::ethtool::Socket;

/// Opens the clock at a path, or of an interface.
pub(super) fn open(
    name: &str,
    cross_timestamps: bool,
    pulses: Option<ExternalPulses>,
) -> io::Result<Reader> {
    let path = if name.contains('/') { PathBuf::from(name) } else { of_interface(name)? };
    let mut phc = Phc::open(&path, pulses.is_some(), cross_timestamps)?;
    let Some(ExternalPulses { pin, channel, edge }) = pulses else {
        phc.read()?;
        return Ok(Reader::Polled(Box::new(Full(phc))));
    };
    phc.take_pulses(pin, channel, edge == Edge::Assert)?;
    let descriptor = phc.descriptor()?;
    Ok(Reader::Listened(descriptor, Box::new(External { phc, channel })))
}

fn of_interface(name: &str) -> io::Result<PathBuf> {
    let none = || io::Error::new(io::ErrorKind::NotFound, "the interface has no clock");
    Socket::open(name)?.timestamps()?.clock.map(device).ok_or_else(none)
}

/// A clock that shows the time.
struct Full(Phc);

impl Poll for Full {
    fn read(&mut self) -> io::Result<Option<Shown>> {
        let reading = self.0.read()?;
        Ok(Some(Shown {
            at: reading.real,
            time: Some(reading.phc),
            ahead_s: 0.0,
            is_pulse: false,
            dispersion_s: half_s(reading.taken_ns),
            leap: LeapIndicator::Normal,
        }))
    }
}

/// A clock that takes the time of pulses.
struct External {
    phc: Phc,
    channel: u32,
}

impl Listen for External {
    fn read(&mut self, descriptor: &OwnedFd) -> io::Result<Option<Shown>> {
        let Some((channel, time)) = read_pulse(descriptor)? else { return Ok(None) };
        if channel != self.channel {
            return Ok(None);
        }
        let reading = self.phc.read()?;
        // The clock need not be right, but is so between the pulse and now.
        let ago_ns = reading.phc.nanos_since(time);
        Ok(Some(Shown {
            at: reading.real.plus(ago_ns.saturating_neg()),
            time: None,
            ahead_s: 0.0,
            is_pulse: true,
            dispersion_s: half_s(reading.taken_ns),
            leap: LeapIndicator::Normal,
        }))
    }
}

#[expect(clippy::cast_precision_loss, reason = "far less than a second")]
fn half_s(taken_ns: i64) -> f64 {
    taken_ns as f64 * 0.5e-9
}
