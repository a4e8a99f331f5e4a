//! All on one CPU: the generator, the server's program and the sink, one after the other. It repeats well, as nothing
//! depends on how near two CPUs are. The figure is the processor time of a request from its making to its reply's end;
//! a bare reflector under the same clients is the base.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ntp_lab::{NtpXdpd, Passing, Profile};
use ntp_xdp::load::frames::Replies;
use ntp_xdp::load::outcome::Step;

use crate::field::{Field, LAN, LOAD_CPU, Polling, SERVER_CPU};
use crate::generator::Generator;
use crate::servers::{Candidate, Running};
use crate::table::Table;

/// Rounds of all subjects, of which the least counts: whatever else the machine does only adds.
const ROUNDS: usize = 25;
/// How long a subject is run in a round.
const DURATION: Duration = Duration::from_millis(150);
/// How many clients.
const SPREADS: [u64; 2] = [10_000, 60_000];

/// A record of every client and a limit of its rate, which no client of this load is over.
const EVERYTHING: &str = "ratelimit interval -10 burst 255\n";

/// What answers.
enum Answering {
    /// A program that sends back what came.
    Reflector(&'static str),
    /// The daemon with its program.
    Server(Candidate),
}

/// A server in a field of its own, with what sends to it.
struct Subject {
    name: &'static str,
    generator: Generator,
    // Dropped before the hosts that they run in.
    _program: Option<Passing>,
    _server: Option<Running>,
    _field: Field,
}

pub(crate) fn run(table: &mut Table) -> Result<()> {
    let daemon = NtpXdpd::build(Profile::Release)?;
    let server = |directives| Answering::Server(Candidate::xdp("answer", &daemon, directives));
    let mut subjects = [
        Subject::open("reflect", &Answering::Reflector("reflect"))?,
        Subject::open(
            "answer, uniform ACL",
            &server(
                "noclientlog
",
            ),
        )?,
        Subject::open("answer, everything on", &server(EVERYTHING))?,
    ];
    for clients in SPREADS {
        let mut least = vec![f64::INFINITY; subjects.len()];
        for subject in &mut subjects {
            subject.generator.set_clients(clients)?;
        }
        for _ in 0..ROUNDS {
            for (subject, least) in subjects.iter_mut().zip(&mut least) {
                *least = least.min(subject.measure()?);
            }
        }
        let name = |name: &str| format!("inline, {clients} clients: {name}");
        for (subject, ns) in subjects.iter().zip(least) {
            table.row_against(&name(subject.name), ns, "ns/request", &name("reflect"));
        }
    }
    Ok(())
}

impl Subject {
    fn open(name: &'static str, answering: &Answering) -> Result<Self> {
        let field = Field::open(Polling::BySender)?;
        let (program, server, replies) = match answering {
            Answering::Reflector(name) => {
                let program = Passing::attach_reference(&field.server, LAN, name)?;
                (Some(program), None, Replies::Reflected)
            }
            Answering::Server(candidate) => {
                (None, Some(candidate.start_on(&field, LOAD_CPU)?), Replies::Ntp)
            }
        };
        let generator = Generator::open(&field, replies, 1, SERVER_CPU)?;
        Ok(Self { name, generator, _program: program, _server: server, _field: field })
    }

    /// Processor time of a request, nanoseconds.
    fn measure(&mut self) -> Result<f64> {
        let step = Step { rate: None, duration: DURATION };
        let outcome = self.generator.frames.step(step, |_| {})?;
        // A few are lost when others are given the CPU: the rings between the ends are short.
        ensure!(
            outcome.loss() < 0.02,
            "{}: {:.3} of the requests are not answered",
            self.name,
            outcome.loss()
        );
        let processor_s = outcome.processor_s.context("frames tell their processor time")?;
        Ok(processor_s * 1e9 / outcome.sent() as f64)
    }
}
