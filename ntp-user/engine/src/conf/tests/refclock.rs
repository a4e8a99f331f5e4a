//! `refclock` lines: what they are read as, and what is said of those that are wrong.

use insta::assert_snapshot;

use super::refuse;
use crate::conf::{ClockDriver, Edge, ExternalPulses, RefClock, parse};
use crate::report::clock_name;

fn clocks(text: &str) -> Vec<RefClock> {
    let parsed = parse("test.conf", text).unwrap();
    parsed.config.refclocks.into_iter().map(|line| line.value).collect()
}

#[test]
fn reads_drivers_with_their_options() {
    let text = "\
refclock SHM 2:perm=0644
refclock sock /run/chrony.ttyS0.sock
refclock PPS /dev/pps0:clear
refclock PHC eth0:nocrossts
refclock PHC /dev/ptp1:extpps:pin=-1:channel=3";
    let pulses = ExternalPulses { pin: None, channel: 3, edge: Edge::Assert };
    let expected = [
        ClockDriver::Shm { unit: 2, permissions: 0o644 },
        ClockDriver::Sock { path: "/run/chrony.ttyS0.sock".into() },
        ClockDriver::Pps { device: "/dev/pps0".into(), edge: Edge::Clear },
        ClockDriver::Phc { device: "eth0".into(), cross_timestamps: false, pulses: None },
        ClockDriver::Phc {
            device: "/dev/ptp1".into(),
            cross_timestamps: true,
            pulses: Some(pulses),
        },
    ];
    let clocks = clocks(text);
    assert!(clocks.iter().map(|clock| &clock.driver).eq(&expected), "{clocks:?}");
    let names: Vec<_> = clocks.iter().map(|clock| clock_name(clock.options.refid)).collect();
    assert_eq!(names, ["SHM0", "SOC1", "PPS2", "PHC3", "PHC4"]);
}

#[test]
fn reads_options_of_reference_clocks() {
    let text = "\
refclock PPS /dev/pps0 lock NMEA refid GPS rate 5 dpoll -3 poll 2 maxlockage 4 width 0.1 prefer
refclock SHM 0 refid NMEA offset 0.5 delay 0.2 noselect precision 1e-3 filter 16 stratum 2 maxdispersion 0.1
refclock PHC eth0 poll -2 tai trust require minsamples 4 maxsamples 32 maxunreach 9";
    let clocks = clocks(text);
    let [pps, nmea, phc] = [0, 1, 2].map(|index| &clocks[index].options);
    assert_eq!((pps.lock, clock_name(nmea.refid).as_str()), (Some(nmea.refid), "NMEA"));
    assert_eq!((pps.rate, pps.dpoll_log2, pps.poll_log2, pps.maxlockage), (5, -3, 2, 4));
    assert!((pps.width_s - 0.1).abs() < 1e-12 && pps.prefer && !pps.noselect);
    assert!((nmea.offset_s - 0.5).abs() < 1e-12 && (nmea.delay_s - 0.2).abs() < 1e-12);
    assert_eq!((nmea.precision_s, nmea.filter, nmea.stratum), (Some(1e-3), 16, 2));
    assert!((nmea.maxdispersion_s - 0.1).abs() < 1e-12 && nmea.noselect);
    assert!(phc.tai && phc.trust && phc.require);
    assert_eq!((phc.poll_log2, phc.dpoll_log2), (-2, -2), "the driver looks once a poll at least");
    assert_eq!((phc.minsamples, phc.maxsamples, phc.maxunreach), (Some(4), Some(32), 9));
}

