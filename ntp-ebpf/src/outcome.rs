//! What becomes of a reply that is ready, by how often its client asks.

use ntp_common::checksum::Sum;
use ntp_common::counters::{KISSES, LEAKED, Reason};
use ntp_common::ratelimit::Verdict;
use ntp_common::respond::Reply;
use ntp_common::time::MonoNs;

use crate::clients::Account;
use crate::count;
use crate::headers::PlainDatagram;
use crate::request::{Stop, whole_sum};

/// What is left to do once a frame is answered.
pub(crate) struct Answered {
    /// The index of the counter of the answer.
    pub(crate) counter: usize,
    /// For [`crate::clients::settle`].
    pub(crate) waiting: u64,
}

/// Charges the client, whose reply is ready, and drops that or makes another of it if the client asks too often. `addresses`
/// gives the sum of the addresses of the IP header, `counter` is that of a reply.
///
/// This comes last, and the record is asked for first: while it is on its way from the second-level cache, all the rest is done. Who
/// is not answered here is charged by the daemon.
#[inline(always)]
pub(crate) fn charge(
    account: Account,
    now: MonoNs,
    datagram: &mut PlainDatagram,
    addresses: impl FnOnce() -> Sum,
    counter: usize,
) -> Result<Answered, Stop> {
    let (verdict, waiting) = account.request(now);
    match verdict {
        Verdict::Answer => Ok(Answered { counter, waiting }),
        Verdict::Leak => {
            count(LEAKED);
            Ok(Answered { counter, waiting })
        }
        Verdict::Kiss => {
            let PlainDatagram { udp, payload } = datagram;
            let told = Reply::of(*payload).kiss_rate();
            *payload = told.octets;
            let sum = whole_sum(udp, &told, addresses());
            udp.checksum = sum.udp_checksum();
            Ok(Answered { counter: KISSES, waiting })
        }
        Verdict::Drop => Err(Reason::RateLimited.into()),
    }
}
