//! How text may look on the terminal that it goes to. Invariant: no line is wider than that, and colours end.

use super::health::Level;
use super::table::shown_width;

/// How the screen may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) width: usize,
    pub(super) has_colour: bool,
}

/// Whether the terminal understands more than lines of text.
pub(super) fn is_smart_terminal() -> bool {
    std::env::var_os("TERM").is_some_and(|name| !name.is_empty() && name != "dumb")
}

impl Look {
    /// As the terminal is, if there is one.
    pub(super) fn of(is_terminal: bool) -> Self {
        const PLAIN_WIDTH: usize = 100;
        if !is_terminal {
            return Self { width: PLAIN_WIDTH, has_colour: false };
        }
        let (_, width) = console::Term::stdout().size();
        // https://no-color.org
        let is_wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { width: usize::from(width), has_colour: is_wanted && is_smart_terminal() }
    }

    fn paint(self, text: &str, colour: &str) -> String {
        if self.has_colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.paint(text, "1")
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.paint(text, "2")
    }

    /// The colour of bars.
    pub(super) fn bar(self, text: &str) -> String {
        self.paint(text, "36")
    }

    /// The colour of a level.
    pub(super) fn level(self, level: Level, text: &str) -> String {
        let colour = match level {
            Level::Good => "1;32",
            Level::Doubtful => "1;33",
            Level::Bad => "1;31",
        };
        self.paint(text, colour)
    }

    /// A verdict that is seen from afar: the level's colour behind it.
    pub(super) fn verdict(self, level: Level) -> String {
        let colour = match level {
            Level::Good => "1;30;42",
            Level::Doubtful => "1;30;43",
            Level::Bad => "1;97;41",
        };
        let name = level.name().to_uppercase();
        if self.has_colour { self.paint(&format!(" {name} "), colour) } else { name }
    }

    /// As much of a line as there is room for; that it was longer is seen.
    pub(super) fn cut(self, line: &str) -> String {
        if shown_width(line) <= self.width {
            return line.to_owned();
        }
        let (mut cut, mut shown, mut is_escape) = (String::new(), 0, false);
        for c in line.chars() {
            let is_shown = !is_escape && c != '\x1b';
            is_escape = if is_escape { c != 'm' } else { c == '\x1b' };
            shown += usize::from(is_shown);
            if !is_shown || shown < self.width {
                cut.push(c);
            } else if shown == self.width {
                cut.push('…');
            }
        }
        cut
    }

    /// A line with something at both ends, the right one only where there is room for both.
    pub(super) fn ends(self, left: &str, right: &str) -> String {
        let taken = shown_width(left) + shown_width(right);
        if taken + 2 > self.width {
            return left.to_owned();
        }
        format!("{left}{}{right}", " ".repeat(self.width - taken))
    }
}