#[test]
fn says_what_is_wrong_with_drivers_and_their_parameters() {
    let text = "\
refclock GPS 0
refclock SHN 0
refclock SHM
refclock SHM x
refclock SHM 0:perm=9
refclock SHM 0:prem=0600
refclock SOCK run/x
refclock PPS /dev/pps0:claer
refclock PHC /dev/ptp0:pin=x
refclock RTC /dev/rtc0:utc";
    assert_snapshot!(refuse(text), @r#"
        test.conf:1:10: error: the driver of `refclock` cannot be `GPS`; did you mean `PPS`?
         1 | refclock GPS 0
           |          ^^^
           = accepted: SHM, SOCK, PPS, PHC, RTC
        test.conf:2:10: error: the driver of `refclock` cannot be `SHN`; did you mean `SHM`?
         2 | refclock SHN 0
           |          ^^^
           = accepted: SHM, SOCK, PPS, PHC, RTC
        test.conf:3:1: error: `refclock` lacks its parameter: the number of a segment, such as 0
         3 | refclock SHM
           | ^^^^^^^^
           = usage: refclock DRIVER PARAMETER[:OPTION]... [OPTION]...
        test.conf:4:14: error: the parameter of `refclock` must be the number of a segment, such as 0, not `x`
         4 | refclock SHM x
           |              ^
        test.conf:5:14: error: `perm` must be an octal mode such as perm=0644, not `perm=9`
         5 | refclock SHM 0:perm=9
           |              ^^^^^^^^
        test.conf:6:14: error: unknown option `prem=0600` of `SHM`; did you mean `perm`?
         6 | refclock SHM 0:prem=0600
           |              ^^^^^^^^^^^
           = accepted: perm
        test.conf:7:15: error: the parameter of `refclock` must be the absolute path of a socket, not `run/x`
         7 | refclock SOCK run/x
           |               ^^^^^
        test.conf:8:14: error: unknown option `claer` of `PPS`; did you mean `clear`?
         8 | refclock PPS /dev/pps0:claer
           |              ^^^^^^^^^^^^^^^
           = accepted: clear
        test.conf:9:14: error: `pin` must be a whole number such as pin=0, or -1, not `pin=x`
         9 | refclock PHC /dev/ptp0:pin=x
           |              ^^^^^^^^^^^^^^^
        test.conf:10:1: error: `refclock RTC` is not built in yet
         10 | refclock RTC /dev/rtc0:utc
            | ^^^^^^^^
    "#);
}

#[test]
fn says_what_is_wrong_with_options_of_reference_clocks() {
    let text = "\
refclock SHM 0 refid GPS-1
refclock SHM 1 pol 4
refclock SHM 2 rate 0 filter 0 delay -1
refclock SHM 3 poll 25";
    assert_snapshot!(refuse(text), @r#"
        test.conf:1:22: error: `refid` must be a reference ID of one to four printable characters, not `GPS-1`
         1 | refclock SHM 0 refid GPS-1
           |                      ^^^^^
        test.conf:2:16: error: unknown option `pol` of `refclock`; did you mean `poll`?
         2 | refclock SHM 1 pol 4
           |                ^^^
           = accepted: poll, dpoll, refid, lock, rate, maxlockage, width, pps, offset, delay, stratum,
                       precision, maxdispersion, filter, prefer, noselect, trust, require, tai, minsamples,
                       maxsamples, maxunreach
        test.conf:3:21: error: `rate` must be a whole number from 1 to 1000000, not `0`
         3 | refclock SHM 2 rate 0 filter 0 delay -1
           |                     ^
        test.conf:3:30: error: `filter` must be a whole number from 1 to 4096, not `0`
         3 | refclock SHM 2 rate 0 filter 0 delay -1
           |                              ^
        test.conf:3:38: error: `delay` must be a number of seconds, at least 0, not `-1`
         3 | refclock SHM 2 rate 0 filter 0 delay -1
           |                                      ^^
        test.conf:4:21: error: `poll` must be a whole number from -7 to 24, not `25`
         4 | refclock SHM 3 poll 25
           |                     ^^
    "#);
}

#[test]
fn reference_ids_are_given_once_and_locks_lead_to_full_time() {
    let text = "\
refclock SHM 0 refid GPS
refclock SHM 1 refid GPS
refclock PPS /dev/pps0 lock NMEA
refclock PPS /dev/pps1 lock PPS2 refid PPS2
refclock PPS /dev/pps2 refid P lock GPS
refclock PPS /dev/pps3 lock P";
    assert_snapshot!(refuse(text), @r#"
        test.conf:2:1: error: the reference ID of `refclock` was already given at test.conf:1:1
         2 | refclock SHM 1 refid GPS
           | ^^^^^^^^
        test.conf:3:29: error: `lock` must be the reference ID of another `refclock` that tells whole seconds, not `NMEA`
         3 | refclock PPS /dev/pps0 lock NMEA
           |                             ^^^^
        test.conf:4:29: error: `lock` must be the reference ID of another `refclock` that tells whole seconds, not `PPS2`
         4 | refclock PPS /dev/pps1 lock PPS2 refid PPS2
           |                             ^^^^
        test.conf:6:29: error: `lock` must be the reference ID of another `refclock` that tells whole seconds, not `P`
         6 | refclock PPS /dev/pps3 lock P
           |                             ^
    "#);
}
