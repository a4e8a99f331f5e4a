//! The kernel's clock, steered through `adjtimex(2)`: frequency by `tick` and `freq` together, which reach
//! +-100,000 ppm; steps by `ADJ_SETOFFSET`.
//!
//! The kernel's own discipline stays off: the engine decides, the kernel obeys.

use std::io;

use libc::timex;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};
use ntp_common::time::NtpDuration;
use ntp_common::wire::LeapIndicator;
use ntp_engine::seams::{Clock, ClockError, ClockStatus, Now};

use super::readings::{UnixTime, bracketed};

/// Microseconds in a tick of the kernel when it runs at its nominal rate: `USER_HZ` is 100.
const NOMINAL_TICK_US: i64 = 10_000;

/// What one microsecond of `tick` changes, ppm.
const PPM_PER_TICK: f64 = 100.0;

/// What one unit of `freq` changes: 2^-16 ppm.
const FREQ_UNITS_PER_PPM: f64 = 65_536.0;

/// Largest frequency that `freq` alone can set, ppm.
const MAX_FREQ_PPM: f64 = 500.0;

/// Largest frequency that `tick` and `freq` can set together, ppm: the kernel takes 10 % of a tick.
const MAX_FREQUENCY_PPM: f64 = 100_000.0;

/// Maximum error that the kernel takes for "not synchronised", microseconds.
const MAX_ERROR_US: f64 = 16e6;

/// The kernel's clock.
#[derive(Debug)]
pub struct SystemClock {
    frequency: f64,
}

/// The kernel's two settings of the frequency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    /// Microseconds a tick.
    tick: i64,
    /// Units of 2^-16 ppm.
    freq: i64,
}

impl Rate {
    /// The setting nearest to a frequency in seconds a second.
    fn nearest(frequency: f64) -> Self {
        let ppm = (frequency * 1e6).clamp(-MAX_FREQUENCY_PPM, MAX_FREQUENCY_PPM);
        let ticks = if ppm.abs() <= MAX_FREQ_PPM { 0.0 } else { (ppm / PPM_PER_TICK).round() };
        let freq = ((ppm - ticks * PPM_PER_TICK) * FREQ_UNITS_PER_PPM).round();
        #[expect(clippy::cast_possible_truncation, reason = "at most 1000 ticks and 500 ppm")]
        Self { tick: NOMINAL_TICK_US + ticks as i64, freq: freq as i64 }
    }

    /// The frequency that a setting stands for, seconds a second.
    #[expect(clippy::cast_precision_loss, reason = "at most 1000 ticks and 500 ppm")]
    fn frequency(self) -> f64 {
        let ticks = (self.tick - NOMINAL_TICK_US) as f64 * PPM_PER_TICK;
        (ticks + self.freq as f64 / FREQ_UNITS_PER_PPM) * 1e-6
    }
}

impl SystemClock {
    /// Takes the clock over as it is. Slews that somebody else began are ended, and the kernel's own
    /// discipline is switched off.
    ///
    /// # Errors
    /// When the clock can't be read, or not be set: [`ClockError::NotPermitted`].
    pub fn open() -> Result<Self, ClockError> {
        let mut slew = empty();
        slew.modes = libc::ADJ_OFFSET_SINGLESHOT;
        adjust("take over", &mut slew)?;
        // The rest of an offset that the kernel's own loop was given only goes when it gets another.
        let mut offset = empty();
        offset.modes = libc::ADJ_OFFSET | libc::ADJ_STATUS;
        offset.status = libc::STA_PLL | libc::STA_FREQHOLD | libc::STA_UNSYNC;
        adjust("take over", &mut offset)?;
        let mut status = empty();
        status.modes = libc::ADJ_STATUS;
        status.status = libc::STA_UNSYNC;
        adjust("take over", &mut status)?;
        let rate = Rate { tick: status.tick, freq: status.freq };
        Ok(Self { frequency: rate.frequency() })
    }
}

