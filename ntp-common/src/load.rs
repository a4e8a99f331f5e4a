//! What the load generator's programs in the kernel and the tool that runs them share: the layout of their maps,
//! the token that a request carries and its reply brings back, and the buckets of the latency histogram.
//!
//! Invariant: map entries are arrays of 64-bit words, indexed by the constants here.

/// Kinds of requests that are told apart, each with source ports of its own.
pub const KINDS: usize = 7;
/// Source ports of a kind, a power of two.
pub const PORTS_PER_KIND: u16 = 4096;
/// The first source port of the first kind.
pub const FIRST_PORT: u16 = 4096;

/// Entries of the array of requests to send.
pub const TEMPLATES: u32 = 64;
/// Entries of the array that says which request is sent when, a power of two: sequence numbers go round it.
pub const SCHEDULE_LEN: u32 = 4096;

/// Per-CPU array, one entry, written by the tool: when this CPU sends.
pub type Pace = [u64; 8];
/// `CLOCK_MONOTONIC` when the first request is due, nanoseconds.
pub const PACE_START_NS: usize = 0;
/// `CLOCK_MONOTONIC` after which nothing is sent, nanoseconds.
pub const PACE_END_NS: usize = 1;
/// Nanoseconds from one request to the next, times 65536. 0: as fast as it goes.
pub const PACE_INTERVAL: usize = 2;
/// The lowest 16 bits of every token of this run.
pub const PACE_SALT: usize = 3;
/// How far a request may be late before the schedule is moved instead of caught up with, nanoseconds.
pub const PACE_GRACE_NS: usize = 4;
/// Added to the count of requests of a kind, so that CPUs do not play the same clients at once.
pub const PACE_CLIENT_OFFSET: usize = 5;

/// Per-CPU array, one entry, written by the generator: how far this CPU has come.
pub type Progress = [u64; 6 + KINDS];
/// Requests sent.
pub const PROGRESS_SENT: usize = 0;
/// How far the schedule has been moved, nanoseconds.
pub const PROGRESS_MOVED_NS: usize = 1;
/// How often it has been moved: the generator was stopped for longer than the grace.
pub const PROGRESS_STALLS: usize = 2;
/// Runs of the program before the next request was due.
pub const PROGRESS_EARLY: usize = 3;
/// Requests that the generator could not build or hand over.
pub const PROGRESS_FAILED: usize = 4;
/// `CLOCK_MONOTONIC` when the generator last read it, nanoseconds: what was due then needs no other reading.
pub const PROGRESS_READ_NS: usize = 5;
/// Requests sent of each kind, from here on.
pub const PROGRESS_KIND: usize = 6;

/// Array of [`TEMPLATES`] entries, written by the tool: a frame but for what differs from client to client.
pub type Template = [u64; TEMPLATE_FRAME + FRAME_WORDS];
/// The frame's length, octets, at least 8 and at most 8 times [`FRAME_WORDS`].
pub const TEMPLATE_LEN: usize = 0;
/// Offset of the last four octets of the source address.
pub const TEMPLATE_SOURCE_AT: usize = 1;
/// The first client's last four octets, as a number.
pub const TEMPLATE_SOURCE: usize = 2;
/// Clients, from 1 to 2^32.
pub const TEMPLATE_CLIENTS: usize = 3;
/// Offset of the IPv4 header's checksum, 0 for IPv6.
pub const TEMPLATE_IP_CHECKSUM_AT: usize = 4;
/// Folded sum of the IPv4 header without what differs.
pub const TEMPLATE_IP_SUM: usize = 5;
/// Offset of the UDP header.
pub const TEMPLATE_UDP_AT: usize = 6;
/// Folded sum of UDP pseudo-header, header and payload without what differs.
pub const TEMPLATE_UDP_SUM: usize = 7;
/// Offset of the transmit timestamp that becomes the token; 0 for a request that is sent as it is.
pub const TEMPLATE_STAMP_AT: usize = 8;
/// The request's kind, below [`KINDS`].
pub const TEMPLATE_KIND: usize = 9;
/// The frame's length less eight octets: where its last word begins.
pub const TEMPLATE_LAST: usize = 10;
/// The frame's octets, from here on.
pub const TEMPLATE_FRAME: usize = 11;
/// Room for a frame in words.
pub const FRAME_WORDS: usize = 21;

/// Array, one entry, written by the tool: what replies look like.
pub type Expected = [u64; 5];
/// The server's port in network byte order.
pub const EXPECTED_PORT: usize = 0;
/// The mode of a reply: 4, or 3 where a reflector is measured.
pub const EXPECTED_MODE: usize = 1;
/// Offset in the payload of the token: the origin timestamp's, or a reflector's transmit timestamp's.
pub const EXPECTED_TOKEN_AT: usize = 2;
/// As [`PACE_SALT`].
pub const EXPECTED_SALT: usize = 3;
/// Of how many replies the latency of one is measured, less one; a power of two less one.
pub const EXPECTED_LATENCY_MASK: usize = 4;

/// Entries of the per-CPU array of counters that the sink writes: what came back.
pub const SEEN_LEN: usize = 2 + 2 * KINDS;
/// Datagrams of the server to a port of ours that answer no request of this run.
pub const SEEN_STRANGE: usize = 0;
/// Packets of others, which are passed on.
pub const SEEN_OTHER: usize = 1;
/// Replies to requests of each kind, from here on.
pub const SEEN_ANSWERED: usize = 2;
/// Kiss-o'-death packets to each kind, from here on.
pub const SEEN_KISSED: usize = SEEN_ANSWERED + KINDS;

