//! Our figures beside chrony's.

use std::fmt::Write as _;

use crate::figures::Figures;
use crate::scenario::Scenario;

/// One line of the comparison.
#[derive(Clone, Debug)]
pub struct Row {
    /// The scenario.
    pub scenario: Scenario,
    /// Medians of our figures.
    pub ours: Figures,
}

impl Row {
    /// Runs a scenario with the seeds from `first_seed` on.
    ///
    /// # Errors
    /// As [`Scenario::run`].
    pub fn measure(scenario: Scenario, first_seed: u64, seeds: u64) -> Result<Self, String> {
        let runs: Result<Vec<Figures>, String> =
            (first_seed..first_seed + seeds).map(|seed| Ok(scenario.run(seed)?.1)).collect();
        Ok(Self { ours: Figures::medians(&runs?), scenario })
    }

    /// Our root mean square over chrony's.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        self.scenario.chrony.map(|chrony| self.ours.rms_s * 1e6 / chrony.rms_us)
    }
}

/// The rows as text.
#[must_use]
pub fn text(rows: &[Row]) -> String {
    let mut text = String::from(
        "scenario              RMS us         p99 us         max us       freq ppb    packets    \
         served us   < 1 ms from\n",
    );
    for Row { scenario, ours } in rows {
        let figures = [
            ours.rms_s * 1e6,
            ours.p99_s * 1e6,
            ours.max_s * 1e6,
            ours.frequency_rms * 1e9,
            ours.packets,
        ];
        let chrony =
            scenario.chrony.map(|c| [c.rms_us, c.p99_us, c.max_us, c.frequency_ppb, c.packets]);
        let _ = write!(text, "{:15}", scenario.name);
        for (index, figure) in figures.into_iter().enumerate() {
            let ratio = chrony.map_or_else(
                || "  - ".to_owned(),
                |chrony| format!("{:4.2}", figure / chrony[index]),
            );
            let _ = write!(text, " {figure:8.1} {ratio}x");
        }
        let _ = writeln!(text, " {:9.1} {:8.0} s", ours.served_rms_s * 1e6, ours.good_since_s);
    }
    text + &summary(rows)
}

fn summary(rows: &[Row]) -> String {
    let mut ratios: Vec<f64> = rows.iter().filter_map(Row::ratio).collect();
    if ratios.is_empty() {
        return String::new();
    }
    ratios.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
    format!(
        "RMS over chrony's: median {:.2}, geometric mean {mean:.2}, largest {:.2}\n",
        ratios[ratios.len() / 2],
        ratios[ratios.len() - 1]
    )
}

/// The rows as a JSON array.
#[must_use]
pub fn json(rows: &[Row]) -> String {
    let objects: Vec<String> = rows.iter().map(object).collect();
    format!("[\n{}\n]\n", objects.join(",\n"))
}

fn object(row: &Row) -> String {
    let ours = &row.ours;
    let mut object = format!(
        "  {{\"scenario\": \"{}\", \"rms_us\": {:.3}, \"p99_us\": {:.3}, \"max_us\": {:.3}, \
         \"freq_ppb\": {:.3}, \"packets\": {:.0}",
        row.scenario.name,
        ours.rms_s * 1e6,
        ours.p99_s * 1e6,
        ours.max_s * 1e6,
        ours.frequency_rms * 1e9,
        ours.packets,
    );
    if let Some(chrony) = row.scenario.chrony {
        let _ = write!(
            object,
            ", \"chrony_rms_us\": {}, \"chrony_packets\": {}",
            chrony.rms_us, chrony.packets
        );
    }
    object + "}"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::table;
    use crate::unseen::unseen;

    #[test]
    fn objects_have_the_fields_that_others_read() {
        let row = |scenario| Row { scenario, ours: Figures::default() };
        let names = |text: &str| -> Vec<String> {
            text.split('"')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .filter(|it| it != "base")
                .collect()
        };
        let base = table().into_iter().find(|scenario| scenario.name == "base").unwrap();
        let figures = "scenario rms_us p99_us max_us freq_ppb packets chrony_rms_us chrony_packets";
        assert_eq!(names(&json(&[row(base.clone())])).join(" "), figures);
        let alone = json(&[row(Scenario { chrony: None, ..base })]);
        assert!(!alone.contains("chrony") && alone.starts_with("[\n  {\"scenario\": \"base\", "));
    }

    #[test]
    fn scenarios_have_names_of_their_own_and_valid_options() {
        let all: Vec<Scenario> = table().into_iter().chain(unseen()).collect();
        for scenario in &all {
            assert_eq!(
                all.iter().filter(|it| it.name == scenario.name).count(),
                1,
                "{}",
                scenario.name
            );
            assert!(scenario.config().is_ok(), "{}", scenario.name);
        }
    }
}
