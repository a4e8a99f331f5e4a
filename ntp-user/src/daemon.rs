//! The daemon from its start to its end: sets up, drops privileges, runs the event loop, shuts down.

use std::sync::Arc;

use anyhow::Context;
use ntp_engine::conf::{Config, LeapSecMode, MakeStep, SourceKind, StepLimit};
use ntp_engine::driver::Seams;
use ntp_engine::history::History;
use ntp_engine::settings::EngineConfig;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sd_notify::NotifyState;
use tokio::sync::Notify;

use crate::args::Args;
use crate::bpf::xdp::Xdp;
use crate::call_filter;
use crate::clock::DaemonClock;
use crate::clock::alarm::Alarm;
use crate::clock::readings::monotonic;
use crate::clock::reference::RefClocks;
use crate::clock::set_watch::SetWatch;
use crate::command::{Commands, Prepared};
use crate::counter_log::log_counters;
use crate::drift_file::DriftFile;
use crate::event_loop::{self, DaemonDriver, Sources};
use crate::features;
use crate::first_time;
use crate::history_files::HistoryFiles;
use crate::leap_file::LeapFile;
use crate::logs::{self, Logs};
use crate::metrics::{self, Endpoint, Questions};
use crate::net::hardware::Stamper;
use crate::net::interfaces::Served;
use crate::net::socket::Manner;
use crate::net::udp::{LocalEnd, Served as ServedPort, UdpTransport};
use crate::owner::Owner;
use crate::pid_file::PidFile;
use crate::privileges::{self, Duties};
use crate::reload::Reloader;
use crate::resolver::{Families, ThreadResolver};
use crate::serving::clients::Clients;
use crate::serving::occupancy::Occupancy;
use crate::setup::{Means, Parts, log_limit, served_manner, set_up};
use crate::signals::Signals;
use crate::source_folders::SourceFolders;
use crate::supervisor;
use crate::tasks::{Access, Limits, Outcome, Tasks, UserPath, seconds_after, tell_systemd};
use crate::temperature::Thermometer;

/// How long the daemon looks for the time when it is asked for once, seconds.
const ONE_SHOT_TIMEOUT_S: u32 = 30;

/// Runs the daemon until it is told to end.
///
/// # Errors
/// What keeps it from starting, in words for the operator.
pub(crate) fn run(args: &Args, config: &Config) -> anyhow::Result<Outcome> {
    tracing::info!(
        "{} version {} starting {}",
        features::name(),
        features::VERSION,
        features::list()
    );
    let pid_path = config.pidfile.as_ref().filter(|_| !args.is_one_shot());
    if let Some(path) = pid_path {
        PidFile::check(path)?;
    }
    let means = means(args);
    let mut parts = set_up(config, means)?;
    if args.from_rtc {
        let driftfile = config.driftfile.as_ref().map(|file| file.path.as_path());
        first_time::set(&mut parts.clock, driftfile);
    }
    let locks_memory = (args.lock_memory || config.lock_all) && privileges::lock_memory();
    match args.priority.unwrap_or(config.sched_priority) {
        0 => {}
        priority => privileges::run_in_real_time(priority),
    }
    let user = args.user.as_ref().or(config.user.as_ref());
    let owner = Owner::named(user.map(String::as_str));
    logs::prepare(config, owner);
    let prepared = if means.is_one_shot {
        Prepared::default()
    } else {
        Prepared::new(config, owner, means.families)
    };
    let histories = HistoryFiles::new(config.dumpdir.clone().filter(|_| !means.is_one_shot));
    histories.prepare(owner);
    // The command socket's folder, if it is the same, has been made for that.
    let pid_file = pid_path.map(|path| PidFile::write(path)).transpose()?;
    parts.xdp.as_mut().map_or(Ok(()), Xdp::pin)?;
    if let Some(user) = user {
        let duties = Duties { locks_memory, ..duties(config, means, &parts) };
        privileges::become_user(user, duties)?;
    }
    call_filter::apply(args.filter.unwrap_or(0))?;
    let interrupted = Arc::new(Notify::new());
    let signals = Signals::install().context("cannot handle signals")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .on_thread_unpark({
            let (signals, interrupted) = (signals.clone(), Arc::clone(&interrupted));
            move || {
                if signals.is_pending() {
                    interrupted.notify_one();
                }
            }
        })
        .build()
        .context("cannot start the event loop")?;
    let outcome =
        runtime.block_on(serve(args, config, (parts, prepared, histories), signals, interrupted));
    drop(pid_file);
    tracing::info!("{} exiting", features::name());
    outcome
}

