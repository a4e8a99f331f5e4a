//! Pulses that say when a second begins, and a clock that says which, but is 60 ms off. Interrupts come late: all by
//! some microseconds, and one in eight by 18 ms.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use crate::daemon::Daemon;
use crate::devices::{self, CLOCK, PULSES};
use crate::guest::Guest;
use crate::truth::{SECOND, Truth};
use crate::watch::{settled_after, worst_us};

/// How far true time is ahead.
const AHEAD: i64 = 3 * SECOND;

/// The clock is 60 ms ahead, as those are whose time comes over a serial line.
const DEVICES: &str = "clock_ahead_ns=60000000 latency_ns=4000 late_every=8 late_ns=18000000";

/// How long the frequency is learnt before it is watched.
const LEARNING: Duration = Duration::from_secs(10);

/// How long it is watched, seconds: one pulse of every kind.
const WATCHED_S: f64 = 10.0;

pub(crate) fn play(guest: &mut Guest) -> Result<()> {
    let truth = Truth::ahead_of_system(AHEAD);
    devices::load(&truth, DEVICES)?;
    let start = truth.now();
    let daemon = Daemon::start_with(&format!(
        "refclock PPS {PULSES} lock NMEA refid PPS poll 0 dpoll -3\n\
         refclock PHC {CLOCK} refid NMEA poll 0 dpoll -2 delay 0.2 noselect\nmakestep 1 3\n"
    ))?;
    guest.with(daemon, |guest, daemon| {
        guest.figure("within_1ms_after_s", settled_after(&truth, start, || Ok(()))?);
        guest.count("steps", daemon.steps());
        sleep(LEARNING);
        guest.figure("worst_us", worst_us(&truth, WATCHED_S));
        Ok(())
    })
}
