//! The maps shared with the tool, laid out as [`ntp_common::load`] says.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, DevMap, PerCpuArray};
use ntp_common::load::{
    BUCKETS, Expected, Pace, Progress, SCHEDULE_LEN, SEEN_LEN, TEMPLATES, Template,
};

#[map]
pub(crate) static PACE: PerCpuArray<Pace> = PerCpuArray::with_max_entries(1, 0);

#[map]
pub(crate) static PROGRESS: PerCpuArray<Progress> = PerCpuArray::with_max_entries(1, 0);

#[map]
pub(crate) static TEMPLATE: Array<Template> = Array::with_max_entries(TEMPLATES, 0);

/// Which template is sent when.
#[map]
pub(crate) static SCHEDULE: Array<u32> = Array::with_max_entries(SCHEDULE_LEN, 0);

/// The interface that requests leave through.
#[map]
pub(crate) static INTERFACE: DevMap = DevMap::with_max_entries(1, 0);

#[map]
pub(crate) static EXPECTED: Array<Expected> = Array::with_max_entries(1, 0);

#[map]
#[expect(clippy::cast_possible_truncation, reason = "a few")]
pub(crate) static SEEN: PerCpuArray<u64> = PerCpuArray::with_max_entries(SEEN_LEN as u32, 0);

#[map]
#[expect(clippy::cast_possible_truncation, reason = "a few thousand")]
pub(crate) static LATENCY: PerCpuArray<u64> = PerCpuArray::with_max_entries(BUCKETS as u32, 0);
