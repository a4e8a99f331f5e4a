//! A daemon that ends without its knowing while it slews, and the one after it.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::daemon::{Daemon, drift_ppm};
use crate::guest::{Guest, World};
use crate::kernel_clock;
use crate::truth::{RATE_PPM, SECOND, Truth};

/// How long the first daemon has to learn the frequency.
const LEARNING: Duration = Duration::from_secs(10);

/// How far the clock is ahead when the second one starts: it takes some seconds to slew that away.
const AHEAD: i64 = SECOND / 2;

/// The rate from which on the clock is being slewed, ppm.
const SLEWING_PPM: f64 = 10_000.0;

/// How long a slew is waited for, seconds.
const PATIENCE_S: f64 = 20.0;

pub(crate) fn play(guest: &mut Guest) -> Result<()> {
    let world = World::open(Truth::ahead_of_system(0))?;
    let first = Daemon::start("")?;
    guest.with(first, |_, _| {
        sleep(LEARNING);
        Ok(())
    })?;
    let (drift, skew) = drift_ppm()?;
    guest.figure("drift_file_ppm", drift);
    // A clock that loses has a negative drift.
    let error = drift + f64::from(i32::try_from(RATE_PPM)?);
    guest.figure("drift_error_in_skews", error.abs() / skew);

    kernel_clock::step(AHEAD)?;
    let second = Daemon::start("")?;
    let rate_ppm = slewing(&world);
    guest.keep(second.kill()?);
    guest.figure("slewing_when_killed_ppm", rate_ppm?.abs());

    let start = world.truth.now();
    let third = Daemon::start("")?;
    guest.with(third, |guest, _| {
        let settled_s = world.settled_after(start, || Ok(()))?;
        guest.figure("within_1ms_after_s", settled_s);
        let rate_ppm = kernel_clock::read()?.rate_ppm;
        guest.figure("rate_error_ppm", rate_ppm - f64::from(i32::try_from(RATE_PPM)?));
        Ok(())
    })
}

/// Waits until the clock is being slewed; returns its rate.
fn slewing(world: &World) -> Result<f64> {
    let start = world.truth.now();
    loop {
        let rate_ppm = kernel_clock::read()?.rate_ppm;
        if rate_ppm.abs() > SLEWING_PPM {
            // Into the middle of it.
            sleep(Duration::from_millis(300));
            return Ok(rate_ppm);
        }
        ensure!(world.truth.now().since(start) < PATIENCE_S, "no slew in {PATIENCE_S} s");
        sleep(Duration::from_millis(1));
    }
}