fn means(args: &Args) -> Means {
    let families = match (args.ipv4_only, args.ipv6_only) {
        (true, _) => Families::V4,
        (_, true) => Families::V6,
        _ => Families::Both,
    };
    let follow = args.follow || args.query_offset;
    Means { follow, families, is_one_shot: args.is_one_shot() }
}

fn duties(config: &Config, means: Means, parts: &Parts) -> Duties {
    Duties {
        steers_clock: !means.follow,
        binds_ports: config.acquisitionport.is_some()
            || config.sources.iter().any(|source| source.value.kind == SourceKind::Peer)
            || parts.listening.may_grow(&parts.bound),
        attaches_xdp: parts.xdp.is_some(),
        locks_memory: false,
    }
}

/// Runs the event loop and shuts down after it.
async fn serve(
    args: &Args,
    config: &Config,
    (parts, prepared, histories): (Parts, Prepared, HistoryFiles),
    signals: Signals,
    interrupted: Arc<Notify>,
) -> anyhow::Result<Outcome> {
    let Parts { mut clock, published, shared, refclocks: opened, key_file, sockets, .. } = parts;
    let Parts { listening, bound, metrics, xdp, .. } = parts;
    let measured = take_up(args, &histories, &mut clock);
    let stamper = Stamper::new(clock.time_base(), shared.hardware.clone(), config.hwtstimeout_s);
    let (transport, incoming) = UdpTransport::new(local_end(args, config), stamper);
    let (mut refclocks, clock_readings) = RefClocks::new(clock.time_base());
    refclocks.start(opened, monotonic()).context("cannot read reference clocks")?;
    let (resolver, addresses) = ThreadResolver::new(means(args).families);
    let drift_store = DriftFile::new(config.driftfile.as_ref().map(|file| file.path.clone()));
    let drift = drift_store.read();
    let seams = Seams { clock, transport, ref_map: published, resolver, drift_store };
    let engine = engine_config(args, config, shared.precision_log2);
    let mut driver = DaemonDriver::new(engine, StdRng::from_rng(&mut rand::rng()), drift, seams);
    let served =
        Served { interfaces: xdp.as_ref().map(Xdp::interfaces).unwrap_or_default(), bound };
    let rules = config.access.iter().map(|rule| rule.value.clone()).collect();
    let access = Access::new(rules, Arc::clone(&shared.access));
    let mut tasks = Tasks {
        access,
        xdp,
        served,
        user_path: UserPath::Nobody,
        leap_file: LeapFile::of(config),
        key_file,
        histories,
        thermometer: config.tempcomp.as_ref().map(Thermometer::new).transpose()?,
        source_folders: SourceFolders::of(config),
        logs: Logs::new(config),
        refclocks,
        limits: limits(args),
        is_watched: sd_notify::watchdog_enabled().is_some(),
        addresses: Vec::new(),
        clients: Arc::clone(&shared.clients),
        occupancy: Occupancy::default(),
        listening,
        shared: shared.clone(),
        ticks: 0,
        is_told_to_end: false,
    };
    tasks.start(&mut driver)?;
    let commands = Commands::start(config, prepared, &mut driver.seams_mut().resolver)?;
    driver.remember(measured);
    driver.start();
    tasks.user_path.add(sockets, &tasks.listening, &shared)?;
    log_paths(config, &tasks);
    log_clients(config, &shared.clients);
    let questions = start_metrics(metrics)?;
    tell_systemd(&[NotifyState::Ready]);
    if args.in_background {
        supervisor::report_ready()?;
    }
    let alarm = Alarm::new().context("cannot set timers")?;
    let set_watch = SetWatch::new().context("cannot watch the clock")?;
    let mut sources = Sources {
        incoming,
        clock_readings,
        resolved: addresses,
        questions,
        commands,
        alarm,
        set_watch,
        signals,
        interrupted,
    };
    let mut reloader = Reloader::new(args, config, shared.precision_log2, engine_config);
    let outcome = event_loop::run(&mut driver, &mut tasks, &mut sources, &mut reloader).await;
    shut_down(driver, tasks, args.is_one_shot());
    outcome.context("the event loop failed")
}

/// What was measured by the run before, if it is wanted; else what is left of it is of no use any more.
fn take_up(args: &Args, histories: &HistoryFiles, clock: &mut DaemonClock) -> Vec<History> {
    if !args.reload {
        histories.remove();
        return Vec::new();
    }
    let measured = histories.take();
    if let Some(history) = measured.first() {
        clock.go_on(&history.clock, history.frequency);
    }
    measured
}

/// Where packets to sources leave from.
fn local_end(args: &Args, config: &Config) -> LocalEnd {
    LocalEnd {
        v4: config.bindacqaddress_v4.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED),
        v6: config.bindacqaddress_v6.unwrap_or(std::net::Ipv6Addr::UNSPECIFIED),
        port: config.acquisitionport.unwrap_or(0),
        families: means(args).families,
        manner: Manner { interface: config.bindacqdevice.clone(), dscp: config.dscp },
        served: from_served_port(args, config),
    }
}

