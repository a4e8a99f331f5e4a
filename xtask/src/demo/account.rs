//! The account of the demonstration: a table of clients, the counters of both paths, the verdict; or the same as
//! JSON.

use anyhow::Result;
use ntp_common::counters::{Counters, Family, REASONS, Reason};
use ntp_lab::counters::{Told, answered_over};
use serde_json::{Value, json};

use super::play::Play;
use super::row::{Row, Truth};
use crate::report::{Paint, paint, table};

/// What happened.
#[derive(Debug)]
pub(crate) struct Account {
    upstream: String,
    rows: Vec<Row>,
    truth: Truth,
    xdp: Counters,
    user: Told,
    other_faults: Vec<String>,
}

impl Account {
    /// Reads the counters once more.
    ///
    /// # Errors
    /// They cannot be read.
    pub(crate) fn new(play: &mut Play, rows: Vec<Row>) -> Result<Self> {
        Ok(Self {
            upstream: play.upstream().to_owned(),
            rows,
            truth: Truth { stratum: Play::stratum(), reference_id: Play::reference_id() },
            xdp: play.xdp()?,
            user: play.user()?,
            other_faults: Vec::new(),
        })
    }

    /// Adds something that is not as it should be and concerns no client.
    pub(crate) fn add_fault(&mut self, fault: String) {
        self.other_faults.push(fault);
    }

    /// Whether everything is as it should be.
    pub(crate) fn passes(&self) -> bool {
        self.count_faults() == 0
    }

    fn count_faults(&self) -> usize {
        let of_rows: usize = self.rows.iter().map(|row| row.faults(self.truth).len()).sum();
        of_rows + self.other_faults.len()
    }

    /// Prints it, as JSON or for a person.
    ///
    /// # Errors
    /// It is no JSON.
    pub(crate) fn print(&self, as_json: bool) -> Result<()> {
        if as_json {
            println!("{}", serde_json::to_string_pretty(&self.json())?);
        } else {
            self.print_text();
        }
        Ok(())
    }

    fn print_text(&self) {
        println!("\n{}", paint(Paint::Strong, "Who saw what"));
        let mut lines = vec![
            ["client", "family", "path", "answered", "offset", "delay", "stratum", "reference ID"]
                .map(str::to_owned)
                .to_vec(),
        ];
        lines[0].push("verdict".to_owned());
        lines.extend(self.rows.iter().map(|row| self.line(row)));
        print!("{}", table(&lines));

        println!("\n{}", paint(Paint::Strong, "Who answered what"));
        let xdp = format!("XDP on `{}`", ntp_lab::scene::LAN);
        let lines =
            [[xdp, told_of_xdp(&self.xdp)], ["daemon".to_owned(), told_of_user(&self.user)]];
        print!("{}", table(&lines.map(|line| line.to_vec())));

        println!();
        for fault in &self.other_faults {
            println!("{}", paint(Paint::Bad, fault));
        }
        match self.count_faults() {
            0 => println!("{}", paint(Paint::Good, "PASS")),
            faults => println!("{}: {faults} faults", paint(Paint::Bad, "FAIL")),
        }
    }

    fn line(&self, row: &Row) -> Vec<String> {
        let median = row.median();
        let seen = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let faults = row.faults(self.truth);
        let verdict = if faults.is_empty() {
            paint(Paint::Good, if row.seen.is_empty() { "ok, silence" } else { "ok" })
        } else {
            paint(Paint::Bad, &faults.join("; "))
        };
        vec![
            row.client.clone(),
            name(row.family).to_owned(),
            row.path(),
            format!("{}/{}", row.answered, row.asked),
            seen(median.map(|seen| microseconds(seen.offset_s))),
            seen(median.and_then(|seen| seen.delay_s).map(microseconds)),
            seen(median.map(|seen| seen.stratum.to_string())),
            seen(median.and_then(|seen| seen.reference_id).map(|id| dotted(id.to_octets()))),
            verdict,
        ]
    }

