//! What a CPU answers: the user path beside chrony and a bare responder, with signed requests, with two threads on two
//! CPUs; and XDP, in the driver and behind it.
//!
//! Everything is on one CPU: the generator makes requests there whenever the server has nothing to do, so that none is
//! lost and a CPU's time goes into requests, answers and nothing else. It repeats well, as `inline` does.

use std::fs;
use std::io::Error;
use std::time::Duration;

use anyhow::{Context, Result};
use ntp_lab::{NtpXdpd, Profile, workspace};
use ntp_xdp::load::Test;
use ntp_xdp::load::outcome::Step;
use serde_json::json;

use crate::field::{Field, LOAD_CPU, Polling, SERVER_CPU};
use crate::servers::{Candidate, Running, SETTLE, bare_responder, chronyd};
use crate::table::Table;

/// How long a subject is run in a round.
const DURATION: Duration = Duration::from_millis(500);

/// A limit of every client's rate that no client of this load is over, and rules that must be looked up.
const EVERYTHING: &str = "ratelimit interval -10 burst 255\ndeny 10.250.0.0/16\nallow 10.250.7.0/24\n\
                          deny 10.251.3.128/25\nallow 10.128.0.0/16\ndeny 2001:db8:7::/48\n";

/// A server in a field of its own, and what it is asked.
struct Subject {
    name: &'static str,
    test: Test,
    /// The most answers a second in any round.
    best: f64,
    rates: Vec<f64>,
    server: Running,
    // Dropped after what runs in it.
    field: Field,
}

pub(crate) fn run(table: &mut Table, tries: usize) -> Result<()> {
    let daemon = NtpXdpd::build(Profile::Release)?;
    let keys = keys()?;
    let signed = format!("--mix mac --keyfile {keys} --key 1");
    let everything = format!("{EVERYTHING}keyfile {keys}\n");
    let (chronyd, one) = (chronyd()?, Candidate::user("one thread", &daemon, 1));
    let full = one.with("one thread, everything on", &everything);
    let threads = format!("serverthreads 2 cpus {LOAD_CPU},{SERVER_CPU}\n{everything}");
    let two = Candidate { directives: threads, ..one.with("two threads, everything on", "") };
    let mut subjects = [
        Subject::open(&chronyd, "", 1)?,
        Subject::open(&bare_responder(), "", 1)?,
        Subject::open(&one, "", 1)?,
        Subject::open(&full, "", 1)?,
        Subject::open(&chronyd.with("chronyd, signed", &format!("keyfile {keys}\n")), &signed, 1)?,
        Subject::open(&full.with("one thread, everything on, signed", ""), &signed, 1)?,
        Subject::open(&two, "", 2)?,
        Subject::open(&Candidate::xdp("XDP, everything on", &daemon, &everything), "", 1)?,
        Subject::open(
            &Candidate::generic("generic XDP, everything on", &daemon, &everything),
            "",
            1,
        )?,
    ];
    for _ in 0..tries {
        for subject in &mut subjects {
            subject.measure().with_context(|| subject.name)?;
        }
    }
    let [chronyd, bare, plain, full, chronyd_signed, signed, two, xdp, generic] = &subjects;
    chronyd.row(table, &[]);
    bare.row(table, &[chronyd]);
    plain.row(table, &[chronyd, bare]);
    full.row(table, &[chronyd, bare]);
    chronyd_signed.row(table, &[]);
    signed.row(table, &[chronyd_signed]);
    two.row(table, &[full]);
    xdp.row(table, &[chronyd]);
    generic.row(table, &[chronyd]);
    subjects.into_iter().try_for_each(Subject::close)
}

impl Subject {
    /// Starts a server that shares the server's CPU with its load, or two CPUs with loads of their own.
    fn open(candidate: &Candidate, words: &str, cpus: usize) -> Result<Self> {
        let field = Field::with_queues(Polling::BySender, cpus)?;
        let (server, cpus) = if cpus == 1 {
            (candidate.start_on(&field, SERVER_CPU)?, SERVER_CPU.to_string())
        } else {
            (candidate.start_anywhere(&field)?, format!("{LOAD_CPU},{SERVER_CPU}"))
        };
        std::thread::sleep(SETTLE);
        let test = field.open_test(&format!("--probe 0 --cpus {cpus} {words}"));
        let test = test.with_context(|| candidate.name)?;
        Ok(Self { name: candidate.name, test, best: 0.0, rates: Vec::new(), server, field })
    }

    /// Measures answers a second once more.
    fn measure(&mut self) -> Result<()> {
        let test = &mut self.test;
        let outcome = self.field.client.enter(|| {
            give_way()?;
            test.step(Step { rate: None, duration: DURATION })
        })?;
        self.best = self.best.max(outcome.answered_rate());
        self.rates.push(outcome.answered_rate());
        Ok(())
    }

    /// Puts the figure into the table, once beside each of `others`.
    fn row(&self, table: &mut Table, others: &[&Self]) {
        let name = |subject: &Self| format!("{}: answers on a CPU", subject.name);
        if others.is_empty() {
            table.row(&name(self), self.best, "answers/s");
        }
        for other in others {
            table.row_against(&name(self), self.best, "answers/s", &name(other));
        }
        table.keep(self.name, &json!({ "answers_per_second": self.rates }));
    }

    fn close(self) -> Result<()> {
        self.server.stop()
    }
}

/// Lets this thread and those that it makes run only while nobody else wants the CPU.
fn give_way() -> Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: changes this thread alone, and reads parameters that live during the call.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
    if result < 0 { Err(Error::last_os_error()).context("SCHED_IDLE") } else { Ok(()) }
}

/// Writes a file of keys and gives its path.
fn keys() -> Result<String> {
    let folder = workspace().join("target/bench");
    fs::create_dir_all(&folder)?;
    let path = folder.join("keys");
    fs::write(&path, "1 SHA1 HEX:00112233445566778899aabbccddeeff01234567\n")?;
    Ok(path.display().to_string())
}
