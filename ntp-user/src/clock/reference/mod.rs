//! The drivers of reference clocks. What can be polled is read on the timekeeping thread when it is due, without
//! waiting; what comes in on a descriptor is waited for in the event loop.
//!
//! Invariant: devices are opened once, while there are privileges; a clock that can't be read is said once, and tried
//! again in its interval.

mod phc;
mod pps;
mod shm;
mod sock;

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, anyhow};
use ntp_common::time::{MonoNs, NtpTimestamp};
use ntp_common::wire::{LeapIndicator, ReferenceId};
use ntp_engine::conf::{ClockDriver, Located, RefClock};
use ntp_engine::report::clock_name;
use ntp_engine::seams::Reading;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::TimeBase;
use super::readings::UnixTime;
use crate::net::watched::Watched;

/// Readings that may wait for the engine.
const QUEUE_LEN: usize = 64;

/// What a reference clock showed, beside the kernel's clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shown {
    /// `CLOCK_REALTIME` when it was read.
    pub(crate) at: UnixTime,
    /// What it showed; `None`: that a second began.
    pub(crate) time: Option<UnixTime>,
    /// What it was ahead of the kernel's clock besides, seconds: drivers that give a difference.
    pub(crate) ahead_s: f64,
    /// No more than the fraction of the second counts.
    pub(crate) is_pulse: bool,
    /// Bound of the error of reading both clocks, seconds.
    pub(crate) dispersion_s: f64,
    /// Leap second that it announces.
    pub(crate) leap: LeapIndicator,
}

/// A clock that is read when it is due.
trait Poll: Send {
    /// What it shows now; `None` when there is nothing new.
    fn read(&mut self) -> io::Result<Option<Shown>>;
}

/// A clock whose descriptor tells when there is something to read.
trait Listen: Send {
    /// What has come in on the descriptor; `None` when there is nothing more.
    fn read(&mut self, descriptor: &OwnedFd) -> io::Result<Option<Shown>>;
}

/// How an open clock is read.
enum Reader {
    Polled(Box<dyn Poll>),
    Listened(OwnedFd, Box<dyn Listen>),
}

/// A clock that was opened and is not read yet.
pub(crate) struct Opened {
    line: RefClock,
    reader: Reader,
}

/// Opens the clocks of a configuration.
///
/// # Errors
/// The first that can't be opened, with its place in the configuration and what is missing.
pub(crate) fn open(lines: &[Located<RefClock>]) -> anyhow::Result<Vec<Opened>> {
    let open_one = |line: &Located<RefClock>| {
        let name = clock_name(line.value.options.refid);
        let reader = open_reader(&line.value.driver)
            .with_context(|| format!("{}: cannot open reference clock {name}", line.at))?;
        Ok(Opened { line: line.value.clone(), reader })
    };
    lines.iter().map(open_one).collect()
}

fn open_reader(driver: &ClockDriver) -> anyhow::Result<Reader> {
    let explain = |error: io::Error, what: &str, needs: &str| {
        let is_refused = error.kind() == io::ErrorKind::PermissionDenied;
        let hint = if is_refused { format!(" ({needs})") } else { String::new() };
        anyhow!("{what}: {error}{hint}")
    };
    match driver {
        ClockDriver::Shm { unit, permissions } => shm::Segment::open(*unit, *permissions)
            .map(|segment| Reader::Polled(Box::new(segment)))
            .map_err(|error| {
                let needs = "its owner keeps it to themselves: CAP_IPC_OWNER is missing";
                explain(error, &format!("segment {}", shm::key(*unit)), needs)
            }),
        ClockDriver::Sock { path } => sock::open(path)
            .map(|(fd, socket)| Reader::Listened(fd, Box::new(socket)))
            .map_err(|error| {
                let needs = "the directory is not writable: CAP_DAC_OVERRIDE is missing";
                explain(error, &path.display().to_string(), needs)
            }),
        ClockDriver::Pps { device, edge } => pps::Pps::open(device, *edge)
            .map(|pps| Reader::Polled(Box::new(pps)))
            .map_err(|error| {
                let needs = "it takes CAP_SYS_TIME, and the right to read and write the device";
                explain(error, &device.display().to_string(), needs)
            }),
        ClockDriver::Phc { device, cross_timestamps, pulses } => {
            phc::open(device, *cross_timestamps, *pulses).map_err(|error| {
                let needs = "it needs to be readable, for `extpps` writable: CAP_DAC_OVERRIDE is \
                             missing";
                explain(error, device, needs)
            })
        }
    }
}

/// A clock that is read when it is due.
struct Polled {
    line: RefClock,
    due: MonoNs,
    reader: Box<dyn Poll>,
    is_failing: bool,
}

/// A clock that is waited for.
struct Listened {
    line: RefClock,
    task: JoinHandle<()>,
}

impl Drop for Listened {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A reading, and the clock that it is of.
pub(crate) type ClockReading = (ReferenceId, Reading);

/// The reference clocks.
pub(crate) struct RefClocks {
    time: TimeBase,
    readings: mpsc::Sender<ClockReading>,
    polled: Vec<Polled>,
    listened: Vec<Listened>,
}

impl RefClocks {
    /// No clocks yet, and the end where the readings of those come out that are waited for.
    pub(crate) fn new(time: TimeBase) -> (Self, mpsc::Receiver<ClockReading>) {
        let (readings, receiver) = mpsc::channel(QUEUE_LEN);
        (Self { time, readings, polled: Vec::new(), listened: Vec::new() }, receiver)
    }

