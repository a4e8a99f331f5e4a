//! The generator of kernel frames: a program makes the requests inside the kernel, where a core makes millions a
//! second, from as many source addresses as are wanted; another takes the replies at the interface.

use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aya::Ebpf;
use aya::maps::{Array, DevMap, MapData, PerCpuArray, PerCpuValues};
use aya::programs::{ProgramFd, Xdp, XdpMode};
use aya::util::nr_cpus;
use nix::time::{ClockId, clock_gettime};
use ntp_common::load::{
    BUCKETS, EXPECTED_LATENCY_MASK, EXPECTED_MODE, EXPECTED_PORT, EXPECTED_SALT, EXPECTED_TOKEN_AT,
    Expected, PACE_CLIENT_OFFSET, PACE_END_NS, PACE_GRACE_NS, PACE_INTERVAL, PACE_SALT,
    PACE_START_NS, PROGRESS_FAILED, PROGRESS_KIND, PROGRESS_MOVED_NS, PROGRESS_SENT,
    PROGRESS_STALLS, Pace, Progress, SCHEDULE_LEN, SEEN_ANSWERED, SEEN_KISSED, SEEN_LEN,
    SEEN_STRANGE, TEMPLATES, Template, bucket_middle_ns,
};

use super::live;
use super::mix::{Kind, deal};
use super::outcome::{Count, MAX_NS, Outcome, Step};
use crate::conditions;
use crate::units::{nanos, whole};

/// From when all is set until the first request is due.
const LEAD: Duration = Duration::from_millis(10);
/// How long replies are waited for after the last request, how long after the last reply, and how often it is looked
/// whether more are there.
const LINGER: Duration = Duration::from_millis(500);
const QUIET: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(20);
/// A request may be late by so much before the schedule is moved.
const GRACE_NS: u64 = 100_000;
/// Runs of the program in one call: more than fit into a step. The kernel waits for some tens of milliseconds when a call
/// ends, in which nothing is sent, so that one call has to reach to the end, and a signal ends it there.
const RUNS: u32 = 1_000_000_000;
/// Octets of the frames before the program writes them: room for the longest.
const BLANK: [u8; 168] = [0; 168];

/// What replies look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replies {
    /// NTP's.
    Ntp,
    /// The requests themselves, sent back.
    Reflected,
}

/// The programs in the kernel. Dropping it takes the sink off the interface.
pub struct Frames {
    ebpf: Ebpf,
    generator: ProgramFd,
    cpus: Vec<usize>,
    salt: u64,
    is_native: bool,
}

/// What came back so far.
struct Seen {
    counters: [u64; SEEN_LEN],
    latency: Vec<u64>,
}

