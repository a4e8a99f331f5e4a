//! The real-time clock, which the kernel sets while the daemon says that the system clock is right.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::daemon::Daemon;
use crate::guest::{Guest, World};
use crate::truth::{SECOND, Truth, seconds, set_realtime};

/// What the kernel tells of `/dev/rtc0`: seconds of Unix time.
const RTC: &str = "/sys/class/rtc/rtc0/since_epoch";

/// How far true time is ahead of the real-time clock: an hour.
const AHEAD: i64 = 3_600 * SECOND;

/// How long it is watched, seconds.
const WATCHED_S: f64 = 20.0;

/// How long it is watched after it was moved, seconds: it must not move again.
const AFTERWARDS_S: f64 = 3.0;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// From how far off it counts as moved, seconds.
const MOVED_S: f64 = 60.0;

pub(crate) fn play(guest: &mut Guest) -> Result<()> {
    let world = World::open(Truth::ahead_of_system(AHEAD))?;
    // The system clock alone: setting it does not move the other.
    set_realtime(world.truth.utc(world.truth.now()))?;
    guest.figure("rtc_at_start_s", rtc_offset_s(&world)?);
    let start = world.truth.now();
    let daemon = Daemon::start("rtcsync\n")?;
    guest.with(daemon, |guest, _| {
        let mut moved_after_s = None;
        loop {
            let at_s = world.truth.now().since(start);
            if moved_after_s.is_none() && rtc_offset_s(&world)?.abs() < MOVED_S {
                moved_after_s = Some(at_s);
            }
            if at_s >= moved_after_s.map_or(WATCHED_S, |moved_s| moved_s + AFTERWARDS_S) {
                break;
            }
            sleep(LOOK);
        }
        guest.figure("rtc_moved_after_s", moved_after_s.unwrap_or(f64::INFINITY));
        guest.figure("rtc_at_end_s", rtc_offset_s(&world)?);
        Ok(())
    })
}

/// The real-time clock less true time, seconds; it knows whole ones.
fn rtc_offset_s(world: &World) -> Result<f64> {
    Ok(seconds(rtc_s()? * SECOND - world.truth.utc(world.truth.now())))
}

/// The real-time clock, seconds since 1970.
pub(super) fn rtc_s() -> Result<i64> {
    let text = fs::read_to_string(RTC).context("this guest has no /dev/rtc0")?;
    Ok(text.trim().parse()?)
}
