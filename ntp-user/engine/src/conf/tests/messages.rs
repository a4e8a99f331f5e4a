//! Messages about the words of a line, as they are shown.

use insta::assert_snapshot;

use super::refuse;

#[test]
fn names_unknown_directives_and_the_nearest_known() {
    let refused = refuse("sever a\nPROT 123\nxyzzy");
    let (messages, accepted) = refused.split_once("= accepted: ").expect("no list of directives");
    assert_snapshot!(messages, @r#"
        test.conf:1:1: error: unknown directive `sever`; did you mean `server`?
         1 | sever a
           | ^^^^^
        test.conf:2:1: error: unknown directive `PROT`; did you mean `port`?
         2 | PROT 123
           | ^^^^
        test.conf:3:1: error: unknown directive `xyzzy`
         3 | xyzzy
           | ^^^^^
    "#);
    let accepted: Vec<_> = accepted.split([',', '\n', ' ']).filter(|it| !it.is_empty()).collect();
    assert_eq!(accepted, crate::conf::directive::names_that_work());
}

#[test]
fn lists_all_directives_once_and_knows_what_begins_like_one() {
    let text = "restrict default\nserver=192.0.2.1\nfudge 127.127.1.0 stratum 10";
    let refused = crate::conf::parse("test.conf", text).unwrap_err().to_string();
    assert_eq!(refused.matches("= accepted: ").count(), 1, "{refused}");
    assert!(refused.contains("unknown directive `server=192.0.2.1`; did you mean `server`?"));
    assert!(refused.contains("test.conf:3:1: error: unknown directive `fudge`\n"), "{refused}");
}

#[test]
fn mark_at_the_beginning_of_a_file_is_no_part_of_it() {
    let refused = refuse("\u{feff}server 192.0.2.1 ibrust");
    assert!(refused.starts_with("test.conf:1:18: error: unknown option `ibrust`"), "{refused}");
}

#[test]
fn slips_in_addresses_are_no_names() {
    for line in ["allow 192.0.2.0-192.0.2.9", "server 192.0.2.1.", "server ntp.example.7"] {
        let refused = refuse(line);
        assert!(refused.contains("or a host name, not") || refused.contains("must be a host name"));
    }
}

#[test]
fn names_unknown_options_of_every_directive_that_has_some() {
    let text = "\
pool a.example maxsorces 3 prefered
driftfile /x intreval 60
local startum 8
ratelimit interval 1 brust 8
hwtimestamp eth0 rxfliter all
xdp eth0 mod native
server a quux 5 iburst";
    assert_snapshot!(refuse(text), @r#"
        test.conf:1:16: error: unknown option `maxsorces` of `pool`; did you mean `maxsources`?
         1 | pool a.example maxsorces 3 prefered
           |                ^^^^^^^^^
           = accepted: minpoll, maxpoll, iburst, burst, key, certset, maxdelay, maxdelayratio,
                       maxdelaydevratio, maxdelayquant, mindelay, asymmetry, offset, minsamples, maxsamples,
                       maxunreach, filter, offline, auto_offline, prefer, noselect, trust, require, xleave,
                       polltarget, port, ntsport, presend, minstratum, version, copy, extfield, ipv4, ipv6,
                       maxsources
        test.conf:1:28: error: unknown option `prefered` of `pool`; did you mean `prefer`?
         1 | pool a.example maxsorces 3 prefered
           |                            ^^^^^^^^
           = accepted: minpoll, maxpoll, iburst, burst, key, certset, maxdelay, maxdelayratio,
                       maxdelaydevratio, maxdelayquant, mindelay, asymmetry, offset, minsamples, maxsamples,
                       maxunreach, filter, offline, auto_offline, prefer, noselect, trust, require, xleave,
                       polltarget, port, ntsport, presend, minstratum, version, copy, extfield, ipv4, ipv6,
                       maxsources
        test.conf:2:14: error: unknown option `intreval` of `driftfile`; did you mean `interval`?
         2 | driftfile /x intreval 60
           |              ^^^^^^^^
           = accepted: interval
        test.conf:3:7: error: unknown option `startum` of `local`; did you mean `stratum`?
         3 | local startum 8
           |       ^^^^^^^
           = accepted: stratum, orphan, distance, activate, waitsynced, waitunsynced
        test.conf:4:22: error: unknown option `brust` of `ratelimit`; did you mean `burst`?
         4 | ratelimit interval 1 brust 8
           |                      ^^^^^
           = accepted: interval, burst, leak, kod
        test.conf:5:18: error: unknown option `rxfliter` of `hwtimestamp`; did you mean `rxfilter`?
         5 | hwtimestamp eth0 rxfliter all
           |                  ^^^^^^^^
           = accepted: minpoll, maxpoll, minsamples, maxsamples, precision, txcomp, rxcomp, nocrossts,
                       rxfilter
        test.conf:6:10: error: unknown option `mod` of `xdp`; did you mean `mode`?
         6 | xdp eth0 mod native
           |          ^^^
           = accepted: mode, holdover, hwtimestamp
        test.conf:7:10: error: unknown option `quux` of `server`
         7 | server a quux 5 iburst
           |          ^^^^
           = accepted: minpoll, maxpoll, iburst, burst, key, certset, maxdelay, maxdelayratio,
                       maxdelaydevratio, maxdelayquant, mindelay, asymmetry, offset, minsamples, maxsamples,
                       maxunreach, filter, offline, auto_offline, prefer, noselect, trust, require, xleave,
                       polltarget, port, ntsport, presend, minstratum, version, copy, extfield, ipv4, ipv6,
                       maxsources
    "#);
}

#[test]
fn names_unknown_choices() {
    let text = "\
xdp eth0 mode nativ
authselectmode any
leapsecmode slwe
log measurement trackin
opencommands source
hwtimestamp eth0 rxfilter udp";
    assert_snapshot!(refuse(text), @r#"
        test.conf:1:15: error: `mode` cannot be `nativ`; did you mean `native`?
         1 | xdp eth0 mode nativ
           |               ^^^^^
           = accepted: auto, native, generic
        test.conf:2:16: error: `authselectmode` cannot be `any`
         2 | authselectmode any
           |                ^^^
           = accepted: require, prefer, mix, ignore
        test.conf:3:13: error: `leapsecmode` cannot be `slwe`; did you mean `slew`?
         3 | leapsecmode slwe
           |             ^^^^
           = accepted: system, step, slew, ignore
        test.conf:4:5: error: `log` cannot be `measurement`; did you mean `measurements`?
         4 | log measurement trackin
           |     ^^^^^^^^^^^
           = accepted: measurements, rawmeasurements, statistics, tracking, selection, rtc, refclocks,
                       tempcomp
        test.conf:4:17: error: `log` cannot be `trackin`; did you mean `tracking`?
         4 | log measurement trackin
           |                 ^^^^^^^
           = accepted: measurements, rawmeasurements, statistics, tracking, selection, rtc, refclocks,
                       tempcomp
        test.conf:5:14: error: `opencommands` cannot be `source`; did you mean `sources`?
         5 | opencommands source
           |              ^^^^^^
           = accepted: activity, authdata, clients, manual, ntpdata, rtcdata, selectdata, serverstats,
                       smoothing, sourcename, sources, sourcestats, tracking
        test.conf:6:27: error: `rxfilter` cannot be `udp`
         6 | hwtimestamp eth0 rxfilter udp
           |                           ^^^
           = accepted: none, ntp, ptp, all
    "#);
}

#[test]
fn says_what_value_is_missing() {
    let text = "\
pool a maxpoll
maxdistance
log measurements
bindaddress
xdp eth0 mode
leapsectz
include
confdir
authselectmode";
    assert_snapshot!(refuse(text), @r#"
        test.conf:1:8: error: `maxpoll` needs a whole number from -7 to 24
         1 | pool a maxpoll
           |        ^^^^^^^
           = usage: pool NAME [OPTION]...
        test.conf:2:1: error: `maxdistance` needs a number of seconds, at least 0
         2 | maxdistance
           | ^^^^^^^^^^^
           = usage: maxdistance SECONDS
        test.conf:4:1: error: `bindaddress` needs an IPv4 or IPv6 address
         4 | bindaddress
           | ^^^^^^^^^^^
           = usage: bindaddress ADDRESS
        test.conf:5:10: error: `mode` needs one of auto, native, generic
         5 | xdp eth0 mode
           |          ^^^^
           = usage: xdp INTERFACE [mode auto|native|generic] [holdover SECONDS] [hwtimestamp]
        test.conf:6:1: error: `leapsectz` needs a time zone such as right/UTC
         6 | leapsectz
           | ^^^^^^^^^
           = usage: leapsectz TIMEZONE
        test.conf:7:1: error: `include` needs a file or a pattern
         7 | include
           | ^^^^^^^
           = usage: include PATTERN
        test.conf:8:1: error: `confdir` needs a directory
         8 | confdir
           | ^^^^^^^
           = usage: confdir DIRECTORY...
        test.conf:9:1: error: `authselectmode` needs one of require, prefer, mix, ignore
         9 | authselectmode
           | ^^^^^^^^^^^^^^
           = usage: authselectmode require|prefer|mix|ignore
    "#);
}

#[test]
fn says_which_of_several_arguments_is_missing() {
    let text = "\
server
makestep
makestep 1
driftfile
xdp
initstepslew";
    assert_snapshot!(refuse(text), @r#"
        test.conf:1:1: error: `server` lacks its host: a host name or an address
         1 | server
           | ^^^^^^
           = usage: server HOST [OPTION]...
        test.conf:2:1: error: `makestep` lacks its threshold: a number of seconds, at least 0
         2 | makestep
           | ^^^^^^^^
           = usage: makestep THRESHOLD LIMIT
        test.conf:2:1: error: `makestep` lacks its limit: a whole number of updates, or -1 for no limit
         2 | makestep
           | ^^^^^^^^
           = usage: makestep THRESHOLD LIMIT
        test.conf:3:1: error: `makestep` lacks its limit: a whole number of updates, or -1 for no limit
         3 | makestep 1
           | ^^^^^^^^
           = usage: makestep THRESHOLD LIMIT
        test.conf:4:1: error: `driftfile` lacks its path: a file
         4 | driftfile
           | ^^^^^^^^^
           = usage: driftfile PATH [interval SECONDS]
        test.conf:5:1: error: `xdp` lacks its interface: an interface's name (1 to 15 characters, no / or :)
         5 | xdp
           | ^^^
           = usage: xdp INTERFACE [mode auto|native|generic] [holdover SECONDS] [hwtimestamp]
        test.conf:6:1: error: `initstepslew` lacks its threshold: a number of seconds, at least 0
         6 | initstepslew
           | ^^^^^^^^^^^^
           = usage: initstepslew THRESHOLD [HOST]...
    "#);
}

#[test]
fn says_what_is_too_much() {
    let text = "\
makestep 1 3 5
rtcsync yes
port 123 124
allow 10/8 192.168/16
allow all 10/8 x
server a iburst # the nearest
rtcsync ! now
bindaddress 192.0.2.1 ::1
confdir 1 2 3 4 5 6 7 8 9 10 11";
    assert_snapshot!(refuse(text), @r#"
        test.conf:1:14: error: `makestep` takes no further argument, but there is `5`
         1 | makestep 1 3 5
           |              ^
           = usage: makestep THRESHOLD LIMIT
        test.conf:2:9: error: `rtcsync` takes no further argument, but there is `yes`
         2 | rtcsync yes
           |         ^^^
           = usage: rtcsync
        test.conf:3:10: error: `port` takes no further argument, but there is `124`
         3 | port 123 124
           |          ^^^
           = usage: port PORT
        test.conf:4:12: error: `allow` takes no further argument, but there is `192.168/16`
         4 | allow 10/8 192.168/16
           |            ^^^^^^^^^^
           = usage: allow [all] [NETWORK]
        test.conf:5:16: error: `allow` takes no further argument, but there is `x`
         5 | allow all 10/8 x
           |                ^
           = usage: allow [all] [NETWORK]
        test.conf:6:17: error: `server` takes no further argument, but there is `#`
         6 | server a iburst # the nearest
           |                 ^
           = a comment needs a line of its own
        test.conf:7:9: error: `rtcsync` takes no further argument, but there is `!`
         7 | rtcsync ! now
           |         ^
           = a comment needs a line of its own
        test.conf:8:23: error: `bindaddress` takes no further argument, but there is `::1`
         8 | bindaddress 192.0.2.1 ::1
           |                       ^^^
           = usage: bindaddress ADDRESS
        test.conf:9:30: error: `confdir` takes no further argument, but there is `11`
         9 | confdir 1 2 3 4 5 6 7 8 9 10 11
           |                              ^^
           = usage: confdir DIRECTORY...
    "#);
}

#[test]
fn marks_the_word_behind_tabs_and_letters_of_several_bytes() {
    assert_snapshot!(refuse("\tserver\tb\u{fc}cher.example\tibrust"), @r#"
        test.conf:1:24: error: unknown option `ibrust` of `server`; did you mean `iburst`?
         1 | 	server	bücher.example	ibrust
           | 	      	              	^^^^^^
           = accepted: minpoll, maxpoll, iburst, burst, key, certset, maxdelay, maxdelayratio,
                       maxdelaydevratio, maxdelayquant, mindelay, asymmetry, offset, minsamples, maxsamples,
                       maxunreach, filter, offline, auto_offline, prefer, noselect, trust, require, xleave,
                       polltarget, port, ntsport, presend, minstratum, version, copy, extfield, ipv4, ipv6,
                       maxsources
    "#);
}

#[test]
fn shows_neither_control_characters_nor_the_unseen() {
    let report = refuse("server a \x1b[31mred\u{7}\nport\u{a0}\u{202e}123");
    assert!(report.chars().all(|c| c == '\n' || !c.is_control()), "{report:?}");
    assert!(report.contains("`\u{fffd}[31mred\u{fffd}`"), "{report}");
    assert!(report.contains("`port\u{fffd}\u{fffd}123`"), "{report}");
}

#[test]
fn shortens_long_words_and_lines() {
    let report = refuse(&format!("port {}", "9".repeat(100)));
    assert!(report.contains(&format!("`{}...`", "9".repeat(64))), "{report}");
    let line = format!("server {}", "x".repeat(2048));
    assert_snapshot!(refuse(&line), @r#"
        test.conf:1:1: error: the line is longer than 2047 bytes
         1 | server xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
           | ^
    "#);
}

#[test]
fn counts_the_errors_and_shows_the_first_fifty() {
    let errors = crate::conf::parse("x", &"oops\n".repeat(60)).unwrap_err();
    assert_eq!(errors.iter().count(), 60);
    let shown = errors.to_string();
    assert_eq!(shown.matches("unknown directive").count(), 50);
    assert!(shown.ends_with("... and 10 more\n\n60 errors in the configuration"), "{shown}");
}
