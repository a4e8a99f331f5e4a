//! The layout of the maps that the daemon and the XDP program share. A change here raises [`ABI`].

use core::mem::{offset_of, size_of};

use crate::acl::AclTable;
use crate::arrival::{ArrivalCounters, ClockSlot, MAX_CLOCKS};
use crate::counters::Counters;
use crate::local::LocalAddresses;
use crate::ratelimit::ClientRules;
use crate::snapshot::SNAPSHOT_WORDS;
use crate::wire::HEADER_LEN;

/// Version of everything in this module. It is part of the path of pinned objects and the first word of
/// [`ServingPage`], so that a daemon and a program of different builds never share a map.
pub const ABI: u64 = 0x6e74_7078_0000_000b;

/// One [`ServingPage`], memory-mapped by the daemon. The program knows it, as [`ACL_MAP`] and [`CLIENTS_MAP`], by its address.
pub const SERVING_MAP: &str = "SERVING";

/// Two [`AclTable`]s, memory-mapped by the daemon: one in force, one being filled.
pub const ACL_MAP: &str = "ACL";

/// [`crate::clients::ClientLine`]s, memory-mapped by the daemon: the first lines of all sets, then the second ones. The daemon
/// says how many sets there are when it loads the program ([`SETS_VARIABLE`]); room for one is there when there is no table.
pub const CLIENTS_MAP: &str = "CLIENTS";

/// Lines of [`CLIENTS_MAP`] that a set takes.
pub const CLIENT_SET_LINES: u32 = crate::clients::SET_LINES;

/// A set of [`Counters`] for each CPU ([`CPUS_VARIABLE`]), memory-mapped by the daemon. No per-CPU array, of which the program
/// would have to ask the kernel for its part.
pub const COUNTERS_MAP: &str = "COUNTERS";

/// Array of [`MAX_CLOCKS`] [`ClockSlot`]s, memory-mapped by the daemon: the clocks of interfaces whose receive timestamps
/// the program reads.
pub const CLOCKS_MAP: &str = "CLOCKS";

/// Per-CPU array of as many [`ArrivalCounters`].
pub const ARRIVALS_MAP: &str = "ARRIVALS";

/// Name of the program that answers.
pub const PROGRAM: &str = "ntp_xdp";

/// Name of the same program with receive timestamps of the hardware: the daemon loads it for one interface at a time.
pub const STAMPED_PROGRAM: &str = "ntp_xdp_stamped";

/// Function of [`STAMPED_PROGRAM`] that stands for the driver's call. It says that there is no time until the daemon
/// puts the call there. Linux: Documentation/networking/xdp-rx-metadata.rst.
pub const STAMP_FUNCTION: &str = "hardware_stamp";

/// Function of [`STAMPED_PROGRAM`] that gives the entry of [`CLOCKS_MAP`]: the daemon puts the number there.
pub const SLOT_FUNCTION: &str = "clock_slot";

/// Read-only variable of the program: what [`port_and_len`] makes of the served UDP port and [`PLAIN_UDP_LEN`].
pub const PORT_VARIABLE: &str = "PORT_AND_LEN";

/// Length of a UDP header with a plain NTP packet, octets.
#[expect(clippy::cast_possible_truncation, reason = "56")]
pub const PLAIN_UDP_LEN: u16 = 8 + HEADER_LEN as u16;

/// Destination port and length as they lie in a UDP header, one after the other.
#[must_use]
pub const fn port_and_len(port: u16, len: u16) -> u32 {
    let ([a, b], [c, d]) = (port.to_be_bytes(), len.to_be_bytes());
    u32::from_ne_bytes([a, b, c, d])
}

/// Read-only variable of the program: one more than the highest number that a CPU may have.
pub const CPUS_VARIABLE: &str = "CPUS";

/// Read-only variable of the program: the sets of [`CLIENTS_MAP`]; 0: there is no table.
pub const SETS_VARIABLE: &str = "SETS";

/// Tables in [`ACL_MAP`].
pub const ACL_TABLES: u32 = 2;

/// Slots of the ring of snapshots: a reader would have to be held up for as many publications before the
/// slot that it reads is written again.
pub const RING_SLOTS: usize = 16;

/// A snapshot in the ring, with the number of its publication.
#[repr(C, align(64))]
pub struct RingSlot {
    /// Number of the publication; [`BEING_WRITTEN`] while the words are changing.
    pub generation: u64,
    /// The snapshot.
    pub words: [u64; SNAPSHOT_WORDS],
}

/// Generation of a slot whose words are changing.
pub const BEING_WRITTEN: u64 = u64::MAX;

/// What the daemon tells the XDP program, in one page.
///
/// A writer marks the slot after the newest as [`BEING_WRITTEN`], writes the words, then the generation,
/// then the index. A reader reads the index, the words of its slot, and then the slot's generation: if that
/// is the index, the words belong together.
#[repr(C, align(4096))]
pub struct ServingPage {
    /// [`ABI`] of the daemon that owns the page.
    pub abi: u64,
    /// Number of the newest publication; its slot is the number modulo [`RING_SLOTS`].
    pub newest: u64,
    /// [`crate::acl::AclControl`].
    pub acl: u64,
    /// Unused; the slots begin on a cache line of their own.
    pub reserved: [u64; 5],
    /// The ring of snapshots.
    pub ring: [RingSlot; RING_SLOTS],
    /// How clients are counted and limited.
    pub clients: ClientRules,
    /// The addresses that are served.
    pub local: LocalAddresses,
}

/// Slot of a publication.
#[inline(always)]
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the number of a slot is below 16")]
pub const fn ring_slot(publication: u64) -> usize {
    (publication & (RING_SLOTS as u64 - 1)) as usize
}

/// Size of the value of [`SERVING_MAP`].
pub const SERVING_SIZE: usize = size_of::<ServingPage>();

/// Size of the value of [`ACL_MAP`].
pub const ACL_TABLE_SIZE: usize = size_of::<AclTable>();

/// Size of all of [`CLOCKS_MAP`].
pub const CLOCKS_SIZE: usize = size_of::<ClockSlot>() * MAX_CLOCKS;

/// Size of all of [`ARRIVALS_MAP`] on one CPU.
pub const ARRIVALS_SIZE: usize = size_of::<ArrivalCounters>() * MAX_CLOCKS;

/// Size of the value of [`COUNTERS_MAP`] on one CPU.
pub const COUNTERS_SIZE: usize = size_of::<Counters>();

const _: () = {
    assert!(SERVING_SIZE == 4096);
    assert!(size_of::<RingSlot>() == 128);
    assert!(offset_of!(ServingPage, newest) == 8);
    assert!(offset_of!(ServingPage, acl) == 16);
    assert!(offset_of!(ServingPage, ring) == 64);
    assert!(offset_of!(RingSlot, words) == 8);
    assert!(offset_of!(ServingPage, clients) == 64 + 128 * RING_SLOTS);
    assert!(offset_of!(ServingPage, local) == 128 + 128 * RING_SLOTS);
    assert!(ACL_TABLE_SIZE.is_multiple_of(64));
};
