//! The state on one screen.

use ntp_engine::candm::{PathCounts, SourceMode, SourceStatus};

use super::Seen;
use super::gather::{Source, show_address};
use super::health::{Level, most_off_s};
use super::json::interval_s;
use super::rates::PathRates;
use super::table::{Table, bar, grouped, reach, shown_width, span};
use crate::units::{show_ns, show_rate};

/// Columns of a bar.
const BAR: usize = 24;

/// Width of the names of the sections.
const MARGIN: usize = 10;

/// How the screen may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) width: usize,
    pub(super) has_colour: bool,
}

impl Look {
    /// As the terminal is, if there is one.
    pub(super) fn of(is_terminal: bool) -> Self {
        const PLAIN_WIDTH: usize = 120;
        if !is_terminal {
            return Self { width: PLAIN_WIDTH, has_colour: false };
        }
        let (_, width) = console::Term::stdout().size();
        // https://no-color.org
        let has_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { width: usize::from(width), has_colour }
    }

    fn paint(self, text: &str, colour: &str) -> String {
        if self.has_colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.paint(text, "1")
    }

    fn dim(self, text: &str) -> String {
        self.paint(text, "2")
    }

    fn level(self, level: Level, text: &str) -> String {
        let colour = match level {
            Level::Good => "1;32",
            Level::Doubtful => "1;33",
            Level::Bad => "1;31",
        };
        self.paint(text, colour)
    }

    /// As much of a line as there is room for.
    fn cut(self, line: &str) -> String {
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
            }
        }
        cut
    }
}

/// The screen.
pub(super) struct Screen<'a> {
    seen: &'a Seen,
    look: Look,
}

impl<'a> Screen<'a> {
    pub(super) fn new(seen: &'a Seen, look: Look) -> Self {
        Self { seen, look }
    }

    /// The lines, at most `rows`.
    pub(super) fn lines(&self, rows: Option<usize>) -> Vec<String> {
        let mut lines = self.head();
        for (name, section) in [
            ("Time", self.clock()),
            ("Sources", self.sources()),
            ("Requests", self.requests()),
            ("Clients", self.clients()),
        ] {
            for (index, line) in section.into_iter().enumerate() {
                let name = if index == 0 { self.look.bold(name) } else { String::new() };
                let margin = " ".repeat(MARGIN.saturating_sub(shown_width(&name)));
                lines.push(format!("{name}{margin}{line}").trim_end().to_owned());
            }
        }
        lines.truncate(rows.unwrap_or(usize::MAX));
        lines.iter().map(|line| self.look.cut(line)).collect()
    }

    fn head(&self) -> Vec<String> {
        let (state, health) = (&self.seen.state, &self.seen.health);
        let uptime = state
            .paths
            .map_or(String::new(), |paths| format!(", up {}", span(paths.uptime_s.into())));
        let verdict = self.look.level(health.level, &health.level.name().to_uppercase());
        let mut lines = vec![format!("{}{uptime}: {verdict}", self.look.bold(&state.server))];
        for reason in &health.reasons {
            lines.push(format!("  {} {reason}", self.look.level(health.level, "!")));
        }
        lines
    }

    fn clock(&self) -> Vec<String> {
        let tracking = &self.seen.state.tracking;
        if tracking.stratum == 0 {
            return vec!["no time to serve".to_owned()];
        }
        let leap = match tracking.leap {
            1 => ", a second will be inserted at the end of the day",
            2 => ", a second will be left out at the end of the day",
            _ => "",
        };
        let from = self.followed();
        let seconds = |seconds: f64| show_ns(seconds * 1e9);
        vec![
            format!(
                "at most {} off, stratum {}{leap}, from {from}",
                self.look.bold(&seconds(most_off_s(tracking))),
                tracking.stratum
            ),
            format!(
                "offset {} at the last update, {} in the long run; {} still to be corrected",
                seconds(tracking.last_offset_s),
                seconds(tracking.rms_offset_s),
                seconds(tracking.correction_s)
            ),
            format!(
                "clock {:.3} ppm {}, known to {:.3} ppm; path {} long, dispersion {}",
                tracking.frequency_ppm.abs(),
                if tracking.frequency_ppm > 0.0 { "fast" } else { "slow" },
                tracking.skew_ppm,
                seconds(tracking.root_delay_s),
                seconds(tracking.root_dispersion_s)
            ),
        ]
    }

    /// The name of what the clock follows.
    fn followed(&self) -> String {
        let state = &self.seen.state;
        let is_selected = |source: &&Source| source.data.status == SourceStatus::Selected;
        match state.sources.iter().find(is_selected) {
            Some(source) => source.name.clone(),
            None => format!("reference {:08X}", state.tracking.reference_id),
        }
    }

    fn sources(&self) -> Vec<String> {
        let sources = &self.seen.state.sources;
        if sources.is_empty() {
            return vec!["none".to_owned()];
        }
        let titles = ["", "name", "stratum", "interval", "answers", "last", "offset", "error"];
        let right = &[false, false, true, true, false, true, true, true];
        let mut table = Table::new(&titles, right);
        for source in sources {
            table.row(self.source(source));
        }
        let mut lines = table.lines();
        lines[0] = self.look.dim(&lines[0]);
        lines
    }

