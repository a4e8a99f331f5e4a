//! Threads of other programs and of the kernel: where they run.

use std::fs;
use std::io::Error;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use ntp_lab::run;

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Threads that are kept together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks(Vec<i32>);

impl Tasks {
    /// All threads of a process.
    pub(crate) fn of_process(pid: u32) -> Self {
        let folder = format!("/proc/{pid}/task");
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        Self(entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
    }

    /// The kernel's threads that poll interfaces of a name.
    pub(crate) fn napi(interface: &str) -> Self {
        let prefix = format!("napi/{interface}-");
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let is_one = |path: &Path| {
            fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with(&prefix))
        };
        let found = entries.filter(|entry| is_one(&entry.path()));
        Self(found.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
    }

    /// These without those of `others`.
    pub(crate) fn without(self, others: &Self) -> Self {
        Self(self.0.into_iter().filter(|task| !others.0.contains(task)).collect())
    }

    /// These and those.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Keeps all of them on one CPU.
    pub(crate) fn pin(&self, cpu: usize) -> Result<()> {
        let mut set = CpuSet::new();
        set.set(cpu)?;
        for &task in &self.0 {
            sched_setaffinity(Pid::from_raw(task), &set)
                .with_context(|| format!("cannot keep task {task} on CPU {cpu}"))?;
        }
        Ok(())
    }

    /// Has all of them run as soon as they have something to do, whoever has the CPU (`SCHED_FIFO`).
    pub(crate) fn go_first(&self) -> Result<()> {
        let parameters = libc::sched_param { sched_priority: 1 };
        for &task in &self.0 {
            // SAFETY: reads parameters that live during the call.
            let result =
                unsafe { libc::sched_setscheduler(task, libc::SCHED_FIFO, &raw const parameters) };
            if result < 0 {
                return Err(Error::last_os_error())
                    .with_context(|| format!("cannot have task {task} go first"));
            }
        }
        Ok(())
    }

    /// Has all of them run before what else there is on their CPU, as the benchmark itself and the servers do: a thread of
    /// the kernel that waits for these loses packets.
    pub(crate) fn hasten(&self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut command = Command::new("renice");
        command.args(["-n", "-20", "-p"]).args(self.0.iter().map(ToString::to_string));
        run(&mut command, PATIENCE)?.success()?;
        Ok(())
    }
}
