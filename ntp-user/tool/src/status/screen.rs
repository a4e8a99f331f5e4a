//! The state on one screen: the verdict, the clock, its sources, what is answered by which path, who asks.

use ntp_engine::candm::{SourceMode, SourceStatus};

use super::Seen;
use super::gather::{Source, show_address};
use super::health::{Level, most_off_s};
use super::json::interval_s;
use super::look::Look;
use super::requests;
use super::table::{Table, bar, elided, grouped, reach, short_span, span};
use crate::units::show_ns;

/// Columns of the bar of the table of clients.
const BAR: usize = 24;

/// What a line of a section begins with.
const INDENT: &str = "  ";

/// Shortest that names of sources are cut to.
const LEAST_NAME: usize = 12;

/// Columns that a row of the table of sources takes beside the name, at most.
const BESIDE_NAME: usize = 58;

/// Rows that clients get, if there are so many, before sources get more than theirs.
const LEAST_CLIENTS: usize = 4;

/// The screen.
pub(super) struct Screen<'a> {
    seen: &'a Seen,
    look: Look,
}

impl<'a> Screen<'a> {
    pub(super) fn new(seen: &'a Seen, look: Look) -> Self {
        Self { seen, look }
    }

    /// The lines, at most `rows`: what there is no room for is cut where it says least.
    pub(super) fn lines(&self, rows: Option<usize>) -> Vec<String> {
        let room = rows.unwrap_or(usize::MAX);
        let [head, clock, requests] =
            [self.head(), self.clock(), requests::lines(self.seen, self.look)];
        let (mut sources, mut clients) = (self.sources(), self.clients());
        let fixed = head.len() + clock.len() + requests.len();
        let left = room.saturating_sub(fixed);
        let most = left.saturating_sub(clients.len().min(LEAST_CLIENTS));
        shorten(&mut sources, most, "sources");
        shorten(&mut clients, left.saturating_sub(sources.len()), "clients");
        let sections = [clock, sources, requests, clients];
        let between = sections.len();
        let is_wide = fixed + between <= room.saturating_sub(sections[1].len() + sections[3].len());
        let mut lines = head;
        for section in sections.into_iter().filter(|section| !section.is_empty()) {
            if is_wide {
                lines.push(String::new());
            }
            lines.extend(section);
        }
        lines.truncate(room);
        lines.iter().map(|line| self.look.cut(line)).collect()
    }

    fn head(&self) -> Vec<String> {
        let (state, health) = (&self.seen.state, &self.seen.health);
        let uptime = state.paths.map(|paths| format!(", up {}", span(paths.uptime_s.into())));
        let whence = format!("{}{}", state.server, uptime.unwrap_or_default());
        let verdict = self.look.verdict(health.level);
        let off = show_ns(most_off_s(&state.tracking) * 1e9);
        let within = match state.tracking.stratum {
            0 => self.look.bold("no time to serve"),
            _ => format!("{} of true time", self.look.bold(&format!("within {off}"))),
        };
        let mut lines =
            vec![self.look.ends(&format!("{verdict}  {within}"), &self.look.dim(&whence))];
        for reason in &health.reasons {
            lines.push(format!("{INDENT}{} {reason}", self.look.level(health.level, "!")));
        }
        lines
    }

