//! What the probe tells, a line of JSON each, on the guest's second serial port.

use serde_json::{Value, json};

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// The first process runs: what goes wrong from here on is not the emulator's fault.
    Begin,
    /// Something was measured.
    Figure {
        /// Its name in the scenario's bounds.
        name: String,
        /// In the unit that the name ends in.
        value: f64,
    },
    /// The scenario could not be played to its end.
    Error(String),
    /// A line of the daemon's log.
    Log(String),
    /// Everything was told.
    End,
}

impl Line {
    /// As it goes over the line.
    #[must_use]
    pub fn write(&self) -> String {
        let value = match self {
            Self::Begin => json!({ "begin": true }),
            Self::Figure { name, value } => json!({ "figure": name, "value": value }),
            Self::Error(error) => json!({ "error": error }),
            Self::Log(text) => json!({ "log": text }),
            Self::End => json!({ "end": true }),
        };
        value.to_string()
    }

    /// Reads a line; what is none (a terminal adds carriage returns, firmware greets) is nothing.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text.trim()).ok()?;
        let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
        if let Some(name) = text("figure") {
            // JSON has no number for what could not be computed.
            let value = value.get("value").and_then(Value::as_f64).unwrap_or(f64::NAN);
            return Some(Self::Figure { name, value });
        }
        let error = text("error").map(Self::Error);
        let log = || text("log").map(Self::Log);
        let has = |key: &str| value.get(key).is_some();
        let mark =
            || if has("begin") { Some(Self::Begin) } else { has("end").then_some(Self::End) };
        error.or_else(log).or_else(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_as_it_was_written() {
        let figure = Line::Figure { name: "offset_ms".to_owned(), value: -0.25 };
        let texts = [Line::Error, Line::Log].map(|of| of("a \"b\"\nc".to_owned()));
        for line in texts.into_iter().chain([figure, Line::Begin, Line::End]) {
            let written = line.write();
            assert!(!written.contains('\n'), "{written}");
            assert_eq!(Line::read(&format!("{written}\r")), Some(line));
        }
    }

    #[test]
    fn what_could_not_be_computed_is_no_number() {
        let written = Line::Figure { name: "x".to_owned(), value: f64::NAN }.write();
        assert!(matches!(Line::read(&written), Some(Line::Figure { value, .. }) if value.is_nan()));
    }

    #[test]
    fn other_output_is_no_line() {
        for text in ["", "SeaBIOS (version 1.16.2)", "{}", "[1]", "{\"figure\": 1}"] {
            assert_eq!(Line::read(text), None, "{text}");
        }
    }
}
