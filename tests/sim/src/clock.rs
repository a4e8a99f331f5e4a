//! A clock as it really is, and a kernel that steers it: frequency by ticks and parts of a million, as
//! `adjtimex(2)` does. Only the simulator knows true time.

use std::f64::consts::TAU;

use ntp_common::time::{MonoNs, NtpTimestamp};
use ntp_common::wire::LeapIndicator;
use ntp_engine::seams::Now;

use crate::chance::Chance;
use crate::leap::{Kernel, LeapSecond};
use crate::units::{START, duration};

/// The monotonic clock at the start, seconds.
const BOOT_S: f64 = 50.0;
/// Microseconds in a tick at the nominal rate, and by how much the kernel lets that be changed.
const NOMINAL_TICK_US: i32 = 10_000;
const MOST_TICKS: i32 = 1_000;
/// What a microsecond of a tick changes, seconds a second.
const TICK: f64 = 1e-4;
/// Unit of the kernel's frequency, 2^-16 ppm, and the largest frequency, 500 ppm.
const UNIT: f64 = 1e-6 / 65_536.0;
const MOST_UNITS: i32 = 500 << 16;
/// Time constants that flicker noise is made of, seconds.
const FLICKER_S: [f64; 5] = [10.0, 1e2, 1e3, 1e4, 1e5];

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
    /// Standard deviation of flicker noise that is added, in each decade of time from ten seconds to a day.
    pub flicker: f64,
    /// Changes that come once.
    pub shifts: Vec<Shift>,
    /// Times at which all its clocks go forward at once, so that no two of them tell of it.
    pub slips: Vec<Slip>,
    /// What the clock is ahead of true time at the start, seconds.
    pub ahead_s: f64,
}

/// A change of the frequency: a jump, or that of a machine that becomes warmer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// When it begins, seconds since the start.
    pub at_s: f64,
    /// By how much the frequency changes in the end, seconds a second.
    pub by: f64,
    /// Time in which 63 % of that are there, seconds, above 0.
    pub time_constant_s: f64,
}

impl Shift {
    /// What it comes to at `now_s`.
    fn by(&self, now_s: f64) -> f64 {
        self.by * (1.0 - (-(now_s - self.at_s).max(0.0) / self.time_constant_s).exp())
    }
}

/// What a counter skips: that of a virtual machine which moved to another host, say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slip {
    /// When, whole seconds since the start.
    pub at_s: f64,
    /// By how much, seconds.
    pub by_s: f64,
}

impl Default for Oscillator {
    fn default() -> Self {
        Self {
            frequency: 1e-4,
            wander: 1e-9,
            temperature: 0.0,
            period_s: 1.0,
            flicker: 0.0,
            shifts: Vec::new(),
            slips: Vec::new(),
            ahead_s: 0.1,
        }
    }
}

/// What steering the clock comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Steering {
    /// The kernel's clock is steered, and the monotonic clock with it.
    #[default]
    Kernel,
    /// A clock that is calculated from the monotonic clock, which stays as it is.
    Calculated,
    /// It is not permitted.
    Forbidden,
}

/// The clock in the kernel of the simulated machine.
#[derive(Clone, Debug)]
pub struct KernelClock {
    oscillator: Oscillator,
    /// Sum of the random walk's steps.
    walked: f64,
    /// The parts of the flicker noise.
    flickers: [f64; FLICKER_S.len()],
    /// Error of the frequency in this second.
    error: f64,
    chance: Chance,
    start: NtpTimestamp,
    leap: LeapSecond,
    /// True time since the start, seconds.
    now_s: f64,
    mono_s: f64,
    slept_s: f64,
    ahead_s: f64,
    correction: f64,
    steering: Steering,
}

impl KernelClock {
    /// A clock at the start of `seed`'s simulation.
    #[must_use]
    pub fn new(oscillator: Oscillator, seed: u64) -> Self {
        Self::starting(START, oscillator, seed)
    }

    /// A clock where the simulation starts at another time.
    #[must_use]
    pub fn starting(start: NtpTimestamp, oscillator: Oscillator, seed: u64) -> Self {
        let mut chance = Chance::new(seed, 1);
        let mut flickers = [0.0; FLICKER_S.len()];
        if oscillator.flicker > 0.0 {
            flickers = flickers.map(|_: f64| oscillator.flicker * chance.normal());
        }
        Self {
            walked: 0.0,
            flickers,
            error: oscillator.frequency,
            chance,
            start,
            leap: LeapSecond::default(),
            now_s: 0.0,
            mono_s: BOOT_S,
            slept_s: 0.0,
            ahead_s: oscillator.ahead_s,
            correction: 0.0,
            steering: Steering::Kernel,
            oscillator,
        }
    }

