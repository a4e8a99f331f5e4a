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
use crate::setup::check_bound;
use crate::source_folders::SourceFolders;
use crate::tasks::{Tasks, tell_systemd};

/// A directive that takes effect at the start only, and its value, to tell whether it has changed.
type AtStart = (&'static str, fn(&Config) -> String);

/// What sockets, threads, files and privileges go by.
const AT_START: &[AtStart] = &[
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
    ("maxclockerror", |it| format!("{:?}", it.maxclockerror_ppm)),
    ("clockprecision", |it| format!("{:?}", it.clockprecision_s)),
    ("tempcomp", |it| format!("{:?}", it.tempcomp)),
    ("leapsectz", |it| format!("{:?}", it.leapsectz)),
    ("leapseclist", |it| format!("{:?}", it.leapseclist)),
    ("leapsecmode", |it| format!("{:?}", it.leapsecmode)),
    ("bindcmdaddress", |it| {
        let addresses = (it.bindcmdaddress_v4, it.bindcmdaddress_v6);
        format!("{:?} {addresses:?}", it.bindcmdaddress_path)
    }),
    ("cmdport", |it| format!("{:?}", it.cmdport)),
    ("cmdallow", |it| format!("{:?}", values(&it.cmd_access))),
    ("bindcmddevice", |it| format!("{:?}", it.bindcmddevice)),
    ("cmdratelimit", |it| format!("{:?}", it.cmdratelimit)),
    ("opencommands", |it| format!("{:?}", it.opencommands)),
    ("ratelimit", |it| format!("{:?}", it.ratelimit)),
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
