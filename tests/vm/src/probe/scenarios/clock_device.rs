//! A PTP clock for the only source, read in both ways that drivers offer; and as one of pulses.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use crate::daemon::Daemon;
use crate::devices::{self, CLOCK};
use crate::guest::Guest;
use crate::truth::{SECOND, Truth};
use crate::watch::{settled_after, worst_us};

/// How far true time is ahead.
const AHEAD: i64 = 3 * SECOND;

/// What the clock is ahead of true time: it keeps TAI.
const TAI: &str = "clock_ahead_ns=37000000000";

/// How long the frequency is learnt before it is watched.
const LEARNING: Duration = Duration::from_secs(8);

/// How long it is watched, seconds.
const WATCHED_S: f64 = 5.0;

pub(crate) fn play(guest: &mut Guest) -> Result<()> {
    let truth = Truth::ahead_of_system(AHEAD);
    devices::load(&truth, TAI)?;
    let start = truth.now();
    // Both clocks at one instant.
    let daemon = Daemon::start_with(&format!(
        "refclock PHC {CLOCK} poll 0 dpoll -2 offset -37\nmakestep 1 3\n"
    ))?;
    guest.with(daemon, |guest, daemon| {
        guest.figure("within_1ms_after_s", settled_after(&truth, start, || Ok(()))?);
        guest.count("steps", daemon.steps());
        sleep(LEARNING);
        guest.figure("worst_us", worst_us(&truth, WATCHED_S));
        Ok(())
    })?;
    // The system clock before and after.
    let daemon = Daemon::start_with(&format!(
        "refclock PHC {CLOCK}:nocrossts poll 0 dpoll -2 offset -37\n"
    ))?;
    guest.with(daemon, |guest, _| {
        sleep(LEARNING);
        guest.figure("worst_without_cross_timestamps_us", worst_us(&truth, WATCHED_S));
        Ok(())
    })
}