    /// The same clock in a world whose time leaps by `step_s` at `at_s` seconds since the start.
    #[must_use]
    pub fn with_leap_second(mut self, at_s: f64, step_s: f64) -> Self {
        self.leap.due = Some((at_s, step_s));
        self
    }

    /// The same clock, steered in another way.
    #[must_use]
    pub fn with_steering(self, steering: Steering) -> Self {
        Self { steering, ..self }
    }

    /// Whether it may be set and steered.
    #[must_use]
    pub fn is_permitted(&self) -> bool {
        self.steering != Steering::Forbidden
    }

    /// What the kernel is told of the leap second at the end of the day.
    pub fn announce(&mut self, leap: LeapIndicator) {
        let reading_s = self.now_s + self.leap.taken_s + self.ahead_s;
        self.leap.announce(leap, self.start, reading_s);
    }

    /// Whether true time has leapt, `later_s` seconds later.
    #[must_use]
    pub fn has_leapt(&self, later_s: f64) -> bool {
        self.leap.until(self.now_s + later_s) != 0.0
    }

    /// Begins another second: the frequency wanders. `second` is the number of it.
    pub fn begin_second(&mut self, second: f64) {
        self.walked += self.oscillator.wander * self.chance.normal();
        self.flicker();
        let phase = TAU * second / self.oscillator.period_s;
        self.error = self.oscillator.frequency
            + self.walked
            + self.flickers.iter().sum::<f64>()
            + self.oscillator.shifts.iter().map(|shift| shift.by(second)).sum::<f64>()
            + self.oscillator.temperature * phase.sin();
        let slips =
            self.oscillator.slips.iter().filter(|slip| slip.at_s.total_cmp(&second).is_eq());
        let by_s: f64 = slips.map(|slip| slip.by_s).sum();
        self.ahead_s += by_s;
        self.mono_s += by_s;
    }

    /// Flicker noise as a sum of noises that forget after times a decade apart.
    fn flicker(&mut self) {
        if self.oscillator.flicker <= 0.0 {
            return;
        }
        for (flicker, time_s) in self.flickers.iter_mut().zip(FLICKER_S) {
            let kept = (-1.0 / time_s).exp();
            let new = self.oscillator.flicker * (1.0 - kept * kept).sqrt();
            *flicker = kept * *flicker + new * self.chance.normal();
        }
    }

    /// Lets true time go on to `until_s`, seconds since the start.
    pub fn advance_to(&mut self, until_s: f64) {
        if let Some((at_s, step_s)) = self.leap.due.filter(|&(at_s, _)| at_s <= until_s) {
            self.go_on_to(at_s);
            self.leap.due = None;
            self.leap.taken_s = step_s;
            self.ahead_s -= step_s;
        }
        let reading_s = self.now_s + self.leap.taken_s + self.ahead_s;
        if let Some((after_s, step_s)) = self.leap.kernels(reading_s) {
            let at_s = self.now_s + after_s / self.rate();
            if at_s <= until_s {
                self.go_on_to(at_s);
                self.leap.kernel = Kernel::Done;
                self.ahead_s += step_s;
            }
        }
        self.go_on_to(until_s);
    }

