//! What readings come to, without any engine.

use super::*;
use crate::conf::{ClockDriver, parse};
use ntp_common::time::NtpTimestamp;

fn at(seconds: f64) -> NtpTimestamp {
    NtpTimestamp::from_bits(4_000_000_000 << 32) + seconds::duration(seconds)
}

fn clock(line: &str) -> RefClock {
    let parsed = parse("refclock", &format!("refclock {line}")).unwrap();
    RefClock::new(parsed.config.refclocks[0].value.clone(), 1e-7)
}

fn reading(at_s: f64, offset_s: f64) -> Reading {
    Reading {
        at: at(at_s),
        offset: seconds::duration(offset_s),
        is_pulse: false,
        dispersion_s: 1e-6,
        leap: LeapIndicator::Normal,
    }
}

fn second(offset_s: f64, error_s: f64) -> Second {
    let offset = seconds::duration(offset_s);
    Second { offset, error_s, leap: LeapIndicator::Insert, stratum: 9 }
}

fn offset_s(cooked: Result<Cooked, Unusable>) -> Result<f64, Unusable> {
    cooked.map(|cooked| (seconds::of(cooked.offset) * 1e9).round() / 1e9)
}

#[test]
fn offset_is_added_and_tai_is_taken_off() {
    let plain = clock("SHM 0 offset 0.25").read(reading(0.0, 1.0), 0.0, None, None);
    assert_eq!(offset_s(plain), Ok(1.25));
    let mut tai = clock("PHC /dev/ptp0 tai");
    assert_eq!(offset_s(tai.read(reading(0.0, 37.5), 0.0, None, Some(37))), Ok(0.5));
    assert_eq!(tai.read(reading(0.0, 37.5), 0.0, None, None), Err(Unusable::NoTai));
}

#[test]
fn pulse_is_completed_by_what_else_is_known() {
    for line in ["PPS /dev/pps0", "SHM 0 pps", "PHC /dev/ptp0:extpps"] {
        let mut clock = clock(line);
        let read = |clock: &mut RefClock, second: Option<Second>| {
            clock.read(reading(0.0, -0.25), 0.0, second.as_ref(), None)
        };
        let cooked = read(&mut clock, Some(second(2.7, 0.01))).unwrap();
        assert_eq!((offset_s(Ok(cooked)), cooked.stratum), (Ok(2.75), 9), "{line}");
        assert_eq!(cooked.reading.leap, LeapIndicator::Insert);
        assert_eq!(read(&mut clock, None), Err(Unusable::NoSecond));
        let doubtful = read(&mut clock, Some(second(2.7, 0.5)));
        assert_eq!(doubtful, Err(Unusable::DoubtfulSecond));
    }
}

#[test]
fn reading_of_another_time_is_not_believed() {
    let mut clock = clock("SHM 0 poll 4");
    for (age_s, good) in [(-1.0, false), (-0.05, true), (30.0, true), (33.0, false)] {
        let read = clock.read(reading(0.0, 0.0), age_s, None, None);
        assert_eq!(read.is_ok(), good, "{age_s}");
    }
}

#[test]
fn poll_makes_a_sample_with_the_clocks_delay_and_a_bound() {
    let mut clock = clock("SHM 0 delay 0.2 stratum 3 precision 1e-5 refid GPS");
    for second in 0..8u8 {
        let (at_s, noise_s) = (f64::from(second), f64::from(second % 3) * 1e-3);
        clock.read(reading(at_s, 0.5 + noise_s), 0.0, None, None).unwrap();
    }
    let Combined { sample, deviation_s, .. } = clock.poll(None).unwrap();
    assert!((sample.offset_s - 0.501).abs() < 1e-3, "{sample:?}");
    assert!((sample.delay_s - 0.2).abs() < 1e-9 && sample.stratum == 3);
    assert_eq!(clock_name(sample.reference_id), "GPS");
    assert!((1e-5..1e-3).contains(&deviation_s), "{deviation_s}");
    assert!(sample.dispersion_s >= 3.0 * deviation_s);
    assert_eq!(clock.poll(None), Err(None), "the readings are used up");
}

