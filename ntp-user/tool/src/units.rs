//! Numbers as people write and read them.

use std::time::Duration;

/// Reads a rate: `250`, `250k`, `1.5M`, in requests a second.
///
/// # Errors
/// It is none, or not above zero.
pub fn rate(text: &str) -> Result<f64, String> {
    let (digits, factor) = match text.trim_end_matches(['k', 'K', 'M']) {
        digits if digits.len() == text.len() => (digits, 1.0),
        digits if text.ends_with('M') => (digits, 1e6),
        digits => (digits, 1e3),
    };
    let number: f64 = digits.parse().map_err(|_| format!("`{text}` is no rate, as 250k is"))?;
    let rate = number * factor;
    if rate.is_finite() && rate > 0.0 && text.len() <= digits.len() + 1 {
        Ok(rate)
    } else {
        Err(format!("`{text}` is no rate above zero"))
    }
}

/// A rate as people read it: `250`, `250k`, `1.53M`.
#[must_use]
pub fn show_rate(rate: f64) -> String {
    let trimmed = |number: f64, suffix: &str| {
        let text = format!("{number:.2}");
        format!("{}{suffix}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match rate {
        rate if rate >= 1e6 => trimmed(rate / 1e6, "M"),
        rate if rate >= 1e4 => format!("{:.0}k", rate / 1e3),
        rate if rate >= 1e3 => trimmed(rate / 1e3, "k"),
        rate => trimmed(rate, ""),
    }
}

/// A length of time as people read it, given in nanoseconds.
#[must_use]
pub fn show_ns(ns: f64) -> String {
    match ns.abs() {
        size if size < 1e3 => format!("{ns:.0} ns"),
        size if size < 1e6 => format!("{:.1} us", ns / 1e3),
        size if size < 1e9 => format!("{:.2} ms", ns / 1e6),
        _ => format!("{:.2} s", ns / 1e9),
    }
}

/// Nanoseconds of a duration; more than 584 years are that.
#[must_use]
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The nearest whole number; 0 for anything below.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is what is said"
)]
pub fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_shown() {
        let check = |text: &str, expected: f64, shown: &str| {
            let read = rate(text).unwrap();
            assert!((read - expected).abs() < 1e-6, "{text}: {read}");
            assert_eq!(show_rate(read), shown);
        };
        check("250", 250.0, "250");
        check("0.5", 0.5, "0.5");
        check("4k", 4e3, "4k");
        check("250k", 250e3, "250k");
        check("1.53M", 1.53e6, "1.53M");
        for wrong in ["", "k", "0", "-3", "nan", "inf", "3kk", "3Mk", "fast"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_shown_in_the_unit_that_fits() {
        let shown = [0.4, -950.0, 12_345.0, 2e6, 3.21e9].map(show_ns);
        assert_eq!(shown, ["0 ns", "-950 ns", "12.3 us", "2.00 ms", "3.21 s"]);
    }
}
