//! What the benchmark asks of the machine while it measures.

use std::fs;
use std::time::Instant;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::setsid;

/// Ticks of `/proc/stat` in a second: `USER_HZ`, proc(5).
const USER_HZ: f64 = 100.0;

/// Gives the benchmark and the servers that it starts a session of their own, which the scheduler lets run before all
/// others: `nice` counts only within a session (autogroups, sched(7)). Says what could not be had.
pub(crate) fn claim() -> Option<String> {
    // A session of its own is not ended from the terminal: it ends with whoever started it.
    let claimed = set_pdeathsig(Signal::SIGTERM).and_then(|()| setsid()).is_ok()
        && fs::write("/proc/self/autogroup", "-20").is_ok();
    let remark =
        "other sessions had the same right to the CPUs: the kernel gave no session of our own";
    (!claimed).then(|| remark.to_owned())
}

/// What a CPU had done at an instant.
pub(crate) struct Busy {
    cpu: usize,
    at: Instant,
    idle_s: f64,
}

impl Busy {
    /// Begins to count.
    pub(crate) fn since_now(cpu: usize) -> Self {
        Self { cpu, at: Instant::now(), idle_s: idle_s(cpu) }
    }

    /// How long the CPU has worked since, seconds: for whomever, in the kernel and outside.
    pub(crate) fn seconds(&self) -> f64 {
        let idle = idle_s(self.cpu) - self.idle_s;
        (self.at.elapsed().as_secs_f64() - idle).max(0.0)
    }
}

/// How long a CPU has had nothing to do or was not there, seconds: `/proc/stat`, proc(5).
fn idle_s(cpu: usize) -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let prefix = format!("cpu{cpu} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    [3, 4, 7].into_iter().filter_map(|index| ticks.get(index)).sum::<f64>() / USER_HZ
}
