//! Reference clocks whose drivers are other processes: this one writes what gpsd and ntpd's drivers write, in their
//! layouts, and chronyc is told what comes of it.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{io, ptr};

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ntp_lab::scene::{SERVER, Scene};
use ntp_lab::{Chronyc, Told, Way, command_socket, peers};

use crate::played::{Played, answer, until};
use crate::trial::Needs::{Chronyc as ChronycNeeded, Namespaces};
use crate::trial::{daemon, trial};

/// What the clocks are ahead of the machine's, seconds.
const AHEAD_S: f64 = 0.25;
/// How often they show the time.
const INTERVAL: Duration = Duration::from_millis(100);
/// The key of segment 0.
const KEY: i32 = 0x4e54_5030;

pub(crate) fn trials() -> Vec<Trial> {
    let needs = &[Namespaces, ChronycNeeded];
    vec![
        trial("clock in shared memory is followed, lost and found again", needs, shared_memory),
        trial("clock that sends to a socket is followed", needs, socket),
        trial("clock that is not there is named at the start", &[Namespaces], missing),
    ]
}

/// What a thread of this process shows, until it is dropped.
pub(crate) struct Shows {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Shows {
    /// Has the time be shown again and again.
    pub(crate) fn time(mut show: impl FnMut(SystemTime) + Send + 'static) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                show(SystemTime::now());
                std::thread::sleep(INTERVAL);
            }
        });
        Self { ends, thread: Some(thread) }
    }
}

impl Drop for Shows {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// A segment as ntpd's driver 28 has it, twelve words of eight octets.
struct Segment {
    id: i32,
    words: *mut i32,
}

// SAFETY: the segment is attached to the process, whichever thread writes to it.
unsafe impl Send for Segment {}
// SAFETY: as before; one thread writes at a time.
unsafe impl Sync for Segment {}

impl Segment {
    const LEN: usize = 96;

    fn make(unit: i32) -> Result<Self> {
        // SAFETY: the call takes integers.
        let id = unsafe { libc::shmget(KEY + unit, Self::LEN, libc::IPC_CREAT | 0o600) };
        ensure!(id >= 0, "no segment: {}", io::Error::last_os_error());
        // SAFETY: the kernel chooses the place.
        let words = unsafe { libc::shmat(id, ptr::null(), 0) };
        ensure!(words.addr() != usize::MAX, "not attached: {}", io::Error::last_os_error());
        Ok(Self { id, words: words.cast() })
    }

    /// Writes an `int` at an offset in octets.
    fn int(&self, octets: usize, value: i32) {
        // SAFETY: the segment is attached, and the callers stay within it.
        let place = unsafe { self.words.byte_add(octets) };
        // SAFETY: as before.
        unsafe { place.write_volatile(value) };
    }

    fn long(&self, octets: usize, value: i64) {
        let [low, high] = [0, 32].map(|shift| (value >> shift & 0xffff_ffff) as i32);
        self.int(octets, low);
        self.int(octets + 4, high);
    }

