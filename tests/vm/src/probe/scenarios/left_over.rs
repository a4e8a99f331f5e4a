//! A clock that somebody left 5,000 ppm fast, in a state that says nothing.

use anyhow::Result;

use crate::daemon::Daemon;
use crate::guest::{Guest, World};
use crate::kernel_clock;
use crate::truth::{RATE_PPM, Truth};

/// What `adjtimex --tick` was given: 50 us in 10 ms too many.
const TICK_US: i64 = 10_050;

pub(crate) fn play(guest: &mut Guest) -> Result<()> {
    let world = World::open(Truth::ahead_of_system(0))?;
    kernel_clock::leave(TICK_US)?;
    let left = kernel_clock::read()?;
    guest.figure("tick_at_start_us", f64::from(i32::try_from(left.tick_us)?));
    let start = world.truth.now();
    let daemon = Daemon::start("rtcsync\n")?;
    guest.with(daemon, |guest, _| {
        let settled_s = world.settled_after(start, || Ok(()))?;
        let now = kernel_clock::read()?;
        guest.figure("within_1ms_after_s", settled_s);
        guest.figure("rate_error_ppm", now.rate_ppm - f64::from(i32::try_from(RATE_PPM)?));
        let is_unsynchronised = now.status & libc::STA_UNSYNC != 0;
        guest.count("still_unsynchronised", usize::from(is_unsynchronised));
        Ok(())
    })
}