impl Frames {
    /// Loads the programs, attaches the sink to `interface`, in the driver where that is possible, and has the requests
    /// sent from `cpus`. The latency of one reply in `latency_every` is measured, a power of two. The network namespace is
    /// this thread's.
    ///
    /// # Errors
    /// The object is not built in, this process may not load it, or the interface has another program.
    pub fn open(
        interface: &str,
        server_port: u16,
        replies: Replies,
        latency_every: u32,
        cpus: &[usize],
    ) -> Result<Self> {
        let mut ebpf = Ebpf::load(object()?).context("the kernel refuses the load generator")?;
        let generator = program(&mut ebpf, "generate")?;
        generator.load().context("program generate")?;
        let generator = generator.fd()?.try_clone()?;
        let index = nix::net::if_::if_nametoindex(interface)
            .with_context(|| format!("there is no interface {interface}"))?;
        DevMap::try_from(ebpf.map_mut("INTERFACE").context("map INTERFACE")?)?
            .set(0, index, None, 0)
            .context("cannot redirect to the interface")?;
        let sink = program(&mut ebpf, "sink")?;
        sink.load().context("program sink")?;
        let is_native = sink.attach(interface, XdpMode::Driver).is_ok();
        if !is_native {
            sink.attach(interface, XdpMode::Skb)
                .with_context(|| format!("cannot attach the sink to {interface}"))?;
        }
        let salt = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0) & 0xffff;
        let mut frames = Self { ebpf, generator, cpus: cpus.to_vec(), salt, is_native };
        frames.expect(server_port, replies, latency_every)?;
        Ok(frames)
    }

    /// Whether the sink runs in the driver.
    #[must_use]
    pub const fn is_native(&self) -> bool {
        self.is_native
    }

    /// The token of a request that is sent as it is: it says of which run it is, and not when it was due.
    #[must_use]
    pub const fn fixed_token(&self) -> u64 {
        ntp_common::load::token(0, self.salt)
    }

    fn expect(&mut self, server_port: u16, replies: Replies, latency_every: u32) -> Result<()> {
        let (mode, token_at) = match replies {
            Replies::Ntp => (4, 24),
            Replies::Reflected => (3, 40),
        };
        let mut expected = Expected::default();
        expected[EXPECTED_PORT] = u64::from(server_port.to_be());
        expected[EXPECTED_MODE] = mode;
        expected[EXPECTED_TOKEN_AT] = token_at;
        expected[EXPECTED_SALT] = self.salt;
        expected[EXPECTED_LATENCY_MASK] = u64::from(latency_every.saturating_sub(1));
        let map = self.ebpf.map_mut("EXPECTED").context("map EXPECTED")?;
        Ok(Array::<_, Expected>::try_from(map)?.set(0, expected, 0)?)
    }

    /// Says what is sent: templates, each with its share.
    ///
    /// # Errors
    /// There are too many templates, or none.
    pub fn load(&mut self, templates: &[(Template, f64)]) -> Result<()> {
        if templates.is_empty() || templates.len() > TEMPLATES as usize {
            bail!("{} requests in the mix; 1 to {TEMPLATES} are possible", templates.len());
        }
        let map = self.ebpf.map_mut("TEMPLATE").context("map TEMPLATE")?;
        let mut map: Array<_, Template> = Array::try_from(map)?;
        for (index, (template, _)) in (0..).zip(templates) {
            map.set(index, template, 0)?;
        }
        let shares: Vec<f64> = templates.iter().map(|(_, share)| *share).collect();
        let map = self.ebpf.map_mut("SCHEDULE").context("map SCHEDULE")?;
        let mut map: Array<_, u32> = Array::try_from(map)?;
        for (turn, index) in (0..).zip(deal(&shares, SCHEDULE_LEN as usize)) {
            map.set(turn, u32::try_from(index)?, 0)?;
        }
        Ok(())
    }

    /// Sends a step and waits for its replies; `watch` is called meanwhile and returns when the function that it is
    /// given says so.
    ///
    /// # Errors
    /// The kernel refuses to run the program, or a CPU is not to be used.
    pub fn step(&mut self, step: Step, watch: impl FnOnce(&dyn Fn() -> bool)) -> Result<Outcome> {
        let before = self.seen()?;
        let (start_ns, end_ns) = self.prepare(step)?;
        let (program, cpus) = (&self.generator, &self.cpus);
        let processor_ns = thread::scope(|scope| {
            let senders: Vec<_> = cpus
                .iter()
                .map(|&cpu| scope.spawn(move || send(program, cpu, end_ns, step.rate)))
                .collect();
            watch(&|| senders.iter().all(thread::ScopedJoinHandle::is_finished));
            let ended = senders
                .into_iter()
                .map(|sender| sender.join().unwrap_or_else(|_| bail!("a sender panicked")));
            ended.sum::<Result<u64>>()
        })?;
        let mut outcome = self.await_replies(step, end_ns - start_ns, &before)?;
        outcome.processor_s = Some(processor_ns as f64 * 1e-9);
        Ok(outcome)
    }

    /// What became of a step when nothing more comes. Where nothing has come at all, the way may be long.
    fn await_replies(&self, step: Step, sent_for_ns: u64, before: &Seen) -> Result<Outcome> {
        let interval = step.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        let (end, quiet) = (Instant::now() + LINGER, QUIET.max(interval * 2));
        let (mut answered, mut last) = (0, Instant::now());
        loop {
            thread::sleep(LOOK);
            let (outcome, now) = (self.outcome(step, sent_for_ns, before)?, Instant::now());
            if outcome.answered() != answered {
                (answered, last) = (outcome.answered(), now);
            }
            let is_quiet = answered > 0 && now >= last + quiet;
            if outcome.lost() == 0 || is_quiet || now >= end {
                return Ok(outcome);
            }
        }
    }

    /// Sets every CPU's pace; gives when the first request is due and when the last may be, nanoseconds.
    fn prepare(&mut self, step: Step) -> Result<(u64, u64)> {
        let (all, count) = (
            nr_cpus().map_err(|(what, error)| anyhow::anyhow!("{what}: {error}"))?,
            self.cpus.len(),
        );
        let map = self.ebpf.map_mut("PROGRESS").context("map PROGRESS")?;
        let mut progress: PerCpuArray<_, Progress> = PerCpuArray::try_from(map)?;
        progress.set(0, PerCpuValues::try_from(vec![Progress::default(); all])?, 0)?;
        let start_ns = now_ns() + nanos(LEAD);
        let end_ns = start_ns + nanos(step.duration);
        let interval = step.rate.map_or(0.0, |rate| 1e9 / rate);
        let mut paces: Vec<Pace> = vec![[0; 8]; all];
        for (place, cpu) in self.cpus.iter().enumerate() {
            let pace = paces.get_mut(*cpu).with_context(|| format!("there is no CPU {cpu}"))?;
            pace[PACE_START_NS] = start_ns + whole(interval * place as f64);
            pace[PACE_END_NS] = end_ns;
            pace[PACE_INTERVAL] = whole(interval * count as f64 * 65536.0);
            pace[PACE_SALT] = self.salt;
            pace[PACE_GRACE_NS] = GRACE_NS + whole(interval * count as f64);
            pace[PACE_CLIENT_OFFSET] = (place as u64) << 40;
        }
        let map = self.ebpf.map_mut("PACE").context("map PACE")?;
        let mut pace: PerCpuArray<_, Pace> = PerCpuArray::try_from(map)?;
        pace.set(0, PerCpuValues::try_from(paces)?, 0)?;
        Ok((start_ns, end_ns))
    }

    fn outcome(&self, step: Step, sent_for_ns: u64, before: &Seen) -> Result<Outcome> {
        let map = self.ebpf.map("PROGRESS").context("map PROGRESS")?;
        let progress: PerCpuArray<&MapData, Progress> = PerCpuArray::try_from(map)?;
        let progress = progress.get(&0, 0)?;
        let total = |index: usize| progress.iter().map(|cpu| cpu[index]).sum::<u64>();
        let seen = self.seen()?;
        let came = |index: usize| seen.counters[index] - before.counters[index];
        let mut outcome = Outcome::new(step);
        outcome.seconds = sent_for_ns as f64 * 1e-9;
        outcome.strange = came(SEEN_STRANGE);
        outcome.failed = total(PROGRESS_FAILED);
        outcome.stalls = total(PROGRESS_STALLS);
        outcome.stalled_ns = total(PROGRESS_MOVED_NS);
        for kind in Kind::ALL {
            let count = Count {
                sent: total(PROGRESS_KIND + kind as usize),
                answered: came(SEEN_ANSWERED + kind as usize),
                kissed: came(SEEN_KISSED + kind as usize),
            };
            if count != Count::default() {
                outcome.kinds.push((kind, count));
            }
        }
        debug_assert!(total(PROGRESS_SENT) >= outcome.sent(), "kinds are parts of the whole");
        for (bucket, (now, then)) in seen.latency.iter().zip(&before.latency).enumerate() {
            let middle = bucket_middle_ns(bucket).clamp(1, MAX_NS);
            outcome.latency.saturating_record_n(middle, now - then);
        }
        Ok(outcome)
    }

    fn seen(&self) -> Result<Seen> {
        let sums = |name: &'static str, len: usize| -> Result<Vec<u64>> {
            let map = self.ebpf.map(name).context(name)?;
            let map: PerCpuArray<&MapData, u64> = PerCpuArray::try_from(map)?;
            let sum = |index| Ok(map.get(&index, 0)?.iter().sum());
            (0..u32::try_from(len)?).map(sum).collect()
        };
        let mut counters = [0; SEEN_LEN];
        counters.copy_from_slice(&sums("SEEN", SEEN_LEN)?);
        Ok(Seen { counters, latency: sums("LATENCY", BUCKETS)? })
    }
}

