//! What the timekeeping thread does beside timekeeping: looks after access rules, XDP and addresses, serves
//! when there are no threads for it, and reports.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ntp_common::acl::AclControl;
use ntp_common::counters::{COUNTER_COUNT, Counters};
use ntp_common::time::{MonoNs, NANOS_PER_SECOND};
use ntp_engine::auth::Keys;
use ntp_engine::conf::{AccessRule, AccessTarget, Xdp as WantedXdp};
use ntp_engine::seams::Resolver;

use crate::access::{AccessRules, HostAddresses, TooManyRules, add_rule};
use crate::bpf::xdp::{Xdp, XdpError};
use crate::counter_log::log_counters;
use crate::event_loop::DaemonDriver;
use crate::history_files::HistoryFiles;
use crate::key_file::KeyFile;
use crate::leap_file::LeapFile;
use crate::logs::Logs;
use crate::metrics::State;
use crate::net::interfaces::{Served, host_addresses, tables};
use crate::net::server::{InlineServer, WorkerThreads};
use crate::resolver::Resolved;
use crate::serving::access_list::{AccessList, SharedAccess};
use crate::serving::clients::Clients;
use crate::serving::published::Published;
use crate::temperature::Thermometer;

/// Ticks between two looks at the host's addresses and interfaces.
const ADDRESS_TICKS: u32 = 5;

/// Ticks between two tries to resolve the names in access rules.
const HOST_TICKS: u32 = 60;

/// Ticks until nothing is left of what an earlier run of the daemon published: snapshots live 60 s.
const EARLIER_RUN_TICKS: u32 = 60;

/// Ticks between two readings of the table of leap seconds: half a day.
const LEAP_TICKS: u32 = 43_200;

/// How a run of the event loop ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it should.
    Ended,
    /// Without the time that it was to find.
    NoTime,
}

/// Who answers requests in user space.
pub(crate) enum UserPath {
    /// Nobody.
    Nobody,
    /// The timekeeping thread.
    Inline(Box<InlineServer>),
    /// Threads.
    Threads(WorkerThreads),
}

impl UserPath {
    /// What was served so far.
    #[must_use]
    pub(crate) fn counters(&self) -> Counters {
        match self {
            Self::Nobody => [0; COUNTER_COUNT],
            Self::Inline(server) => server.counters(),
            Self::Threads(threads) => threads.counters(),
        }
    }
}

/// Access rules, as far as they are known.
pub(crate) struct Access {
    /// The rules in the order of the configuration.
    pub(crate) rules: Vec<AccessRule>,
    /// Addresses of the hosts that they name.
    pub(crate) hosts: HostAddresses,
    /// Where the user path finds them.
    pub(crate) shared: std::sync::Arc<SharedAccess>,
}

/// When the daemon ends without being told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Once the clock was set, or its offset is known: what then becomes of the offset.
    pub(crate) one_shot: Option<&'static str>,
    /// When this time has come.
    pub(crate) end: Option<MonoNs>,
}

/// Everything that is looked after.
pub(crate) struct Tasks {
    /// Access rules.
    pub(crate) access: Access,
    /// XDP.
    pub(crate) xdp: Option<Xdp>,
    /// Addresses that XDP answers for.
    pub(crate) served: Served,
    /// The user path.
    pub(crate) user_path: UserPath,
    /// Where leap seconds are looked up.
    pub(crate) leap_file: Option<LeapFile>,
    /// Symmetric keys.
    pub(crate) key_file: KeyFile,
    /// Where sources' histories are kept between two runs.
    pub(crate) histories: HistoryFiles,
    /// The sensor that the clock is compensated by.
    pub(crate) thermometer: Option<Thermometer>,
    /// Log files.
    pub(crate) logs: Logs,
    /// When to end.
    pub(crate) limits: Limits,
    /// Whether systemd watches over the daemon.
    pub(crate) is_watched: bool,
    /// The addresses that XDP was told last.
    pub(crate) addresses: Vec<IpAddr>,
    /// What is known of clients.
    pub(crate) clients: Arc<Clients>,
    /// Ticks so far.
    pub(crate) ticks: u32,
    /// Whether a command has told the daemon to end.
    pub(crate) is_told_to_end: bool,
}

impl Tasks {
    /// To be called before the event loop runs: tells XDP who is answered, and for which addresses.
    ///
    /// # Errors
    /// [`TooManyRules`].
    pub(crate) fn start(&mut self, driver: &mut DaemonDriver) -> Result<(), TooManyRules> {
        // XDP passes everything up as long as it knows no address.
        let control = self.fill_xdp()?;
        driver.seams().ref_map.set_access(control);
        self.refresh_addresses(&driver.seams().ref_map);
        self.resolve_hosts(driver);
        self.read_leap_seconds(driver);
        self.read_keys(driver);
        Ok(())
    }