/// Buckets of the latency histogram, each a per-CPU counter.
pub const BUCKETS: usize = (MAX_BITS - SUB_BITS + 1) << SUB_BITS;
/// Buckets between a power of two and the next: 2^6, so that a bucket is at most 1.6 % wide.
const SUB_BITS: usize = 6;
/// Latencies from 2^36 ns, 69 s, on fall into the last bucket.
const MAX_BITS: usize = 36;

/// What a request's transmit timestamp says: when it was due, and which run it is of.
#[inline(always)]
#[must_use]
pub const fn token(due_ns: u64, salt: u64) -> u64 {
    due_ns << 16 | salt & 0xffff
}

/// Nanoseconds since a request was due, from the token that its reply brought back. Wraps after 78 hours.
#[inline(always)]
#[must_use]
pub const fn latency_ns(token: u64, now_ns: u64) -> u64 {
    (now_ns << 16).wrapping_sub(token & !0xffff) >> 16
}

/// Whether a token is of a run.
#[inline(always)]
#[must_use]
pub const fn is_of_run(token: u64, salt: u64) -> bool {
    token & 0xffff == salt & 0xffff
}

/// Whether a token says when its request was due: those of requests that were signed beforehand do not.
#[inline(always)]
#[must_use]
pub const fn has_due(token: u64) -> bool {
    token >> 16 != 0
}

/// The bucket of a latency, below [`BUCKETS`].
#[inline(always)]
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the value is below 2^36")]
pub const fn bucket(latency_ns: u64) -> usize {
    let limit = (1 << MAX_BITS) - 1;
    let value = if latency_ns > limit { limit } else { latency_ns };
    let bits = u64::BITS - (value | 1 << SUB_BITS).leading_zeros();
    let shift = bits as usize - SUB_BITS - 1;
    (shift << SUB_BITS) + (value >> shift) as usize
}

/// The middle of a bucket, nanoseconds.
#[must_use]
pub const fn bucket_middle_ns(bucket: usize) -> u64 {
    let octave = bucket >> SUB_BITS;
    let shift = octave.saturating_sub(1);
    let floor = ((bucket - (shift << SUB_BITS)) as u64) << shift;
    floor + (1 << shift) / 2
}

/// The source port of a client in a kind.
#[inline(always)]
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "kinds are few and ports are masked")]
pub const fn source_port(kind: usize, client: u32) -> u16 {
    FIRST_PORT + kind as u16 * PORTS_PER_KIND + (client as u16 & (PORTS_PER_KIND - 1))
}

/// The kind that a port of ours belongs to.
#[inline(always)]
#[must_use]
pub const fn kind_of_port(port: u16) -> Option<usize> {
    let kind = port.wrapping_sub(FIRST_PORT) / PORTS_PER_KIND;
    if (kind as usize) < KINDS { Some(kind as usize) } else { None }
}

/// The client whose turn it is at the `n`th request of its kind: each has its turn once before any has its
/// next, nearly, and neighbours do not follow each other.
#[inline(always)]
#[must_use]
pub const fn client(n: u64, clients: u64) -> u32 {
    // 2^64 over the golden ratio: multiples of it are spread evenly.
    let spread = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    (spread.wrapping_mul(clients) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn latency_comes_back_from_the_token_across_the_wrap() {
        for due in [0, 1, 5_000_000_000, (1 << 48) - 7, 1 << 48, 3 << 47] {
            for latency in [0, 1, 999, 2_000_000_000] {
                let token = token(due, 0xabcd);
                assert_eq!(latency_ns(token, due + latency), latency, "{due} {latency}");
                assert!(is_of_run(token, 0xabcd) && !is_of_run(token, 0xabce));
            }
        }
    }

    #[test]
    fn buckets_are_in_order_and_their_middles_are_near_the_values() {
        let mut last = 0;
        let mut value = 0;
        while value < 1 << MAX_BITS {
            let bucket = bucket(value);
            assert!(bucket == last || bucket == last + 1 || value > 1 << SUB_BITS, "{value}");
            assert!(bucket >= last && bucket < BUCKETS, "{value} in {bucket}");
            let error = bucket_middle_ns(bucket).abs_diff(value);
            assert!(error * 128 <= value.max(128), "{value} in a bucket at {error} from it");
            last = bucket;
            value += 1 + value / 300;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn ports_tell_the_kind() {
        for kind in 0..KINDS {
            for client in [0, 1, 4095, 4096, u32::MAX] {
                assert_eq!(kind_of_port(source_port(kind, client)), Some(kind));
            }
        }
        for port in [0, 123, FIRST_PORT - 1, 32_768, 60_999] {
            assert_eq!(kind_of_port(port), None, "{port}");
        }
    }

    #[test]
    fn clients_take_turns() {
        let mut turns = BTreeMap::new();
        for n in 0..10_000 {
            *turns.entry(client(n, 1000)).or_insert(0) += 1;
        }
        assert_eq!(turns.len(), 1000);
        assert!(turns.values().all(|&count| (8..=12).contains(&count)), "{turns:?}");
        assert_eq!(client(u64::MAX, 1), 0);
    }
}
