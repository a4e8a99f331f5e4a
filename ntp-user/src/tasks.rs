//! What the timekeeping thread does beside timekeeping: looks after access rules, XDP and addresses, serves
//! when there are no threads for it, and reports.

mod access;
mod interfaces;
mod user_path;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ntp_common::counters::{COUNTER_COUNT, Counters};
use ntp_common::time::{MonoNs, NANOS_PER_SECOND};
use ntp_engine::auth::Keys;

use crate::access::TooManyRules;
use crate::bpf::xdp::Xdp;
use crate::clock::reference::RefClocks;
use crate::counter_log::log_counters;
use crate::event_loop::DaemonDriver;
use crate::history_files::HistoryFiles;
use crate::key_file::KeyFile;
use crate::leap_file::LeapFile;
use crate::listening::Listening;
use crate::logs::Logs;
use crate::metrics::{CommandCounts, State};
use crate::net::interfaces::Served;
use crate::net::worker::Shared;
use crate::serving::clients::Clients;
use crate::serving::occupancy::Occupancy;
use crate::source_folders::SourceFolders;
use crate::temperature::Thermometer;
pub(crate) use access::{Access, AccessError};
pub(crate) use user_path::UserPath;

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
    /// Sources that are in files of their own.
    pub(crate) source_folders: SourceFolders,
    /// Log files.
    pub(crate) logs: Logs,
    /// Drivers of reference clocks.
    pub(crate) refclocks: RefClocks,
    /// When to end.
    pub(crate) limits: Limits,
    /// Whether systemd watches over the daemon.
    pub(crate) is_watched: bool,
    /// The addresses that XDP was told last.
    pub(crate) addresses: Vec<IpAddr>,
    /// What is known of clients.
    pub(crate) clients: Arc<Clients>,
    /// How many there are.
    pub(crate) occupancy: Occupancy,
    /// Where requests may come in.
    pub(crate) listening: Listening,
    /// What those share who answer them in user space.
    pub(crate) shared: Shared,
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
        self.occupancy.count(&self.clients, driver.now().mono);
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
        if let Some(xdp) = &mut self.xdp {
            xdp.follow_clocks(driver.seams().ref_map.last_publication(), now);
        }
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

    /// Reads the key file again, for sources and clients. Whether it was read; else the keys in force stay.
    pub(crate) fn read_keys(&self, driver: &mut DaemonDriver) -> bool {
        let is_read = self.key_file.read();
        driver.set_keys(Keys::clone(&self.key_file.keys().current()));
        is_read
    }

    /// Logs what both paths have done.
    pub(crate) fn log_counters(&self) {
        self.xdp.iter().for_each(Xdp::log_arrivals);
        let (xdp, user) = self.counters();
        log_counters(&xdp, &user);
    }

    /// What XDP and the user path have done.
    #[must_use]
    pub(crate) fn counters(&self) -> (Counters, Counters) {
        let xdp = self.xdp.as_ref().map_or([0; COUNTER_COUNT], Xdp::counters);
        (xdp, self.user_path.counters())
    }

    fn read_leap_seconds(&self, driver: &mut DaemonDriver) {
        if let Some(table) = self.leap_file.as_ref().and_then(LeapFile::read) {
            driver.set_leap_table(table);
        }
    }

    /// The daemon's state, for metrics.
    #[must_use]
    pub(crate) fn state(&self, driver: &DaemonDriver, commands: CommandCounts) -> State {
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
            service: self.user_path.service(),
            client_slots: u32::try_from(self.clients.capacity()).unwrap_or(u32::MAX),
            clients: self.occupancy.clients(),
            commands,
        }
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