    fn clock(&self) -> Vec<String> {
        let tracking = &self.seen.state.tracking;
        if tracking.stratum == 0 {
            return vec![format!("{}      none yet", self.look.bold("Time"))];
        }
        let leap = match tracking.leap {
            1 => "; the day ends with a second more",
            2 => "; the day ends with a second less",
            _ => "",
        };
        let from = self.followed();
        let title = format!(
            "{}      stratum {}, from {from}{leap}",
            self.look.bold("Time"),
            tracking.stratum
        );
        let seconds = |seconds: f64| show_ns(seconds * 1e9);
        let direction = if tracking.frequency_ppm > 0.0 { "fast" } else { "slow" };
        let rows = [
            [
                ("offset", seconds(tracking.last_offset_s)),
                ("clock", format!("{:.3} ppm {direction}", tracking.frequency_ppm.abs())),
                ("root delay", seconds(tracking.root_delay_s)),
            ],
            [
                ("usually", seconds(tracking.rms_offset_s)),
                ("known to", format!("{:.3} ppm", tracking.skew_ppm)),
                ("root dispersion", seconds(tracking.root_dispersion_s)),
            ],
            [
                ("to correct", seconds(tracking.correction_s)),
                ("updated", format!("every {}", short_span(tracking.update_interval_s))),
                ("distance", seconds(most_off_s(tracking))),
            ],
        ];
        let mut table = Table::new(&[false, true, false, false, false, true]);
        for row in rows {
            let cells = row
                .into_iter()
                .flat_map(|(name, value)| [self.look.dim(name), format!("{value}  ")]);
            table.row(cells);
        }
        std::iter::once(title).chain(indented(&table.lines())).collect()
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
            return vec![format!("{}   none", self.look.bold("Sources"))];
        }
        let titles = ["stratum", "every", "answers", "age", "offset", "error"];
        let titles = titles.map(|title| self.look.dim(title));
        let mut table = Table::new(&[false, true, true, false, true, true, true]);
        table.row(std::iter::once(self.look.bold("Sources")).chain(titles));
        for source in sources {
            table.row(self.source(source));
        }
        table.lines()
    }

    fn source(&self, source: &Source) -> [String; 7] {
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
        let room = self.look.width.saturating_sub(BESIDE_NAME + kind.len()).max(LEAST_NAME);
        [
            format!("{} {}{kind}", self.look.level(level, symbol), elided(&source.name, room)),
            data.stratum.to_string(),
            short_span(f64::from(data.poll_log2).exp2()),
            reach(data.reach),
            data.last_sample_s.map_or("never".to_owned(), |age_s| short_span(age_s.into())),
            known(data.adjusted_s),
            known(data.error_s),
        ]
    }

    fn clients(&self) -> Vec<String> {
        let state = &self.seen.state;
        let Some(paths) = state.paths else { return Vec::new() };
        let title = self.look.bold("Clients");
        if paths.client_slots == 0 {
            return vec![format!("{title}   not recorded")];
        }
        let slots = grouped(paths.client_slots.into());
        let limit = if paths.is_limiting { "" } else { ", no limit" };
        let taken = paths.clients.unwrap_or_default();
        let share = f64::from(taken) / f64::from(paths.client_slots);
        let bar = self.look.bar(&bar(share, BAR));
        let counted = paths.clients.map_or("?".to_owned(), |clients| grouped(clients.into()));
        let mut lines = vec![format!("{title}   {bar} {counted} of {slots} places taken{limit}")];
        if state.clients.is_empty() {
            return lines;
        }
        let titles = ["who asks most", "requests", "refused", "every", "last"];
        let mut table = Table::new(&[false, true, true, true, true]);
        table.row(titles.map(|title| self.look.dim(title)));
        for client in &state.clients {
            table.row([
                show_address(client.address),
                grouped(client.ntp.received),
                grouped(client.ntp.dropped),
                interval_s(client).map_or("-".to_owned(), short_span),
                client.last_ntp_s.map_or("-".to_owned(), |age_s| short_span(age_s.into())),
            ]);
        }
        lines.extend(indented(&table.lines()));
        lines
    }
}

/// Lines of a section below its title.
pub(super) fn indented(lines: &[String]) -> impl Iterator<Item = String> + '_ {
    lines.iter().map(|line| format!("{INDENT}{line}"))
}

/// Leaves as many lines as there is room for; the last says how many are missing.
fn shorten(lines: &mut Vec<String>, room: usize, what: &str) {
    if lines.len() > room {
        let more = lines.len() + 1 - room.max(1);
        lines.truncate(room.saturating_sub(1));
        lines.push(format!("{INDENT}and {more} {what} more"));
        lines.truncate(room);
    }
}
