//! The system clock beside true time, watched for a while.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::truth::{Instant, Truth, seconds};

/// How far from true time a clock is settled, seconds.
const SETTLED_S: f64 = 1e-3;

/// How long a clock must stay there, seconds: a clock that merely passes by at 400 ppm is gone by then.
const STAYED_S: f64 = 5.0;

/// How long that is waited for, seconds.
const PATIENCE_S: f64 = 60.0;

/// How often offsets are looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(10);

/// Watches the system clock until it has been settled for a while, doing `meanwhile` again and again; returns the
/// seconds from `since` until then, without the while.
pub(crate) fn settled_after(
    truth: &Truth,
    since: Instant,
    mut meanwhile: impl FnMut() -> Result<()>,
) -> Result<f64> {
    let mut settled = None;
    loop {
        let at_s = truth.now().since(since);
        let offset_s = seconds(truth.offset());
        if offset_s.abs() > SETTLED_S {
            settled = None;
            ensure!(at_s < PATIENCE_S, "after {at_s:.1} s off by {offset_s} s");
        } else if at_s - *settled.get_or_insert(at_s) >= STAYED_S {
            return Ok(settled.unwrap_or(at_s));
        }
        meanwhile()?;
        std::thread::sleep(LOOK);
    }
}

/// The largest distance of the system clock from true time in the next `watched_s` seconds, microseconds.
pub(crate) fn worst_us(truth: &Truth, watched_s: f64) -> f64 {
    let start = truth.now();
    let mut worst_us = 0.0_f64;
    while truth.now().since(start) < watched_s {
        worst_us = worst_us.max(seconds(truth.offset()).abs() * 1e6);
        std::thread::sleep(LOOK);
    }
    worst_us
}
