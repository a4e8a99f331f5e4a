//! Times that somebody gives by hand (`chronyc settime`): what they say of the clock's offset and, from two on, of its
//! rate. Invariant: entries speak of the steered clock as it runs now; they are moved with it.

use ntp_common::time::NtpTimestamp;

use crate::sample::ClockChange;
use crate::seconds;

/// Entries that are kept; the oldest gives way. As many as the report has room for.
const MOST_ENTRIES: usize = 16;
/// Shortest time between two entries, seconds: nobody reads a clock faster.
const LEAST_APART_S: f64 = 1.0;

/// How far a time that is given by hand may be off, seconds.
const BY_HAND_S: f64 = 0.5;
/// Standard deviation of the rate of a clock that nothing is known of.
const UNKNOWN_RATE: f64 = 5e-4;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    /// When it was made, on the steered clock.
    time: NtpTimestamp,
    /// What the time given was ahead of the steered clock, seconds.
    offset_s: f64,
    /// What estimated true time was ahead of the time given, seconds.
    ahead_s: f64,
}

/// The entries.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Manual {
    enabled: bool,
    entries: Vec<Entry>,
}

/// A time given by hand can't be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManualError {
    /// They are not taken: there is no `manual`.
    #[error("times are not taken by hand")]
    Disabled,
    /// It comes less than a second after the one before.
    #[error("too soon after the time before")]
    TooSoon,
    /// There is none of this number.
    #[error("no such time")]
    NoSuchEntry,
}

/// What a time given by hand led to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ManualCorrection {
    /// Offset that was corrected, seconds, positive when the clock was ahead.
    pub offset_s: f64,
    /// How much faster than was known the clock has proved to run, ppm.
    pub frequency_change_ppm: f64,
    /// How much faster than true time the clock runs by itself, ppm.
    pub frequency_ppm: f64,
}

/// One time given by hand, as reports have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ManualEntry {
    /// When it was given, on the steered clock.
    pub when: NtpTimestamp,
    /// Offset from it of time as it is estimated now, seconds, positive when that is ahead.
    pub slewed_offset_s: f64,
    /// Offset as it was given, seconds.
    pub offset_s: f64,
    /// What the line through all leaves of the offset, seconds.
    pub residual_s: f64,
}

/// What estimated true time is ahead of the steered clock when that reads so much, seconds.
pub(crate) type Remaining<'a> = &'a dyn Fn(NtpTimestamp) -> f64;

impl Manual {
    /// No entries yet.
    pub(crate) fn new(enabled: bool) -> Self {
        Self { enabled, entries: Vec::new() }
    }

    /// Takes entries from now on, or does not.
    pub(crate) fn enable(&mut self, enabled: bool) {
        self.enabled = enabled;
    }

    /// Forgets all entries.
    pub(crate) fn reset(&mut self) {
        self.entries.clear();
    }

    /// Takes an entry: true time was `offset_s` ahead of the clock when that read `time`, and was estimated `ahead_s`
    /// ahead of what it is said to be.
    ///
    /// # Errors
    /// [`ManualError::Disabled`], [`ManualError::TooSoon`].
    pub(crate) fn enter(
        &mut self,
        time: NtpTimestamp,
        offset_s: f64,
        ahead_s: f64,
    ) -> Result<(), ManualError> {
        if !self.enabled {
            return Err(ManualError::Disabled);
        }
        let last = self.entries.last();
        if last.is_some_and(|last| seconds::of(time.since(last.time)) < LEAST_APART_S) {
            return Err(ManualError::TooSoon);
        }
        if self.entries.len() == MOST_ENTRIES {
            self.entries.remove(0);
        }
        self.entries.push(Entry { time, offset_s, ahead_s });
        Ok(())
    }

    /// Forgets the entry of this number, from 0.
    ///
    /// # Errors
    /// [`ManualError::NoSuchEntry`].
    pub(crate) fn delete(&mut self, index: usize) -> Result<(), ManualError> {
        if index >= self.entries.len() {
            return Err(ManualError::NoSuchEntry);
        }
        self.entries.remove(index);
        Ok(())
    }

    /// How much faster the clock runs than is estimated, seconds a second; `None` with less than two entries. As far as
    /// it can be a slip of who gave the time, it is taken for one: no clock is off by a tenth, and of two times within
    /// a minute the second is rather late.
    pub(crate) fn fast(&self, remaining: Remaining<'_>) -> Option<f64> {
        let points = self.points(remaining);
        let fast = median_slope(&points)?;
        let span_s = points.last()?.0 - points.first()?.0;
        // What a clock may have strayed in between, against what a hand is off by.
        let told = (UNKNOWN_RATE * span_s / BY_HAND_S).min(1.0).powi(2);
        let likely = (-(fast.abs() / UNKNOWN_RATE - 1.0).max(0.0)).exp();
        Some(fast * likely * told)
    }

    /// All entries.
    pub(crate) fn report(&self, remaining: Remaining<'_>) -> Vec<ManualEntry> {
        let points = self.points(remaining);
        let slope = median_slope(&points).unwrap_or(0.0);
        let level = median(points.iter().map(|(x, y)| y - slope * x).collect()).unwrap_or(0.0);
        let entry = |(entry, &(x, y)): (&Entry, &(f64, f64))| ManualEntry {
            when: entry.time,
            slewed_offset_s: y,
            offset_s: entry.ahead_s,
            residual_s: y - level - slope * x,
        };
        self.entries.iter().zip(&points).map(entry).collect()
    }

