//! What is shared with the daemon, laid out as [`ntp_common::maps`] says, and what it tells the program once and for all.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

use aya_ebpf::Global;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray};
use ntp_common::acl::AclTable;
use ntp_common::arrival::{ArrivalCounters, ClockSlot, MAX_CLOCKS};
use ntp_common::clients::ClientLine;
use ntp_common::counters::Counters;
use ntp_common::maps::{ACL_TABLES, CLIENT_SET_LINES, PLAIN_UDP_LEN, ServingPage, port_and_len};
use ntp_common::waiting::Waiting;
use ntp_common::wire::NTP_PORT;

/// `BPF_F_MMAPABLE` of the kernel's uapi: the daemon writes these maps without system calls.
const MMAPABLE: u32 = 1 << 10;

/// Memory whose address the kernel writes into the program when it is loaded (`BPF_PSEUDO_MAP_VALUE`, Linux 5.2), where an
/// array takes a lookup. The daemon makes a map of one value of the section that each lies in.
#[repr(transparent)]
pub(crate) struct Shared<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: nothing but a pointer is given out.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    const fn zeroed() -> Self {
        Self(UnsafeCell::new(MaybeUninit::zeroed()))
    }

    /// Where it is.
    #[inline(always)]
    pub(crate) const fn get(&'static self) -> *mut T {
        self.0.get().cast()
    }
}

/// Snapshots, access control word and served addresses.
#[unsafe(link_section = ".bss.SERVING")]
#[unsafe(no_mangle)]
pub(crate) static SERVING: Shared<ServingPage> = Shared::zeroed();

/// Two compiled sets of access rules, of which the control word names the one in force.
#[unsafe(link_section = ".bss.ACL")]
#[unsafe(no_mangle)]
pub(crate) static ACL: Shared<[AclTable; ACL_TABLES as usize]> = Shared::zeroed();

/// What is known of clients: as many lines as [`SETS`] say, here those of one set.
#[unsafe(link_section = ".bss.CLIENTS")]
#[unsafe(no_mangle)]
pub(crate) static CLIENTS: Shared<[ClientLine; CLIENT_SET_LINES as usize]> = Shared::zeroed();

/// What became of every packet, for each of [`CPUS`], here one.
#[unsafe(link_section = ".bss.COUNTERS")]
#[unsafe(no_mangle)]
pub(crate) static COUNTERS: Shared<[Counters; 1]> = Shared::zeroed();

/// CPUs that the machine may have. The daemon sets it before the program is loaded.
#[unsafe(no_mangle)]
pub(crate) static CPUS: Global<u32> = Global::new(1);

/// Sets of the table of clients; 0: there is none. The daemon sets it before the program is loaded, so that the verifier
/// knows it as a constant: it bounds every place in the table, and what it rules out is not in the program.
#[unsafe(no_mangle)]
pub(crate) static SETS: Global<u32> = Global::new(1);

/// Requests that were answered and wait to be charged.
#[map]
pub(crate) static WAITING: PerCpuArray<Waiting> = PerCpuArray::with_max_entries(1, 0);

/// The clocks of interfaces beside the monotonic one.
#[map]
pub(crate) static CLOCKS: Array<ClockSlot> = Array::with_max_entries(MAX_CLOCKS as u32, MMAPABLE);

/// By whose word requests came in, for each of these interfaces.
#[map]
pub(crate) static ARRIVALS: PerCpuArray<ArrivalCounters> =
    PerCpuArray::with_max_entries(MAX_CLOCKS as u32, 0);

/// The served UDP port and the length of a plain datagram, as they lie in its header. The daemon sets the port before the
/// program is loaded, so that the verifier knows it as a constant.
#[unsafe(no_mangle)]
pub(crate) static PORT_AND_LEN: Global<u32> = Global::new(port_and_len(NTP_PORT, PLAIN_UDP_LEN));

/// The served UDP port, in network order.
#[inline(always)]
pub(crate) fn served_port() -> u16 {
    let [high, low, ..] = PORT_AND_LEN.load().to_ne_bytes();
    u16::from_ne_bytes([high, low])
}
