//! The XDP program: answers plain NTP requests at the driver and passes everything else up.
//!
//! Invariant: never blocks, allocates, loops unbounded or logs; writes nothing but the packet it answers,
//! the record of its client and counters of its own CPU. A packet that is passed up is unchanged.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(missing_docs, reason = "the entry points that #[xdp] makes have none")]
#![expect(unreachable_pub, reason = "the loader finds entry points by their exported names")]
#![expect(
    clippy::inline_always,
    reason = "the program is one function: a call costs time and hides values from the verifier"
)]
#![expect(clippy::needless_pass_by_value, reason = "#[xdp] hands the context over by value")]
#![expect(
    clippy::cast_possible_truncation,
    reason = "lengths are constants that fit their fields; ports are halves of a word"
)]
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "the address of a field and the load of it are one access"
)]

mod access;
mod arrival;
mod charge;
mod clients;
mod clock;
mod explain;
mod headers;
mod live_line;
mod maps;
mod outcome;
mod reply;
mod request;
mod snapshot;
mod udp;
mod walk;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::helpers::bpf_get_smp_processor_id;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use ntp_common::counters::{COUNTER_COUNT, Counters, KISSES};

use crate::request::Stop;

/// Answers one frame. The name is part of the interface: [`ntp_common::maps::PROGRAM`].
#[xdp]
pub fn ntp_xdp(context: XdpContext) -> u32 {
    run(&context, arrival::Program)
}

/// The same with the interface's word for when a request came in: [`ntp_common::maps::STAMPED_PROGRAM`].
#[xdp]
pub fn ntp_xdp_stamped(context: XdpContext) -> u32 {
    run(&context, arrival::Interface(context.ctx))
}

#[inline(always)]
fn run(context: &XdpContext, receiver: impl arrival::Receiver) -> u32 {
    let reason = match reply::answer(context, receiver) {
        Ok(answered) => {
            count(answered.counter);
            clients::settle(answered.waiting);
            return XDP_TX;
        }
        Err(Stop::Because(reason)) => reason,
        Err(Stop::NotPlain) => explain::explain(context),
    };
    count(reason as usize);
    if reason.is_drop() { XDP_DROP } else { XDP_PASS }
}

/// Counts one packet on this CPU.
#[inline(always)]
pub(crate) fn count(counter: usize) {
    // SAFETY: the helper takes no arguments and has no precondition.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    if cpu >= maps::CPUS.load() {
        return;
    }
    let counters = maps::COUNTERS.get().cast::<Counters>().wrapping_add(cpu as usize);
    // SAFETY: the pointer is to this CPU's live entry, which no other program writes, and programs of one
    // CPU do not interrupt each other.
    let counters = unsafe { &mut *counters };
    let value = &mut counters[counter & (COUNTER_COUNT - 1)];
    *value = value.wrapping_add(1);
}

const _: () = assert!(KISSES < COUNTER_COUNT);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

// The clock helper is for programs with a licence that is compatible with the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