    /// Begins to read clocks; to be called within the runtime.
    ///
    /// # Errors
    /// When a descriptor can't be waited for.
    pub(crate) fn start(&mut self, opened: Vec<Opened>, now: MonoNs) -> io::Result<()> {
        for Opened { line, reader } in opened {
            match reader {
                Reader::Polled(reader) => {
                    self.polled.push(Polled { line, due: now, reader, is_failing: false });
                }
                Reader::Listened(descriptor, reader) => {
                    let id = line.options.refid;
                    let (time, readings) = (self.time.clone(), self.readings.clone());
                    let descriptor = Watched::new(descriptor)?;
                    let task = tokio::spawn(listen(id, descriptor, reader, time, readings));
                    self.listened.push(Listened { line, task });
                }
            }
        }
        Ok(())
    }

    /// Goes over to the clocks of another configuration: those in both are read on.
    ///
    /// # Errors
    /// The first new one that can't be opened; nothing is changed then.
    pub(crate) fn change(
        &mut self,
        wanted: &[Located<RefClock>],
        now: MonoNs,
    ) -> anyhow::Result<()> {
        let known = self.polled.iter().map(|it| &it.line);
        let known: Vec<_> = known.chain(self.listened.iter().map(|it| &it.line)).cloned().collect();
        let is_new = |line: &&Located<RefClock>| !known.iter().any(|it| is_same(it, &line.value));
        let new: Vec<_> = wanted.iter().filter(is_new).cloned().collect();
        let opened = open(&new)?;
        let stays = |line: &RefClock| wanted.iter().any(|it| is_same(&it.value, line));
        self.polled.retain(|it| stays(&it.line));
        self.listened.retain(|it| stays(&it.line));
        Ok(self.start(opened, now)?)
    }

    /// When a clock is to be read next.
    pub(crate) fn next_deadline(&self) -> Option<MonoNs> {
        self.polled.iter().map(|clock| clock.due).min()
    }

    /// Reads the clocks that are due.
    pub(crate) fn poll(&mut self, now: MonoNs) -> Vec<ClockReading> {
        let time = &self.time;
        let due = self.polled.iter_mut().filter(|clock| clock.due <= now);
        due.filter_map(|clock| clock.poll(now, time)).collect()
    }
}

impl Polled {
    fn poll(&mut self, now: MonoNs, time: &TimeBase) -> Option<ClockReading> {
        let interval = Duration::from_secs_f64(f64::from(self.line.options.dpoll_log2).exp2());
        let interval_ns = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        // In step, unless the thread was held up for longer.
        let next = self.due.after(interval_ns);
        self.due = if next > now { next } else { now.after(interval_ns) };
        let name = || clock_name(self.line.options.refid);
        match self.reader.read() {
            Ok(shown) => {
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("Reference clock {} can be read again", name());
                }
                shown.map(|shown| (self.line.options.refid, reading(&shown, time)))
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%error, "Reference clock {} can't be read", name());
                }
                None
            }
        }
    }
}

/// Whether two lines are read in the same way.
fn is_same(one: &RefClock, other: &RefClock) -> bool {
    one.driver == other.driver
        && (one.options.refid, one.options.dpoll_log2)
            == (other.options.refid, other.options.dpoll_log2)
}

/// Hands on what comes in, until the task is aborted or nobody takes it any more.
async fn listen(
    id: ReferenceId,
    mut descriptor: Watched<OwnedFd>,
    mut reader: Box<dyn Listen>,
    time: TimeBase,
    readings: mpsc::Sender<ClockReading>,
) {
    loop {
        let read = match descriptor.readable().await {
            Ok(()) => descriptor.get().and_then(|fd| reader.read(fd)),
            Err(error) => Err(error),
        };
        match read {
            Ok(Some(shown)) => {
                if readings.send((id, reading(&shown, &time))).await.is_err() {
                    return;
                }
            }
            Ok(None) => {}
            Err(error) => {
                let name = clock_name(id);
                return tracing::warn!(%error, "Reference clock {name} is lost");
            }
        }
    }
}

/// What a clock showed, against the clock that is steered.
fn reading(shown: &Shown, time: &TimeBase) -> Reading {
    let at = time.when(shown.at);
    let Shown { is_pulse, dispersion_s, leap, .. } = *shown;
    match shown.time {
        Some(time) => {
            let offset = ahead(time.to_ntp(), shown.ahead_s).since(at);
            Reading { at, offset, is_pulse, dispersion_s, leap }
        }
        None => Reading::pulse(at, dispersion_s),
    }
}

/// The time so many seconds later.
fn ahead(time: NtpTimestamp, seconds: f64) -> NtpTimestamp {
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    let bits = (seconds * 4_294_967_296.0).round() as i64;
    time + ntp_common::time::NtpDuration::from_bits(bits)
}

/// A leap second as programs tell of it; `None`: nothing that is known.
const fn leap_indicator(leap: i32) -> Option<LeapIndicator> {
    Some(match leap {
        0 => LeapIndicator::Normal,
        1 => LeapIndicator::Insert,
        2 => LeapIndicator::Delete,
        3 => LeapIndicator::Unsynchronised,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
