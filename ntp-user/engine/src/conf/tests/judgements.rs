//! Messages about values, and about what is not built in, as they are shown.

use insta::assert_snapshot;

use super::{refuse, warn};

#[test]
fn says_the_accepted_range_of_a_whole_number() {
    let text = "\
server a minpoll -8 maxpoll 25
server a port 65536 version 5 maxsources 0
server a maxpoll 6.5 minstratum x
local stratum 16
port -1
minsources 0
makestep 1 many
serverthreads 65
xdp eth0 holdover 61
ratelimit leak 5";
    assert_snapshot!(refuse(text), @r#"
        test.conf:1:18: error: `minpoll` must be a whole number from -7 to 24, not `-8`
         1 | server a minpoll -8 maxpoll 25
           |                  ^^
        test.conf:1:29: error: `maxpoll` must be a whole number from -7 to 24, not `25`
         1 | server a minpoll -8 maxpoll 25
           |                             ^^
        test.conf:2:15: error: `port` must be a whole number from 0 to 65535, not `65536`
         2 | server a port 65536 version 5 maxsources 0
           |               ^^^^^
        test.conf:2:29: error: `version` must be a whole number from 1 to 4, not `5`
         2 | server a port 65536 version 5 maxsources 0
           |                             ^
        test.conf:2:42: error: `maxsources` must be a whole number from 1 to 16, not `0`
         2 | server a port 65536 version 5 maxsources 0
           |                                          ^
        test.conf:3:18: error: `maxpoll` must be a whole number from -7 to 24, not `6.5`
         3 | server a maxpoll 6.5 minstratum x
           |                  ^^^
        test.conf:3:33: error: `minstratum` must be a whole number from 0 to 16, not `x`
         3 | server a maxpoll 6.5 minstratum x
           |                                 ^
        test.conf:4:15: error: `stratum` must be a whole number from 1 to 15, not `16`
         4 | local stratum 16
           |               ^^
        test.conf:5:6: error: `port` must be a whole number from 0 to 65535, not `-1`
         5 | port -1
           |      ^^
        test.conf:6:12: error: `minsources` must be a whole number from 1 to 2147483647, not `0`
         6 | minsources 0
           |            ^
        test.conf:7:12: error: the limit of `makestep` must be a whole number of updates, or -1 for no limit, not `many`
         7 | makestep 1 many
           |            ^^^^
        test.conf:8:15: error: `serverthreads` must be a whole number from 0 to 64, not `65`
         8 | serverthreads 65
           |               ^^
        test.conf:9:19: error: `holdover` must be a whole number from 0 to 60, not `61`
         9 | xdp eth0 holdover 61
           |                   ^^
        test.conf:10:16: error: `leak` must be a whole number from 1 to 4, not `5`
         10 | ratelimit leak 5
            |                ^
    "#);
}

#[test]
fn says_the_accepted_range_of_a_number_with_a_fraction() {
    let text = "\
maxdistance -1
maxjitter 1s
maxupdateskew nan
maxslewrate inf
logchange half
makestep soon 3
server a asymmetry 0.6 maxdelay -1 offset 1ms";
    assert_snapshot!(refuse(text), @r#"
        test.conf:1:13: error: `maxdistance` must be a number of seconds, at least 0, not `-1`
         1 | maxdistance -1
           |             ^^
        test.conf:2:11: error: `maxjitter` must be a number of seconds, at least 0, not `1s`
         2 | maxjitter 1s
           |           ^^
        test.conf:3:15: error: `maxupdateskew` must be a number of ppm, at least 0, not `nan`
         3 | maxupdateskew nan
           |               ^^^
        test.conf:4:13: error: `maxslewrate` must be a number of ppm, at least 0, not `inf`
         4 | maxslewrate inf
           |             ^^^
        test.conf:5:11: error: `logchange` must be a number of seconds, not `half`
         5 | logchange half
           |           ^^^^
        test.conf:6:10: error: the threshold of `makestep` must be a number of seconds, at least 0, not `soon`
         6 | makestep soon 3
           |          ^^^^
        test.conf:7:20: error: `asymmetry` must be a number from -0.5 to 0.5, not `0.6`
         7 | server a asymmetry 0.6 maxdelay -1 offset 1ms
           |                    ^^^
        test.conf:7:33: error: `maxdelay` must be a number of seconds from 0 to 1000, not `-1`
         7 | server a asymmetry 0.6 maxdelay -1 offset 1ms
           |                                 ^^
        test.conf:7:43: error: `offset` must be a number of seconds, not `1ms`
         7 | server a asymmetry 0.6 maxdelay -1 offset 1ms
           |                                           ^^^
    "#);
}

#[test]
fn says_what_is_wrong_with_names_addresses_and_networks() {
    let text = "\
server 192.0.2.300
pool 2001:db8::1:g
server -iburst
allow 10.0.0.0/33
deny 1.2.3.4.5
allow 256
cmdallow ::/129
cmddeny a.example/24
bindaddress localhost
bindcmdaddress relative.sock
bindacqaddress 1
initstepslew 30 a 1.2.3
xdp a-name-that-is-too-long
xdp eth0:1
server a extfield BEEF";
    assert_snapshot!(refuse(text), @r#"
        test.conf:1:8: error: the host of `server` must be a host name or an address, not `192.0.2.300`
         1 | server 192.0.2.300
           |        ^^^^^^^^^^^
        test.conf:2:6: error: the host of `pool` must be a host name or an address, not `2001:db8::1:g`
         2 | pool 2001:db8::1:g
           |      ^^^^^^^^^^^^^
        test.conf:3:8: error: the host of `server` must be a host name or an address, not `-iburst`
         3 | server -iburst
           |        ^^^^^^^
        test.conf:4:7: error: the target of `allow` must be an address, a network such as 192.0.2.0/24, 192.0.2, 10/8 or 2001:db8::/32, or a host name, not `10.0.0.0/33`
         4 | allow 10.0.0.0/33
           |       ^^^^^^^^^^^
        test.conf:5:6: error: the target of `deny` must be an address, a network such as 192.0.2.0/24, 192.0.2, 10/8 or 2001:db8::/32, or a host name, not `1.2.3.4.5`
         5 | deny 1.2.3.4.5
           |      ^^^^^^^^^
        test.conf:6:7: error: the target of `allow` must be an address, a network such as 192.0.2.0/24, 192.0.2, 10/8 or 2001:db8::/32, or a host name, not `256`
         6 | allow 256
           |       ^^^
        test.conf:7:10: error: the target of `cmdallow` must be an address, a network such as 192.0.2.0/24, 192.0.2, 10/8 or 2001:db8::/32, or a host name, not `::/129`
         7 | cmdallow ::/129
           |          ^^^^^^
        test.conf:8:9: error: the target of `cmddeny` must be an address, a network such as 192.0.2.0/24, 192.0.2, 10/8 or 2001:db8::/32, or a host name, not `a.example/24`
         8 | cmddeny a.example/24
           |         ^^^^^^^^^^^^
        test.conf:9:13: error: `bindaddress` must be an IPv4 or IPv6 address, not `localhost`
         9 | bindaddress localhost
           |             ^^^^^^^^^
        test.conf:10:16: error: `bindcmdaddress` must be an IPv4 or IPv6 address, or the absolute path of a socket (/ for none), not `relative.sock`
         10 | bindcmdaddress relative.sock
            |                ^^^^^^^^^^^^^
        test.conf:11:16: error: `bindacqaddress` must be an IPv4 or IPv6 address, not `1`
         11 | bindacqaddress 1
            |                ^
        test.conf:12:19: error: the host of `initstepslew` must be a host name or an address, not `1.2.3`
         12 | initstepslew 30 a 1.2.3
            |                   ^^^^^
        test.conf:13:5: error: the interface of `xdp` must be an interface's name (1 to 15 characters, no / or :), not `a-name-that-is-too-long`
         13 | xdp a-name-that-is-too-long
            |     ^^^^^^^^^^^^^^^^^^^^^^^
        test.conf:14:5: error: the interface of `xdp` must be an interface's name (1 to 15 characters, no / or :), not `eth0:1`
         14 | xdp eth0:1
            |     ^^^^^^
        test.conf:15:19: error: `extfield` must be one of F323, 010A, F324, not `BEEF`
         15 | server a extfield BEEF
            |                   ^^^^
    "#);
}

#[test]
fn refuses_what_is_not_built_in_and_not_harmless() {
    let text = "\
refclock SHM 0 local
server a nts
ptpport 319";
    assert_snapshot!(refuse(text), @r#"
        test.conf:1:16: error: `local` is not built in yet
         1 | refclock SHM 0 local
           |                ^^^^^
        test.conf:2:10: error: `nts` is not built in yet
         2 | server a nts
           |          ^^^
        test.conf:3:1: error: `ptpport` is not built in yet
         3 | ptpport 319
           | ^^^^^^^
    "#);
}

#[test]
fn warns_of_what_has_no_effect() {
    let text = "\
server a xleave
server b maxsources 2
local orphan
hwtimestamp eth0 minpoll 2
ntsdumpdir /var/lib/chrony
rtcfile /x
maxtxbuffers 16
server c extfield F323";
    assert_snapshot!(warn(text), @r#"
        test.conf:2:1: warning: `maxsources` has no effect on `server`, only on `pool`
         2 | server b maxsources 2
           | ^^^^^^
        test.conf:4:18: warning: `minpoll` has no effect: the clock of an interface is read whenever a timestamp of its comes, not at intervals
         4 | hwtimestamp eth0 minpoll 2
           |                  ^^^^^^^
        test.conf:5:1: warning: `ntsdumpdir` has no effect: Network Time Security is not built in yet
         5 | ntsdumpdir /var/lib/chrony
           | ^^^^^^^^^^
        test.conf:6:1: warning: `rtcfile` is no longer supported and has no effect
         6 | rtcfile /x
           | ^^^^^^^
        test.conf:7:1: warning: `maxtxbuffers` has no effect: packets that wait for their transmit timestamp have a table of fixed size
         7 | maxtxbuffers 16
           | ^^^^^^^^^^^^
        test.conf:8:10: warning: `extfield` has no effect: requests have no extension fields
         8 | server c extfield F323
           |          ^^^^^^^^
    "#);
}

#[test]
fn every_directive_of_the_past_is_passed_over_with_a_warning() {
    for line in [
        "broadcast 60 192.0.2.255",
        "ntpsigndsocket /x",
        "mailonchange root@localhost 0.5",
        "hwclockfile /etc/adjtime",
        "rtcautotrim 30",
        "rtcdevice /dev/rtc",
        "rtcfile /x",
        "rtconutc",
        "dumponexit",
        "commandkey 1",
        "generatecommandkey",
        "linux_freq_scale 1.0",
        "linux_hz 100",
    ] {
        let (name, said) = (line.split(' ').next().unwrap(), warn(line));
        assert_eq!(said.lines().count(), 3, "{said}");
        assert!(said.contains(&format!("`{name}` is no longer supported and has no effect")));
    }
}

#[test]
fn what_belongs_to_what_is_not_built_in_says_so() {
    for (line, reason) in [
        ("ptpdomain 1", "`ptpport`"),
        ("ntsport 4460", "Network Time Security"),
        ("ntsprocesses 2", "Network Time Security"),
        ("maxntsconnections 10", "Network Time Security"),
        ("ntsaeads 30 15", "Network Time Security"),
        ("ntsratelimit interval 3", "Network Time Security"),
        ("ntsrotate 86400", "Network Time Security"),
        ("ntscachedir /x", "Network Time Security"),
        ("ntsntpserver a.example", "Network Time Security"),
        ("ntstrustedcerts /x", "Network Time Security"),
        ("nosystemcert", "Network Time Security"),
        ("nocerttimecheck 1", "Network Time Security"),
        ("ntsrefresh 86400", "Network Time Security"),
        ("server a ntsport 4460", "Network Time Security"),
        ("server a certset 1", "Network Time Security"),
        ("server a copy", "stratum and a reference ID of its own"),
    ] {
        let said = warn(line);
        assert!(said.contains("has no effect: ") && said.contains(reason), "{line}: {said}");
    }
    for line in ["ntsserverkey /x", "ntsservercert /x", "ptpport 319", "server a nts"] {
        assert!(refuse(line).contains("is not built in yet"), "{line}");
    }
}

#[test]
fn warns_of_what_is_taken_for_the_name_of_a_host() {
    assert_snapshot!(warn("deny alll\nallow all.example\ncmdallow lan"), @r#"
        test.conf:1:6: warning: `alll` is taken for the name of a host; did you mean `all`?
         1 | deny alll
           |      ^^^^
    "#);
}

#[test]
fn warns_when_the_intervals_of_polls_contradict_each_other() {
    assert_snapshot!(warn("server a maxpoll 4"), @r#"
        test.conf:1:1: warning: `maxpoll` 4 is below `minpoll` 6 and is raised to it
         1 | server a maxpoll 4
           | ^^^^^^
    "#);
}

#[test]
fn warns_of_repetitions_and_says_where_the_first_was() {
    let text = "\
port 123
server a iburst IBURST
  port 124
bindaddress 192.0.2.1
bindaddress 192.0.2.2";
    assert_snapshot!(warn(text), @r#"
        test.conf:2:17: warning: `iburst` was already given; the last one counts
         2 | server a iburst IBURST
           |                 ^^^^^^
        test.conf:3:3: warning: `port` was already given at test.conf:1:1; the last one counts
         3 |   port 124
           |   ^^^^
        test.conf:5:1: warning: the IPv4 address of `bindaddress` was already given at test.conf:4:1; the last one counts
         5 | bindaddress 192.0.2.2
           | ^^^^^^^^^^^
    "#);
}

#[test]
fn refuses_repetitions_of_what_is_ours() {
    let text = "\
xdp eth0
xdp eth0 mode native
serverthreads 1
serverthreads 2";
    assert_snapshot!(refuse(text), @r#"
        test.conf:2:5: error: the interface of `xdp` was already given at test.conf:1:5
         2 | xdp eth0 mode native
           |     ^^^^
        test.conf:4:1: error: `serverthreads` was already given at test.conf:3:1
         4 | serverthreads 2
           | ^^^^^^^^^^^^^
    "#);
}

#[test]
fn refuses_lists_that_do_not_give_each_thread_a_cpu() {
    let lists = ["0", "0-2", "1,1", "0-1,1", "1-0", "0-", "-1", "+0,1", "0,8192", "x"];
    for list in lists {
        let said = refuse(&format!("serverthreads 2 cpus {list}"));
        let expected = "`cpus` must be a list of as many different CPUs as threads";
        assert!(said.contains(expected) && said.contains("1:22"), "{said}");
    }
    assert_snapshot!(refuse("serverthreads 1 cpus 0,1"), @r#"
        test.conf:1:22: error: `cpus` must be a list of as many different CPUs as threads, such as 0-3,8, not `0,1`
         1 | serverthreads 1 cpus 0,1
           |                      ^^^
    "#);
    assert_snapshot!(refuse("serverthreads 2 cpu 0,1"), @r#"
        test.conf:1:17: error: unknown option `cpu` of `serverthreads`; did you mean `cpus`?
         1 | serverthreads 2 cpu 0,1
           |                 ^^^
           = accepted: cpus
    "#);
}

#[test]
fn refuses_to_limit_clients_without_a_record_of_them() {
    assert_snapshot!(refuse("ratelimit\nnoclientlog"), @r#"
        test.conf:2:1: error: `ratelimit` and `noclientlog` exclude each other; the other one is at test.conf:1:1
         2 | noclientlog
           | ^^^^^^^^^^^
    "#);
    assert_snapshot!(refuse("noclientlog\nratelimit burst 1"), @r#"
        test.conf:2:1: error: `ratelimit` and `noclientlog` exclude each other; the other one is at test.conf:1:1
         2 | ratelimit burst 1
           | ^^^^^^^^^
    "#);
}
