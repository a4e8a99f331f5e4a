//! What is answered, by which path, and what is not.

use ntp_engine::candm::PathCounts;

use super::Seen;
use super::health::Level;
use super::look::Look;
use super::rates::{PathRates, Rates};
use super::screen::indented;
use super::table::{Table, bar, grouped};
use crate::units::show_rate;

/// Columns of a bar.
const BAR: usize = 16;

/// The section, its title first.
pub(super) fn lines(seen: &Seen, look: Look) -> Vec<String> {
    let title = look.bold("Requests");
    let Some(paths) = &seen.state.paths else {
        let why =
            seen.state.limited_by.as_deref().unwrap_or("the daemon does not tell of its paths");
        return vec![format!("{title}  not told: {why}")];
    };
    let rates = seen.rates;
    let total = paths.user.answered() + paths.xdp.answered();
    let what = if rates.is_some() { "answered/s" } else { "answered" };
    let titles = ["share", what, "limited", "denied", "dropped"].map(|title| look.dim(title));
    let mut table = Table::new(&[false, false, true, true, true, true, true]);
    table.row([title, String::new()].into_iter().chain(titles));
    let mut row =
        |name: &str, counts: &PathCounts, other: &PathCounts, of: fn(&Rates) -> PathRates| {
            let rates = rates.map(|rates| (of(&rates), rates.answered()));
            table.row(path(look, name, counts, other, rates));
        };
    if paths.has_xdp {
        row("XDP", &paths.xdp, &paths.user, |rates| rates.xdp);
    }
    row("daemon", &paths.user, &paths.xdp, |rates| rates.user);
    let mut lines = table.lines();
    let sum = match rates {
        Some(rates) => {
            let rate = look.bold(&format!("{}/s", show_rate(rates.answered())));
            format!("{rate} answered, {} in {}", grouped(total), since(paths.uptime_s))
        }
        None => format!("{} answered in {}", look.bold(&grouped(total)), since(paths.uptime_s)),
    };
    lines.extend(indented(&[sum]));
    lines.extend(indented(&interfaces(seen, look)));
    lines
}

fn since(uptime_s: u32) -> String {
    super::table::span(uptime_s.into())
}

/// A row of the table: its share, and what it does in a second, or else has done.
fn path(
    look: Look,
    name: &str,
    counts: &PathCounts,
    other: &PathCounts,
    rates: Option<(PathRates, f64)>,
) -> [String; 7] {
    let share = share(counts, other.answered(), rates);
    let [answered, limited, denied, dropped] = match rates {
        Some((rates, _)) => [rates.answered, rates.limited, rates.denied, rates.dropped],
        None => [counts.answered(), counts.limited + counts.kisses, counts.denied, counts.dropped]
            .map(|count| count as f64),
    };
    // What was refused before stays in sight as a zero; what never was is no number to look at.
    let ever = [counts.limited + counts.kisses, counts.denied, counts.dropped];
    let refused = [limited, denied, dropped].into_iter().zip(ever).map(|(now, ever)| match ever {
        0 => look.dim("-"),
        _ if now > 0.0 => look.level(Level::Doubtful, &show_rate(now)),
        _ => "0".to_owned(),
    });
    let refused: Vec<String> = refused.collect();
    let [limited, denied, dropped] = [0, 1, 2].map(|index| refused[index].clone());
    let bar = look.bar(&bar(share, BAR));
    let share = format!("{:.1} %", share * 100.0);
    [format!("  {name}"), bar, share, show_rate(answered), limited, denied, dropped]
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

/// Where XDP answers, and how: those with nothing to say of them in one line.
fn interfaces(seen: &Seen, look: Look) -> Vec<String> {
    let state = &seen.state;
    if !state.paths.is_some_and(|paths| paths.has_xdp) {
        return vec![
            look.dim("no XDP: the configuration has no `xdp` line, or the kernel refused"),
        ];
    }
    let named = |name: &str, mode: &str| {
        let is_slow = mode == "generic";
        let mode = if is_slow { look.level(Level::Doubtful, mode) } else { mode.to_owned() };
        format!("{name} {mode}")
    };
    let (noted, plain): (Vec<_>, Vec<_>) =
        state.interfaces.iter().partition(|it| !it.note.is_empty());
    let mut plain: Vec<String> = plain.iter().map(|it| named(&it.name, &it.mode)).collect();
    plain.sort();
    let mut lines = Vec::new();
    if !plain.is_empty() {
        lines.push(format!("on {}", plain.join(", ")));
    }
    lines.extend(noted.iter().map(|it| format!("on {}: {}", named(&it.name, &it.mode), it.note)));
    lines
}