    /// Shows `time` at `now`, in mode 0 or 1; `count` is that of samples so far.
    fn show(&self, mode: i32, count: i32, (time, now): (Duration, Duration)) {
        let (clock_s, received_s) = (time.as_secs().cast_signed(), now.as_secs().cast_signed());
        self.int(48, 0);
        self.int(0, mode);
        self.int(4, 2 * count + 1);
        self.long(8, clock_s);
        self.int(16, time.subsec_micros().cast_signed());
        self.long(24, received_s);
        self.int(32, now.subsec_micros().cast_signed());
        self.int(36, 0);
        self.int(40, -20);
        self.int(52, time.subsec_nanos().cast_signed());
        self.int(56, now.subsec_nanos().cast_signed());
        self.int(4, 2 * count + 2);
        self.int(48, 1);
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: it was attached there.
        unsafe { libc::shmdt(self.words.cast()) };
        // SAFETY: the call takes integers and no structure.
        unsafe { libc::shmctl(self.id, libc::IPC_RMID, ptr::null_mut()) };
    }
}

fn unix(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A message as gpsd sends it: `struct timeval`, `double`, `int`s.
pub(crate) fn message(now: SystemTime, ahead_s: f64) -> Vec<u8> {
    let now = unix(now);
    let mut octets = Vec::new();
    octets.extend(now.as_secs().to_ne_bytes());
    octets.extend(u64::from(now.subsec_micros()).to_ne_bytes());
    octets.extend(ahead_s.to_ne_bytes());
    for int in [0i32, 0, 0, 0x534f_434b] {
        octets.extend(int.to_ne_bytes());
    }
    octets
}

struct Asked {
    played: Played,
    chronyc: Chronyc,
    way: Way,
}

impl Asked {
    fn open(scene: Scene, directives: &str) -> Result<Self> {
        let played = Played::open_in(scene, directives)?;
        let way = command_socket(&played.scene.lab, &played.scene.server).into();
        Ok(Self { played, chronyc: peers::chronyc().context("chronyc is gone")?, way })
    }

    fn give(&self, command: &str) -> Result<Told> {
        self.chronyc.give(&self.played.scene.server, &self.way, command)?.success()
    }

    /// The row of the only source.
    fn source(&self) -> Result<Vec<String>> {
        self.give("sources")?.rows().into_iter().next().context("no source")
    }

    fn state(&self) -> Result<String> {
        Ok(self.source()?[1].clone())
    }
}

/// What chronyc says of a clock that is followed, and the time that is served.
fn check_followed(asked: &Asked, name: &str) -> Result<()> {
    let id = name.bytes().fold(String::new(), |id, octet| id + &format!("{octet:02X}"));
    // One that has just been lost is still the selected one.
    let is_followed = || Ok(asked.state()? == "*" && asked.source()?[5] != "0");
    until("the clock is followed", is_followed).with_context(|| asked.played.daemon.log())?;
    let source = asked.source()?;
    ensure!(source[..4] == ["#", "*", name, "0"], "{source:?}");
    let tracking = asked.give("tracking")?.rows().remove(0);
    ensure!(tracking[0].starts_with(&id) && tracking[1] == name, "{tracking:?}");
    ensure!(tracking[2] == "1", "{tracking:?}");
    let statistics = asked.give("sourcestats")?.rows().remove(0);
    ensure!(statistics[0] == name, "{statistics:?}");
    ensure!(asked.give("selectdata")?.rows()[0][1] == name);
    ensure!(asked.give("activity")?.rows()[0] == ["0", "0", "0", "0", "0"], "no server is asked");
    let answered = answer(&asked.played.client(SERVER.v4)?)?;
    let now = unix(SystemTime::now()).as_secs_f64();
    let (seconds, nanos) = answered.header.transmit_timestamp.to_unix(1 << 31);
    #[expect(clippy::cast_precision_loss, reason = "compared to a tenth of a second")]
    let ahead_s = seconds as f64 + f64::from(nanos) * 1e-9 - now;
    ensure!((ahead_s - AHEAD_S).abs() < 0.1, "served time is {ahead_s} s ahead");
    let octets = answered.header.reference_id.to_octets();
    ensure!(answered.header.stratum == 1 && octets.starts_with(name.as_bytes()), "{octets:?}");
    Ok(())
}

fn shared_memory() -> Result<()> {
    let unit = i32::try_from(std::process::id() % 100)? + 100;
    let directives = format!("refclock SHM {unit} refid GPS poll -1 dpoll -4\nallow\n");
    // The daemon may come first or last: whoever does makes it.
    let asked = Asked::open(Scene::open()?, &directives)?;
    let segment = Arc::new(Segment::make(unit)?);
    for mode in [1, 0] {
        let (segment, mut count) = (Arc::clone(&segment), 0);
        let shows = Shows::time(move |now| {
            let (now, ahead) = (unix(now), Duration::from_secs_f64(AHEAD_S));
            segment.show(mode, count, (now + ahead, now));
            count += 1;
        });
        check_followed(&asked, "GPS")?;
        drop(shows);
        until("the clock that shows nothing is out of reach", || Ok(asked.source()?[5] == "0"))?;
    }
    let log = asked.played.daemon.log();
    ensure!(log.contains("Reference clock GPS gives no samples: nothing was read"), "{log}");
    ensure!(log.contains("Reference clock GPS gives samples"), "{log}");
    Ok(())
}

fn socket() -> Result<()> {
    let scene = Scene::open()?;
    let path: PathBuf = scene.lab.folder().join("gps.sock");
    // One that was left behind gives way.
    drop(UnixDatagram::bind(&path)?);
    let directives = format!("refclock SOCK {} refid SCK poll -1\nallow\n", path.display());
    let asked = Asked::open(scene, &directives)?;
    let sender = UnixDatagram::unbound()?;
    for rubbish in [&[][..], &[0; 39], &[0; 40], &[255; 41], &[7; 2000]] {
        sender.send_to(rubbish, &path)?;
    }
    let to = path.clone();
    let shows = Shows::time(move |now| drop(sender.send_to(&message(now, AHEAD_S), &to)));
    check_followed(&asked, "SCK")?;
    drop(shows);
    let log = asked.played.daemon.log();
    ensure!(log.matches("is no sample").count() == 1, "{log}");
    Ok(())
}

fn missing() -> Result<()> {
    let scene = Scene::open()?;
    for (line, what) in [
        ("refclock PPS /dev/no-such-pps refid GPS", "cannot open reference clock GPS"),
        ("refclock PHC lo", "the interface has no clock"),
        ("refclock SOCK /no/such/folder/x", "cannot open reference clock SOC0"),
    ] {
        let refused = daemon()?.refuse(&scene.lab, &scene.server, &format!("{line}\n"))?;
        ensure!(!refused.status.success(), "{line}: {refused:?}");
        ensure!(refused.output.contains(what), "{line}: {refused:?}");
    }
    Ok(())
}
