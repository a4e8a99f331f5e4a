//! What the directives put into the configuration.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{accept, config};
use crate::conf::{
    AccessTarget, AuthSelectMode, Config, DriftFile, ExtensionField, Family, Host, LeapSecMode,
    LogFile, MakeStep, NoFiles, OpenCommand, RateLimit, RateLimitPrefix, RxFilter, SourceKind,
    SourceOptions, StepLimit, Verdict, Xdp, XdpMode, parse_arguments,
};

#[test]
fn says_nothing_about_an_empty_file() {
    for text in ["", "\n\n", "# comment\n  ; another\r\n! more\n% most", " \t\x0b\r\n"] {
        assert_eq!(config(text), Config::default(), "{text:?}");
    }
}

#[test]
fn ignores_the_case_of_names() {
    assert_eq!(
        config("SERVER A IBurst MAXPOLL 8\nRtcSync"),
        config("server A iburst maxpoll 8\nrtcsync")
    );
}

#[test]
fn every_source_option_sets_its_own_field() {
    type Set = fn(&mut SourceOptions);
    let cases: &[(&str, Set)] = &[
        ("minpoll -7", |o| o.minpoll_log2 = -7),
        ("minpoll 12", |o| (o.minpoll_log2, o.maxpoll_log2) = (12, 12)),
        ("maxpoll 24", |o| o.maxpoll_log2 = 24),
        ("maxpoll 4", |o| o.maxpoll_log2 = 6),
        ("maxpoll 4 minpoll 4", |o| (o.minpoll_log2, o.maxpoll_log2) = (4, 4)),
        ("iburst", |o| o.iburst = true),
        ("burst", |o| o.burst = true),
        ("certset 7", |o| o.certset = 7),
        ("maxdelay 0.1", |o| o.maxdelay_s = 0.1),
        ("maxdelayratio 2.5", |o| o.maxdelayratio = 2.5),
        ("maxdelaydevratio 4", |o| o.maxdelaydevratio = 4.0),
        ("maxdelayquant 0.2", |o| o.maxdelayquant = 0.2),
        ("mindelay 1e-4", |o| o.mindelay_s = 1e-4),
        ("asymmetry -0.5", |o| o.asymmetry = Some(-0.5)),
        ("offset -0.001", |o| o.offset_s = -0.001),
        ("minsamples 6", |o| o.minsamples = Some(6)),
        ("maxsamples 0", |o| o.maxsamples = Some(0)),
        ("maxunreach 5", |o| o.maxunreach = 5),
        ("filter 3", |o| o.filter = 3),
        ("offline", |o| o.offline = true),
        ("auto_offline", |o| o.auto_offline = true),
        ("prefer", |o| o.prefer = true),
        ("noselect", |o| o.noselect = true),
        ("trust", |o| o.trust = true),
        ("require", |o| o.require = true),
        ("xleave", |o| o.xleave = true),
        ("polltarget 60", |o| o.polltarget = 60),
        ("port 11123", |o| o.port = 11123),
        ("ntsport 4461", |o| o.ntsport = 4461),
        ("presend 9", |o| o.presend_log2 = Some(9)),
        ("minstratum 3", |o| o.minstratum = 3),
        ("version 3", |o| o.version = Some(3)),
        ("copy", |o| o.copy = true),
        ("extfield F323", |o| o.extfields.push(ExtensionField::ExperimentalMonoRoot)),
        ("extfield 0x10a extfield F323", |o| {
            o.extfields =
                vec![ExtensionField::NetworkCorrection, ExtensionField::ExperimentalMonoRoot];
        }),
        ("ipv4", |o| o.family = Some(Family::V4)),
        ("ipv6", |o| o.family = Some(Family::V6)),
        ("maxsources 16", |o| o.maxsources = 16),
    ];
    for (text, set) in cases {
        let mut expected = SourceOptions::default();
        set(&mut expected);
        let config = accept(&format!("pool a.example {text}")).config;
        assert_eq!(config.sources[0].value.options, expected, "{text}");
    }
}

