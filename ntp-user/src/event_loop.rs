//! The timekeeping thread: waits for packets, names, deadlines and signals, and hands them to the engine.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ntp_common::time::MonoNs;
use ntp_engine::driver::Driver;
use rand::rngs::StdRng;
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver};

use crate::clock::DaemonClock;
use crate::clock::alarm::Alarm;
use crate::clock::readings::monotonic;
use crate::clock::set_watch::SetWatch;
use crate::command::{Commands, Packet};
use crate::drift_file::DriftFile;
use crate::metrics::{Question, Questions};
use crate::net::udp::{Incoming, UdpTransport};
use crate::reload::Reloader;
use crate::resolver::{Resolved, ThreadResolver};
use crate::serving::published::Published;
use crate::signals::Signals;
use crate::tasks::{Outcome, Tasks};

/// The engine with the daemon's clocks, sockets and files.
pub(crate) type DaemonDriver =
    Driver<DaemonClock, UdpTransport, Published, ThreadResolver, DriftFile, StdRng>;

/// How often what changes by itself is looked at; also the longest that a signal can go unnoticed.
const TICK: Duration = Duration::from_secs(1);

/// Where things come from that the event loop waits for.
pub(crate) struct Sources {
    /// Packets of sources.
    pub(crate) incoming: Receiver<Incoming>,
    /// Names that were resolved.
    pub(crate) resolved: UnboundedReceiver<Resolved>,
    /// Scrapes of the metrics.
    pub(crate) questions: Questions,
    /// Commands.
    pub(crate) commands: Commands,
    /// Deadlines.
    pub(crate) alarm: Alarm,
    /// Steps of the clock by somebody else.
    pub(crate) set_watch: SetWatch,
    /// Signals.
    pub(crate) signals: Signals,
    /// Told when a signal has interrupted waiting.
    pub(crate) interrupted: Arc<Notify>,
}

/// What one wait ended with.
enum Event {
    Incoming(Incoming),
    Resolved(Resolved),
    Question(Question),
    Command(Packet),
    Deadline,
    ClockSet,
    Served,
    Interrupted,
}

/// Runs until a signal ends the daemon, or `tasks` say that it is done.
///
/// # Errors
/// When nothing can be waited for any more.
pub(crate) async fn run(
    driver: &mut DaemonDriver,
    tasks: &mut Tasks,
    sources: &mut Sources,
    reloader: &mut Reloader,
) -> io::Result<Outcome> {
    let mut next_tick = monotonic();
    loop {
        let now = monotonic();
        if now >= next_tick {
            next_tick = now.after(nanos(TICK));
            tasks.tick(driver);
        }
        tasks.follow_up(driver, now);
        if sources.signals.take_report() {
            tasks.log_counters();
            tasks.logs.cycle();
        }
        if sources.signals.take_reload() {
            reloader.reload(driver, tasks);
        }
        if sources.signals.is_end() {
            return Ok(Outcome::Ended);
        }
        if let Some(outcome) = tasks.outcome(driver, now) {
            return Ok(outcome);
        }
        let deadline = driver.next_deadline().map_or(next_tick, |deadline| deadline.min(next_tick));
        match wait(sources, tasks, deadline).await? {
            Event::Incoming(incoming) => take(driver, incoming),
            Event::Resolved(resolved) => {
                tasks.host_resolved(driver, &resolved);
                sources.commands.host_resolved(&resolved);
                driver.on_resolved(&resolved.name, &resolved.addresses);
            }
            // Who asked may have gone.
            Event::Question(question) => drop(question.send(tasks.state(driver))),
            Event::Command(packet) => sources.commands.take(&packet, driver, tasks),
            Event::Deadline => driver.on_timer(),
            Event::ClockSet => driver.on_clock_stepped_by_other(),
            Event::Served | Event::Interrupted => {}
        }
    }
}

async fn wait(sources: &mut Sources, tasks: &mut Tasks, deadline: MonoNs) -> io::Result<Event> {
    let event = tokio::select! {
        biased;
        () = sources.interrupted.notified() => Event::Interrupted,
        // The senders live in the driver, as long as the loop runs.
        Some(incoming) = sources.incoming.recv() => Event::Incoming(incoming),
        Some(resolved) = sources.resolved.recv() => Event::Resolved(resolved),
        Some(question) = sources.questions.recv() => Event::Question(question),
        outcome = sources.alarm.wait_until(deadline) => outcome.map(|()| Event::Deadline)?,
        packet = sources.commands.next() => Event::Command(packet),
        outcome = sources.set_watch.clock_set() => outcome.map(|()| Event::ClockSet)?,
        () = tasks.serve() => Event::Served,
    };
    Ok(event)
}

fn take(driver: &mut DaemonDriver, incoming: Incoming) {
    match incoming {
        Incoming::Packet { source, from, to, octets, at } => {
            driver.on_packet(source, (from, to), &octets, at);
        }
        Incoming::Sent { source, request, at } => driver.on_sent(source, request, at),
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
