//! Servers and the paths to them.

use std::net::SocketAddr;

use ntp_common::time::{NtpShort, NtpTimestamp};
use ntp_common::wire::{HEADER_LEN, Header, LeapIndicator, Mode, ReferenceId};

use crate::chance::Chance;
use crate::clock::KernelClock;
use crate::delay::Delay;
use crate::interleave::Memory;
use crate::units::duration;

/// Time without requests after which a server falls asleep, if it does, seconds.
const WAKE_S: f64 = 10.0;

/// A server and the path to it.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Delay from the client, seconds.
    pub there: Delay,
    /// Delay to the client, seconds.
    pub back: Delay,
    /// Probability that a reply is lost.
    pub loss: f64,
    /// Probability that a reply arrives twice.
    pub duplicated: f64,
    /// What its clock is ahead of true time, seconds.
    pub ahead_s: f64,
    /// How its clock strays from that.
    pub straying: Straying,
    /// What it says that its clock is off by at most, seconds: its root dispersion.
    pub dispersion_s: f64,
    /// Its stratum.
    pub stratum: u8,
    /// The leap second that it announces, until it has been.
    pub leap: LeapIndicator,
    /// The code of its refusals, if it refuses.
    pub kiss: Option<[u8; 4]>,
    /// Whether nothing comes through.
    pub silent: bool,
    /// When nothing comes through either.
    pub outage: Option<Outage>,
    /// How long after its transmit timestamp a reply really leaves, seconds.
    pub late_s: f64,
    /// Seconds that a request waits on its way when none came in the ten seconds before it: something there has
    /// to wake up first.
    pub wakes_s: f64,
    /// Requests that were sent to it.
    pub asked: u64,
    /// When the last one was, seconds since the start.
    pub asked_s: f64,
    /// Whether it has interleaved mode.
    pub interleaves: bool,
    /// Its replies, for interleaved mode.
    pub memory: Memory,
}

/// A part of every period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outage {
    /// The period, seconds of true time.
    pub period_s: f64,
    /// Where in the period it begins, seconds.
    pub from_s: f64,
    /// Where it ends, seconds; after its beginning and within the period.
    pub to_s: f64,
}

impl Outage {
    /// Whether it is out at `now_s`, seconds since the start.
    fn holds_at(&self, now_s: f64) -> bool {
        (self.from_s..self.to_s).contains(&(now_s % self.period_s))
    }
}

/// What a clock strays by that something else keeps near true time: it comes back to it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Straying {
    /// Standard deviation, seconds.
    pub deviation_s: f64,
    /// Time after which 63 % are forgotten, seconds; 0 when every reading is off by something else.
    pub time_constant_s: f64,
    away_s: f64,
    at_s: f64,
}

impl Straying {
    /// A clock that strays.
    #[must_use]
    pub fn by(deviation_s: f64, time_constant_s: f64) -> Self {
        Self { deviation_s, time_constant_s, ..Self::default() }
    }

    /// What it is ahead at `now_s`, an Ornstein-Uhlenbeck process.
    fn at(&mut self, now_s: f64, chance: &mut Chance) -> f64 {
        if self.deviation_s > 0.0 {
            let elapsed_s = (now_s - std::mem::replace(&mut self.at_s, now_s)).max(0.0);
            let kept = (-elapsed_s / self.time_constant_s.max(f64::MIN_POSITIVE)).exp();
            let new = (1.0 - kept * kept).sqrt() * chance.normal();
            self.away_s = kept * self.away_s + self.deviation_s * new;
        }
        self.away_s
    }
}

impl Server {
    /// A perfect server behind a path.
    #[must_use]
    pub fn new(address: SocketAddr, there: Delay, back: Delay) -> Self {
        Self {
            address,
            there,
            back,
            loss: 0.0,
            duplicated: 0.0,
            ahead_s: 0.0,
            straying: Straying::default(),
            dispersion_s: 0.0,
            stratum: 1,
            leap: LeapIndicator::Normal,
            kiss: None,
            silent: false,
            outage: None,
            late_s: 0.0,
            wakes_s: 0.0,
            asked: 0,
            asked_s: f64::NEG_INFINITY,
            interleaves: false,
            memory: Memory::default(),
        }
    }