#[test]
fn takes_a_host_for_an_address_only_if_it_is_one() {
    for (text, expected) in [
        ("192.0.2.1", Host::Address(Ipv4Addr::new(192, 0, 2, 1).into())),
        ("2001:db8::1", Host::Address("2001:db8::1".parse().unwrap())),
        ("ntp1", Host::Name("ntp1".into())),
        ("1.pool.example.", Host::Name("1.pool.example.".into())),
        ("_ntp.b\u{fc}cher.example", Host::Name("_ntp.b\u{fc}cher.example".into())),
    ] {
        let config = config(&format!("server {text}"));
        assert_eq!(config.sources[0].value.kind, SourceKind::Server);
        assert_eq!(config.sources[0].value.host, expected);
    }
}

#[test]
fn reads_all_forms_of_a_network() {
    for (text, all, expected) in [
        ("", false, None),
        ("all", true, None),
        ("1.2.3.4", false, Some("1.2.3.4/32")),
        ("1.2.3.4/24", false, Some("1.2.3.0/24")),
        ("1.2.3", false, Some("1.2.3.0/24")),
        ("1.2", false, Some("1.2.0.0/16")),
        ("1", false, Some("1.0.0.0/8")),
        ("1.2.3/12", false, Some("1.0.0.0/12")),
        ("all 10/8", true, Some("10.0.0.0/8")),
        ("ALL 10/8", true, Some("10.0.0.0/8")),
        ("0/0", false, Some("0.0.0.0/0")),
        ("0.0.0.0/0", false, Some("0.0.0.0/0")),
        ("::/0", false, Some("::/0")),
        ("2001:db8::/32", false, Some("2001:db8::/32")),
        ("2001:db8::1", false, Some("2001:db8::1/128")),
    ] {
        let expected = match expected {
            None => AccessTarget::Everyone,
            Some(network) => AccessTarget::Network(network.parse().unwrap()),
        };
        for (directive, verdict) in [("allow", Verdict::Allow), ("deny", Verdict::Deny)] {
            let rule = config(&format!("{directive} {text}")).access.remove(0).value;
            assert_eq!((rule.verdict, rule.all, &rule.target), (verdict, all, &expected), "{text}");
        }
    }
}

#[test]
fn keeps_names_and_the_order_of_access_rules() {
    let rules = config("allow a.example\ndeny 10/8\nallow 10.1\ndeny all").access;
    let verdicts: Vec<_> = rules.iter().map(|rule| rule.value.verdict).collect();
    assert_eq!(verdicts, [Verdict::Allow, Verdict::Deny, Verdict::Allow, Verdict::Deny]);
    assert_eq!(rules[0].value.target, AccessTarget::Name("a.example".into()));
    assert_eq!(rules[3].at.to_string(), "test.conf:4:1");
}

#[test]
fn every_plain_directive_sets_its_own_field() {
    check(&[
        ("acquisitionport 0", |c| c.acquisitionport = Some(0)),
        ("authselectmode prefer", |c| c.authselectmode = AuthSelectMode::Prefer),
        ("bindacqaddress 192.0.2.1", |c| c.bindacqaddress_v4 = Some(Ipv4Addr::new(192, 0, 2, 1))),
        ("bindacqaddress ::1", |c| c.bindacqaddress_v6 = Some(Ipv6Addr::LOCALHOST)),
        ("bindaddress 192.0.2.1\nbindaddress ::", |c| {
            c.bindaddress_v4 = Some(Ipv4Addr::new(192, 0, 2, 1));
            c.bindaddress_v6 = Some(Ipv6Addr::UNSPECIFIED);
        }),
        ("bindcmdaddress /run/x.sock", |c| c.bindcmdaddress_path = Some("/run/x.sock".into())),
        ("bindcmdaddress /", |c| c.bindcmdaddress_path = None),
        ("bindcmdaddress 0.0.0.0", |c| c.bindcmdaddress_v4 = Ipv4Addr::UNSPECIFIED),
        ("bindcmdaddress ::", |c| c.bindcmdaddress_v6 = Ipv6Addr::UNSPECIFIED),
        ("clientloglimit 1048576", |c| c.clientloglimit_bytes = 1_048_576),
        ("cmdport 0", |c| c.cmdport = 0),
        ("driftfile /x", |c| {
            c.driftfile = Some(DriftFile { path: "/x".into(), interval_s: 3600 });
        }),
        ("driftfile /x interval 60", |c| {
            c.driftfile = Some(DriftFile { path: "/x".into(), interval_s: 60 });
        }),
        ("dumpdir /x", |c| c.dumpdir = Some("/x".into())),
        ("keyfile /x", |c| c.keyfile = Some("/x".into())),
    ]);
}