    fn go_on_to(&mut self, until_s: f64) {
        let elapsed_s = (until_s - self.now_s).max(0.0);
        self.mono_s += elapsed_s * self.mono_rate();
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
        let at_s = self.now_s + later_s;
        self.start + duration(at_s + self.leap.until(at_s))
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

    /// Seconds of the clock to a second of true time.
    #[must_use]
    pub fn rate(&self) -> f64 {
        1.0 + self.rate_error()
    }

    /// Seconds of the monotonic clock to a second of true time.
    fn mono_rate(&self) -> f64 {
        match self.steering {
            Steering::Kernel | Steering::Forbidden => self.rate(),
            Steering::Calculated => 1.0 + self.error,
        }
    }

    /// A reading.
    #[must_use]
    pub fn read(&self) -> Now {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive")]
        let mono = MonoNs((self.mono_s * 1e9) as u64);
        let time = self.true_time(0.0) + duration(self.ahead_s);
        Now { mono, time, rate: self.rate() / self.mono_rate() }
    }

    /// Seconds of true time until the monotonic clock reads `mono`, as the clock runs now.
    #[must_use]
    pub fn until_s(&self, mono: MonoNs) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "exact below 104 days")]
        let mono_s = mono.0 as f64 * 1e-9;
        (mono_s - self.mono_s).max(0.0) / self.mono_rate()
    }

    /// The machine sleeps for `length_s`, with its clocks standing still. `made_up_s` is what the kernel puts the
    /// clock forward by when it wakes up.
    pub fn sleep(&mut self, length_s: f64, made_up_s: f64) {
        self.now_s += length_s;
        self.slept_s += length_s;
        self.ahead_s += made_up_s - length_s;
    }

    /// How long the machine has slept, seconds.
    #[must_use]
    pub fn slept_s(&self) -> f64 {
        self.slept_s
    }

    /// Adds to the clock.
    pub fn step(&mut self, by_s: f64) {
        self.ahead_s += by_s;
    }

    /// Sets the kernel's two variables of the frequency, as far as it lets them be: microseconds in a tick, 9,000 to
    /// 11,000, and units of 2^-16 ppm, at most 500 ppm.
    pub fn adjtimex(&mut self, tick_us: i32, units: i32) {
        let ticks = (tick_us - NOMINAL_TICK_US).clamp(-MOST_TICKS, MOST_TICKS);
        let units = units.clamp(-MOST_UNITS, MOST_UNITS);
        self.correction = f64::from(ticks) * TICK + f64::from(units) * UNIT;
    }

    /// Corrects the frequency as nearly as the kernel can, and gives what it came to. The tick stays alone as long as
    /// the frequency suffices.
    #[expect(clippy::cast_possible_truncation, reason = "the casts saturate, as the kernel does")]
    pub fn correct(&mut self, correction: f64) -> f64 {
        let most = f64::from(MOST_TICKS) * TICK;
        let correction = correction.clamp(-most, most);
        let small = correction.abs() <= f64::from(MOST_UNITS) * UNIT;
        let ticks = if small { 0.0 } else { (correction / TICK).round() };
        let units = ((correction - ticks * TICK) / UNIT).round();
        self.adjtimex(NOMINAL_TICK_US + ticks as i32, units as i32);
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
    }

    #[test]
    fn kernel_takes_frequencies_within_its_range_to_its_resolution() {
        let mut clock = KernelClock::new(Oscillator::default(), 1);
        for wanted in [0.0, 1e-6, -4.999e-4, 5.004e-4, 0.083_333, -0.1] {
            let error = clock.correct(wanted) - wanted;
            assert!(error.abs() <= UNIT / 2.0 + 1e-15, "{wanted}: {error}");
        }
        assert!((clock.correct(0.5) - 0.1).abs() < 1e-12, "beyond the range of ticks");
        clock.adjtimex(10_000, 600 << 16);
        assert!((clock.correction() - 5e-4).abs() < 1e-15, "beyond the range of frequencies");
    }

    #[test]
    fn slip_puts_all_clocks_forward_once_so_that_none_tells_of_it() {
        let slips = vec![Slip { at_s: 3.0, by_s: 0.25 }];
        let exact =
            Oscillator { frequency: 0.0, wander: 0.0, ahead_s: 0.0, ..Oscillator::default() };
        let mut clock = KernelClock::new(Oscillator { slips, ..exact }, 1);
        for second in 1..=5u8 {
            let second = f64::from(second);
            let before = clock.read();
            clock.advance_to(second);
            clock.begin_second(second);
            let slipped_s = if second >= 3.0 { 0.25 } else { 0.0 };
            assert!((clock.ahead_s() - slipped_s).abs() < 1e-12, "{second}");
            let now = clock.read();
            let slips = second.total_cmp(&3.0).is_eq();
            let (passed_s, elapsed) =
                if slips { (1.25, 1_250_000_000) } else { (1.0, 1_000_000_000) };
            assert_eq!(now.time.since(before.time), duration(passed_s), "{second}");
            assert_eq!(now.mono.since(before.mono), elapsed, "{second}");
        }
    }

    #[test]
    fn flicker_and_shifts_change_the_frequency_as_much_as_they_say() {
        let shifts = vec![Shift { at_s: 100.0, by: 1e-6, time_constant_s: 50.0 }];
        let quiet = Oscillator { frequency: 0.0, wander: 0.0, ..Oscillator::default() };
        let mut clock = KernelClock::new(Oscillator { shifts, ..quiet.clone() }, 1);
        for (second, expected) in [(99.0, 0.0), (150.0, 0.632e-6), (900.0, 1e-6)] {
            clock.begin_second(second);
            assert!((clock.rate_error() - expected).abs() < 1e-9, "{second}");
        }
        let mut clock = KernelClock::new(Oscillator { flicker: 1e-9, ..quiet }, 1);
        let squares = (0..200_000u32).map(|second| {
            clock.begin_second(f64::from(second));
            clock.rate_error().powi(2)
        });
        let deviation = (squares.sum::<f64>() / 2e5).sqrt();
        assert!((1.5e-9..3.5e-9).contains(&deviation), "five decades: {deviation}");
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
