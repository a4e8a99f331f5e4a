//! What is measured of every server: the highest rate at which little is lost, the highest at all, and the processor
//! time of an answer.

use std::time::Duration;

use anyhow::{Context, Result};
use ntp_xdp::load::outcome::{Outcome, Step};
use serde_json::Value;

use crate::field::{Field, Polling};
use crate::servers::{Candidate, SETTLE};
use crate::table::Table;

/// How long a server is kept beyond its limit.
const OVERLOAD: Duration = Duration::from_secs(2);
/// How far.
const OVERLOADS: [f64; 2] = [1.3, 2.0];

/// A server's figures.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    /// Answers a second with at most 0.1 % lost.
    pub(crate) limit: f64,
    /// The most answers a second, whatever was lost.
    pub(crate) peak: f64,
    /// Processor time of an answer at twice the limit, nanoseconds.
    pub(crate) processor_ns: f64,
    raw: Value,
}

impl Figures {
    /// Measures a server on two CPUs: one sends, the other is the server's.
    pub(crate) fn measure(candidate: &Candidate, words: &str) -> Result<Self> {
        let field = Field::open(Polling::ByThread)?;
        let server = candidate.start(&field)?;
        std::thread::sleep(SETTLE);
        let words = format!("--find-limit 0.1 --duration 1 --probe 0 {words}");
        let figures = field.test(&words, |test| {
            let report = test.run()?;
            let best = report.main_step().map_or(0.0, Outcome::answered_rate);
            let mut peak = report.steps.iter().map(Outcome::answered_rate).fold(0.0, f64::max);
            let mut processor_ns = 0.0;
            for factor in OVERLOADS {
                let rate = Some((best.max(1000.0)) * factor);
                let before = server.processor_s();
                let outcome = test.step(Step { rate, duration: OVERLOAD })?;
                let spent = server.processor_s() - before;
                processor_ns = spent * 1e9 / outcome.answered().max(1) as f64;
                peak = peak.max(outcome.answered_rate());
            }
            Ok(Self { limit: best, peak, processor_ns, raw: report.json() })
        });
        server.stop()?;
        figures.with_context(|| candidate.name.to_owned())
    }

    /// Puts the figures into the table, with their ratios to those of `against`.
    pub(crate) fn rows(&self, table: &mut Table, name: &str, against: &str) {
        for (what, value, unit) in [
            ("answers at 0.1 % loss", self.limit, "answers/s"),
            ("answers at peak", self.peak, "answers/s"),
            ("processor time", self.processor_ns, "ns/answer"),
        ] {
            table.row_against(
                &format!("{name}: {what}"),
                value,
                unit,
                &format!("{against}: {what}"),
            );
        }
        table.keep(name, &self.raw);
    }
}
