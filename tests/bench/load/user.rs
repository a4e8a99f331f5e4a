//! The user path, beside chrony and a bare responder: one thread, signed requests, two threads on two CPUs.
//!
//! Everything is on one CPU: the generator makes requests there whenever the server has nothing to do, so that none is
//! lost and a CPU's time goes into requests, answers and nothing else. It repeats well, as `inline` does.

use std::fs;
use std::io::Error;
use std::time::Duration;

use anyhow::{Context, Result};
use ntp_lab::{NtpXdpd, Profile, workspace};
use ntp_xdp::load::outcome::{Outcome, Step};

use crate::field::{Field, LOAD_CPU, Polling, SERVER_CPU};
use crate::servers::{Candidate, SETTLE, bare_responder, chronyd};
use crate::table::Table;

/// Rounds of all subjects, of which the best counts: whatever else the machine does only takes time away.
const ROUNDS: usize = 3;
/// How long a subject is run in a round.
const DURATION: Duration = Duration::from_secs(1);

/// A limit of every client's rate that no client of this load is over, and rules that must be looked up.
const EVERYTHING: &str = "ratelimit interval -10 burst 255\ndeny 10.250.0.0/16\nallow 10.250.7.0/24\n\
                          deny 10.251.3.128/25\nallow 10.128.0.0/16\ndeny 2001:db8:7::/48\n";

/// A server and what it is asked.
struct Subject {
    candidate: Candidate,
    words: String,
    cpus: usize,
    /// The most answers a second in any round.
    best: f64,
}

pub(crate) fn run(table: &mut Table) -> Result<()> {
    let daemon = NtpXdpd::build(Profile::Release)?;
    let keys = keys()?;
    let signed = format!("--mix mac --keyfile {keys} --key 1");
    let everything = format!("{EVERYTHING}keyfile {keys}\n");
    let (chronyd, one) = (chronyd()?, Candidate::user("one thread", &daemon, 1));
    let everything_on = one.with("one thread, everything on", &everything);
    let threads = format!("serverthreads 2 cpus {LOAD_CPU},{SERVER_CPU}\n{everything}");
    let two = Candidate { directives: threads, ..one.with("two threads, everything on", "") };
    let mut subjects = [
        Subject::on_one(chronyd.clone(), ""),
        Subject::on_one(bare_responder(), ""),
        Subject::on_one(one, ""),
        Subject::on_one(everything_on.clone(), ""),
        Subject::on_one(chronyd.with("chronyd, signed", &format!("keyfile {keys}\n")), &signed),
        Subject::on_one(everything_on.with("one thread, everything on, signed", ""), &signed),
        Subject { cpus: 2, ..Subject::on_one(two, "") },
    ];
    for _ in 0..ROUNDS {
        for subject in &mut subjects {
            let rate = subject.measure().with_context(|| subject.candidate.name)?;
            subject.best = subject.best.max(rate);
        }
    }
    let [chronyd, bare, plain, full, chronyd_signed, signed, two] = &subjects;
    chronyd.row(table, &[]);
    bare.row(table, &[chronyd]);
    plain.row(table, &[chronyd, bare]);
    full.row(table, &[chronyd, bare]);
    chronyd_signed.row(table, &[]);
    signed.row(table, &[chronyd_signed]);
    two.row(table, &[full]);
    Ok(())
}

impl Subject {
    /// All on the server's CPU.
    fn on_one(candidate: Candidate, words: &str) -> Self {
        Self { candidate, words: words.to_owned(), cpus: 1, best: 0.0 }
    }

    /// Answers a second.
    fn measure(&self) -> Result<f64> {
        let field = Field::with_queues(Polling::BySender, self.cpus)?;
        let (server, cpus) = if self.cpus == 1 {
            (self.candidate.start_on(&field, SERVER_CPU)?, SERVER_CPU.to_string())
        } else {
            (self.candidate.start_anywhere(&field)?, format!("{LOAD_CPU},{SERVER_CPU}"))
        };
        std::thread::sleep(SETTLE);
        let words = format!("--probe 0 --cpus {cpus} {}", self.words);
        let outcome: Result<Outcome> = field.test(&words, |test| {
            give_way()?;
            test.step(Step { rate: None, duration: DURATION })
        });
        server.stop()?;
        Ok(outcome?.answered_rate())
    }

    /// Puts the figure into the table, once beside each of `others`.
    fn row(&self, table: &mut Table, others: &[&Self]) {
        let name = format!("{}, user path: answers", self.candidate.name);
        if others.is_empty() {
            table.row(&name, self.best, "answers/s");
        }
        for other in others {
            let against = format!("{}, user path: answers", other.candidate.name);
            table.row_against(&name, self.best, "answers/s", &against);
        }
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
