//! A clock that is ahead is slowed down, and never set back: a thread reads it all the time.
//!
//! It reads on the CPU that the daemon steers the clock on. When the rate changes, the kernel reads the counter before it
//! keeps readers out (Linux: `timekeeping_advance`): on another CPU somebody may meanwhile read further by the old rate than
//! the new one has come, whoever slows the clock down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::daemon::Daemon;
use crate::guest::{Guest, World};
use crate::truth::{SECOND, Truth, realtime, seconds, steps_so_far};

/// How far the system clock is ahead: 50 ms.
const AHEAD: i64 = SECOND / 20;

/// Readings between two pauses, in which the daemon has the processor: a reading after a pause is compared with
/// the one before it, too.
const READINGS: usize = 1000;
const PAUSE: Duration = Duration::from_millis(1);

/// What the reading thread saw.
#[derive(Debug, Default)]
struct Readings {
    all: usize,
    backward: usize,
}

pub(crate) fn play(guest: &mut Guest) -> Result<()> {
    let world = World::open(Truth::ahead_of_system(-AHEAD))?;
    let start = world.truth.now();
    guest.figure("offset_at_start_ms", world.offset_s() * 1e3);
    let steps_before = steps_so_far();
    let end = Arc::new(AtomicBool::new(false));
    // What this thread starts stays there, too.
    let mut cpu = CpuSet::new();
    cpu.set(0)?;
    sched_setaffinity(Pid::from_raw(0), &cpu)?;
    let reader = thread::spawn({
        let end = Arc::clone(&end);
        move || read_until(&end)
    });
    let daemon = Daemon::start("")?;
    let settled_s = guest.with(daemon, |_, _| world.settled_after(start, || Ok(())))?;
    end.store(true, Ordering::Relaxed);
    let readings = reader.join().map_err(|_| anyhow!("the reader panicked"))?;
    let stepped_s = seconds(steps_so_far() - steps_before);
    guest.figure("within_1ms_after_s", settled_s);
    guest.count("readings", readings.all);
    guest.count("backward_readings", readings.backward);
    guest.figure("stepped_us", stepped_s.abs() * 1e6);
    Ok(())
}

fn read_until(end: &AtomicBool) -> Readings {
    let mut readings = Readings::default();
    let mut last = realtime();
    while !end.load(Ordering::Relaxed) {
        for _ in 0..READINGS {
            let now = realtime();
            readings.all += 1;
            readings.backward += usize::from(now < last);
            last = now;
        }
        thread::sleep(PAUSE);
    }
    readings
}