/// Sends from one CPU until the end; gives the processor time that it took, nanoseconds.
fn send(program: &ProgramFd, cpu: usize, end_ns: u64, rate: Option<f64>) -> Result<u64> {
    conditions::pin(cpu)?;
    // Redirected frames wait for the end of a batch: small ones keep a slow pace even.
    let batch = match rate {
        Some(rate) if rate < 600e3 => 8,
        Some(rate) if rate < 1.5e6 => 32,
        Some(rate) if rate >= 3e6 => 128,
        Some(_) | None => 64,
    };
    let _end = live::end_at(end_ns).context("no timer to end a step with")?;
    let before_ns = clock_ns(ClockId::CLOCK_THREAD_CPUTIME_ID);
    while now_ns() < end_ns {
        live::run(program.as_fd(), &BLANK, RUNS, batch)
            .context("the kernel does not send frames of its own (Linux 5.18 does)")?;
    }
    Ok(clock_ns(ClockId::CLOCK_THREAD_CPUTIME_ID) - before_ns)
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name).with_context(|| format!("program {name}"))?;
    Ok(program.try_into()?)
}

fn now_ns() -> u64 {
    clock_ns(ClockId::CLOCK_MONOTONIC)
}

fn clock_ns(clock: ClockId) -> u64 {
    // Both clocks that are read here are always there.
    clock_gettime(clock).map_or(0, |time| nanos(Duration::from(time)))
}

/// The eBPF object, aligned as its reader wants it.
#[cfg(ntp_xdp_load_object)]
#[expect(clippy::unnecessary_wraps, reason = "a build without the object has none to give")]
fn object() -> Result<&'static [u8]> {
    Ok(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/load.o")))
}

#[cfg(not(ntp_xdp_load_object))]
fn object() -> Result<&'static [u8]> {
    bail!(
        "kernel frames are not built in: `cargo xtask build-ebpf` makes them; `--generator sockets` does without"
    )
}
