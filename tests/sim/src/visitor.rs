//! Requests of others that come to the simulated machine, and what it answers: the snapshot in force, by the same
//! function as both paths of the daemon.

use std::net::SocketAddr;

use ntp_common::respond::respond;
use ntp_common::time::NtpDuration;
use ntp_common::wire::HEADER_LEN;

use crate::machine::{Machine, Outgoing};

/// What an answer takes, nanoseconds.
const ANSWER_NS: i64 = 60;

/// A request on its way to the machine.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    pub(crate) arrives_s: f64,
    pub(crate) from: SocketAddr,
    pub(crate) packet: [u8; HEADER_LEN],
}

impl Machine {
    /// Answers the request with this index, unless nothing is served.
    pub(crate) fn answer(&mut self, index: usize) {
        let Visitor { from, packet, .. } = self.visitors.swap_remove(index);
        let now = self.clock.read().mono;
        let snapshot = self.snapshot.as_of(now);
        if !snapshot.is_valid_at(now) {
            return;
        }
        let receive = snapshot.time_at(now);
        let transmit = receive + NtpDuration::from_nanos(ANSWER_NS);
        let octets = respond(&packet, &snapshot.template_at(receive), receive, transmit, 0).octets;
        self.outbox.push(Outgoing { at_s: self.clock.now_s(), to: from, octets });
    }
}
