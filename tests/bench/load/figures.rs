//! What is measured of every server: the highest rate at which little is lost, the highest at all, and the processor
//! time of an answer.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ntp_xdp::load::Test;
use ntp_xdp::load::outcome::{Outcome, Step};
use serde_json::{Value, json};

use crate::field::{Field, Polling, SERVER_CPU};
use crate::machine::Busy;
use crate::servers::{Candidate, SETTLE};
use crate::table::Table;

/// How long each rate is sent, seconds: the host takes CPUs away now and then, and the longer a step, the more certainly it
/// is one of those.
const WINDOW_S: f64 = 0.4;
/// The latency of one reply in so many is measured: none is shown, and a CPU that reads the clock for each sends less.
pub(crate) const LATENCY_EVERY: u32 = 64;
/// How long a server is kept beyond its limit each time.
pub(crate) const OVERLOAD: Duration = Duration::from_millis(500);
/// Part of the limit that a server must answer beyond it for its processor time to be an answer's.
const LEAST_SHARE: f64 = 0.5;
/// How far beyond the most that it has answered so far.
pub(crate) const FACTORS: [f64; 6] = [1.1, 1.2, 1.4, 1.2, 1.4, 2.0];

/// A server's figures.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    /// Answers a second with at most 0.1 % lost.
    pub(crate) limit: f64,
    /// The most answers a second, whatever was lost.
    pub(crate) peak: f64,
    /// Processor time of an answer beyond the limit, nanoseconds: the least of all steps. `None`: it hardly answered then.
    pub(crate) processor_ns: Option<f64>,
    raw: Value,
}

impl Figures {
    /// Measures a server on two CPUs: one sends, the other is the server's. Each figure is the best of all ways to poll the
    /// link. A rate that fails is tried `tries` times.
    pub(crate) fn measure(candidate: &Candidate, tries: usize) -> Result<Self> {
        let ways = candidate.pollings().iter();
        let all = ways.map(|way| Self::measure_with(*way, candidate, tries));
        let all = all.collect::<Result<Vec<_>>>().with_context(|| candidate.name.to_owned())?;
        all.into_iter()
            .reduce(|best, other| best.best_of(&other))
            .context("a server has no way to be polled")
    }

    fn measure_with(polling: Polling, candidate: &Candidate, tries: usize) -> Result<Self> {
        let field = Field::open(polling)?;
        let server = candidate.start(&field)?;
        std::thread::sleep(SETTLE);
        let words = format!(
            "--find-limit 0.1 --duration {WINDOW_S} --tries {tries} --probe 0 --latency-every {LATENCY_EVERY}"
        );
        let figures = field.test(&words, search);
        server.stop()?;
        figures
            .map(|figures| Self { raw: json!({ format!("{polling:?}"): figures.raw }), ..figures })
    }

    fn best_of(self, other: &Self) -> Self {
        Self {
            limit: self.limit.max(other.limit),
            peak: self.peak.max(other.peak),
            processor_ns: self.processor_ns.into_iter().chain(other.processor_ns).reduce(f64::min),
            raw: json!([self.raw, other.raw.clone()]),
        }
    }

    /// Puts the figures into the table, with their ratios to those of `against`.
    pub(crate) fn rows(&self, table: &mut Table, name: &str, against: &str) {
        let processor_time = self.processor_ns.map(|value| ("processor time", value, "ns/answer"));
        for (what, value, unit) in [
            ("answers at 0.1 % loss", self.limit, "answers/s"),
            ("answers at peak", self.peak, "answers/s"),
        ]
        .into_iter()
        .chain(processor_time)
        {
            table.row_against(
                &format!("{name}: {what}"),
                value,
                unit,
                &format!("{against}: {what}"),
            );
        }
        if processor_time.is_none() {
            table.remark(format!(
                "{name}: no processor time, as it hardly answers when it is asked more than it can"
            ));
        }
        table.keep(name, &self.raw);
    }
}

fn search(test: &mut Test) -> Result<Figures> {
    let report = test.run()?;
    let limit = report.main_step().map_or(0.0, Outcome::answered_rate);
    let mut peak = report.steps.iter().map(Outcome::answered_rate).fold(0.0, f64::max);
    let mut processor_ns = None;
    let mut beyond = Vec::new();
    for factor in FACTORS {
        let rate = peak.max(1000.0) * factor;
        let busy = Busy::since_now(SERVER_CPU);
        let outcome = test.step(Step { rate: Some(rate), duration: OVERLOAD })?;
        let spent_ns = busy.seconds() * 1e9 / outcome.answered().max(1) as f64;
        if outcome.answered_rate() >= LEAST_SHARE * limit {
            processor_ns = Some(processor_ns.map_or(spent_ns, |least: f64| least.min(spent_ns)));
        }
        peak = peak.max(outcome.answered_rate());
        beyond.push(json!({
            "asked_per_second": rate, "sent_per_second": outcome.sent_rate(),
            "answered_per_second": outcome.answered_rate(), "loss": outcome.loss(),
            "processor_ns_per_answer": spent_ns, "stalls": outcome.stalls, "stalled_ns": outcome.stalled_ns,
        }));
    }
    // Replies of stratum 0, which a server without a source may give, are kisses to a client.
    ensure!(peak > 0.0, "it gave no time to any client: it has none");
    let raw = json!({ "search": report.json(), "beyond": beyond });
    Ok(Figures { limit, peak, processor_ns, raw })
}