    /// To be called every second.
    pub(crate) fn tick(&mut self, driver: &mut DaemonDriver) {
        self.ticks = self.ticks.wrapping_add(1);
        if self.is_watched {
            tell_systemd(&[sd_notify::NotifyState::Watchdog]);
        }
        if let Some(thermometer) = &mut self.thermometer {
            thermometer.tick(driver);
        }
        if self.ticks.is_multiple_of(ADDRESS_TICKS) {
            if let Some(xdp) = &mut self.xdp {
                xdp.restore();
            }
            self.refresh_addresses(&driver.seams().ref_map);
        }
        if self.ticks.is_multiple_of(HOST_TICKS) {
            self.resolve_hosts(driver);
        }
        if self.ticks.is_multiple_of(LEAP_TICKS) {
            self.read_leap_seconds(driver);
        }
    }

    /// To be called after whatever the driver did.
    pub(crate) fn follow_up(&mut self, driver: &mut DaemonDriver, now: MonoNs) {
        self.logs.write(&driver.take_records());
        let is_earlier_run_over = self.ticks > EARLIER_RUN_TICKS;
        if let Some(xdp) = &mut self.xdp
            && (is_earlier_run_over || driver.seams().ref_map.is_live(now))
        {
            xdp.go_live();
        }
    }

    /// Whether the daemon is done, and how.
    #[must_use]
    pub(crate) fn outcome(&self, driver: &DaemonDriver, now: MonoNs) -> Option<Outcome> {
        if let Some(handling) = self.limits.one_shot {
            let tracking = driver.engine().tracking(driver.now());
            if tracking.updates > 0 {
                let offset_s = tracking.last_offset_s;
                tracing::info!("System clock wrong by {offset_s:.6} seconds ({handling})");
                return Some(Outcome::Ended);
            }
        }
        if self.is_told_to_end || driver.engine().has_given_up() {
            return Some(Outcome::Ended);
        }
        if self.limits.end.is_none_or(|end| now < end) {
            return None;
        }
        tracing::info!("Timeout reached");
        let follows = driver.engine().tracking(driver.now()).address.is_some();
        let has_time = follows && self.limits.one_shot.is_none();
        Some(if has_time { Outcome::Ended } else { Outcome::NoTime })
    }

    /// Serves a packet, when that is for this thread to do; else waits for ever.
    pub(crate) async fn serve(&mut self) {
        match &mut self.user_path {
            UserPath::Inline(server) => server.serve_one().await,
            UserPath::Nobody | UserPath::Threads(_) => std::future::pending().await,
        }
    }

    /// Takes the address of a host that access rules name.
    pub(crate) fn host_resolved(&mut self, driver: &DaemonDriver, resolved: &Resolved) {
        let is_named = self.access.names().any(|name| name == resolved.name);
        let Some(&address) = resolved.addresses.first().filter(|_| is_named) else { return };
        let earlier = self.access.hosts.insert(resolved.name.clone(), address);
        if earlier == Some(address) {
            return;
        }
        match self.apply_access(&driver.seams().ref_map) {
            Ok(()) => tracing::info!(host = resolved.name, %address, "Access rule takes effect"),
            Err(error) => tracing::error!(%error, "Access rules stay as they were"),
        }
    }

    /// Reads the key file again, for sources and clients. Whether it was read; else the keys in force stay.
    pub(crate) fn read_keys(&self, driver: &mut DaemonDriver) -> bool {
        let is_read = self.key_file.read();
        driver.set_keys(Keys::clone(&self.key_file.keys().current()));
        is_read
    }

    /// Puts other access rules into force, and gives those that were.
    ///
    /// # Errors
    /// [`TooManyRules`]; nothing is changed then.
    pub(crate) fn change_access(
        &mut self,
        rules: Vec<AccessRule>,
        driver: &mut DaemonDriver,
    ) -> Result<Vec<AccessRule>, TooManyRules> {
        let earlier = std::mem::replace(&mut self.access.rules, rules);
        if let Err(error) = self.apply_access(&driver.seams().ref_map) {
            self.access.rules = earlier;
            return Err(error);
        }
        self.resolve_hosts(driver);
        Ok(earlier)
    }

