//! Configurations as they are found in the field.

use super::{accept, shown};
use crate::conf::{AccessTarget, Config, Host, SourceKind, StepLimit, parse};

const LAN_SERVER: &str = "\
allow 10.0.0.0/24
server ntp.aliyun.com iburst
local stratum 10
driftfile /var/lib/chrony/drift
rtcsync
makestep 10 3
maxupdateskew 100.0
keyfile /etc/chrony/chrony.keys
logchange 0.5
logdir /var/log/chrony
";

const PRODUCTION: &str = "\
# Use public servers from the pool.ntp.org project.
server ntp.aliyun.com iburst prefer
server 203.107.6.88 iburst prefer

server time.windows.com iburst
server 192.0.2.10 iburst

driftfile /var/lib/chrony/drift
makestep 1.0 3
initstepslew 30 ntp.aliyun.com time.windows.com 203.107.6.88 192.0.2.10
rtcsync
#hwtimestamp *
#minsources 2
allow 0.0.0.0/0
local stratum 10
#keyfile /etc/chrony.keys
logdir /var/log/chrony
#log measurements statistics tracking
";

const UBUNTU: &str = "\
pool ntp.ubuntu.com iburst maxsources 4
pool 0.ubuntu.pool.ntp.org iburst maxsources 1
pool 1.ubuntu.pool.ntp.org iburst maxsources 1
pool 2.ubuntu.pool.ntp.org iburst maxsources 2
keyfile /etc/chrony/chrony.keys
driftfile /var/lib/chrony/chrony.drift
logdir /var/log/chrony
maxupdateskew 100.0
rtcsync
makestep 1 3
";

fn load(text: &str, warnings: usize) -> Config {
    let parsed = accept(text);
    assert_eq!(parsed.warnings.len(), warnings, "{}", shown(&parsed.warnings));
    parsed.config
}

#[test]
fn reads_the_server_of_a_lan() {
    let config = load(LAN_SERVER, 0);
    assert_eq!(config.access.len(), 1);
    let target = AccessTarget::Network("10.0.0.0/24".parse().unwrap());
    assert_eq!(config.access[0].value.target, target);
    assert_eq!(config.sources[0].value.host, Host::Name("ntp.aliyun.com".into()));
    assert!(config.sources[0].value.options.iburst);
    assert_eq!(config.sources[0].at.to_string(), "test.conf:2:1");
    assert_eq!(config.local.unwrap().stratum, 10);
    assert_eq!(config.driftfile.unwrap().path, std::path::Path::new("/var/lib/chrony/drift"));
    assert!(config.rtcsync);
    let step = config.makestep.unwrap();
    assert_eq!((step.threshold_s, step.limit), (10.0, StepLimit::Updates(3)));

    assert_eq!(config.keyfile.unwrap(), std::path::Path::new("/etc/chrony/chrony.keys"));
    assert_eq!((config.maxupdateskew_ppm, config.logchange_s), (100.0, 0.5));
}

#[test]
fn reads_a_server_in_production() {
    let config = load(PRODUCTION, 0);
    let preferred: Vec<_> = config.sources.iter().map(|s| s.value.options.prefer).collect();
    assert_eq!(preferred, [true, true, false, false]);
    assert_eq!(config.sources[1].value.host, Host::Address("203.107.6.88".parse().unwrap()));
    let initstepslew = config.initstepslew.unwrap();
    assert_eq!((initstepslew.threshold_s, initstepslew.hosts.len()), (30.0, 4));
}

#[test]
fn reads_the_default_of_a_distribution() {
    let config = load(UBUNTU, 0);
    assert!(config.sources.iter().all(|source| source.value.kind == SourceKind::Pool));
    let sizes: Vec<_> = config.sources.iter().map(|s| s.value.options.maxsources).collect();
    assert_eq!(sizes, [4, 1, 1, 2]);
}

#[test]
fn refuses_a_misspelt_option_with_the_right_one() {
    let text = "server 10.0.0.80 ibrust maxpoll 6\n";
    let errors = parse("lan-client-misspelt.conf", text).unwrap_err();
    insta::assert_snapshot!(errors, @r#"
        lan-client-misspelt.conf:1:18: error: unknown option `ibrust` of `server`; did you mean `iburst`?
         1 | server 10.0.0.80 ibrust maxpoll 6
           |                  ^^^^^^
           = accepted: minpoll, maxpoll, iburst, burst, key, certset, maxdelay, maxdelayratio,
                       maxdelaydevratio, maxdelayquant, mindelay, asymmetry, offset, minsamples, maxsamples,
                       maxunreach, filter, offline, auto_offline, prefer, noselect, trust, require, xleave,
                       polltarget, port, ntsport, presend, minstratum, version, copy, extfield, ipv4, ipv6,
                       maxsources

        1 error in the configuration
    "#);
}
