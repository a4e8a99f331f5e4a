//! chronyc's command protocol, version 6: packets in, values out, and the other way round. Nothing here is done
//! or known: who asks and what is answered is the daemon's business.
//!
//! Invariants: no packet makes this panic or allocate more than one reply; no reply is longer than its request.
//! Layouts and lengths are those of chrony 4.8, and of chrony 4.3 where it differs.

mod add_source;
mod address;
mod client;
mod code;
mod float;
mod octets;
mod own;
mod packet;
mod reply;
mod reports;
mod request;
mod status;
#[cfg(test)]
mod tests;
mod time;

pub use address::Address;
pub use client::{NoAnswer, Question};
pub use code::Code;
pub use own::{Interface, PathCounts, Paths};
pub use packet::{Asked, Ignored, Received, receive};
pub use reply::Reply;
pub use reports::{
    AuthData, Authentication, Client, Clients, Correction, ManualSample, NtpData, PacketTotals,
    SelectData, ServerStats, Smoothing, SourceData, SourceMode, SourceStats, SourceStatus,
    Tracking,
};
pub use request::{AccessTable, ManualMode, Request};
pub use status::Status;
pub use time::UnixTime;

/// The protocol's version.
pub const VERSION: u8 = 6;

/// Octets of the longest packet that is a request: the longest of chrony's structures for one.
pub const MAX_REQUEST_LEN: usize = 860;

/// Octets of the longest reply.
pub const MAX_REPLY_LEN: usize = 520;

/// Octets of a source's name in packets, with the zero that ends it.
const NAME_LEN: usize = 256;
