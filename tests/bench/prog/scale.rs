//! `cargo xtask bench scale`: what a packet costs while one CPU answers, and while two do at the same time, out of the
//! same maps. Where nothing is shared that CPUs wait for, it is the same.

use std::sync::Barrier;
use std::thread;

use anyhow::{Context, Result, ensure};
use aya::programs::ProgramFd;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::again::Again;
use crate::subjects::{Measured, Requests, Subject};
use crate::world::running;
use crate::{Measurements, check_counters};

/// Pairs of measurements: one CPU, then two.
const ROUNDS: usize = 61;
/// Packets in a measurement: long enough that both CPUs begin and end at about the same time.
const PACKETS: u32 = 100_000;

/// What is measured: a reflector, an answer, and one with everything on.
pub(crate) const SUBJECTS: [&str; 3] = ["reflect_clock", "answer_v4", "answer_v4_full_10k"];

/// A CPU with the programs that run the measured one on it.
struct Worker {
    cpu: usize,
    again: Again,
    frame: Vec<u8>,
}

/// Measures; gives for each subject its cost on one CPU and on two.
pub(crate) fn measure(subjects: &mut [Subject]) -> Result<Vec<(Measurements, Measurements)>> {
    let cpus = two_cpus()?;
    let mut results = Vec::new();
    for subject in &mut *subjects {
        let mut workers = [worker(cpus[0], subject, 0)?, worker(cpus[1], subject, 1)?];
        let program = match &mut subject.program {
            Measured::Reference(name) => workers[0].again.program(name)?,
            Measured::Server(server) => {
                server.page.publish(&running());
                server.descriptor()?
            }
        };
        let mut costs = [Vec::new(), Vec::new()];
        for round in 0..=ROUNDS {
            let [first, _] = &mut workers;
            let alone = together(std::slice::from_mut(first), subject.wrapper, &program)?;
            let both = together(&mut workers, subject.wrapper, &program)?;
            // The first round lets every client have its record.
            if round > 0 {
                costs[0].push(alone);
                costs[1].push(both);
            }
        }
        check_counters(subject)?;
        let [alone, both] = costs.map(|ns| Measurements::new(subject.name, ns));
        results.push((alone, both));
    }
    Ok(results)
}

/// Nanoseconds a packet, the mean of all workers, which run at the same time.
fn together(workers: &mut [Worker], wrapper: &str, program: &ProgramFd) -> Result<f64> {
    let (start, count) = (Barrier::new(workers.len()), workers.len());
    let costs = thread::scope(|scope| {
        let threads: Vec<_> = workers
            .iter_mut()
            .map(|worker| scope.spawn(|| worker.run(wrapper, program, &start)))
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum::<Result<f64>>()
    })?;
    #[expect(clippy::cast_precision_loss, reason = "two at most")]
    Ok(costs / count as f64)
}

impl Worker {
    /// Runs the program, after what it is called by alone, whose cost is taken off.
    fn run(&mut self, wrapper: &str, program: &ProgramFd, start: &Barrier) -> Result<f64> {
        let mut cpu = CpuSet::new();
        cpu.set(self.cpu)?;
        sched_setaffinity(Pid::from_raw(0), &cpu)?;
        let empty = self.again.program("empty")?;
        self.again.set_measured(&empty)?;
        start.wait();
        let around = self.again.run(wrapper, &self.frame, PACKETS)?;
        let bare = self.again.run("empty", &self.frame, PACKETS)?;
        self.again.set_measured(program)?;
        start.wait();
        Ok(self.again.run(wrapper, &self.frame, PACKETS)? - around + bare)
    }
}

/// A worker with every second client: the network sends what one host asks to one queue.
fn worker(cpu: usize, subject: &Subject, first: usize) -> Result<Worker> {
    let mut again = Again::load()?;
    let frame = match &subject.requests {
        Requests::Frames(frames) => {
            again.set_frames(frames)?;
            frames[0].clone()
        }
        Requests::Many(senders) => {
            let own: Vec<u64> = senders.iter().copied().skip(first).step_by(2).collect();
            again.set_senders(&own)?
        }
    };
    Ok(Worker { cpu, again, frame })
}

/// Two CPUs that this process may run on.
fn two_cpus() -> Result<[usize; 2]> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let cpus: Vec<usize> =
        (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false)).collect();
    ensure!(cpus.len() >= 2, "there is one CPU alone");
    Ok([cpus[0], *cpus.last().context("no CPU")?])
}
