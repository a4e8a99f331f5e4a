//! The load generator's programs: `generate` makes requests, which the kernel runs it for as if frames had
//! arrived, and `sink` takes the replies at the client's interface. The tool `ntp-xdp load-test` runs both.
//!
//! Invariant: `sink` takes only replies to this run's ports; everything else is passed on.
#![no_std]
#![no_main]
#![expect(unreachable_pub, reason = "the loader finds entry points by their exported names")]
#![expect(clippy::inline_always, reason = "each program is one function, as the measured one is")]
#![expect(clippy::needless_pass_by_value, reason = "#[xdp] hands the context over by value")]

mod frame;
mod generate;
mod maps;
mod sink;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