/// Where packets to peers leave from. Who asks for the time once leaves the port to the daemon.
fn from_served_port(args: &Args, config: &Config) -> ServedPort {
    ServedPort {
        v4: config.bindaddress_v4.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED),
        v6: config.bindaddress_v6.unwrap_or(std::net::Ipv6Addr::UNSPECIFIED),
        port: if args.is_one_shot() { 0 } else { config.port },
        manner: served_manner(config),
    }
}

fn engine_config(args: &Args, config: &Config, precision_log2: i8) -> EngineConfig {
    let mut engine = EngineConfig { precision_log2, ..EngineConfig::from_config(config) };
    if means(args).follow && engine.leap_mode == LeapSecMode::System {
        // The kernel leaps with its own clock; the one that is kept here has to be stepped.
        engine.leap_mode = LeapSecMode::Step;
    }
    if args.set_once {
        engine.makestep = Some(MakeStep { threshold_s: 0.0, limit: StepLimit::Updates(1) });
        engine.initial = None;
    } else if args.restarted || args.query_offset {
        engine.initial = None;
        engine.makestep = engine.makestep.filter(|step| step.limit == StepLimit::Unlimited);
    }
    engine
}

fn limits(args: &Args) -> Limits {
    let one_shot = match (args.set_once, args.query_offset) {
        (true, _) => Some("step"),
        (_, true) => Some("ignored"),
        _ => None,
    };
    let timeout_s = args.timeout_s.or(one_shot.map(|_| ONE_SHOT_TIMEOUT_S));
    Limits { one_shot, end: timeout_s.map(|seconds| seconds_after(monotonic(), seconds)) }
}

/// Says who answers requests, and where.
fn log_paths(config: &Config, tasks: &Tasks) {
    if let Some(xdp) = &tasks.xdp {
        xdp.log_paths();
    }
    let (bound, port) = (&tasks.served.bound, config.port);
    match &tasks.user_path {
        UserPath::Nobody => {}
        UserPath::Inline(_) => tracing::info!(?bound, port, threads = 0, "Answering in user space"),
        UserPath::Threads(threads) => {
            tracing::info!(?bound, port, threads = threads.count(), "Answering in user space");
        }
    }
}

/// Starts to serve metrics, if they are wanted.
fn start_metrics(endpoint: Option<Endpoint>) -> anyhow::Result<Questions> {
    let (sender, questions) = metrics::questions();
    if let Some(endpoint) = endpoint {
        tracing::info!(addresses = ?endpoint.addresses(), "Serving metrics");
        endpoint.start(sender).context("cannot serve metrics")?;
    }
    Ok(questions)
}

/// Says how many clients are told apart, in how much memory, and how often each is answered.
fn log_clients(config: &Config, clients: &Clients) {
    if clients.capacity() == 0 {
        return;
    }
    let (capacity, octets) = (clients.capacity(), clients.octets());
    tracing::info!(capacity, octets, "Clients are recorded");
    if config.ratelimit.is_some() {
        log_limit(config);
    }
}

/// Ends serving, then timekeeping. Where XDP is to hold over, it answers from a last snapshot.
fn shut_down(mut driver: DaemonDriver, mut tasks: Tasks, is_one_shot: bool) {
    tell_systemd(&[NotifyState::Stopping]);
    tasks.logs.write(&driver.take_records());
    let Tasks { xdp, user_path, histories, .. } = tasks;
    let user = match user_path {
        UserPath::Threads(threads) => threads.stop(),
        path @ (UserPath::Nobody | UserPath::Inline(_)) => path.counters(),
    };
    driver.shutdown(xdp.as_ref().and_then(Xdp::hold));
    histories.save(&driver.histories());
    if !is_one_shot {
        log_counters(&xdp.as_ref().map_or([0; _], Xdp::counters), &user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn clock_that_is_only_followed_takes_leap_seconds_without_the_kernel() {
        use LeapSecMode::{Ignore, Slew, Step, System};
        for (arguments, said, expected) in [
            ("-d", System, System),
            ("-x", System, Step),
            ("-Q", System, Step),
            ("-x", Slew, Slew),
            ("-x", Ignore, Ignore),
        ] {
            let args = Args::try_parse_from(["ntp-xdpd", arguments]).unwrap();
            let config = Config { leapsecmode: said, ..Config::default() };
            let engine = engine_config(&args, &config, -20);
            assert_eq!(engine.leap_mode, expected, "{arguments} {said:?}");
        }
    }
}