#[test]
fn every_further_plain_directive_sets_its_own_field() {
    check(&[
        ("leapsecmode slew", |c| c.leapsecmode = LeapSecMode::Slew),
        ("leapsectz right/UTC", |c| c.leapsectz = Some("right/UTC".into())),
        ("leapseclist /x", |c| c.leapseclist = Some("/x".into())),
        ("log measurements tracking\nlog RTC", |c| {
            c.log = [LogFile::Measurements, LogFile::Tracking, LogFile::Rtc].into();
        }),
        ("log rawmeasurements", |c| {
            c.log = [LogFile::Measurements].into();
            c.log_rawmeasurements = true;
        }),
        ("logbanner 0", |c| c.logbanner = 0),
        ("logchange 0.5", |c| c.logchange_s = 0.5),
        ("logdir /x", |c| c.logdir = Some("/x".into())),
        ("makestep 0.1 -1", |c| {
            c.makestep = Some(MakeStep { threshold_s: 0.1, limit: StepLimit::Unlimited });
        }),
        ("makestep 1 0", |c| {
            c.makestep = Some(MakeStep { threshold_s: 1.0, limit: StepLimit::Updates(0) });
        }),
        ("maxdistance 1.5", |c| c.maxdistance_s = 1.5),
        ("maxjitter 0.01", |c| c.maxjitter_s = 0.01),
        ("maxslewrate 500", |c| c.maxslewrate_ppm = 500.0),
        ("maxupdateskew 5", |c| c.maxupdateskew_ppm = 5.0),
        ("minsources 3", |c| c.minsources = 3),
        ("noclientlog", |c| c.clientlog = false),
        ("bindcmddevice eth0", |c| c.bindcmddevice = Some("eth0".into())),
        ("cmdratelimit", |c| {
            c.cmdratelimit =
                Some(RateLimit { interval_log2: -4, burst: 8, leak_log2: 2, kod_log2: 0 });
        }),
        ("cmdratelimit interval 1 burst 2 leak 3", |c| {
            c.cmdratelimit =
                Some(RateLimit { interval_log2: 1, burst: 2, leak_log2: 3, kod_log2: 0 });
        }),
        ("opencommands", |c| c.opencommands.clear()),
        ("opencommands tracking Clients", |c| {
            c.opencommands = [OpenCommand::Tracking, OpenCommand::Clients].into();
        }),
        ("pidfile /x", |c| c.pidfile = Some("/x".into())),
        ("pidfile /", |c| c.pidfile = None),
        ("port 0", |c| c.port = 0),
        ("ratelimitprefix 24 56", |c| {
            c.ratelimitprefix = RateLimitPrefix { v4_bits: 24, v6_bits: 56 };
        }),
        ("ratelimit", |c| c.ratelimit = Some(RateLimit::default())),
        ("ratelimit interval -4 burst 16 leak 1 kod 4", |c| {
            c.ratelimit =
                Some(RateLimit { interval_log2: -4, burst: 16, leak_log2: 1, kod_log2: 4 });
        }),
        ("rtcsync", |c| c.rtcsync = true),
        ("metricsaddress 127.0.0.1:9123", |c| {
            c.metricsaddress = vec!["127.0.0.1:9123".parse().unwrap()];
        }),
        ("serverthreads 0", |c| c.serverthreads = Some(0)),
        ("serverthreads 64", |c| c.serverthreads = Some(64)),
        ("serverthreads 4 cpus 2-4,0", |c| {
            (c.serverthreads, c.servercpus) = (Some(4), vec![2, 3, 4, 0]);
        }),
        ("user ntp", |c| c.user = Some("ntp".into())),
    ]);
}

