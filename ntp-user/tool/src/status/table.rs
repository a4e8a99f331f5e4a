//! Columns and bars of text.

/// A table whose columns are as wide as their widest cell. Cells may have colours, which take no room.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    right: &'static [bool],
}

impl Table {
    /// A table whose columns that `right` says are aligned to the right.
    pub(super) fn new(right: &'static [bool]) -> Self {
        Self { rows: Vec::new(), right }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Its lines.
    pub(super) fn lines(&self) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| shown_width(cell)).max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        self.rows.iter().map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, &width))| {
            let padding = " ".repeat(width - shown_width(cell));
            let is_right = self.right.get(column).copied().unwrap_or(false);
            if is_right { padding + cell } else { cell.clone() + &padding }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

/// Columns that a text takes on a terminal: escape sequences take none.
pub(super) fn shown_width(text: &str) -> usize {
    let mut is_escape = false;
    let is_shown = |c: &char| {
        let was_escape = is_escape;
        is_escape = if is_escape { *c != 'm' } else { *c == '\x1b' };
        !was_escape && !is_escape
    };
    text.chars().filter(is_shown).count()
}

/// A bar that is full for a `share` of 1, with eighths of a column.
pub(super) fn bar(share: f64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let eighths = crate::units::whole(share * (columns * 8) as f64);
    let eighths = usize::try_from(eighths).unwrap_or(0).min(columns * 8);
    let (full, part) = (eighths / 8, eighths % 8);
    let empty = columns - full - usize::from(part > 0);
    "█".repeat(full) + EIGHTHS[part] + &"░".repeat(empty)
}

/// The last eight polls of a source, the latest to the right: filled where it answered.
pub(super) fn reach(register: u8) -> String {
    (0..8).rev().map(|bit| if register >> bit & 1 == 1 { '█' } else { '·' }).collect()
}

/// A count with its digits in groups of three.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A name of at most so many columns; what is cut is its middle, as names differ at both ends.
pub(super) fn elided(name: &str, columns: usize) -> String {
    let count = name.chars().count();
    if count <= columns {
        return name.to_owned();
    }
    let tail = columns.saturating_sub(1) / 2;
    let head = columns.saturating_sub(1) - tail;
    let head: String = name.chars().take(head).collect();
    let tail: String = name.chars().skip(count - tail).collect();
    format!("{head}…{tail}")
}

/// A length of time in one unit, of seconds or more: `64 s`, `17 min`, `3 h`, `12 d`.
pub(super) fn short_span(seconds: f64) -> String {
    match seconds {
        ..10.0 if seconds.fract() != 0.0 => format!("{seconds} s"),
        ..600.0 => format!("{seconds:.0} s"),
        ..36_000.0 => format!("{:.0} min", seconds / 60.0),
        ..172_800.0 => format!("{:.0} h", seconds / 3600.0),
        _ => format!("{:.0} d", seconds / 86_400.0),
    }
}

/// A length of time of the everyday kind.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_seen_of_their_cells() {
        let mut table = Table::new(&[false, true]);
        table.row(["name".to_owned(), "count".to_owned()]);
        table.row(["\x1b[32ma\x1b[0m".to_owned(), "7".to_owned()]);
        table.row(["longer".to_owned(), "1 000 000".to_owned()]);
        let lines = table.lines();
        assert_eq!(lines[0], "name        count");
        assert_eq!(lines[1], "\x1b[32ma\x1b[0m               7");
        assert_eq!(lines[2], "longer  1 000 000");
    }

    #[test]
    fn bars_grow_by_eighths() {
        assert_eq!(bar(0.0, 4), "░░░░");
        assert_eq!(bar(0.5, 4), "██░░");
        assert_eq!(bar(0.53, 4), "██▏░");
        assert_eq!((bar(7.0, 2), bar(f64::NAN, 2)), ("██".to_owned(), "░░".to_owned()));
    }

    #[test]
    fn numbers_are_shown_as_people_read_them() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1 000", "1 234 567"]);
        let spans = [5, 65, 3_700, 90_000].map(span);
        assert_eq!(spans, ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);
        let short = [0.25, 64.0, 1024.0, 40_000.0, 1e6].map(short_span);
        assert_eq!(short, ["0.25 s", "64 s", "17 min", "11 h", "12 d"]);
        assert_eq!(reach(0b1000_0011), "█·····██");
    }

    #[test]
    fn long_names_lose_their_middle() {
        let name = "ntp-one.example.net";
        let check = |columns: usize, expected: &str| assert_eq!(elided(name, columns), expected);
        check(19, name);
        check(18, "ntp-one.e…mple.net");
        check(3, "n…t");
        check(1, "…");
    }
}
