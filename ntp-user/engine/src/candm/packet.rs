//! Packets as a whole: which are answered, and how an answer is wrapped.

use super::code::{Code, REPLY_HEADER_LEN, REQUEST_HEADER_LEN};
use super::octets::{Reader, Writer};
use super::reply::Reply;
use super::request::{self, Request};
use super::status::Status;
use super::{MAX_REQUEST_LEN, VERSION};

/// What a packet with a request says it is.
pub(super) const REQUEST: u8 = 1;
/// What a packet with a reply says it is.
pub(super) const REPLY: u8 = 2;
/// The oldest version whose users understand the reply that theirs is another one.
const OLDEST_TOLD: u8 = 5;

/// Why a packet gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// It is shorter than the shortest reply, or longer than any request.
    Length,
    /// It is no request.
    NotRequest,
    /// Its version is so old that nobody would understand the reply.
    Version,
}

/// What a packet is.
#[derive(Clone, Debug)]
pub enum Received<'a> {
    /// Nothing that is answered.
    Ignored(Ignored),
    /// Nothing that can be done; with the reply that says so.
    Refused(Status, Vec<u8>),
    /// A command.
    Asked(Asked<'a>),
}

/// A command of the right version and length, which is to be answered.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    code: Code,
    header: Header,
    body: &'a [u8],
}

/// What a reply repeats of its request.
#[derive(Clone, Copy, Debug)]
struct Header {
    number: u16,
    sequence: u32,
    len: usize,
}

/// Reads a packet.
#[must_use]
pub fn receive(packet: &[u8]) -> Received<'_> {
    if !(REPLY_HEADER_LEN..=MAX_REQUEST_LEN).contains(&packet.len()) {
        return Received::Ignored(Ignored::Length);
    }
    let mut reader = Reader::new(packet);
    let (version, kind, reserved) = (reader.u8(), reader.u8(), reader.u16());
    if kind != REQUEST || reserved != 0 {
        return Received::Ignored(Ignored::NotRequest);
    }
    let (number, _attempt, sequence) = (reader.u16(), reader.u16(), reader.u32());
    let header = Header { number, sequence, len: packet.len() };
    if version < OLDEST_TOLD {
        return Received::Ignored(Ignored::Version);
    }
    if version != VERSION {
        return header.refuse(Status::BadVersion);
    }
    match Code::read(number) {
        None => header.refuse(Status::Invalid),
        Some((_, least_len)) if packet.len() < least_len => header.refuse(Status::BadLength),
        Some((code, _)) => {
            Received::Asked(Asked { code, header, body: &packet[REQUEST_HEADER_LEN..] })
        }
    }
}

impl Asked<'_> {
    /// Which command it is.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// What is asked for.
    ///
    /// # Errors
    /// How the command ends if an argument of it makes no sense.
    pub fn request(&self) -> Result<Request, Status> {
        request::read(self.code, Reader::new(self.body))
    }

    /// The packet that answers; `None` if it would be longer than what was sent.
    #[must_use]
    pub fn answer(&self, reply: &Reply) -> Option<Vec<u8>> {
        self.header.answer(reply)
    }
}

impl Header {
    fn refuse(&self, status: Status) -> Received<'static> {
        match self.answer(&status.into()) {
            Some(reply) => Received::Refused(status, reply),
            None => Received::Ignored(Ignored::Length),
        }
    }

    fn answer(&self, reply: &Reply) -> Option<Vec<u8>> {
        // An older chronyc asks with less padding: for a shorter reply.
        let before_44 = self.len < REPLY_HEADER_LEN + reply.body_len(false);
        let len = REPLY_HEADER_LEN + reply.body_len(before_44);
        if len > self.len {
            return None;
        }
        let mut to = Writer::new(len);
        to.u8(VERSION).u8(REPLY).u16(0).u16(self.number).u16(reply.number(before_44));
        to.u16(reply.status() as u16).u16(0).u32(0).u32(self.sequence).u64(0);
        reply.write(&mut to, before_44);
        let mut packet = to.finish();
        packet.resize(len, 0);
        Some(packet)
    }
}