    fn json(&self) -> Value {
        let clients: Vec<Value> = self.rows.iter().map(|row| self.json_row(row)).collect();
        json!({
            "upstream": self.upstream,
            "stratum": self.truth.stratum,
            "reference_id": dotted(self.truth.reference_id.to_octets()),
            "clients": clients,
            "xdp": json_of_xdp(&self.xdp),
            "user": json!({ "answered": self.user.answered, "dropped": self.user.reasons }),
            "faults": self.other_faults,
            "pass": self.passes(),
        })
    }

    fn json_row(&self, row: &Row) -> Value {
        let median = row.median();
        let faults = row.faults(self.truth);
        json!({
            "client": row.client,
            "family": name(row.family),
            "path": row.path(),
            "asked": row.asked,
            "answered": row.answered,
            "answered_in_xdp": row.by_xdp,
            "answered_by_daemon": row.by_user,
            "denied": row.denied,
            "offset_s": median.map(|seen| seen.offset_s),
            "delay_s": median.and_then(|seen| seen.delay_s),
            "stratum": median.map(|seen| seen.stratum),
            "reference_id":
                median.and_then(|seen| seen.reference_id).map(|id| dotted(id.to_octets())),
            "ok": faults.is_empty(),
            "faults": faults,
        })
    }
}

/// What XDP has done, for a person to read.
fn told_of_xdp(counters: &Counters) -> String {
    let (dropped, passed): (Vec<Reason>, Vec<Reason>) =
        REASONS.into_iter().partition(|reason| reason.is_drop());
    let of = |reasons: Vec<Reason>| {
        listed(reasons.into_iter().map(|reason| (reason.name(), counters[reason as usize])))
    };
    format!(
        "answered {} over IPv4, {} over IPv6; passed up {}; dropped {}",
        answered_over(counters, Family::V4),
        answered_over(counters, Family::V6),
        of(passed),
        of(dropped)
    )
}

/// What the daemon has done, for a person to read.
fn told_of_user(told: &Told) -> String {
    let reasons = told.reasons.iter().map(|(name, count)| (name.as_str(), *count));
    format!("answered {}; dropped {}", told.answered, listed(reasons))
}

/// The counts that are not zero.
fn listed<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> String {
    let counts = counts.filter(|(_, count)| *count > 0);
    let words: Vec<String> = counts.map(|(name, count)| format!("{name} {count}")).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

fn json_of_xdp(counters: &Counters) -> Value {
    let part = |is_drop: bool| -> Value {
        let reasons = REASONS.into_iter().filter(|reason| reason.is_drop() == is_drop);
        let counts = reasons.map(|reason| (reason.name(), counters[reason as usize]));
        let counts = counts.filter(|(_, count)| *count > 0);
        counts.map(|(name, count)| (name.to_owned(), json!(count))).collect()
    };
    json!({
        "answered_v4": answered_over(counters, Family::V4),
        "answered_v6": answered_over(counters, Family::V6),
        "passed": part(false),
        "dropped": part(true),
    })
}

fn name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

fn microseconds(seconds: f64) -> String {
    format!("{:.1} us", seconds * 1e6)
}

fn dotted(octets: [u8; 4]) -> String {
    octets.map(|octet| octet.to_string()).join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntp_common::counters::{COUNTER_COUNT, answered_index};

    #[test]
    fn counters_are_told_by_what_became_of_the_packets() {
        let mut counters = [0; COUNTER_COUNT];
        assert_eq!(
            told_of_xdp(&counters),
            "answered 0 over IPv4, 0 over IPv6; passed up nothing; dropped nothing"
        );
        counters[answered_index(Family::V4, 4)] = 3;
        counters[answered_index(Family::V6, 3)] = 4;
        counters[Reason::Extension as usize] = 5;
        counters[Reason::AccessDenied as usize] = 6;
        assert_eq!(
            told_of_xdp(&counters),
            "answered 3 over IPv4, 4 over IPv6; passed up extension 5; dropped access_denied 6"
        );
        let reasons = [("short".to_owned(), 2)].into();
        assert_eq!(told_of_user(&Told { answered: 9, reasons }), "answered 9; dropped short 2");
    }
}
