//! The project's package under systemd: installed beside another time daemon, takes its place, is reloaded, killed,
//! stopped dead, upgraded, removed and purged, while it is asked all the time.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ntp_lab::query::{Client, EXTENSION_FIELD};
use ntp_lab::run;
use ntp_vm::system::{FIRST, SECOND};

use crate::client::ask;
use crate::guest::{Guest, World};
use crate::network::{INTERFACE, PEER, UPSTREAM_PORT};
use crate::truth::Truth;

const UNIT: &str = "ntp-xdpd.service";
const CONFIGURATION: &str = "/etc/ntp-xdp/ntp-xdp.conf";

/// Where chrony keeps its state, which belongs to a user of its own.
const CHRONYS_FOLDER: &str = "/var/lib/chrony";
const CHRONYS_USER: &str = "999";
const DRIFT: &str = "/var/lib/chrony/chrony.drift";

/// How long a command, or what it leads to, may take in a guest that gets little of its machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reloads under load.
const RELOADS: usize = 5;

/// Capabilities that the unit grants, by their numbers: those of files (1, 0) and users (6, 7), low ports (10), the
/// network (12), locked memory (14), priorities (23), the clock (25), and of eBPF (38, 39).
const GRANTED: [u32; 11] = [1, 0, 6, 7, 10, 12, 14, 23, 25, 38, 39];

pub(crate) fn play(guest: &mut Guest) -> Result<()> {
    let world = World::open(Truth::ahead_of_system(0))?;
    let played = life(guest, &world);
    if played.is_err() {
        let words = ["--no-pager", "--output=short-monotonic", "--lines=200"];
        guest.keep(said("journalctl", &words).unwrap_or_default());
    }
    played
}

fn life(guest: &mut Guest, world: &World) -> Result<()> {
    install(guest)?;
    world.synchronised()?;
    rights(guest)?;

    let everything: [(&Client, &[u8]); 2] = [(&world.v4, &[]), (&world.v4, &EXTENSION_FIELD)];
    let reloaded = under_load(world, &everything, || {
        (0..RELOADS).try_for_each(|_| systemctl(&["reload", UNIT]).map(drop))
    })?;
    guest.count("unanswered_at_reloads", reloaded.unanswered);
    guest.count("asked_at_reloads", reloaded.asked);

    let in_kernel: [(&Client, &[u8]); 1] = [(&world.v4, &[])];
    let killed = under_load(world, &in_kernel, || {
        let first = main_process()?;
        kill(first, Signal::SIGKILL)?;
        replaced(first)
    })?;
    guest.count("unanswered_at_kill", killed.unanswered);

    fs::create_dir_all("/run/systemd/system/ntp-xdpd.service.d")?;
    // A second is what an emulated processor may be kept from its work.
    let impatient = "[Service]\nWatchdogSec=5s\n";
    fs::write("/run/systemd/system/ntp-xdpd.service.d/impatient.conf", impatient)?;
    systemctl(&["daemon-reload"])?;
    systemctl(&["restart", UNIT])?;
    let hung = main_process()?;
    kill(hung, Signal::SIGSTOP)?;
    replaced(hung)?;
    guest.figure("restarts_by_watchdog", 1.0);

    let before = main_process()?;
    let upgraded = under_load(world, &in_kernel, || {
        said("dpkg", &["--install", SECOND])?;
        replaced(before)
    })?;
    guest.count("unanswered_at_upgrade", upgraded.unanswered);
    let version = said("dpkg-query", &["--show", "--showformat", "${Version}", "ntp-xdp"])?;
    ensure!(version.contains("second"), "{version} after the upgrade");
    let kept = fs::read_to_string(CONFIGURATION)?.contains(PEER.to_string().as_str());
    guest.count("configuration_kept", usize::from(kept));
    guest.count("drift_kept", usize::from(Path::new(DRIFT).exists()));
    world.synchronised()?;

    removal(guest)
}

/// Installs the package beside a time daemon that is at work, and has it take its place.
fn install(guest: &mut Guest) -> Result<()> {
    fs::create_dir_all(CHRONYS_FOLDER)?;
    said("chown", &[CHRONYS_USER, CHRONYS_FOLDER])?;
    said("chmod", &["750", CHRONYS_FOLDER])?;
    systemctl(&["start", "chrony.service"])?;
    let printed = said("dpkg", &["--install", FIRST])?;
    ensure!(printed.contains("another daemon keeps the clock"), "{printed}");
    guest.count("started_beside_another", usize::from(is_active(UNIT)?));
    let configuration = format!(
        "server {PEER} port {UPSTREAM_PORT} iburst minpoll 0 maxpoll 0\nmakestep 1 3\nallow\n\
         driftfile {DRIFT}\ndumpdir /var/lib/ntp-xdp\nlogdir /var/log/ntp-xdp\nlog tracking\n\
         pidfile /run/ntp-xdpd.pid\nxdp {INTERFACE} mode native holdover 30\n"
    );
    fs::write(CONFIGURATION, configuration)?;
    systemctl(&["enable", "--now", UNIT])?;
    ensure!(is_active(UNIT)?, "not active after it was started");
    guest.count("others_left", usize::from(is_active("chrony.service")?));
    Ok(())
}

