//! A clock as it really is, and a kernel that steers it: frequency by ticks and parts of a million, as
//! `adjtimex(2)` does. Only the simulator knows true time.

use std::f64::consts::TAU;

use ntp_common::time::{MonoNs, NtpTimestamp};
use ntp_engine::seams::Now;

use crate::chance::Chance;
use crate::units::{START, duration};

/// The monotonic clock at the start, seconds.
const BOOT_S: f64 = 50.0;
/// Largest correction of the frequency: ticks of 9,000 to 11,000 us.
const MOST_CORRECTION: f64 = 0.1;
/// Resolution of the correction: 2^-16 ppm.
const RESOLUTION: f64 = 1e-6 / 65_536.0;

/// What the clock does by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Oscillator {
    /// How much faster than true time it runs at the start, seconds a second.
    pub frequency: f64,
    /// Standard deviation by which that changes every second.
    pub wander: f64,
    /// Amplitude of a sine that is added.
    pub temperature: f64,
    /// Period of the sine, seconds.
    pub period_s: f64,
    /// What the clock is ahead of true time at the start, seconds.
    pub ahead_s: f64,
}

impl Default for Oscillator {
    fn default() -> Self {
        Self { frequency: 1e-4, wander: 1e-9, temperature: 0.0, period_s: 1.0, ahead_s: 0.1 }
    }
}

/// The clock in the kernel of the simulated machine.
#[derive(Clone, Debug)]
pub struct KernelClock {
    oscillator: Oscillator,
    /// Sum of the random walk's steps.
    walked: f64,
    /// Error of the frequency in this second.
    error: f64,
    chance: Chance,
    start: NtpTimestamp,
    /// True time since the start, seconds.
    now_s: f64,
    mono_s: f64,
    ahead_s: f64,
    correction: f64,
}

impl KernelClock {
    /// A clock at the start of `seed`'s simulation.
    #[must_use]
    pub fn new(oscillator: Oscillator, seed: u64) -> Self {
        Self {
            walked: 0.0,
            error: oscillator.frequency,
            chance: Chance::new(seed, 1),
            start: START,
            now_s: 0.0,
            mono_s: BOOT_S,
            ahead_s: oscillator.ahead_s,
            correction: 0.0,
            oscillator,
        }
    }

    /// Begins another second: the frequency wanders. `second` is the number of it.
    pub fn begin_second(&mut self, second: f64) {
        self.walked += self.oscillator.wander * self.chance.normal();
        let phase = TAU * second / self.oscillator.period_s;
        self.error =
            self.oscillator.frequency + self.walked + self.oscillator.temperature * phase.sin();
    }

    /// Lets true time go on to `until_s`, seconds since the start.
    pub fn advance_to(&mut self, until_s: f64) {
        let elapsed_s = (until_s - self.now_s).max(0.0);
        self.mono_s += elapsed_s * self.rate();
        self.ahead_s += elapsed_s * self.rate_error();
        self.now_s += elapsed_s;
    }

    /// True time since the start, seconds.
    #[must_use]
    pub fn now_s(&self) -> f64 {
        self.now_s
    }

    /// True time, `later_s` seconds later.
    #[must_use]
    pub fn true_time(&self, later_s: f64) -> NtpTimestamp {
        self.start + duration(self.now_s + later_s)
    }

    /// What the clock is ahead of true time, seconds.
    #[must_use]
    pub fn ahead_s(&self) -> f64 {
        self.ahead_s
    }

    /// What the clock gains in a second.
    #[must_use]
    pub fn rate_error(&self) -> f64 {
        self.error + self.correction + self.error * self.correction
    }

    /// Seconds of the clock to a second of true time; the monotonic clock is steered with it.
    #[must_use]
    pub fn rate(&self) -> f64 {
        1.0 + self.rate_error()
    }

    /// A reading.
    #[must_use]
    pub fn read(&self) -> Now {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive")]
        let mono = MonoNs((self.mono_s * 1e9) as u64);
        Now { mono, time: self.true_time(0.0) + duration(self.ahead_s), rate: 1.0 }
    }

    /// Seconds of true time until the monotonic clock reads `mono`, as the clock runs now.
    #[must_use]
    pub fn until_s(&self, mono: MonoNs) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "exact below 104 days")]
        let mono_s = mono.0 as f64 * 1e-9;
        (mono_s - self.mono_s).max(0.0) / self.rate()
    }

    /// Adds to the clock.
    pub fn step(&mut self, by_s: f64) {
        self.ahead_s += by_s;
    }

    /// Corrects the frequency as nearly as the kernel can, and gives what it came to.
    pub fn correct(&mut self, correction: f64) -> f64 {
        let correction = correction.clamp(-MOST_CORRECTION, MOST_CORRECTION);
        self.correction = (correction / RESOLUTION).round() * RESOLUTION;
        self.correction
    }

    /// The correction in force.
    #[must_use]
    pub fn correction(&self) -> f64 {
        self.correction
    }

    /// The clock's own frequency changes at once by this much.
    pub fn disturb(&mut self, by: f64) {
        self.oscillator.frequency += by;
        self.error += by;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correction_makes_up_for_the_error_of_the_frequency() {
        let oscillator = Oscillator { wander: 0.0, ahead_s: 0.0, ..Oscillator::default() };
        let mut clock = KernelClock::new(oscillator, 1);
        clock.advance_to(1000.0);
        assert!((clock.ahead_s() - 0.1).abs() < 1e-9);
        clock.correct(1.0 / 1.0001 - 1.0);
        clock.advance_to(2000.0);
        assert!((clock.ahead_s() - 0.1).abs() < 1e-8, "{}", clock.ahead_s());
        assert!((clock.correct(0.5) - 0.1).abs() < 1e-12, "out of the kernel's range");
    }

    #[test]
    fn step_moves_the_clock_and_not_the_monotonic_clock() {
        let mut clock = KernelClock::new(Oscillator::default(), 1);
        let before = clock.read();
        clock.step(-5.0);
        let after = clock.read();
        assert_eq!(after.mono, before.mono);
        assert_eq!(after.time.since(before.time), duration(-5.0));
    }
}
