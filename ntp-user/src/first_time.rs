//! `-s`: a clock that was lost while the machine was off is set at the start, from the real-time clock or else from the
//! time of the last run. Both are right to a second or worse: what is nearer stays as it is.

use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use ntp_common::time::NtpDuration;
use ntp_engine::seams::Clock;

use crate::clock::DaemonClock;
use crate::clock::readings::UnixTime;

/// Seconds since 1970 by the real-time clock, taken to keep UTC.
const RTC: &str = "/sys/class/rtc/rtc0/since_epoch";
/// Whether the real-time clock keeps UTC or local time, in its third line.
const ADJTIME: &str = "/etc/adjtime";
/// Differences up to this are those of clocks that know whole seconds.
const RESOLUTION_S: i64 = 1;

/// Where the first time is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    RealTimeClock,
    DriftFile,
}

/// What clocks and files say, seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "all end in their unit")]
struct Told {
    now_s: i64,
    rtc_s: Option<i64>,
    /// When the drift file was written.
    drift_s: Option<i64>,
}

/// Sets the clock, if it is to be set; what keeps it from that is told, and nothing else happens.
pub(crate) fn set(clock: &mut DaemonClock, driftfile: Option<&Path>) {
    if let DaemonClock::Follow(_) = clock {
        tracing::warn!("The clock is not set from the real-time clock (-s): it is left alone (-x)");
        return;
    }
    let (rtc_s, drift_s) = (rtc_s(), driftfile.and_then(modified_s));
    if rtc_s.is_none() && drift_s.is_none() {
        tracing::warn!(
            "There is neither a real-time clock nor a drift file to set the clock from (-s)"
        );
        return;
    }
    let now = UnixTime::now();
    let Some((origin, to_s)) = first_time(&Told { now_s: now.seconds, rtc_s, drift_s }) else {
        tracing::info!("System clock is as late as what -s would set it from, and stays");
        return;
    };
    let step_s = to_s - now.seconds;
    let step = NtpDuration::from_nanos(step_s.saturating_mul(1_000_000_000));
    let name = match origin {
        Origin::RealTimeClock => "the real-time clock",
        Origin::DriftFile => "the time of the drift file",
    };
    match clock.step(step) {
        Ok(()) => tracing::warn!(step_s, "System clock was set from {name}, by {step_s} seconds"),
        Err(error) => tracing::warn!(%error, "System clock can't be set from {name}"),
    }
}

/// The time to set the clock to: that of the real-time clock, unless it is known to have stood still since the last run;
/// else that of the last run, if the clock is behind it.
fn first_time(told: &Told) -> Option<(Origin, i64)> {
    let Told { now_s, rtc_s, drift_s } = *told;
    let rtc_s = rtc_s.filter(|&rtc_s| drift_s.is_none_or(|drift_s| rtc_s >= drift_s));
    let rtc = rtc_s.map(|rtc_s| (Origin::RealTimeClock, rtc_s));
    let drift = drift_s.filter(|&drift_s| drift_s > now_s).map(|s| (Origin::DriftFile, s));
    rtc.or(drift).filter(|&(_, to_s)| (to_s - now_s).abs() > RESOLUTION_S)
}

fn rtc_s() -> Option<i64> {
    let adjtime = fs::read_to_string(ADJTIME).unwrap_or_default();
    if keeps_local_time(&adjtime) {
        tracing::warn!("The real-time clock keeps local time ({ADJTIME}): it is not used (-s)");
        return None;
    }
    fs::read_to_string(RTC).ok().and_then(|text| text.trim().parse().ok())
}

/// Whether `/etc/adjtime` says so: hwclock(8).
fn keeps_local_time(adjtime: &str) -> bool {
    adjtime.lines().nth(2).is_some_and(|line| line.trim() == "LOCAL")
}

fn modified_s(path: &Path) -> Option<i64> {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
    let since = modified.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Origin::{DriftFile, RealTimeClock};

    #[test]
    fn clock_is_set_from_the_later_of_what_can_be_right() {
        let cases = [
            // The clock, the real-time clock, the drift file.
            (1000, Some(5000), Some(4000), Some((RealTimeClock, 5000))),
            (1000, Some(5000), None, Some((RealTimeClock, 5000))),
            (9000, Some(5000), Some(4000), Some((RealTimeClock, 5000))),
            // A battery that is empty.
            (1000, Some(3000), Some(4000), Some((DriftFile, 4000))),
            (5000, Some(3000), Some(4000), None),
            (1000, None, Some(4000), Some((DriftFile, 4000))),
            (5000, None, Some(4000), None),
            (1000, None, None, None),
            // Whole seconds.
            (5001, Some(5000), None, None),
            (4999, Some(5000), Some(4000), None),
            (5002, Some(5000), None, Some((RealTimeClock, 5000))),
        ];
        for (now_s, rtc_s, drift_s, expected) in cases {
            let told = Told { now_s, rtc_s, drift_s };
            assert_eq!(first_time(&told), expected, "{told:?}");
        }
    }

    #[test]
    fn clock_that_keeps_local_time_is_known_by_its_third_line() {
        for (text, local) in [
            ("", false),
            ("0.0 1767225600 0.0\n1767225600\nUTC\n", false),
            ("0.0 1767225600 0.0\n1767225600\nLOCAL\n", true),
            ("LOCAL\n", false),
        ] {
            assert_eq!(keeps_local_time(text), local, "{text:?}");
        }
    }

    #[test]
    fn file_that_is_missing_tells_nothing() {
        assert_eq!(modified_s(Path::new("/nonexistent/drift")), None);
        let path = std::env::temp_dir().join(format!("ntp-xdpd-first-{}", std::process::id()));
        fs::write(&path, "").unwrap();
        let now_s = UnixTime::now().seconds;
        assert!(modified_s(&path).is_some_and(|modified_s| (modified_s - now_s).abs() < 60));
        fs::remove_file(path).unwrap();
    }
}
