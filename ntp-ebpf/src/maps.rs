//! The maps shared with the daemon, laid out as [`ntp_common::maps`] says, and the served port.

use aya_ebpf::Global;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray};
use ntp_common::acl::AclTable;
use ntp_common::arrival::{ArrivalCounters, ClockSlot, MAX_CLOCKS};
use ntp_common::clients::ClientLine;
use ntp_common::counters::Counters;
use ntp_common::maps::{ACL_TABLES, ServingPage};
use ntp_common::waiting::Waiting;

/// `BPF_F_MMAPABLE` of the kernel's uapi: the daemon writes these maps without system calls.
const MMAPABLE: u32 = 1 << 10;

/// Snapshots, access control word and served addresses.
#[map]
pub(crate) static SERVING: Array<ServingPage> = Array::with_max_entries(1, MMAPABLE);

/// Two compiled sets of access rules, of which the control word names the one in force.
#[map]
pub(crate) static ACL: Array<AclTable> = Array::with_max_entries(ACL_TABLES, MMAPABLE);

/// What is known of clients. The daemon sets the number of lines before the program is loaded.
#[map]
pub(crate) static CLIENTS: Array<ClientLine> = Array::with_max_entries(1, MMAPABLE);

/// Requests that were answered and wait to be charged.
#[map]
pub(crate) static WAITING: PerCpuArray<Waiting> = PerCpuArray::with_max_entries(1, 0);

/// What became of every packet.
#[map]
pub(crate) static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(1, 0);

/// The clocks of interfaces beside the monotonic one.
#[map]
pub(crate) static CLOCKS: Array<ClockSlot> = Array::with_max_entries(MAX_CLOCKS as u32, MMAPABLE);

/// By whose word requests came in, for each of these interfaces.
#[map]
pub(crate) static ARRIVALS: PerCpuArray<ArrivalCounters> =
    PerCpuArray::with_max_entries(MAX_CLOCKS as u32, 0);

/// The served UDP port in network byte order. The daemon sets it before the program is loaded, so that the
/// verifier knows it as a constant.
#[unsafe(no_mangle)]
pub(crate) static PORT: Global<u16> = Global::new(ntp_common::wire::NTP_PORT.to_be());