    /// Answers in the kernel on these interfaces from now on.
    ///
    /// # Errors
    /// What keeps one from it that has not been there so far; nothing is changed then.
    pub(crate) fn change_interfaces(
        &mut self,
        wanted: &[WantedXdp],
        driver: &mut DaemonDriver,
    ) -> Result<(), XdpError> {
        let Some(xdp) = &mut self.xdp else {
            if !wanted.is_empty() {
                tracing::warn!("The first `xdp` line takes effect with the next start");
            }
            return Ok(());
        };
        xdp.change_interfaces(wanted)?;
        self.served.interfaces = xdp.interfaces();
        driver.seams_mut().ref_map.set_hold(xdp.hold());
        self.refresh_addresses(&driver.seams().ref_map);
        Ok(())
    }

    /// Logs what both paths have done.
    pub(crate) fn log_counters(&self) {
        let (xdp, user) = self.counters();
        log_counters(&xdp, &user);
    }

    /// What XDP and the user path have done.
    #[must_use]
    pub(crate) fn counters(&self) -> (Counters, Counters) {
        let xdp = self.xdp.as_ref().map_or([0; COUNTER_COUNT], Xdp::counters);
        (xdp, self.user_path.counters())
    }

    /// Adds an access rule, which is in force on both paths when this returns.
    ///
    /// # Errors
    /// [`TooManyRules`], with nothing changed.
    pub(crate) fn add_access(
        &mut self,
        rule: AccessRule,
        driver: &DaemonDriver,
    ) -> Result<(), TooManyRules> {
        let before = self.access.rules.clone();
        add_rule(&mut self.access.rules, rule);
        let applied = self.apply_access(&driver.seams().ref_map);
        if applied.is_err() {
            self.access.rules = before;
        }
        applied
    }

    fn read_leap_seconds(&self, driver: &mut DaemonDriver) {
        if let Some(table) = self.leap_file.as_ref().and_then(LeapFile::read) {
            driver.set_leap_table(table);
        }
    }

    /// The daemon's state, for metrics.
    #[must_use]
    pub(crate) fn state(&self, driver: &DaemonDriver) -> State {
        let (now, published) = (driver.now(), &driver.seams().ref_map);
        let age_s = |at: MonoNs| Duration::from_nanos(now.mono.since(at)).as_secs_f64();
        State {
            tracking: driver.engine().tracking(now),
            sources: driver.engine().sources(now),
            is_live: published.is_live(now.mono),
            snapshot_age_s: published.last_publication().map(age_s),
            interfaces: self.xdp.as_ref().map(Xdp::attached).unwrap_or_default(),
            xdp: self.xdp.as_ref().map(Xdp::counters),
            user: self.user_path.counters(),
        }
    }

    fn resolve_hosts(&self, driver: &mut DaemonDriver) {
        for name in self.access.names() {
            driver.seams_mut().resolver.resolve(name);
        }
    }

    fn apply_access(&mut self, published: &Published) -> Result<(), TooManyRules> {
        let list = AccessList::compile(&self.access.compiled())?;
        let control = self.fill_xdp()?;
        published.set_access(control);
        self.access.shared.replace(list);
        Ok(())
    }

    fn fill_xdp(&mut self) -> Result<AclControl, TooManyRules> {
        let rules = self.access.compiled();
        self.xdp.as_mut().map_or(Ok(AclControl::DENY_ALL), |xdp| xdp.fill_access(&rules))
    }

    fn refresh_addresses(&mut self, published: &Published) {
        if self.xdp.is_none() {
            return;
        }
        let host = match host_addresses() {
            Ok(host) => host,
            Err(error) => {
                tracing::error!(%error, "The host's addresses are not known");
                return;
            }
        };
        let addresses = self.served.addresses(&host);
        if addresses == self.addresses {
            return;
        }
        let (tables, left_out) = tables(&addresses);
        published.set_local(&tables);
        tracing::info!(?addresses, "Addresses answered in XDP");
        if left_out > 0 {
            tracing::warn!(left_out, "Too many addresses for XDP: the daemon answers for the rest");
        }
        self.addresses = addresses;
    }
}

impl Access {
    fn compiled(&self) -> AccessRules {
        AccessRules::from_config(&self.rules, &self.hosts)
    }

    /// Hosts that rules name.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter_map(|rule| match &rule.target {
            AccessTarget::Name(name) => Some(name.as_str()),
            AccessTarget::Everyone | AccessTarget::Network(_) => None,
        })
    }
}

/// Tells systemd, if it asked to be told.
pub(crate) fn tell_systemd(states: &[sd_notify::NotifyState<'_>]) {
    if std::env::var_os("NOTIFY_SOCKET").is_some()
        && let Err(error) = sd_notify::notify(states)
    {
        tracing::debug!(%error, "systemd can't be told");
    }
}

/// The time so many seconds after `start`.
#[must_use]
pub(crate) fn seconds_after(start: MonoNs, seconds: u32) -> MonoNs {
    start.after(u64::from(seconds) * NANOS_PER_SECOND)
}