#[test]
fn noise_that_samples_were_found_to_have_counts_where_readings_tell_less() {
    let mut clock = clock("SHM 0 poll 0");
    clock.read(reading(0.0, 0.5), 0.0, None, None).unwrap();
    assert!((clock.poll(Some(1e-3)).unwrap().deviation_s - 1e-3).abs() < 1e-12);
}

#[test]
fn sample_is_made_of_four_pulses_and_of_four_readings_where_a_poll_has_so_many() {
    let check = |line: &str, expected: u8| {
        let mut clock = clock(line);
        for number in 1..expected {
            let (at_s, second) = (f64::from(number), second(0.0, 0.01));
            clock.read(reading(at_s, 0.0), 0.0, Some(&second), None).unwrap();
            assert!(clock.poll(None).is_err(), "{line}: {number} readings");
        }
        clock.read(reading(f64::from(expected), 0.0), 0.0, Some(&second(0.0, 0.01)), None).unwrap();
        assert!(clock.poll(None).is_ok(), "{line}");
    };
    check("SHM 0", 4);
    check("SHM 0 poll 1", 2);
    check("SHM 0 poll 0", 1);
    check("SHM 0 filter 2", 2);
    check("PPS /dev/pps0", 4);
    check("PPS /dev/pps0 poll 0", 4);
    check("PPS /dev/pps0 filter 1", 1);
}

#[test]
fn readings_from_before_a_silence_make_no_sample_with_those_after_it() {
    let mut clock = clock("SHM 0 poll 2");
    let mut read = |at_s: f64| {
        clock.read(reading(at_s, 0.0), 0.0, None, None).unwrap();
        clock.poll(None).is_ok()
    };
    let samples = [0.0, 1.0, 100.0, 101.0, 102.0, 103.0].map(&mut read);
    assert_eq!(samples, [false, false, false, false, false, true]);
}

#[test]
fn sample_with_too_large_a_dispersion_is_not_used() {
    let mut clock = clock("SHM 0 maxdispersion 0.0001");
    for (at_s, offset_s) in [(0.0, 0.0), (1.0, 1e-3), (2.0, -1e-3), (3.0, 2e-3), (4.0, -2e-3)] {
        clock.read(reading(at_s, offset_s), 0.0, None, None).unwrap();
    }
    assert_eq!(clock.poll(None), Err(None));
}

#[test]
fn poll_without_a_sample_says_why() {
    let mut clock = clock("PPS /dev/pps0");
    clock.read(reading(0.0, 0.0), 0.0, None, None).unwrap_err();
    assert_eq!(clock.poll(None), Err(Some(Unusable::NoSecond)));
    assert_eq!(clock.poll(None), Err(None));
}

#[test]
fn readings_follow_a_step_of_the_clock() {
    let mut clock = clock("SHM 0 poll 0");
    clock.read(reading(0.0, 0.5), 0.0, None, None).unwrap();
    clock.move_onto(&ClockChange { at: at(1.0), step_s: 0.5, rate: 0.0 });
    assert!(seconds::of(clock.last().unwrap().offset).abs() < 1e-9);
    assert!(clock.poll(None).unwrap().sample.offset_s.abs() < 1e-9);
}

#[test]
fn drivers_know_whether_they_give_pulses() {
    let gives = |line: &str| clock(line).line().gives_pulses();
    assert!(gives("PPS /dev/pps0") && gives("SOCK /run/x pps") && gives("PHC eth0:extpps"));
    assert!(!gives("SHM 3") && !gives("PHC eth0") && !gives("SOCK /run/x"));
    let driver = &clock("PHC /dev/ptp0:extpps:pin=-1:channel=2:clear:nocrossts").line.driver;
    let ClockDriver::Phc { cross_timestamps: false, pulses: Some(pulses), .. } = driver else {
        panic!("{driver:?}");
    };
    assert_eq!((pulses.pin, pulses.channel), (None, 2));
}
