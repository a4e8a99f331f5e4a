//! A configuration that is written out and read again is the same.

use std::collections::BTreeSet;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::accept;
use crate::conf::{Config, Effective, directive, parse};

/// Every directive whose arguments are kept, with all its options and values that it does not have anyway.
const ALL: &str = "\
server a.example minpoll -2 maxpoll 3 iburst burst offline auto_offline polltarget 9 presend 5 prefer \
noselect trust require minstratum 2 maxdelay 0.5 maxdelayratio 2 maxdelaydevratio 3.5 maxdelayquant 0.25 \
mindelay 0.0001 asymmetry -0.25 offset 1e-7 minsamples 4 maxsamples 32 maxunreach 7 filter 3 port 1123 version 3 \
xleave copy extfield F323 extfield 010A ipv4 key 7 ntsport 4461 certset 2
pool b.example maxsources 3 minpoll 12 ipv6
peer 2001:db8::1 maxpoll 6
refclock SHM 1:perm=0640 refid NMEA offset 0.5 delay 0.2 noselect stratum 2 precision 1e-3 maxdispersion 0.1
refclock PPS /dev/pps0:clear lock NMEA rate 5 dpoll -3 poll 2 maxlockage 4 width 0.1 prefer filter 16 maxunreach 9
refclock SOCK /run/x.sock pps trust require minsamples 4 maxsamples 32
refclock PHC eth0:nocrossts tai poll -2
refclock PHC /dev/ptp1:extpps:pin=-1:channel=3:clear
initstepslew 30.5 a.example 192.0.2.1
authselectmode prefer
acquisitionport 1124
bindacqaddress 192.0.2.2
bindacqaddress 2001:db8::2
bindacqdevice eth3
dscp 46
refresh 3600
minsamples 8
maxsamples 64
maxdistance 1.5
maxjitter 0.125
minsources 2
minstratum 1
maxstratum 14
combinelimit 0
reselectdist 0.001
stratumweight 0
driftfile /var/lib/x/drift interval 60
makestep 0.1 -1
rtcsync
maxupdateskew 100
maxslewrate 500.5
maxchange 1000 1 -1
maxdrift 500
maxclockerror 2.5
clockprecision 1e-8
tempcomp /sys/x/temp1_input 30 26000 0 -0.000183 1e-9
manual
corrtimeratio 10
fallbackdrift 10 19
leapsecmode slew
leapsectz right/UTC
leapseclist /usr/share/zoneinfo/leap-seconds.list
hwtimestamp eth* minpoll 1 maxpoll 5 minsamples 3 maxsamples 9 precision 1e-8 txcomp 1e-6 rxcomp 2e-6 \
nocrossts rxfilter ptp
hwtimestamp eth1
hwtstimeout 0.002
allow 10
deny all 10.1.2
allow 2001:db8::/32
allow friend.example
deny
port 1125
bindaddress 192.0.2.3
bindaddress 2001:db8::3
binddevice eth4
local stratum 5 orphan distance 0.5 activate 0.25 waitsynced 10 waitunsynced 20
smoothtime 400 0.001 leaponly
ratelimit interval 1 burst 16 leak 3 kod 2
ratelimitprefix 24 56
clientloglimit 1000000
xdp eth0 mode native holdover 30 hwtimestamp
xdp eth1
serverthreads 2 cpus 3,0
metricsaddress 127.0.0.1:9123
metricsaddress [::1]:9123
bindcmdaddress /run/x.sock
bindcmdaddress 192.0.2.4
bindcmdaddress 2001:db8::4
cmdport 1126
cmdallow 10.0.0.0/8
cmddeny all
opencommands tracking clients
bindcmddevice eth2
cmdratelimit interval -2 burst 9 leak 1
keyfile /etc/x.keys
log rawmeasurements statistics tracking rtc refclocks selection tempcomp
logbanner 0
logchange 0.5
logdir /var/log/x
dumpdir /var/lib/x
pidfile /
lock_all
sched_priority 50
user ntp
";

/// What the text, accepted as it is, comes to.
fn written(text: &str) -> (Config, String) {
    let config = accept(text).config;
    let written = Effective(&config).to_string();
    (config, written)
}

/// The names of the lines that are no comments.
fn names(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_whitespace().next()).collect()
}

