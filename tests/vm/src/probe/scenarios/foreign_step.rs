//! Somebody else sets the clock while the daemon runs; clients are asking all the time.

use anyhow::Result;

use crate::client::ask;
use crate::daemon::Daemon;
use crate::guest::{Guest, World};
use crate::kernel_clock;
use crate::network::INTERFACE;
use crate::truth::{SECOND, Truth};

/// By how much: 200 ms, less than `makestep` steps for.
const STEP: i64 = SECOND / 5;

pub(crate) fn play(guest: &mut Guest) -> Result<()> {
    let world = World::open(Truth::ahead_of_system(0))?;
    let daemon = Daemon::start(&format!("xdp {INTERFACE} mode native\n"))?;
    guest.with(daemon, |guest, daemon| {
        world.synchronised()?;
        world.settled_after(world.truth.now(), || Ok(()))?;
        let (mut lies, mut unanswered, mut worst_s) = (0, 0, 0.0_f64);
        let start = world.truth.now();
        kernel_clock::step(STEP)?;
        let settled_s = world.settled_after(start, || {
            match ask(&world.v4, &world.truth, &[])? {
                None => unanswered += 1,
                Some(told) => {
                    lies += usize::from(told.is_lie());
                    worst_s = worst_s.max(told.error_s);
                }
            }
            Ok(())
        })?;
        guest.figure("within_1ms_after_s", settled_s);
        guest.count("foreign_steps", daemon.foreign_steps());
        guest.count("steps", daemon.steps());
        guest.count("unanswered", unanswered);
        guest.count("lies", lies);
        guest.figure("worst_error_ms", worst_s * 1e3);
        Ok(())
    })
}
