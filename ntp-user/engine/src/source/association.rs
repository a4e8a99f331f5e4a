//! The exchange of packets with a source, as its client or as its peer, basic or interleaved: what the next
//! packet says, and which timestamps a packet that came in completes. RFC 5905 sections 8 and 9, RFC 9769.
//!
//! Invariant: only a packet that gives back a timestamp of our last one is believed, and each of ours is
//! answered once.

use ntp_common::time::{NtpDuration, NtpTimestamp};
use ntp_common::wire::{Header, Mode};
use rand::Rng;

use super::measured::{Heard, Measured};
use super::reply::Rejection;
use super::request::Request;
use crate::sample::ClockChange;
use crate::seams::{RequestId, Stamped};
use crate::seconds;

/// Requests of a client without a reply after which interleaved mode is given up: the server would answer with
/// timestamps of long ago.
const MOST_UNANSWERED: u32 = 4;
/// What we are to the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Its client: it answers each request.
    Client,
    /// Its peer: both send when it is time, and each packet answers the other's last one.
    Peer,
}

/// The clock that a packet to a peer speaks of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Presentation {
    /// What is served, with the poll interval; timestamps of the exchange are not set.
    pub(crate) header: Header,
    /// The steered clock now.
    pub(crate) now: NtpTimestamp,
    /// What true time is ahead of it.
    pub(crate) ahead: NtpDuration,
}

/// A packet of a peer that answers none of ours: the next one answers it, so that the exchange begins.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Opening {
    transmit: NtpTimestamp,
    arrived: Stamped,
    /// It came after our last packet.
    is_new: bool,
}

/// What a packet answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matched {
    /// Our last packet, with its own time of leaving.
    Basic,
    /// Our last packet, with the time at which the packet before it had left.
    Interleaved,
}

/// The state of an exchange.
#[derive(Clone, Debug)]
pub(super) struct Association {
    pub(super) role: Role,
    xleave: bool,
    /// Our last packet. A client forgets it when it was answered.
    sent: Option<Request>,
    /// A peer has answered it.
    answered: bool,
    heard: Option<Heard>,
    opening: Option<Opening>,
    /// Packets since the last answer, and between that and the one before it.
    unanswered: u32,
    unanswered_before: u32,
}

impl Association {
    /// An exchange that has not begun.
    pub(super) fn new(role: Role, xleave: bool) -> Self {
        Self {
            role,
            xleave,
            sent: None,
            answered: false,
            heard: None,
            opening: None,
            unanswered: 0,
            unanswered_before: 0,
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.role, self.xleave);
    }

    /// Asks for interleaved packets from now on, or not.
    pub(super) fn set_xleave(&mut self, xleave: bool) {
        self.xleave = xleave;
    }

    /// Nothing that comes in from now on answers our last packet.
    pub(super) fn give_up(&mut self) {
        self.sent = None;
    }

    /// Whether packets of the source are waited for.
    pub(super) fn is_waiting(&self) -> bool {
        self.sent.is_some()
    }

    /// Whether a client's next request asks for an interleaved reply.
    pub(super) fn interleaves(&self) -> bool {
        self.xleave && self.heard.is_some() && self.unanswered < MOST_UNANSWERED
    }

    /// The next request of a client. It shows nothing of our clock: its timestamps are random, but for the one
    /// of the server's that asks for an interleaved reply.
    pub(super) fn request(&mut self, id: RequestId, version: u8, rng: &mut impl Rng) -> Header {
        let transmit = nonce(rng, &[]);
        let mut header = Header { version, ..Header::request(transmit) };
        if let Some(heard) = self.heard.filter(|_| self.interleaves()) {
            header.origin_timestamp = heard.receive;
            header.receive_timestamp = nonce(rng, &[transmit, heard.receive]);
        }
        self.sending(id, &header, header.receive_timestamp != NtpTimestamp::UNKNOWN);
        header
    }

