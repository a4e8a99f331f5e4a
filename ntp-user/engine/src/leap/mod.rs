//! Leap seconds: who announces them, when they take place, and what becomes of the clock then.
//!
//! Invariant: NTP time leaps at one instant for all who are served, whatever the clock below does and however
//! late anybody notices.

pub(crate) mod schedule;
pub mod tables;

use ntp_common::wire::LeapIndicator;

/// Seconds in a day of UTC without a leap second.
const DAY_S: i64 = 86_400;

/// A leap second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leap {
    /// The day has 86,401 seconds: NTP time shows the last one twice.
    Insert,
    /// The day has 86,399 seconds: NTP time skips the last one.
    Delete,
}

impl Leap {
    /// What is added to clocks at the leap second, seconds.
    #[must_use]
    pub const fn step(self) -> i8 {
        match self {
            Self::Insert => -1,
            Self::Delete => 1,
        }
    }

    /// How it is announced.
    #[must_use]
    pub const fn indicator(self) -> LeapIndicator {
        match self {
            Self::Insert => LeapIndicator::Insert,
            Self::Delete => LeapIndicator::Delete,
        }
    }

    /// What an indicator announces.
    #[must_use]
    pub const fn announced(indicator: LeapIndicator) -> Option<Self> {
        match indicator {
            LeapIndicator::Insert => Some(Self::Insert),
            LeapIndicator::Delete => Some(Self::Delete),
            LeapIndicator::Normal | LeapIndicator::Unsynchronised => None,
        }
    }
}

/// A day of UTC, counted from the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(i64);

impl Day {
    /// The day that a time of POSIX, in seconds, lies in.
    pub(crate) const fn of(unix_seconds: i64) -> Self {
        Self(unix_seconds.div_euclid(DAY_S))
    }

    /// POSIX time at its end, seconds: a leap second comes just before.
    pub(crate) const fn end(self) -> i64 {
        (self.0 + 1).saturating_mul(DAY_S)
    }

    /// Whether it is the last day of June or December: only these have had leap seconds, and are preferred by
    /// ITU-R TF.460-6 section 2.1.
    pub(crate) const fn may_leap(self) -> bool {
        matches!(month_and_day(self.0 + 1), (1 | 7, 1))
    }
}

/// Month and day of the month, both from 1, of a day counted from the Unix epoch.
const fn month_and_day(day: i64) -> (i64, i64) {
    // Days since 1 March 2000, in cycles of 400 years; months are counted from March, so that the odd day of
    // leap years comes last.
    let in_cycle = (day - 11_017).rem_euclid(146_097);
    let century = in_cycle / 36_524 - in_cycle / 146_096;
    let in_century = in_cycle - century * 36_524;
    let in_four_years = in_century % 1_461;
    let year = in_four_years / 365 - in_four_years / 1_460;
    let in_year = in_four_years - year * 365;
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    (if month < 10 { month + 3 } else { month - 9 }, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_the_date_of_the_calendar() {
        // `date -u -d DATE +%s` divided by 86,400.
        for (day, date) in [
            (0, (1, 1)),
            (11_016, (2, 29)),
            (11_017, (3, 1)),
            (15_521, (6, 30)),
            (19_782, (2, 29)),
            (20_454, (1, 1)),
            (47_541, (3, 1)),
            (-1, (12, 31)),
        ] {
            assert_eq!(month_and_day(day), date, "{day}");
        }
    }

    #[test]
    fn every_year_has_two_days_that_may_leap() {
        let days: Vec<i64> = (0..146_097).filter(|&day| Day(day).may_leap()).collect();
        assert_eq!(days.len(), 800);
        assert!(days.iter().all(|&day| matches!(month_and_day(day), (6, 30) | (12, 31))));
    }
}
