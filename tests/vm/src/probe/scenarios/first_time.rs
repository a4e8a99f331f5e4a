//! A clock that is lost at the start, and set before there is any source (-s).

use std::time::{Duration, UNIX_EPOCH};

use anyhow::Result;

use super::rtc::rtc_s;
use crate::daemon::{Daemon, leave_drift_file};
use crate::guest::Guest;
use crate::truth::{SECOND, realtime, seconds, set_realtime};

/// How far the clock is behind at first: a day.
const BEHIND: i64 = 86_400 * SECOND;

pub(crate) fn play(guest: &mut Guest) -> Result<()> {
    let rtc = rtc_s()? * SECOND;
    set_realtime(rtc - BEHIND)?;
    // The last run ended an hour before the real-time clock's time.
    leave(rtc - 3_600 * SECOND)?;
    started(guest)?;
    guest.figure("off_the_rtc_s", seconds(realtime() - rtc_s()? * SECOND));

    // The real-time clock has stood still since the last run.
    let last_run = rtc + BEHIND;
    leave(last_run)?;
    started(guest)?;
    guest.figure("after_the_last_run_s", seconds(realtime() - last_run));

    // The clock is ahead of both.
    set_realtime(last_run + BEHIND)?;
    started(guest)?;
    guest.figure("still_ahead_s", seconds(realtime() - last_run - BEHIND));
    Ok(())
}

/// Starts the daemon and ends it; it writes no drift file, as it has no source.
fn started(guest: &mut Guest) -> Result<()> {
    let daemon = Daemon::start_alone(&["-s"])?;
    guest.with(daemon, |_, _| Ok(()))
}

fn leave(at: i64) -> Result<()> {
    leave_drift_file(UNIX_EPOCH + Duration::from_nanos(u64::try_from(at)?))
}
