//! Clocks that are told what to show.

use super::*;
use ntp_engine::conf::parse;
use ntp_engine::seams::Clock;

use crate::clock::DaemonClock;
use crate::clock::follow::FollowClock;

fn lines(text: &str) -> Vec<Located<RefClock>> {
    parse("test.conf", text).unwrap().config.refclocks
}

fn shown(at: UnixTime, time: Option<UnixTime>, ahead_s: f64) -> Shown {
    let leap = LeapIndicator::Normal;
    Shown { at, time, ahead_s, is_pulse: time.is_none(), dispersion_s: 0.0, leap }
}

fn offset_s(reading: &Reading) -> f64 {
    i32::try_from(reading.offset.to_nanos() / 1000).map(f64::from).unwrap() * 1e-6
}

/// A clock that fails as often as it is told, and then shows the time.
struct Failing(u32);

impl Poll for Failing {
    fn read(&mut self) -> io::Result<Option<Shown>> {
        self.0 = self.0.checked_sub(1).ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
        let now = UnixTime::now();
        Ok(Some(shown(now, Some(now), 0.0)))
    }
}

fn polled(dpoll: i8, reader: Failing) -> RefClocks {
    let clock = FollowClock::start();
    let (mut clocks, _) = RefClocks::new(DaemonClock::Follow(clock).time_base());
    let line = lines(&format!("refclock SHM 0 refid X dpoll {dpoll}")).remove(0).value;
    let opened = Opened { line, reader: Reader::Polled(Box::new(reader)) };
    clocks.start(vec![opened], MonoNs(0)).unwrap();
    clocks
}

#[test]
fn reading_is_told_on_the_steered_clock() {
    let mut clock = FollowClock::start();
    clock.step(ntp_common::time::NtpDuration::from_nanos(-2_000_000_000)).unwrap();
    let time = DaemonClock::Follow(clock).time_base();
    let now = UnixTime::now();
    // The kernel's clock is right, the steered one 2 s behind.
    let right = reading(&shown(now, Some(now), 0.0), &time);
    assert!((offset_s(&right) - 2.0).abs() < 1e-3, "{right:?}");
    let ahead = reading(&shown(now, Some(now), 0.25), &time);
    assert!((offset_s(&ahead) - 2.25).abs() < 1e-3, "{ahead:?}");
    let whole = UnixTime { nanos: 250_000_000, ..now };
    let pulse = reading(&shown(whole, None, 0.0), &TimeBase::Kernel);
    assert!(pulse.is_pulse && (offset_s(&pulse) + 0.25).abs() < 1e-6, "{pulse:?}");
}

#[test]
fn clock_is_read_in_its_interval_and_not_more_often_after_a_delay() {
    let mut clocks = polled(-1, Failing(100));
    let half = 500_000_000;
    for (now, count) in [(0, 1), (half - 1, 0), (half, 1), (7 * half, 1), (7 * half + 1, 0)] {
        assert_eq!(clocks.poll(MonoNs(now)).len(), count, "{now}");
    }
    assert_eq!(clocks.next_deadline(), Some(MonoNs(8 * half)));
}

#[test]
fn clock_that_fails_is_tried_again() {
    let mut clocks = polled(0, Failing(1));
    assert_eq!(clocks.poll(MonoNs(0)).len(), 1);
    for second in 1..4 {
        assert!(clocks.poll(MonoNs(second * 1_000_000_000)).is_empty());
        assert!(clocks.polled[0].is_failing);
    }
}

#[test]
fn device_that_is_not_there_is_named_with_its_place() {
    let lines = lines("\nrefclock PPS /dev/no-such-pps refid GPS");
    let error = open(&lines).map(|_| ()).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.starts_with("test.conf:2:1: cannot open reference clock GPS: /dev/no-such-pps"));
}

#[test]
fn unknown_leap_seconds_are_none() {
    use LeapIndicator::{Delete, Insert, Normal, Unsynchronised};
    let known = [0, 1, 2, 3, 4, -1].map(leap_indicator);
    let expected = [Some(Normal), Some(Insert), Some(Delete), Some(Unsynchronised), None, None];
    assert_eq!(known, expected);
}
