//! The last second of a year that is a second longer. Clients ask across it; the kernel's clock repeats a second.

use std::time::Duration;

use anyhow::{Result, ensure};
use ntp_common::wire::LeapIndicator;

use crate::client::ask;
use crate::daemon::Daemon;
use crate::guest::{Guest, World};
use crate::kernel_clock;
use crate::network::INTERFACE;
use crate::truth::{SECOND, Truth, seconds, set_realtime, steps_so_far};

/// Midnight after 31 December 2026, Unix time.
const MIDNIGHT: i64 = 1_798_761_600 * SECOND;

/// How long before it the guest's time starts: for the daemon to settle.
const BEFORE: i64 = 25 * SECOND;

/// From when to when clients ask, seconds after the leap.
const ASKED_S: std::ops::Range<f64> = -4.0..4.0;

/// When the kernel is looked at, seconds after the leap.
const LOOK_BEFORE_S: f64 = -2.0;

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    asked: usize,
    unanswered: usize,
    worst_s: f64,
    not_announced_before: usize,
    announced_after: usize,
    is_armed: Option<bool>,
    stepped_before: i64,
}

pub(crate) fn play(guest: &mut Guest) -> Result<()> {
    let truth = Truth::starting_at(MIDNIGHT - BEFORE).leaping_at(MIDNIGHT);
    let world = World::open(truth)?;
    set_realtime(world.truth.utc(world.truth.now()))?;
    let daemon = Daemon::start(&format!("leapsecmode system\nxdp {INTERFACE} mode native\n"))?;
    guest.with(daemon, |guest, daemon| {
        world.synchronised()?;
        let left_s = world.truth.until_leap(world.truth.now()) + ASKED_S.start;
        ensure!(
            left_s > 0.0,
            "this machine is too busy: the guest was ready {} s too late",
            -left_s
        );
        wait_until(&world, ASKED_S.start);
        let before = daemon.served()?;
        let seen = across(&world)?;
        let after = daemon.served()?;
        let by_daemon = usize::try_from(after.user.answered - before.user.answered)?;
        guest.count("answered_by_daemon", by_daemon);
        tell(guest, &world, daemon, &seen)
    })
}

/// Asks from before the leap until after it.
fn across(world: &World) -> Result<Seen> {
    let mut seen = Seen::default();
    loop {
        let to_leap_s = world.truth.until_leap(world.truth.now());
        if -to_leap_s >= ASKED_S.end {
            return Ok(seen);
        }
        if -to_leap_s >= LOOK_BEFORE_S && seen.is_armed.is_none() {
            let status = kernel_clock::read()?.status;
            seen.is_armed = Some(status & libc::STA_INS != 0);
            seen.stepped_before = steps_so_far();
        }
        seen.asked += 1;
        match ask(&world.v4, &world.truth, &[])? {
            None => seen.unanswered += 1,
            Some(told) => {
                let is_announced = told.header.leap == LeapIndicator::Insert;
                // One that was under way across the leap may say either.
                let is_before = !world.truth.is_past_leap(told.arrived);
                let is_after = world.truth.is_past_leap(told.sent);
                seen.not_announced_before += usize::from(is_before && !is_announced);
                seen.announced_after += usize::from(is_after && is_announced);
                seen.worst_s = seen.worst_s.max(told.error_s);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn tell(guest: &mut Guest, world: &World, daemon: &Daemon, seen: &Seen) -> Result<()> {
    guest.count("asked", seen.asked);
    guest.count("unanswered", seen.unanswered);
    guest.figure("worst_error_ms", seen.worst_s * 1e3);
    guest.count("not_announced_before", seen.not_announced_before);
    guest.count("announced_after", seen.announced_after);
    guest.count("kernel_armed", usize::from(seen.is_armed == Some(true)));
    guest.figure("kernel_stepped_s", seconds(steps_so_far() - seen.stepped_before));
    let is_armed = kernel_clock::read()?.status & libc::STA_INS != 0;
    guest.count("kernel_still_armed", usize::from(is_armed));
    guest.count("steps", daemon.steps());
    guest.count("foreign_steps", daemon.foreign_steps());
    guest.figure("offset_after_ms", world.offset_s().abs() * 1e3);
    Ok(())
}

fn wait_until(world: &World, after_leap_s: f64) {
    let left_s = world.truth.until_leap(world.truth.now()) + after_leap_s;
    std::thread::sleep(Duration::from_secs_f64(left_s.max(0.0)));
}