#[test]
fn every_value_is_written_and_read_again() {
    let (config, text) = written(ALL);
    assert_eq!(accept(&text).config, config, "{text}");
    // `noclientlog` excludes `ratelimit`.
    let kept: BTreeSet<&str> =
        directive::names_of_values().filter(|name| *name != "noclientlog").collect();
    assert_eq!(names(ALL), kept, "the test has all directives");
    assert_eq!(names(&text), kept, "{text}");

    let text = "noclientlog\nbindcmdaddress /\nopencommands\ntempcomp /sys/x 1.5 /etc/points\n";
    let (config, text) = written(text);
    assert_eq!(accept(&text).config, config, "{text}");
    let expected = ["bindcmdaddress", "noclientlog", "opencommands", "tempcomp"];
    assert_eq!(names(&text), BTreeSet::from(expected));
}

#[test]
fn what_was_not_said_is_shown_as_a_comment() {
    let (config, text) =
        written("server a iburst\nmakestep 1 3\nserver b\nport 1\nport 123\nallow 10/8");
    assert_eq!(accept(&text).config, config);
    assert_snapshot!(text, @r"
    # test.conf
    server a iburst
    server b

    makestep 1 3
    # test.conf
    allow 10.0.0.0/8

    # In force because nothing else was said:
    #dscp 0
    #refresh 1209600
    #minsamples 6
    #maxsamples 0
    #authselectmode mix
    #minsources 1
    #minstratum 0
    #maxstratum 15
    #maxdistance 3
    #maxjitter 1
    #combinelimit 3
    #reselectdist 0.0001
    #stratumweight 0.001
    #leapsecmode system
    #maxupdateskew 1000
    #maxslewrate 83333.33333333333
    #maxdrift 100000
    #maxclockerror 1
    #corrtimeratio 3
    #hwtstimeout 0.001
    #port 123
    #ratelimitprefix 32 64
    #clientloglimit 524288
    #bindcmdaddress /run/chrony/chronyd.sock
    #bindcmdaddress 127.0.0.1
    #bindcmdaddress ::1
    #cmdport 323
    #opencommands activity manual rtcdata smoothing sourcename sources sourcestats tracking
    #logbanner 32
    #logchange 1
    #pidfile /run/ntp-xdp/ntp-xdpd.pid
    #sched_priority 0
    ");
}

#[test]
fn lines_are_given_as_they_stand_with_one_blank_between_words() {
    let parsed = accept("# x\n SERVER  a\tiburst \n\nport 1\nport 2\nrtcdevice  /dev/rtc\n");
    assert_eq!(parsed.lines, ["SERVER a iburst", "port 1", "port 2", "rtcdevice /dev/rtc"]);
}

/// A line of [`ALL`] with some of its numbers exchanged, if it is accepted by itself.
fn line() -> impl Strategy<Value = Option<String>> {
    let number = prop_oneof![
        (-3_i32..20).prop_map(|number| number.to_string()),
        (0_u32..70_000).prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        (-1.0..1.0).prop_map(|number: f64| number.to_string()),
    ];
    let exchanged = prop::collection::vec(prop::option::weighted(0.3, number), 80);
    let lines: Vec<&str> = ALL.lines().chain(["noclientlog"]).collect();
    (prop::sample::select(lines), exchanged).prop_map(|(line, exchanged)| {
        let words = line.split(' ').zip(exchanged).map(|(word, number)| match number {
            Some(number) if word.parse::<f64>().is_ok() => number,
            _ => word.to_owned(),
        });
        let line = words.collect::<Vec<_>>().join(" ");
        parse("x", &line).is_ok().then_some(line)
    })
}

proptest! {
    #[test]
    fn any_configuration_is_the_same_when_it_is_written_and_read_again(
        lines in prop::collection::vec(line(), 0..40),
    ) {
        let lines: Vec<String> = lines.into_iter().flatten().collect();
        // Some lines exclude others.
        let Ok(parsed) = parse("x", &lines.join("\n")) else { return Ok(()) };
        let text = Effective(&parsed.config).to_string();
        let again = parse("y", &text).map_err(|errors| TestCaseError::fail(errors.to_string()))?;
        prop_assert_eq!(&again.config, &parsed.config, "{}", text);
        prop_assert_eq!(Effective(&again.config).to_string().replace("# y\n", "# x\n"), text);

        let printed = parsed.lines.join("\n");
        let again = parse("z", &printed).map_err(|errors| TestCaseError::fail(errors.to_string()))?;
        prop_assert_eq!(&again.config, &parsed.config, "{}", printed);
    }
}