    /// The next packet to a peer.
    ///
    /// It is interleaved only if it is the first answer to the last packet of the peer, and there was just one
    /// to the one before: else the peer could take its transmit timestamp for that of another packet.
    pub(super) fn packet(
        &mut self,
        id: RequestId,
        version: u8,
        clock: &Presentation,
        rng: &mut impl Rng,
    ) -> Header {
        let opening = self.opening.filter(|_| !self.answered);
        let left = self.sent.and_then(|sent| sent.left);
        let interleaved = self.xleave
            && opening.is_none()
            && (self.unanswered, self.unanswered_before) == (0, 1)
            && self.heard.is_some()
            && left.is_some();
        let (transmit, arrived) = match (opening, self.heard) {
            (Some(opening), _) => (opening.transmit, Some(opening.arrived)),
            (None, Some(heard)) => (heard.transmit, Some(heard.arrived)),
            (None, None) => (NtpTimestamp::UNKNOWN, None),
        };
        let origin = self.heard.filter(|_| interleaved).map_or(transmit, |heard| heard.receive);
        let before =
            self.sent.map_or([NtpTimestamp::UNKNOWN; 2], |sent| [sent.transmit, sent.receive]);
        let receive = arrived.map_or(NtpTimestamp::UNKNOWN, |at| {
            distinct(at.at + clock.ahead, &[origin, before[1]], rng)
        });
        let leaves = left.filter(|_| interleaved).map_or(clock.now, |left| left.at);
        let transmit = distinct(leaves + clock.ahead, &[origin, receive, before[0]], rng);
        if let Some(heard) = self.heard.as_mut().filter(|_| opening.is_some()) {
            heard.synchronised = false;
        }
        let header = Header {
            version,
            mode: Mode::SymmetricActive,
            origin_timestamp: origin,
            receive_timestamp: receive,
            transmit_timestamp: transmit,
            ..clock.header
        };
        self.sending(id, &header, arrived.is_some());
        header
    }

    fn sending(&mut self, id: RequestId, header: &Header, may_interleave: bool) {
        self.sent = Some(Request {
            id,
            transmit: header.transmit_timestamp,
            receive: header.receive_timestamp,
            may_interleave: self.xleave && may_interleave,
            left: None,
        });
        self.answered = false;
        self.unanswered = self.unanswered.saturating_add(1);
        if let Some(opening) = &mut self.opening {
            opening.is_new = false;
        }
    }

    /// Takes a time at which a packet left.
    pub(super) fn stamp(&mut self, id: RequestId, at: Stamped) {
        let earlier = self.heard.as_mut().and_then(|heard| heard.answered.as_mut());
        let packets = self.sent.iter_mut().chain(earlier);
        packets.filter(|packet| packet.id == id).for_each(|packet| packet.stamp(at));
    }

    /// What a packet answers. Only who saw our last packet can have sent one that passes; what does not changes
    /// nothing, but that a peer's may open the exchange.
    pub(super) fn recognise(&mut self, header: &Header, at: Stamped) -> Result<Matched, Rejection> {
        let recognised = self.matched(header);
        if recognised == Err(Rejection::WrongOrigin)
            && self.role == Role::Peer
            && !header.transmit_timestamp.is_unknown()
        {
            let transmit = header.transmit_timestamp;
            let is_later =
                |old: Opening| !old.is_new || transmit.since(old.transmit) > NtpDuration::ZERO;
            if self.opening.is_none_or(is_later) {
                self.opening = Some(Opening { transmit, arrived: at, is_new: true });
            }
        }
        recognised
    }

    fn matched(&self, header: &Header) -> Result<Matched, Rejection> {
        let is_heard = |heard: Heard| {
            (heard.receive, heard.transmit) == (header.receive_timestamp, header.transmit_timestamp)
        };
        if self.role == Role::Peer && self.heard.is_some_and(is_heard) {
            return Err(Rejection::Duplicate);
        }
        let unasked = match self.role {
            Role::Client => Rejection::Unasked,
            Role::Peer => Rejection::WrongOrigin,
        };
        let sent = self.sent.ok_or(unasked)?;
        // RFC 5905 section 8: "If the origin timestamp in the packet does not match the transmit timestamp of
        // the last packet sent, the packet is bogus."
        if header.origin_timestamp.is_unknown() {
            Err(Rejection::WrongOrigin)
        } else if header.origin_timestamp == sent.transmit {
            Ok(Matched::Basic)
        } else if sent.may_interleave && header.origin_timestamp == sent.receive {
            Ok(Matched::Interleaved)
        } else {
            Err(Rejection::WrongOrigin)
        }
    }

    /// A client's request has its one reply, whatever that says.
    pub(super) fn answered(&mut self) {
        self.unanswered_before = self.unanswered;
        self.unanswered = 0;
        if self.role == Role::Client {
            self.sent = None;
        }
    }

    /// Takes the timestamps of a packet that answers ours and has them all, and gives the measurement that it
    /// completes. A packet of a peer that answers what was answered already tells when it left, and no more.
    ///
    /// # Errors
    /// Why it completes none.
    pub(super) fn take(
        &mut self,
        header: &Header,
        matched: Matched,
        at: Stamped,
        synchronised: bool,
    ) -> Result<Measured, Rejection> {
        let sent = self.sent.ok_or(Rejection::Unasked)?;
        let roots_s = [header.root_delay, header.root_dispersion].map(seconds::of_short);
        let heard = Heard {
            receive: header.receive_timestamp,
            transmit: header.transmit_timestamp,
            arrived: at,
            answered: Some(sent),
            root_delay_s: roots_s[0],
            root_dispersion_s: roots_s[1],
            synchronised,
        };
        let before = self.heard;
        let is_later = |old: Heard| heard.transmit.since(old.transmit) > NtpDuration::ZERO;
        let repeated = std::mem::replace(&mut self.answered, true);
        if !repeated || before.is_none_or(is_later) {
            self.heard = Some(heard);
        }
        if repeated {
            return Err(Rejection::Unasked);
        }
        self.answered();
        match matched {
            Matched::Basic => Measured::basic(&heard, &sent),
            Matched::Interleaved => {
                let before = before.filter(|before| before.synchronised);
                let before = before.ok_or(Rejection::NotStamped)?;
                Measured::interleaved(&heard, &before, &sent, self.role)
            }
        }
    }

