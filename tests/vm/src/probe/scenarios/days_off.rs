//! A machine that was off for most of a year, with a real-time clock that stood still.

use anyhow::Result;

use crate::daemon::Daemon;
use crate::guest::{Guest, World};
use crate::truth::{SECOND, Truth};

/// How far true time is ahead.
const AHEAD: i64 = 325 * 86_400 * SECOND;

pub(crate) fn play(guest: &mut Guest) -> Result<()> {
    let world = World::open(Truth::ahead_of_system(AHEAD))?;
    let start = world.truth.now();
    guest.figure("offset_at_start_days", world.offset_s() / 86_400.0);
    let daemon = Daemon::start("")?;
    guest.with(daemon, |guest, daemon| {
        let settled_s = world.settled_after(start, || Ok(()))?;
        guest.figure("within_1ms_after_s", settled_s);
        guest.count("steps", daemon.steps());
        guest.count("foreign_steps", daemon.foreign_steps());
        guest.figure("offset_at_end_us", world.offset_s() * 1e6);
        Ok(())
    })
}