#[test]
fn the_local_reference_has_chronys_defaults() {
    for (text, expected) in [
        ("local", (10, false, 1.0, 0.0, 0.0, 0.0)),
        ("local stratum 15", (15, false, 1.0, 0.0, 0.0, 0.0)),
        ("local orphan", (10, true, 1.0, 0.0, 0.0, 300.0)),
        ("local waitunsynced 5 orphan", (10, true, 1.0, 0.0, 0.0, 5.0)),
        (
            "local distance 0.5 activate 0.25 waitsynced 7 waitunsynced 8.5",
            (10, false, 0.5, 0.25, 7.0, 8.5),
        ),
    ] {
        let l = accept(text).config.local.unwrap();
        let found =
            (l.stratum, l.orphan, l.distance_s, l.activate_s, l.waitsynced_s, l.waitunsynced_s);
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn reads_interfaces_of_the_kernel_path() {
    let config =
        config("xdp eth0\nxdp eth1 holdover 60 mode NATIVE hwtimestamp\nxdp eth2.100 mode generic");
    let interfaces: Vec<_> = config.xdp.into_iter().map(|xdp| xdp.value).collect();
    let xdp = |interface: &str, mode, holdover_s, hwtimestamp| Xdp {
        interface: interface.into(),
        mode,
        holdover_s,
        hwtimestamp,
    };
    let expected = [
        xdp("eth0", XdpMode::Auto, 0, false),
        xdp("eth1", XdpMode::Native, 60, true),
        xdp("eth2.100", XdpMode::Generic, 0, false),
    ];
    assert_eq!(interfaces, expected);
}

#[test]
fn reads_hardware_timestamping() {
    let config =
        accept("hwtimestamp *\nhwtimestamp eth0 minpoll 2 nocrossts rxfilter ptp txcomp 300e-9")
            .config;
    let [first, second] = config.hwtimestamp.try_into().unwrap();
    assert_eq!((first.value.interface.as_str(), first.value.maxpoll_log2), ("*", 1));
    assert_eq!(first.value.rxfilter, None);
    let second = second.value;
    assert_eq!((second.minpoll_log2, second.maxpoll_log2, second.txcomp_s), (2, 3, 300e-9));
    assert_eq!((second.nocrossts, second.rxfilter), (true, Some(RxFilter::Ptp)));
}

#[test]
fn the_last_of_two_values_counts() {
    let config = accept("port 1\nport 2\nserver a minpoll 3 minpoll 4").config;
    assert_eq!((config.port, config.sources[0].value.options.minpoll_log2), (2, 4));
}

#[test]
fn equality_is_about_what_is_said_not_where() {
    assert_eq!(config("allow\nserver a"), config("\n\n  server a\nallow"));
    assert_ne!(config("server a"), config("server b"));
}

#[test]
fn reads_directives_from_the_command_line() {
    let arguments = ["server 192.0.2.1 iburst", "", "port 0"];
    let config = parse_arguments(arguments, &mut NoFiles).unwrap().config;
    assert_eq!((config.sources.len(), config.port), (1, 0));
    assert_eq!(config.sources[0].at.to_string(), "<command line>:1:1");

    let errors = parse_arguments(["port 0", "prot 1"], &mut NoFiles).unwrap_err();
    let first = errors.iter().next().unwrap();
    assert_eq!(first.at.to_string(), "<command line>:2:1");
}

/// Sets in a configuration what a line should set.
type Set = fn(&mut Config);

fn check(cases: &[(&str, Set)]) {
    for (text, set) in cases {
        let mut expected = Config::default();
        set(&mut expected);
        assert_eq!(accept(text).config, expected, "{text}");
    }
}