/// What the process may do, by the kernel's account.
fn rights(guest: &mut Guest) -> Result<()> {
    let status = fs::read_to_string(format!("/proc/{}/status", main_process()?))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim).with_context(|| format!("no {name} in {status}"))
    };
    let granted = GRANTED.iter().fold(0u64, |set, bit| set | 1 << bit);
    for (figure, name) in [("capabilities_beyond", "CapBnd:"), ("effective_beyond", "CapEff:")] {
        let held = u64::from_str_radix(field(name)?, 16)?;
        guest.figure(figure, f64::from((held & !granted).count_ones()));
    }
    let held = u64::from_str_radix(field("CapEff:")?, 16)?;
    guest.figure("may_set_clock", f64::from(u8::from(held >> 25 & 1 == 1)));
    guest.figure("seccomp_mode", field("Seccomp:")?.parse()?);
    guest.figure("no_new_privileges", field("NoNewPrivs:")?.parse()?);
    Ok(())
}

fn removal(guest: &mut Guest) -> Result<()> {
    said("dpkg", &["--remove", "ntp-xdp"])?;
    ensure!(!is_active(UNIT)?, "active after its removal");
    let link = said("ip", &["link", "show", INTERFACE])?;
    guest.count("programs_left", link.matches("prog/xdp").count());
    guest.count("configuration_left", usize::from(Path::new(CONFIGURATION).exists()));
    said("dpkg", &["--purge", "ntp-xdp"])?;
    let places = [
        "/etc/ntp-xdp",
        "/etc/default/ntp-xdpd",
        "/var/lib/ntp-xdp",
        "/var/log/ntp-xdp",
        "/usr/sbin/ntp-xdpd",
        "/etc/systemd/system/multi-user.target.wants/ntp-xdpd.service",
        "/sys/fs/bpf/ntp-xdp",
    ];
    let left: Vec<&str> = places.into_iter().filter(|place| Path::new(place).exists()).collect();
    ensure!(left.is_empty(), "a purge left {left:?}");
    guest.count("left_by_purge", left.len());
    Ok(())
}

/// What became of requests.
struct Load {
    asked: usize,
    unanswered: usize,
}

/// Does `work` while requests with these trailers are sent, one after the other, and some after it.
fn under_load(
    world: &World,
    kinds: &[(&Client, &[u8])],
    work: impl FnOnce() -> Result<()>,
) -> Result<Load> {
    let (is_over, asked, unanswered) =
        (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let load = || -> Result<()> {
        while !is_over.load(Ordering::Relaxed) {
            for (client, trailer) in kinds {
                let told = ask(client, &world.truth, trailer)?;
                asked.fetch_add(1, Ordering::Relaxed);
                unanswered.fetch_add(usize::from(told.is_none()), Ordering::Relaxed);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let asking = scope.spawn(load);
        let worked = work();
        std::thread::sleep(Duration::from_millis(200));
        is_over.store(true, Ordering::Relaxed);
        asking.join().map_err(|_| anyhow::anyhow!("who asked panicked"))??;
        worked
    })?;
    Ok(Load { asked: asked.into_inner(), unanswered: unanswered.into_inner() })
}

/// Waits until systemd has another process of the unit, which is ready.
fn replaced(before: Pid) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_active(UNIT)? || main_process()? == before {
        ensure!(Instant::now() < deadline, "not started again: {}", systemctl(&["status", UNIT])?);
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn main_process() -> Result<Pid> {
    let shown = systemctl(&["show", "--property", "MainPID", "--value", UNIT])?;
    let number = shown.trim().parse().with_context(|| shown.clone())?;
    Ok(Pid::from_raw(number))
}

fn is_active(unit: &str) -> Result<bool> {
    let shown = systemctl(&["show", "--property", "ActiveState", "--value", unit])?;
    Ok(shown.trim() == "active")
}

fn systemctl(words: &[&str]) -> Result<String> {
    said("systemctl", words)
}

/// What a program says that succeeds.
fn said(program: &str, words: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(words).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
    Ok(run(&mut command, PATIENCE)?.success()?.output)
}
