//! How long to slew.

/// Longest slew, usually, in intervals between estimates.
const MOST_INTERVALS: f64 = 2.0;
/// An offset of so many deviations is slewed in an interval, and a larger one faster, in proportion, ...
const BEYOND_DOUBT: f64 = 8.0;
/// ... but not in less than this part of the interval: the clock was wrong for about an interval before anybody could
/// tell, and to slew for half as long again adds little to that, whereas a faster slew adds to the error of its rate.
const CALMLY: f64 = 0.5;
/// Updates in which there is no such limit: a clock that was just started is soon of use.
pub(super) const FIRST_UPDATES: u64 = 16;
/// Shortest slew, seconds.
pub(super) const SHORTEST_S: f64 = 1.0;

/// How long to slew by `ahead_s` seconds, before the length that is configured. The standard deviations are those of time and
/// rate, seconds and seconds a second.
///
/// So long that what is still to be slewed and what slewing adds to the rate are in the proportion of what both are
/// uncertain by anyway, but at least until the next estimate, in `interval_s`, and not for many of them; faster when the clock
/// is off beyond doubt.
pub(super) fn duration_s(
    ahead_s: f64,
    (deviation_s, rate_deviation): (f64, f64),
    interval_s: f64,
    updates: u64,
) -> f64 {
    let gentle_s = deviation_s / rate_deviation;
    let least = if updates > FIRST_UPDATES { CALMLY } else { 0.0 };
    let certain_s = interval_s * (BEYOND_DOUBT * deviation_s / ahead_s.abs()).max(least);
    gentle_s.clamp(interval_s, MOST_INTERVALS * interval_s).min(certain_s)
}