    /// The clock was changed.
    pub(crate) fn clock_changed(&mut self, change: &ClockChange) {
        for entry in &mut self.entries {
            let moved_s = change.moved_s(entry.time);
            entry.time = entry.time + seconds::duration(moved_s);
            entry.offset_s -= moved_s;
        }
    }

    /// True time leaps: entries are told on time as it is now.
    pub(crate) fn leap_by(&mut self, by_s: f64) {
        self.entries.iter_mut().for_each(|entry| entry.offset_s += by_s);
    }

    /// Seconds since the first entry, and what estimated true time is ahead of what was said, seconds.
    fn points(&self, remaining: Remaining<'_>) -> Vec<(f64, f64)> {
        let Some(first) = self.entries.first() else { return Vec::new() };
        let point = |entry: &Entry| {
            let x = seconds::of(entry.time.since(first.time));
            (x, remaining(entry.time) - entry.offset_s)
        };
        self.entries.iter().map(point).collect()
    }
}

/// The median of the slopes between all pairs of points (Theil and Sen): a slip of a finger in one of them is no
/// matter. With two points the line through both.
fn median_slope(points: &[(f64, f64)]) -> Option<f64> {
    let pairs = points.iter().enumerate();
    let pairs =
        pairs.flat_map(|(index, one)| points[index + 1..].iter().map(move |two| (one, two)));
    median(pairs.map(|((x, y), (later, higher))| (higher - y) / (later - x)).collect())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> NtpTimestamp {
        NtpTimestamp::from_bits(4_000_000_000 << 32) + seconds::duration(seconds)
    }

    /// Entries of a clock that is ahead by these, a thousand seconds apart.
    fn entered(ahead_s: &[f64]) -> Manual {
        let mut manual = Manual::new(true);
        for (index, &ahead_s) in ahead_s.iter().enumerate() {
            let index = f64::from(u16::try_from(index).unwrap());
            manual.enter(at(index * 1000.0), -ahead_s, ahead_s).unwrap();
        }
        manual
    }

    const NOTHING: Remaining<'static> = &|_| 0.0;

    #[test]
    fn rate_is_that_of_most_entries_whatever_one_of_them_says() {
        let cases: [(&[f64], Option<f64>); 5] = [
            (&[], None),
            (&[7.0], None),
            (&[0.0, 0.1], Some(1e-4)),
            (&[0.0, 0.1, 0.2, 60.0, 0.4, 0.5], Some(1e-4)),
            (&[3.0, 3.0, 3.0], Some(0.0)),
        ];
        for (ahead_s, expected) in cases {
            let fast = entered(ahead_s).fast(NOTHING);
            let is_close =
                fast.zip(expected).is_none_or(|(fast, expected)| (fast - expected).abs() < 1e-9);
            assert!(fast.is_some() == expected.is_some() && is_close, "{ahead_s:?}: {fast:?}");
        }
        let residuals = entered(&[0.0, 0.1, 0.2, 60.0, 0.4, 0.5]).report(NOTHING);
        let worst = residuals.iter().position(|entry| entry.residual_s.abs() > 1.0);
        assert_eq!(worst, Some(3), "{residuals:?}");
    }

    #[test]
    fn entries_follow_the_clock_and_keep_what_they_said() {
        let mut manual = entered(&[0.0, 0.1]);
        // The clock is put right as of the second entry, and made to run true.
        manual.clock_changed(&ClockChange { at: at(1000.0), step_s: -0.1, rate: -1e-4 });
        assert!(manual.fast(NOTHING).unwrap().abs() < 1e-9);
        for (entry, offset_s) in manual.report(NOTHING).iter().zip([0.0, 0.1]) {
            assert!(entry.slewed_offset_s.abs() < 1e-9, "{entry:?}");
            assert!((entry.offset_s - offset_s).abs() < 1e-12, "{entry:?}");
        }
        manual.leap_by(-1.0);
        assert!((manual.report(NOTHING)[1].slewed_offset_s - 1.0).abs() < 1e-9);
    }

    #[test]
    fn entries_are_taken_when_wanted_a_second_apart_and_so_many() {
        assert_eq!(Manual::new(false).enter(at(0.0), 0.0, 0.0), Err(ManualError::Disabled));
        let mut manual = entered(&[0.5]);
        assert_eq!(manual.enter(at(0.9), 0.0, 0.0), Err(ManualError::TooSoon));
        for index in 1..40 {
            manual.enter(at(f64::from(index)), 0.0, 0.0).unwrap();
        }
        assert_eq!(manual.report(NOTHING).len(), MOST_ENTRIES);
        assert_eq!(manual.delete(16), Err(ManualError::NoSuchEntry));
        assert_eq!(manual.delete(0), Ok(()));
        assert_eq!(manual.report(NOTHING)[0].when, at(25.0));
        manual.reset();
        assert_eq!(manual.report(NOTHING), []);
    }
}
