//! Metrics of clients: how many are recorded, and who is over the limit.

use std::fmt;

use ntp_common::counters::{Counters, KISSES, LEAKED, Reason};

use super::page::Page;
use super::state::State;

/// What becomes of requests over the limit, by the names of metrics.
const OUTCOMES: [(&str, usize); 3] =
    [("dropped", Reason::RateLimited as usize), ("answered", LEAKED), ("told", KISSES)];

/// Writes how the table of clients is filled, and what was done about those who ask too often.
pub(super) fn write(
    page: &mut Page<'_>,
    state: &State,
    paths: &[(&'static str, &Counters)],
) -> fmt::Result {
    let help = "Clients that there is room for, 0 when none are recorded";
    page.gauge(("client_slots", help, None), f64::from(state.client_slots))?;
    if let Some(clients) = state.clients {
        page.gauge(("clients", "Clients that are recorded", None), clients.into())?;
    }
    let limited = paths.iter().flat_map(|&(path, counters)| {
        OUTCOMES.map(|(outcome, index)| {
            let labels = vec![("path", path.to_owned()), ("outcome", outcome.to_owned())];
            (labels, counters[index])
        })
    });
    page.counters(("requests_limited", "Requests over the limit of their client", None), limited)
}
