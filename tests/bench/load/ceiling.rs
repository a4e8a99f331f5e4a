//! What the link and the kernel let through, whatever the program does: the peak of one that only sends back what came, and of
//! one that also reads the clock, as any answer must. The clock is read only when all loads before it have ended, that of the frame
//! among them: what that costs shows here alone, as `bench prog` has its frames in the cache.

use anyhow::Result;
use ntp_lab::Passing;
use ntp_xdp::load::frames::Replies;
use ntp_xdp::load::outcome::{Outcome, Step};

use crate::field::{CLIENT_COUNT, Field, LAN, LOAD_CPU, Polling, SERVER_CPU};
use crate::figures::{FACTORS, LATENCY_EVERY, OVERLOAD};
use crate::generator::Generator;
use crate::machine::Busy;
use crate::servers::SETTLE;
use crate::table::Table;

/// Programs, and what they are called here.
const PROGRAMS: [(&str, &str); 2] = [
    ("reflect", "bare XDP reflector"),
    ("reflect_clock", "bare XDP reflector that reads the clock"),
];
/// Where the search begins, requests a second: well below what any XDP program answers.
const FIRST_RATE: f64 = 1e6;

pub(crate) fn run(table: &mut Table, against: &str) -> Result<()> {
    PROGRAMS.into_iter().try_for_each(|(program, name)| measure(table, against, program, name))
}

fn measure(table: &mut Table, against: &str, program: &str, name: &str) -> Result<()> {
    let field = Field::open(Polling::ByThread)?;
    let _program = Passing::attach_reference(&field.server, LAN, program)?;
    field.poll()?.pin(SERVER_CPU)?;
    let mut generator = Generator::open(&field, Replies::Reflected, LATENCY_EVERY, LOAD_CPU)?;
    generator.set_clients(CLIENT_COUNT)?;
    field.poll_replies()?;
    std::thread::sleep(SETTLE);
    let (mut peak, mut processor_ns) = (0.0_f64, f64::INFINITY);
    for factor in FACTORS.into_iter().chain(FACTORS) {
        let busy = Busy::since_now(SERVER_CPU);
        let step = Step { rate: Some(peak.max(FIRST_RATE) * factor), duration: OVERLOAD };
        let outcome: Outcome = generator.frames.step(step, |_| {})?;
        processor_ns = processor_ns.min(busy.seconds() * 1e9 / outcome.answered().max(1) as f64);
        peak = peak.max(outcome.answered_rate());
    }
    for (what, value, unit) in
        [("answers at peak", peak, "answers/s"), ("processor time", processor_ns, "ns/answer")]
    {
        let (name, base) = (format!("{name}: {what}"), format!("{against}: {what}"));
        table.row_against(&name, value, unit, &base);
    }
    Ok(())
}