    /// The measurement that the last packet completed was used: an interleaved packet does not complete the same
    /// one again.
    pub(super) fn used(&mut self, matched: Matched) {
        if let Some(heard) = self.heard.as_mut().filter(|_| matched == Matched::Basic) {
            heard.answered = None;
        }
    }

    /// The clock has changed: our timestamps are moved onto it, or given up after a step, since a packet may have
    /// been stamped before it and wait to be read: nobody could tell.
    pub(super) fn clock_changed(&mut self, change: &ClockChange) {
        if change.step_s != 0.0 {
            self.clear();
            return;
        }
        if let Some(sent) = &mut self.sent {
            sent.move_onto(change);
        }
        if let Some(opening) = &mut self.opening {
            opening.arrived.move_onto(change);
        }
        if let Some(heard) = &mut self.heard {
            heard.arrived.move_onto(change);
            if let Some(request) = &mut heard.answered {
                request.move_onto(change);
            }
        }
    }
}

/// A random timestamp that is neither unknown nor one of `others`: whoever did not see the packet cannot know it.
fn nonce(rng: &mut impl Rng, others: &[NtpTimestamp]) -> NtpTimestamp {
    loop {
        let nonce = NtpTimestamp::from_bits(rng.next_u64());
        if !nonce.is_unknown() && !others.contains(&nonce) {
            return nonce;
        }
    }
}

