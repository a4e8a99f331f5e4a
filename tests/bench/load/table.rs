//! Results: one table, ratios first, under what the machine is; the same for a program; raw data in a file.

use std::fs;

use anyhow::{Context, Result};
use ntp_lab::workspace;
use ntp_xdp::conditions::Conditions;
use serde_json::{Value, json};

/// A figure, and its ratio to another one.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) ratio: Option<(f64, String)>,
}

/// The results so far. Progress is told on standard error.
pub(crate) struct Table {
    bench: String,
    conditions: Conditions,
    rows: Vec<Row>,
    remarks: Vec<String>,
    raw: Vec<Value>,
}

impl Table {
    pub(crate) fn new(bench: &str) -> Self {
        let conditions = Conditions::read();
        eprintln!("{}", conditions.line());
        Self {
            bench: bench.to_owned(),
            conditions,
            rows: Vec::new(),
            remarks: Vec::new(),
            raw: Vec::new(),
        }
    }

    /// Adds a figure.
    pub(crate) fn row(&mut self, name: &str, value: f64, unit: &'static str) {
        eprintln!("  {name}: {} {unit}", shown(value));
        self.rows.push(Row { name: name.to_owned(), value, unit, ratio: None });
    }

    /// Adds a figure with its ratio to an earlier one.
    pub(crate) fn row_against(&mut self, name: &str, value: f64, unit: &'static str, other: &str) {
        self.row(name, value, unit);
        let base = self.value(other).filter(|base| *base > 0.0);
        if let (Some(row), Some(base)) = (self.rows.last_mut(), base) {
            row.ratio = Some((value / base, other.to_owned()));
        }
    }

    /// An earlier figure.
    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        self.rows.iter().find(|row| row.name == name).map(|row| row.value)
    }

    /// Adds something that the reader must know.
    pub(crate) fn remark(&mut self, text: String) {
        eprintln!("  {text}");
        self.remarks.push(text);
    }

    /// Keeps raw data.
    pub(crate) fn keep(&mut self, name: &str, data: &Value) {
        self.raw.push(json!({ "name": name, "data": data }));
    }

    /// Prints everything, and writes the raw data to `target/bench`.
    pub(crate) fn finish(self, is_json: bool) -> Result<()> {
        let folder = workspace().join("target/bench");
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{}.json", self.bench));
        let raw = json!({
            "conditions": self.conditions.json(), "rows": self.json(), "remarks": self.remarks, "raw": self.raw,
        });
        fs::write(&path, format!("{raw:#}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
        if is_json {
            println!("{:#}", self.json());
            return Ok(());
        }
        println!("{}\n", self.conditions.line());
        println!("{:>9}  {:>12}  {:<14}figure", "ratio", "value", "unit");
        for row in &self.rows {
            let (ratio, against) =
                row.ratio.as_ref().map_or((String::new(), String::new()), |ratio| {
                    (format!("{:.2}x", ratio.0), format!("  (against {})", ratio.1))
                });
            println!("{ratio:>9}  {:>12}  {:<14}{}{against}", shown(row.value), row.unit, row.name);
        }
        self.remarks.iter().for_each(|remark| println!("{remark}"));
        println!("raw data: {}", path.display());
        Ok(())
    }

    fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let (ratio, against) = row.ratio.clone().unzip();
            json!({
                "name": row.name, "value": row.value, "unit": row.unit, "ratio": ratio, "against": against,
            })
        });
        Value::Array(rows.collect())
    }
}

fn shown(value: f64) -> String {
    if value >= 1000.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
