//! The guest itself: file systems, modules, the line to the host, and the switch.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use nix::kmod::init_module;
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use ntp_vm::image::{MODULE_ORDER, MODULES};
use ntp_vm::line::Line;

/// The serial port that QEMU hands to the host.
const WIRE: &str = "/dev/ttyS1";

/// File systems that programs expect, and where.
const FILE_SYSTEMS: [(&str, &str); 6] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/run"),
    ("tmpfs", "/tmp"),
    ("bpf", "/sys/fs/bpf"),
];

/// The line to the host.
#[derive(Debug)]
pub(crate) struct Wire(File);

impl Wire {
    pub(crate) fn open() -> Result<Self> {
        let port = OpenOptions::new().write(true).open(WIRE);
        Ok(Self(port.with_context(|| format!("cannot open {WIRE}"))?))
    }

    /// Nobody is there to be told of a line that is dead.
    pub(crate) fn tell(&mut self, line: &Line) {
        let _ = writeln!(self.0, "{}", line.write());
    }

    /// Waits until everything is out: a guest that is switched off forgets what it was about to say.
    pub(crate) fn drain(&self) {
        let _ = nix::sys::termios::tcdrain(&self.0);
    }
}

/// Mounts file systems.
pub(crate) fn mount_all() -> Result<()> {
    for (kind, at) in FILE_SYSTEMS {
        mount(Some(kind), at, Some(kind), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("cannot mount {kind}"))?;
    }
    // Programs know it by this name.
    let _ = symlink("/proc/self/fd", "/dev/fd");
    Ok(())
}

/// Loads the modules that scenarios need.
pub(crate) fn load_modules() -> Result<()> {
    let order = fs::read_to_string(MODULE_ORDER)?;
    for name in order.lines() {
        let module = fs::read(Path::new(MODULES).join(name))?;
        init_module(&module, c"").with_context(|| format!("cannot load module {name}"))?;
    }
    Ok(())
}

/// Lets this thread run before all others: its timestamps are those of a server that has nothing else to do.
pub(crate) fn hurry() {
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: `priority` is valid for reads during the call. Without it the thread is merely slower.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
}

/// Ends the guest. Returns only if the kernel refuses; that this process ends stops the guest then.
pub(crate) fn switch_off() -> ExitCode {
    let _ = reboot(RebootMode::RB_POWER_OFF);
    ExitCode::FAILURE
}