/// What the kernel's clock runs at beside its untouched counter (`CLOCK_MONOTONIC_RAW`), whoever steers it: seconds a
/// second, 0 when it is left alone.
///
/// # Errors
/// When it can't be read.
pub(crate) fn steered_by() -> Result<f64, ClockError> {
    let mut status = empty();
    adjust("read", &mut status)?;
    Ok(Rate { tick: status.tick, freq: status.freq }.frequency())
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let (mono, real) = bracketed();
        Now { mono, time: real.to_ntp(), rate: 1.0 }
    }

    fn step(&mut self, by: NtpDuration) -> Result<(), ClockError> {
        let nanos = by.to_nanos();
        let mut timex = empty();
        timex.modes = libc::ADJ_SETOFFSET | libc::ADJ_NANO;
        timex.time.tv_sec = nanos.div_euclid(1_000_000_000);
        timex.time.tv_usec = nanos.rem_euclid(1_000_000_000);
        match adjust("step", &mut timex) {
            Err(ClockError::Failed { .. }) => set_absolutely(nanos),
            done => done,
        }
    }

    fn set_frequency(&mut self, frequency: f64) -> Result<f64, ClockError> {
        let rate = Rate::nearest(frequency);
        let mut timex = empty();
        timex.modes = libc::ADJ_TICK | libc::ADJ_FREQUENCY;
        timex.tick = rate.tick;
        timex.freq = rate.freq;
        adjust("steer", &mut timex)?;
        self.frequency = rate.frequency();
        Ok(self.frequency)
    }

    fn frequency(&self) -> f64 {
        self.frequency
    }

    fn set_status(&mut self, status: &ClockStatus) -> Result<(), ClockError> {
        let synchronised = status.sync_rtc && status.leap != LeapIndicator::Unsynchronised;
        let mut timex = empty();
        timex.modes = libc::ADJ_STATUS | libc::ADJ_ESTERROR | libc::ADJ_MAXERROR;
        // The kernel sets the real-time clock while the clock is said to be synchronised.
        timex.status = if synchronised { 0 } else { libc::STA_UNSYNC } | leap_status(status.leap);
        if let Some(offset) = status.tai_offset {
            timex.modes |= libc::ADJ_TAI;
            timex.constant = offset.into();
        }
        timex.esterror = microseconds(status.estimated_error_s);
        timex.maxerror = microseconds(status.maximum_error_s);
        adjust("tell the state of", &mut timex)
    }
}

/// What has the kernel leap when the day of its clock ends.
const fn leap_status(leap: LeapIndicator) -> libc::c_int {
    match leap {
        LeapIndicator::Insert => libc::STA_INS,
        LeapIndicator::Delete => libc::STA_DEL,
        LeapIndicator::Normal | LeapIndicator::Unsynchronised => 0,
    }
}

/// An error in microseconds, rounded up, as far as the kernel takes it.
#[expect(clippy::cast_possible_truncation, reason = "its range is limited first")]
fn microseconds(seconds: f64) -> i64 {
    (seconds * 1e6).ceil().clamp(0.0, MAX_ERROR_US) as i64
}

/// Adds to the clock by setting it: for kernels that have no relative step.
fn set_absolutely(by_nanos: i64) -> Result<(), ClockError> {
    let now = UnixTime::now();
    let nanos = i64::from(now.nanos) + by_nanos.rem_euclid(1_000_000_000);
    let seconds = now.seconds + by_nanos.div_euclid(1_000_000_000) + nanos / 1_000_000_000;
    let target = TimeSpec::new(seconds, nanos % 1_000_000_000);
    clock_settime(ClockId::CLOCK_REALTIME, target).map_err(|error| failed("step", error.into()))
}

fn empty() -> timex {
    // SAFETY: zeros are a `timex`: it consists of integers.
    unsafe { std::mem::zeroed() }
}

/// Calls the kernel, which writes its state into `timex`.
fn adjust(action: &'static str, timex: &mut timex) -> Result<(), ClockError> {
    // SAFETY: `timex` is valid for reads and writes during the call.
    let state = unsafe { libc::adjtimex(timex) };
    if state < 0 { Err(failed(action, io::Error::last_os_error())) } else { Ok(()) }
}

fn failed(action: &'static str, error: io::Error) -> ClockError {
    if error.raw_os_error() == Some(libc::EPERM) {
        ClockError::NotPermitted
    } else {
        ClockError::Failed { action, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequency_is_set_to_within_half_a_unit_over_the_whole_range() {
        for ppm in
            [0.0, 0.5, -499.999, 500.0, 500.1, -12_345.678, 83_333.333, 100_000.0, -100_000.0]
        {
            let set = Rate::nearest(ppm * 1e-6);
            let error_ppm = set.frequency() * 1e6 - ppm;
            assert!(error_ppm.abs() <= 0.5 / FREQ_UNITS_PER_PPM + 1e-9, "{ppm} ppm: {error_ppm}");
            assert!((9_000..=11_000).contains(&set.tick), "{set:?}");
            assert!(set.freq.abs() <= 500 << 16, "{set:?}");
        }
    }

    #[test]
    fn small_frequencies_leave_the_tick_alone() {
        assert_eq!(Rate::nearest(-500e-6), Rate { tick: NOMINAL_TICK_US, freq: -500 << 16 });
        assert_eq!(Rate::nearest(1e-6), Rate { tick: NOMINAL_TICK_US, freq: 1 << 16 });
    }

    #[test]
    fn frequencies_out_of_range_are_limited() {
        assert_eq!(Rate::nearest(1.0), Rate { tick: 11_000, freq: 0 });
        assert_eq!(Rate::nearest(-1.0), Rate { tick: 9_000, freq: 0 });
    }

    #[test]
    fn errors_are_rounded_up_and_limited() {
        assert_eq!(microseconds(1.1e-6), 2);
        assert_eq!(microseconds(1e9), 16_000_000);
        assert_eq!(microseconds(-1.0), 0);
    }
}