    fn source(&self, source: &Source) -> [String; 8] {
        let data = &source.data;
        let (symbol, level) = match data.status {
            SourceStatus::Selected => ("*", Level::Good),
            SourceStatus::Combined => ("+", Level::Good),
            SourceStatus::NotCombined => ("-", Level::Good),
            SourceStatus::Falseticker => ("x", Level::Bad),
            SourceStatus::Jittery => ("~", Level::Doubtful),
            SourceStatus::Unusable => ("?", Level::Doubtful),
        };
        let kind = match data.mode {
            SourceMode::Client => "",
            SourceMode::Peer => " (peer)",
            SourceMode::Reference => " (clock)",
        };
        let known =
            |seconds: f64| data.last_sample_s.map_or("-".to_owned(), |_| show_ns(seconds * 1e9));
        [
            self.look.level(level, symbol),
            format!("{}{kind}", source.name),
            data.stratum.to_string(),
            show_ns(f64::from(data.poll_log2).exp2() * 1e9),
            reach(data.reach),
            data.last_sample_s.map_or("never".to_owned(), |age_s| span(age_s.into())),
            known(data.adjusted_s),
            known(data.error_s),
        ]
    }

    fn requests(&self) -> Vec<String> {
        let state = &self.seen.state;
        let Some(paths) = &state.paths else {
            return vec!["not told: ask over the Unix socket, with its rights".to_owned()];
        };
        let total = paths.user.answered() + paths.xdp.answered();
        let mut lines = vec![match &self.seen.rates {
            Some(rates) => {
                let rate = self.look.bold(&format!("{}/s", show_rate(rates.answered())));
                format!("{rate} answered, {} in all", grouped(total))
            }
            None => format!("{} answered", grouped(total)),
        }];
        let rates = self.seen.rates;
        if paths.has_xdp {
            let mut on: Vec<String> = state
                .interfaces
                .iter()
                .map(|it| format!("{} {} {}", it.name, it.mode, it.note).trim_end().to_owned())
                .collect();
            on.sort();
            let share =
                share(&paths.xdp, paths.user.answered(), rates.map(|it| (it.xdp, it.answered())));
            lines.push(self.path("XDP", &paths.xdp, share, rates.map(|it| it.xdp), &on.join(", ")));
        }
        let share =
            share(&paths.user, paths.xdp.answered(), rates.map(|it| (it.user, it.answered())));
        lines.push(self.path("daemon", &paths.user, share, rates.map(|it| it.user), ""));
        lines
    }

    /// One path: its share, rates, and what it did not answer.
    fn path(
        &self,
        name: &str,
        counts: &PathCounts,
        share: f64,
        rates: Option<PathRates>,
        place: &str,
    ) -> String {
        let done = rates
            .map_or(grouped(counts.answered()), |rates| format!("{}/s", show_rate(rates.answered)));
        let refused = [
            ("limited", counts.limited + counts.kisses, rates.map(|it| it.limited)),
            ("denied", counts.denied, rates.map(|it| it.denied)),
            ("dropped", counts.dropped, rates.map(|it| it.dropped)),
        ];
        let refused = refused.into_iter().filter(|&(_, count, _)| count > 0);
        let refused = refused.map(|(what, count, rate)| match rate {
            Some(rate) => format!(", {} {what} ({}/s)", grouped(count), show_rate(rate)),
            None => format!(", {} {what}", grouped(count)),
        });
        let bar = self.look.paint(&bar(share, BAR), "36");
        let place = if place.is_empty() { String::new() } else { format!(" on {place}") };
        let percent = share * 100.0;
        let refused: String = refused.collect();
        format!("{name:<7}{bar} {percent:>5.1} %  {done:>8}{place}{refused}")
    }

    fn clients(&self) -> Vec<String> {
        let state = &self.seen.state;
        let mut lines = Vec::new();
        if let Some(paths) = state.paths {
            if paths.client_slots == 0 {
                return vec!["not recorded".to_owned()];
            }
            let slots = u64::from(paths.client_slots);
            if let Some(clients) = paths.clients {
                let share = f64::from(clients) / f64::from(paths.client_slots);
                let bar = self.look.paint(&bar(share, BAR), "36");
                let limit = if paths.is_limiting { "" } else { "; not limited" };
                let (clients, slots) = (grouped(clients.into()), grouped(slots));
                lines.push(format!("{bar} {clients} of {slots} places taken{limit}"));
            }
        }
        if state.clients.is_empty() {
            return lines;
        }
        let mut table = Table::new(
            &["who asks most", "requests", "not answered", "every", "last"],
            &[false, true, true, true, true],
        );
        for client in &state.clients {
            table.row([
                show_address(client.address),
                grouped(client.ntp.received),
                grouped(client.ntp.dropped),
                interval_s(client).map_or("-".to_owned(), |every_s| show_ns(every_s * 1e9)),
                client.last_ntp_s.map_or("-".to_owned(), |age_s| span(age_s.into())),
            ]);
        }
        let mut rows = table.lines();
        rows[0] = self.look.dim(&rows[0]);
        lines.extend(rows);
        lines
    }
}

/// The share of a path in what is answered now, or was when nobody asks or rates are not known.
fn share(counts: &PathCounts, others: u64, rates: Option<(PathRates, f64)>) -> f64 {
    match rates {
        Some((path, all)) if all > 0.0 => path.answered / all,
        _ => {
            let all = counts.answered() + others;
            if all == 0 { 0.0 } else { counts.answered() as f64 / all as f64 }
        }
    }
}