    /// The reply to a request that leaves now, and the seconds until each copy of it arrives.
    pub fn answer(
        &mut self,
        request: &[u8; HEADER_LEN],
        clock: &KernelClock,
        chance: &mut Chance,
    ) -> ([u8; HEADER_LEN], Vec<f64>) {
        let now_s = clock.now_s();
        self.asked += 1;
        let asleep = now_s - std::mem::replace(&mut self.asked_s, now_s) > WAKE_S;
        let wake_s = if asleep { self.wakes_s } else { 0.0 };
        let there_s = wake_s + self.there.draw(now_s, chance);
        let back_s = self.back.draw(clock.now_s(), chance);
        let again_s = self.back.draw(clock.now_s(), chance);
        let lost = chance.happens(self.loss);
        let duplicated = chance.happens(self.duplicated);
        let out = self.outage.is_some_and(|outage| outage.holds_at(clock.now_s()));
        let mut arrivals_s = Vec::new();
        if !(lost || out || self.silent) {
            arrivals_s.push(there_s + self.late_s + back_s);
            if duplicated {
                arrivals_s.push(there_s + self.late_s + again_s);
            }
        }
        let ahead_s = self.ahead_s + self.straying.at(now_s + there_s, chance);
        let time = clock.true_time(there_s) + duration(ahead_s);
        let leap = if clock.has_leapt(there_s) { LeapIndicator::Normal } else { self.leap };
        let mut reply = self.reply(request, time, leap);
        if self.interleaves && !self.silent {
            self.memory.apply(&Header::read(request), &mut reply, time + duration(self.late_s));
        }
        (reply.write(), arrivals_s)
    }

    fn reply(&self, request: &[u8; HEADER_LEN], time: NtpTimestamp, leap: LeapIndicator) -> Header {
        let reply = Header {
            mode: Mode::Server,
            stratum: self.stratum,
            leap,
            precision: -26,
            root_delay: NtpShort::from_bits(0),
            root_dispersion: short(self.dispersion_s),
            reference_id: ReferenceId::from_octets(*b"GPS\0"),
            origin_timestamp: Header::read(request).transmit_timestamp,
            receive_timestamp: time,
            transmit_timestamp: time,
            ..Header::request(NtpTimestamp::UNKNOWN)
        };
        match self.kiss {
            Some(code) => Header {
                stratum: 0,
                leap: LeapIndicator::Unsynchronised,
                reference_id: ReferenceId::from_octets(code),
                ..reply
            },
            None => reply,
        }
    }
}

/// Seconds in NTP's short format, rounded up, so that nothing is better than said.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn short(seconds: f64) -> NtpShort {
    NtpShort::from_bits((seconds * 65_536.0).floor() as u32 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_that_strays_is_off_by_its_deviation_and_comes_back_in_its_time() {
        let mut chance = Chance::new(5, 1);
        for (time_constant_s, kept) in [(0.0, 0.0), (1000.0, (-0.1f64).exp())] {
            let mut straying = Straying::by(1e-4, time_constant_s);
            let away: Vec<f64> =
                (1..100_000).map(|at| straying.at(100.0 * f64::from(at), &mut chance)).collect();
            let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / 1e5;
            let variance = mean(&mut away.iter().map(|away_s| away_s * away_s));
            let with_next = mean(&mut away.windows(2).map(|pair| pair[0] * pair[1]));
            assert!((variance / 1e-8 - 1.0).abs() < 0.1, "{variance}");
            assert!((with_next / variance - kept).abs() < 0.02, "{with_next}");
        }
        assert!(Straying::default().at(5.0, &mut chance).abs() < f64::MIN_POSITIVE);
    }
}
