//! The machine that a measurement was made on: figures mean nothing without.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// Exchanges between two CPUs in a measurement of their distance, and how many such measurements are made.
const EXCHANGES: u64 = 500;
const MEASUREMENTS: usize = 60;
/// Below this, nanoseconds one way, two CPUs share a cache.
const NEAR_NS: f64 = 120.0;

/// What is known of the machine.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// The kernel's release.
    pub kernel: String,
    /// The processor's name.
    pub processor: String,
    /// CPUs that this process may use.
    pub cpus: Vec<usize>,
    /// What the kernel reads the time from.
    pub clocksource: String,
    /// What chooses the processor's frequency, where that is known.
    pub governor: String,
    /// Nanoseconds from the first CPU to the second, one way; `None` with one CPU.
    pub distance_ns: Option<f64>,
}

impl Conditions {
    /// Looks at the machine; measures the distance of two CPUs for some milliseconds.
    #[must_use]
    pub fn read() -> Self {
        let line = |path: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            if text.is_empty() { "unknown".to_owned() } else { text.trim().to_owned() }
        };
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor =
            info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let cpus = cpus();
        Self {
            kernel: line("/proc/sys/kernel/osrelease"),
            processor: processor.map_or("unknown", |(_, name)| name).to_owned(),
            clocksource: line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            distance_ns: (cpus.len() > 1).then(|| distance_ns(cpus[0], cpus[1]).ok()).flatten(),
            cpus,
        }
    }

    /// The conditions as one line.
    #[must_use]
    pub fn line(&self) -> String {
        let distance = self.distance_ns.map_or(String::new(), |ns| {
            let word = if ns < NEAR_NS { "near" } else { "far" };
            format!(", {ns:.0} ns between the first two ({word})")
        });
        format!(
            "Linux {}, {}, {} CPUs{distance}, clocksource {}, governor {}",
            self.kernel,
            self.processor,
            self.cpus.len(),
            self.clocksource,
            self.governor
        )
    }

    /// The conditions for a program.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "kernel": self.kernel, "processor": self.processor, "cpus": self.cpus,
            "clocksource": self.clocksource, "governor": self.governor,
            "cpu_distance_ns": self.distance_ns,
            "cpus_are_near": self.distance_ns.map(|ns| ns < NEAR_NS),
        })
    }
}

/// The CPUs that this thread may use.
#[must_use]
pub fn cpus() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return vec![0] };
    (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).collect()
}

/// Keeps this thread on one CPU.
///
/// # Errors
/// There is no such CPU, or it is not to be used.
pub fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu).with_context(|| format!("CPU {cpu}"))?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("cannot use CPU {cpu}"))
}

/// How long a store of one CPU takes to be seen by another, nanoseconds: the least of several measurements.
///
/// # Errors
/// A CPU is not to be used.
pub fn distance_ns(one: usize, other: usize) -> Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..MEASUREMENTS {
        least = least.min(exchange(one, other)?.as_nanos() as f64 / (2 * EXCHANGES) as f64);
    }
    Ok(least)
}

fn exchange(one: usize, other: usize) -> Result<Duration> {
    let ball = AtomicU64::new(0);
    let deadline = Instant::now() + Duration::from_secs(1);
    let play = |cpu: usize, first: u64| -> Result<Duration> {
        pin(cpu)?;
        let start = Instant::now();
        for turn in 0..EXCHANGES {
            let mut spins = 0u32;
            while ball.load(Ordering::Acquire) != 2 * turn + first {
                std::hint::spin_loop();
                spins += 1;
                if spins.is_multiple_of(1 << 16) && Instant::now() > deadline {
                    anyhow::bail!("CPU {cpu} waited for the other too long");
                }
            }
            ball.store(2 * turn + first + 1, Ordering::Release);
        }
        Ok(start.elapsed())
    };
    std::thread::scope(|scope| {
        let second = scope.spawn(|| play(other, 1));
        let first = scope.spawn(|| play(one, 0));
        let _ = second.join();
        first.join().unwrap_or_else(|_| anyhow::bail!("a measuring thread panicked"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_complete_in_both_forms() {
        let conditions = Conditions {
            kernel: "6.1".to_owned(),
            processor: "P".to_owned(),
            cpus: vec![0, 1],
            clocksource: "tsc".to_owned(),
            governor: "unknown".to_owned(),
            distance_ns: Some(330.0),
        };
        let line = "Linux 6.1, P, 2 CPUs, 330 ns between the first two (far), clocksource tsc, governor unknown";
        assert_eq!(conditions.line(), line);
        assert_eq!(conditions.json()["cpus_are_near"], false);
    }
}
