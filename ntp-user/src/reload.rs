//! Reads the configuration again while the daemon runs, upon SIGHUP. Invariant: one that is wrong, or can't be put
//! into force, changes nothing; no request and no source's history is lost by one that is right.

use ntp_engine::conf::Config;
use ntp_engine::settings::EngineConfig;
use sd_notify::NotifyState;

use crate::args::Args;
use crate::clock::readings::monotonic;
use crate::config;
use crate::event_loop::DaemonDriver;
use crate::logs::Logs;
use crate::setup::{check_bound, client_rules, log_limit};
use crate::source_folders::SourceFolders;
use crate::tasks::{Tasks, tell_systemd};

/// A directive that takes effect at the start only, and its value, to tell whether it has changed.
type AtStart = (&'static str, fn(&Config) -> String);

/// What sockets, threads, files and privileges go by, and the first correction.
const AT_START: &[AtStart] = &[
    ("initstepslew", |it| format!("{:?}", it.initstepslew)),
    ("port", |it| format!("{:?}", it.port)),
    ("bindaddress", |it| format!("{:?} {:?}", it.bindaddress_v4, it.bindaddress_v6)),
    ("binddevice", |it| format!("{:?}", it.binddevice)),
    ("acquisitionport", |it| format!("{:?}", it.acquisitionport)),
    ("bindacqaddress", |it| format!("{:?} {:?}", it.bindacqaddress_v4, it.bindacqaddress_v6)),
    ("bindacqdevice", |it| format!("{:?}", it.bindacqdevice)),
    ("dscp", |it| format!("{:?}", it.dscp)),
    ("hwtimestamp", |it| format!("{:?} {:?}", values(&it.hwtimestamp), it.hwtstimeout_s)),
    ("serverthreads", |it| format!("{:?} {:?}", it.serverthreads, it.servercpus)),
    ("metricsaddress", |it| format!("{:?}", it.metricsaddress)),
    ("driftfile", |it| format!("{:?}", it.driftfile.as_ref().map(|file| &file.path))),
    ("clockprecision", |it| format!("{:?}", it.clockprecision_s)),
    ("tempcomp", |it| format!("{:?}", it.tempcomp)),
    ("leapsectz", |it| format!("{:?}", it.leapsectz)),
    ("leapseclist", |it| format!("{:?}", it.leapseclist)),
    ("bindcmdaddress", |it| {
        let addresses = (it.bindcmdaddress_v4, it.bindcmdaddress_v6);
        format!("{:?} {addresses:?}", it.bindcmdaddress_path)
    }),
    ("cmdport", |it| format!("{:?}", it.cmdport)),
    ("cmdallow", |it| format!("{:?}", values(&it.cmd_access))),
    ("bindcmddevice", |it| format!("{:?}", it.bindcmddevice)),
    ("cmdratelimit", |it| format!("{:?}", it.cmdratelimit)),
    ("opencommands", |it| format!("{:?}", it.opencommands)),
    ("clientloglimit", |it| format!("{:?} {:?}", it.clientlog, it.clientloglimit_bytes)),
    ("dumpdir", |it| format!("{:?}", it.dumpdir)),
    ("pidfile", |it| format!("{:?}", it.pidfile)),
    ("lock_all", |it| format!("{:?}", it.lock_all)),
    ("sched_priority", |it| format!("{:?}", it.sched_priority)),
    ("user", |it| format!("{:?}", it.user)),
];

/// Values without the places where they were said.
fn values<T>(located: &[ntp_engine::conf::Located<T>]) -> Vec<&T> {
    located.iter().map(|it| &it.value).collect()
}

/// Where the configuration comes from, and the one in force.
#[derive(Debug)]
pub(crate) struct Reloader {
    args: Args,
    in_force: Config,
    precision_log2: i8,
    settings: Settings,
}

/// Makes the engine's settings of command line, configuration, and the clock's precision, log2 seconds.
type Settings = fn(&Args, &Config, i8) -> EngineConfig;

impl Reloader {
    /// The configuration in force came from where `args` say.
    pub(crate) fn new(
        args: &Args,
        in_force: &Config,
        precision_log2: i8,
        settings: Settings,
    ) -> Self {
        Self { args: args.clone(), in_force: in_force.clone(), precision_log2, settings }
    }

    /// Reads the configuration again and puts it into force.
    pub(crate) fn reload(&mut self, driver: &mut DaemonDriver, tasks: &mut Tasks) {
        let mut reloading = vec![NotifyState::Reloading];
        reloading.extend(NotifyState::monotonic_usec_now().ok());
        tell_systemd(&reloading);
        match self.try_reload(driver, tasks) {
            Ok(()) => tracing::info!("Configuration reloaded"),
            Err(error) => {
                // A message has as many lines as there are mistakes, with their places.
                for line in format!("{error:#}").lines() {
                    tracing::error!("{line}");
                }
                tracing::error!("Configuration not reloaded: the one in force stays");
            }
        }
        tell_systemd(&[NotifyState::Ready]);
    }

    fn try_reload(&mut self, driver: &mut DaemonDriver, tasks: &mut Tasks) -> anyhow::Result<()> {
        let parsed = config::load(&self.args)?;
        parsed.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let wanted = parsed.config;
        for xdp in &wanted.xdp {
            check_bound(&self.in_force, &xdp.value.interface)?;
        }
        let rules = wanted.access.iter().map(|rule| rule.value.clone()).collect();
        let earlier = tasks.change_access(rules, driver)?;
        let interfaces: Vec<_> = wanted.xdp.iter().map(|xdp| xdp.value.clone()).collect();
        if let Err(error) = tasks.change_interfaces(&interfaces, driver) {
            tasks.change_access(earlier, driver)?;
            return Err(error.into());
        }
        if let Err(error) = tasks.refclocks.change(&wanted.refclocks, monotonic()) {
            let interfaces: Vec<_> = self.in_force.xdp.iter().map(|it| it.value.clone()).collect();
            tasks.change_interfaces(&interfaces, driver)?;
            tasks.change_access(earlier, driver)?;
            return Err(error);
        }
        let rules = tasks.clients.change_rules(&client_rules(&wanted, true));
        driver.seams().ref_map.set_clients(&rules);
        if wanted.ratelimit != self.in_force.ratelimit && rules.sets > 0 {
            log_limit(&wanted);
        }
        tasks.key_file.change(wanted.keyfile.clone());
        driver.reconfigure((self.settings)(&self.args, &wanted, self.precision_log2));
        tasks.read_keys(driver);
        tasks.source_folders = SourceFolders::of(&wanted);
        tasks.logs = Logs::new(&wanted);
        for (name, value) in AT_START {
            if value(&wanted) != value(&self.in_force) {
                tracing::warn!("`{name}` has changed, which takes effect with the next start");
            }
        }
        self.in_force = wanted;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every directive, with a value that it does not have anyway.
    const EVERY: &str = "server 192.0.2.1;pool a.example;peer 192.0.2.2;refclock SHM 0;initstepslew 30;\
        authselectmode prefer;acquisitionport 1124;bindacqaddress 192.0.2.2;bindacqdevice eth3;dscp 46;\
        refresh 3600;minsamples 8;maxsamples 64;maxdistance 1.5;maxjitter 0.125;minsources 2;minstratum 1;\
        maxstratum 14;combinelimit 0;reselectdist 0.001;stratumweight 0;driftfile /drift interval 60;\
        makestep 0.1 -1;rtcsync;maxupdateskew 100;maxslewrate 500.5;maxchange 1000 1 -1;maxdrift 500;\
        maxclockerror 2.5;clockprecision 1e-8;tempcomp /temperature 30 26000 0 -0.000183 1e-9;manual;\
        corrtimeratio 10;fallbackdrift 10 19;leapsecmode slew;ratelimitprefix 24 56;leapsectz right/UTC;leapseclist /leap;\
        hwtimestamp eth1;hwtstimeout 0.002;allow 10;deny 10.1.2;port 1125;bindaddress 192.0.2.3;\
        binddevice eth4;local stratum 5 orphan;smoothtime 400 0.001 leaponly;ratelimit interval 1;\
        noclientlog;clientloglimit 1000000;xdp eth0;serverthreads 2;metricsaddress 127.0.0.1:9123;\
        bindcmdaddress 192.0.2.3;cmdport 1323;cmdallow 10;cmddeny 10.1.2;opencommands tracking;\
        bindcmddevice eth5;cmdratelimit interval 2;keyfile /keys;log tracking;logbanner 9;logchange 0.5;\
        logdir /log;dumpdir /dump;pidfile /pid;lock_all;sched_priority 3;user nobody";
    /// What is there for other directives to stand in the place of.
    const REPLACED: [&str; 3] = ["include", "confdir", "sourcedir"];
    /// What a reload hands to others than the engine: see [`Reloader::try_reload`].
    const HANDED_ON: [&str; 9] = [
        "allow",
        "deny",
        "xdp",
        "keyfile",
        "logbanner",
        "logdir",
        "refclock",
        "ratelimit",
        "ratelimitprefix",
    ];

    fn config(text: &str) -> Config {
        ntp_engine::conf::parse("test", text).expect("it is valid").config
    }

    /// What the engine takes while it runs.
    fn taken(text: &str) -> EngineConfig {
        EngineConfig { initial: None, ..EngineConfig::from_config(&config(text)) }
    }

    #[test]
    fn every_directive_comes_into_force_at_a_reload_or_is_said_to_wait_for_the_next_start() {
        let mut named = Vec::new();
        for line in EVERY.split(';') {
            let name = line.split(' ').next().unwrap_or_default();
            named.push(name);
            let told: Vec<_> = AT_START
                .iter()
                .filter(|(_, value)| value(&config(line)) != value(&Config::default()))
                .map(|(name, _)| *name)
                .collect();
            let is_taken = taken(line) != taken("") || HANDED_ON.contains(&name);
            assert!(is_taken || !told.is_empty(), "nobody hears of another `{line}`");
            if !is_taken && !["noclientlog", "hwtstimeout", "cmddeny"].contains(&name) {
                assert_eq!(told, [name], "`{line}`");
            }
        }
        for name in ntp_engine::conf::directives() {
            assert!(named.contains(&name) || REPLACED.contains(&name), "{name} is not tried");
        }
    }
}
