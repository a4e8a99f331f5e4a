//! A server's memory of its replies, for interleaved mode (RFC 9769): which request each answered, and when it
//! really left.

use ntp_common::time::NtpTimestamp;
use ntp_common::wire::Header;

/// Replies that are remembered.
const MOST: usize = 4;

/// What a server remembers.
#[derive(Clone, Debug, Default)]
pub struct Memory(Vec<(NtpTimestamp, NtpTimestamp)>);

impl Memory {
    /// Makes a reply interleaved, if the request asks for that and its reply is remembered; an entry is used
    /// once. `left` is when this reply really leaves.
    pub(crate) fn apply(&mut self, request: &Header, reply: &mut Header, left: NtpTimestamp) {
        let asks = request.receive_timestamp != request.transmit_timestamp
            && !request.origin_timestamp.is_unknown();
        let known = self.0.iter().position(|entry| asks && entry.0 == request.origin_timestamp);
        if let Some(index) = known {
            let (_, transmit) = self.0.remove(index);
            reply.origin_timestamp = request.receive_timestamp;
            reply.transmit_timestamp = transmit;
        }
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push((reply.receive_timestamp, left));
    }
}