/// A time with its last bits random, which are below any clock's precision, so that it is none of `others`.
fn distinct(time: NtpTimestamp, others: &[NtpTimestamp], rng: &mut impl Rng) -> NtpTimestamp {
    const FUZZ: u64 = 0x3f;
    loop {
        let time = NtpTimestamp::from_bits(time.to_bits() & !FUZZ | rng.next_u64() & FUZZ);
        if !time.is_unknown() && !others.contains(&time) {
            return time;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Exchange;
    use crate::seams::StampedBy;
    use ntp_common::wire::LeapIndicator;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn at(millis: u64) -> NtpTimestamp {
        NtpTimestamp::from_bits((4_000_000_000 << 32) + (millis << 32) / 1000)
    }

    fn stamped(millis: u64) -> Stamped {
        Stamped { at: at(millis), by: StampedBy::Kernel }
    }

    fn rng() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(1)
    }

    fn client(xleave: bool) -> Association {
        Association::new(Role::Client, xleave)
    }

    /// Sends a request that leaves at `millis`.
    fn ask(client: &mut Association, id: u64, millis: u64) -> Header {
        let header = client.request(RequestId(id), 4, &mut rng_of(id));
        client.stamp(RequestId(id), stamped(millis));
        header
    }

    fn rng_of(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    /// A server's packet that gives `origin` back.
    fn reply(origin: NtpTimestamp, receive: u64, transmit: u64) -> Header {
        Header {
            mode: Mode::Server,
            stratum: 1,
            origin_timestamp: origin,
            receive_timestamp: at(receive),
            transmit_timestamp: at(transmit),
            ..Header::request(NtpTimestamp::UNKNOWN)
        }
    }

    fn hear(to: &mut Association, header: &Header, millis: u64) -> Result<Measured, Rejection> {
        let matched = to.recognise(header, stamped(millis))?;
        let measured = to.take(header, matched, stamped(millis), true)?;
        to.used(matched);
        Ok(measured)
    }

    #[test]
    fn request_of_a_client_shows_nothing_and_has_one_answer() {
        let mut client = client(false);
        let request = ask(&mut client, 1, 0);
        assert_eq!(request.origin_timestamp, NtpTimestamp::UNKNOWN);
        assert_eq!(request.receive_timestamp, NtpTimestamp::UNKNOWN);
        for origin in [NtpTimestamp::UNKNOWN, at(0), request.receive_timestamp] {
            let outcome = hear(&mut client, &reply(origin, 5, 6), 9);
            assert_eq!(outcome, Err(Rejection::WrongOrigin));
        }
        let answer = reply(request.transmit_timestamp, 5, 6);
        let exchange = hear(&mut client, &answer, 9).unwrap().exchange;
        assert_eq!(exchange, Exchange { t1: at(0), t2: at(5), t3: at(6), t4: at(9) });
        assert_eq!(hear(&mut client, &answer, 9), Err(Rejection::Unasked));
        let next = ask(&mut client, 2, 100);
        assert_eq!(next.origin_timestamp, NtpTimestamp::UNKNOWN, "no interleaved mode");
        assert_eq!(hear(&mut client, &answer, 109), Err(Rejection::WrongOrigin), "replayed");
    }

    #[test]
    fn interleaved_replies_measure_the_exchange_before_them() {
        let mut client = client(true);
        let first = ask(&mut client, 1, 0);
        hear(&mut client, &reply(first.transmit_timestamp, 5, 6), 9).unwrap();
        let second = ask(&mut client, 2, 100);
        assert_eq!(second.origin_timestamp, at(5), "the server's receive timestamp");
        assert_ne!(second.receive_timestamp, second.transmit_timestamp);
        // The first reply had really left a millisecond later, but was measured already.
        let outcome = hear(&mut client, &reply(second.receive_timestamp, 105, 7), 110);
        assert_eq!(outcome, Err(Rejection::Remeasured));
        let third = ask(&mut client, 3, 200);
        assert_eq!(third.origin_timestamp, at(105));
        let measured = hear(&mut client, &reply(third.receive_timestamp, 205, 107), 210).unwrap();
        let exchange = Exchange { t1: at(100), t2: at(105), t3: at(107), t4: at(110) };
        assert_eq!(measured.exchange, exchange);
        // A server that has forgotten answers the request itself.
        let fourth = ask(&mut client, 4, 300);
        let measured = hear(&mut client, &reply(fourth.transmit_timestamp, 305, 306), 309).unwrap();
        assert_eq!(measured.exchange.t1, at(300));
    }

    #[test]
    fn client_gives_interleaved_mode_up_after_four_requests_without_a_reply() {
        let mut client = client(true);
        let first = ask(&mut client, 1, 0);
        hear(&mut client, &reply(first.transmit_timestamp, 5, 6), 9).unwrap();
        let asks = |id| ask(&mut client, id, id * 100).origin_timestamp == at(5);
        let interleaved: Vec<bool> = (2..=6).map(asks).collect();
        assert_eq!(interleaved, [true, true, true, true, false]);
    }

    #[test]
    fn step_of_the_clock_ends_what_was_under_way() {
        let mut client = client(true);
        let request = ask(&mut client, 1, 0);
        client.clock_changed(&ClockChange { at: at(1), step_s: 1.0, rate: 0.0 });
        let answer = reply(request.transmit_timestamp, 5, 6);
        assert_eq!(hear(&mut client, &answer, 9), Err(Rejection::Unasked));
    }

    /// Sends a packet of one peer to the other, which takes 10 ms.
    fn pass(from: &mut Association, to: &mut Association, id: u64, millis: u64) -> Outcome {
        let header = Header {
            leap: LeapIndicator::Normal,
            stratum: 1,
            ..Header::request(NtpTimestamp::UNKNOWN)
        };
        let clock = Presentation { header, now: at(millis), ahead: NtpDuration::ZERO };
        let packet = from.packet(RequestId(id), 4, &clock, &mut rng());
        // It leaves later than it was stamped.
        from.stamp(RequestId(id), stamped(millis + 2));
        (packet, hear(to, &packet, millis + 12))
    }

    type Outcome = (Header, Result<Measured, Rejection>);

    #[test]
    fn peers_begin_with_what_they_hear_and_measure_from_the_third_packet_on() {
        for xleave in [false, true] {
            let mut peers = [0, 1].map(|_| Association::new(Role::Peer, xleave));
            let [one, two] = &mut peers;
            assert_eq!(pass(one, two, 1, 0).1, Err(Rejection::WrongOrigin));
            // The second packet answers the first.
            assert!(pass(two, one, 2, 1000).1.is_ok());
            // An interleaved one tells when a packet left that was not believed.
            assert_eq!(pass(one, two, 3, 2000).1.is_ok(), !xleave);
            for id in (4..20).step_by(2) {
                let (packet, measured) = pass(two, one, id, id * 1000);
                let exchange = measured.unwrap().exchange;
                // 10 ms each way; basic packets say that they left 2 ms before they did.
                let expected_ms = if xleave { 20 } else { 22 };
                let delay_ms = (exchange.delay_s() * 1e3).round();
                assert!((delay_ms - f64::from(expected_ms)).abs() < 0.5, "{id}: {delay_ms}");
                assert_eq!(hear(one, &packet, id * 1000 + 20), Err(Rejection::Duplicate));
                pass(one, two, id + 1, id * 1000 + 500).1.unwrap();
            }
        }
    }
}
