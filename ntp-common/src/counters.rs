//! What became of every packet, counted by reason. The same numbers in the kernel's per-CPU map and in the
//! workers of the user path.

use crate::wire::NEWEST_VERSION;

/// Address family of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Family {
    /// IPv4.
    V4 = 0,
    /// IPv6.
    V6 = 1,
}

/// Why a packet was not answered where it was seen. The XDP program passes it up or drops it; the user path
/// sees only what was passed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// Not UDP to the served port: other traffic of the host.
    NotNtp = 8,
    /// The frame or a header in it ends too early, or two lengths contradict each other.
    Malformed = 9,
    /// More VLAN tags than two.
    VlanDepth = 10,
    /// IPv4 options.
    IpOptions = 11,
    /// A fragment of a datagram.
    Fragment = 12,
    /// IPv6 extension headers too many, or of a kind that is not walked over.
    Ipv6Chain = 13,
    /// Sent to a multicast or broadcast address, or to one that is not served here.
    NotLocal = 14,
    /// The UDP checksum is wrong.
    Checksum = 15,
    /// A message authentication code or extension fields follow the header.
    Extension = 16,
    /// Perhaps a request in interleaved mode.
    Interleaved = 17,
    /// Symmetric active mode: a peer.
    Symmetric = 18,
    /// No request: a reply or a broadcast.
    NotRequest = 19,
    /// No snapshot is valid: nothing published yet, withdrawn, or expired.
    NoSnapshot = 20,
    /// The snapshot was replaced while it was read.
    SnapshotBusy = 21,
    /// Access rules deny the client.
    AccessDenied = 22,
    /// Shorter than an NTP header.
    Short = 23,
    /// Longer than a header by no multiple of four octets.
    BadLength = 24,
    /// A version other than 1 to 4.
    BadVersion = 25,
    /// Control or private messages, or a mode that says nothing.
    BadMode = 26,
    /// The client asks too often: `ratelimit`.
    RateLimited = 27,
    /// The message authentication code is wrong, or made with a key that is not known here. The user path checks
    /// it, after everything else.
    BadMac = 30,
    /// An answer was due, and the network did not take it: no route back, a full queue, a firewall's rule. In the user
    /// path.
    NotSent = 31,
}

/// Every reason, in the order of the counters.
pub const REASONS: [Reason; 22] = [
    Reason::NotNtp,
    Reason::Malformed,
    Reason::VlanDepth,
    Reason::IpOptions,
    Reason::Fragment,
    Reason::Ipv6Chain,
    Reason::NotLocal,
    Reason::Checksum,
    Reason::Extension,
    Reason::Interleaved,
    Reason::Symmetric,
    Reason::NotRequest,
    Reason::NoSnapshot,
    Reason::SnapshotBusy,
    Reason::AccessDenied,
    Reason::Short,
    Reason::BadLength,
    Reason::BadVersion,
    Reason::BadMode,
    Reason::RateLimited,
    Reason::BadMac,
    Reason::NotSent,
];

impl Reason {
    /// The reason as metrics and logs name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotNtp => "not_ntp",
            Self::Malformed => "malformed",
            Self::VlanDepth => "vlan_depth",
            Self::IpOptions => "ip_options",
            Self::Fragment => "fragment",
            Self::Ipv6Chain => "ipv6_chain",
            Self::NotLocal => "not_local",
            Self::Checksum => "checksum",
            Self::Extension => "extension",
            Self::Interleaved => "interleaved",
            Self::Symmetric => "symmetric",
            Self::NotRequest => "not_request",
            Self::NoSnapshot => "no_snapshot",
            Self::SnapshotBusy => "snapshot_busy",
            Self::AccessDenied => "access_denied",
            Self::Short => "short",
            Self::BadLength => "bad_length",
            Self::BadVersion => "bad_version",
            Self::BadMode => "bad_mode",
            Self::RateLimited => "rate_limited",
            Self::BadMac => "bad_mac",
            Self::NotSent => "not_sent",
        }
    }

    /// Whether a packet with this reason is dropped: it was read to its end, was meant for this server, and
    /// no answer is due. Everything else may concern somebody else and is passed up.
    #[inline(always)]
    #[must_use]
    pub const fn is_drop(self) -> bool {
        self as u8 >= Self::AccessDenied as u8
    }
}

/// Index of the counter of requests over the limit that were answered all the same; they are counted as
/// answered, too.
pub const LEAKED: usize = 28;

/// Index of the counter of clients that were told to ask less often; these are not counted as answered.
pub const KISSES: usize = 29;

/// Counters in a set: a power of two, so that a masked index needs no check.
pub const COUNTER_COUNT: usize = 32;

/// One set of counters, wrapping: [`answered_index`], then every [`Reason`], [`LEAKED`] and [`KISSES`].
pub type Counters = [u64; COUNTER_COUNT];

/// Index of the counter of requests answered, by address family and version (1 to 4).
#[inline(always)]
#[must_use]
pub const fn answered_index(family: Family, version: u8) -> usize {
    // As a multiple of eight the version lies in a packet, and the counter in memory.
    let eightfold = ((version as usize) << 3).wrapping_sub(8) & 3 << 3;
    (family as usize) << 2 | eightfold >> 3
}

/// Requests answered in a set of counters.
#[must_use]
pub fn answered(counters: &Counters) -> u64 {
    let indices = 0..2 * usize::from(NEWEST_VERSION);
    counters[indices].iter().fold(0, |sum, &count| sum.wrapping_add(count))
}

/// Adds the counters of `other` to those of `sum`.
pub fn accumulate(sum: &mut Counters, other: &Counters) {
    for (total, count) in sum.iter_mut().zip(other) {
        *total = total.wrapping_add(*count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_do_not_share_an_index() {
        let mut seen = [false; COUNTER_COUNT];
        let answered = [Family::V4, Family::V6].into_iter().flat_map(|family| {
            (1..=NEWEST_VERSION).map(move |version| answered_index(family, version))
        });
        let reasons = REASONS.iter().map(|&reason| reason as usize);
        for index in answered.chain(reasons).chain([LEAKED, KISSES]) {
            assert!(!seen[index], "index {index} is used twice");
            seen[index] = true;
        }
    }

    #[test]
    fn answered_sums_families_and_versions_and_nothing_else() {
        let mut counters = [0; COUNTER_COUNT];
        counters[answered_index(Family::V4, 4)] = 3;
        counters[answered_index(Family::V6, 1)] = 4;
        counters[Reason::NotNtp as usize] = 100;
        assert_eq!(answered(&counters), 7);
    }
}
