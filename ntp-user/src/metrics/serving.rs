//! Metrics of what is served, on both paths.

use std::fmt;

use ntp_common::arrival::ARRIVALS;
use ntp_common::counters::{Counters, Family, REASONS, answered_index};
use ntp_common::wire::NEWEST_VERSION;

use super::clients;
use super::page::{Labels, Page, SECONDS};
use super::state::State;
use crate::serving::service::Service;

/// Writes what both paths have done.
pub(super) fn write(page: &mut Page<'_>, state: &State) -> fmt::Result {
    let paths = [("user", Some(&state.user)), ("xdp", state.xdp.as_ref())];
    let paths: Vec<(&'static str, &Counters)> =
        paths.into_iter().filter_map(|(path, counters)| Some((path, counters?))).collect();
    let answered = paths.iter().flat_map(|&(path, counters)| answered_by(path, counters));
    page.counters(("requests_answered", "Requests answered", None), answered)?;
    let unanswered = paths.iter().flat_map(|&(path, counters)| {
        REASONS.iter().map(move |&reason| {
            let labels = vec![("path", path.to_owned()), ("reason", reason.name().to_owned())];
            (labels, counters[reason as usize])
        })
    });
    page.counters(
        ("packets_unanswered", "Packets not answered where they were seen, by reason", None),
        unanswered,
    )?;
    clients::write(page, state, &paths)?;
    service(page, &state.service)?;
    if let Some(age_s) = state.snapshot_age_s {
        page.gauge(("snapshot_age", "Age of the snapshot that is served from", SECONDS), age_s)?;
    }
    page.gauges(
        ("interface_info", "Interfaces on which XDP answers, and how", None),
        state.interfaces.iter().map(|interface| {
            let labels =
                vec![("interface", interface.name.clone()), ("mode", interface.mode.to_owned())];
            (labels, 1.0)
        }),
    )?;
    arrivals(page, state)
}

/// Writes by whose word requests had come in, where receive timestamps of the hardware are read.
fn arrivals(page: &mut Page<'_>, state: &State) -> fmt::Result {
    let counted = state.interfaces.iter().filter_map(|it| Some((&it.name, it.arrivals?)));
    let values: Vec<_> = counted
        .flat_map(|(name, counted)| {
            ARRIVALS.map(|arrival| {
                let labels =
                    vec![("interface", name.clone()), ("result", arrival.name().to_owned())];
                (labels, counted[arrival as usize])
            })
        })
        .collect();
    if values.is_empty() {
        return Ok(());
    }
    let help =
        "Requests answered in XDP, by whether the hardware's receive timestamp was used or why not";
    page.counters(("hardware_receive_timestamps", help, None), values)
}

/// Writes how long answers of the daemon take.
#[expect(clippy::cast_precision_loss, reason = "a sum of times, read to a few digits")]
fn service(page: &mut Page<'_>, service: &Service) -> fmt::Result {
    let bounds = Service::bounds_ns().map(|bound_ns| bound_ns as f64 / 1e9).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(service.times).collect();
    let help = "Time from a request's arrival to its answer's leaving, in the daemon";
    page.histogram(("user_service", help, SECONDS), service.sum_ns as f64 / 1e9, &buckets)
}

fn answered_by<'a>(
    path: &'a str,
    counters: &'a Counters,
) -> impl Iterator<Item = (Labels<'static>, u64)> + 'a {
    [(Family::V4, "ipv4"), (Family::V6, "ipv6")].into_iter().flat_map(move |(family, name)| {
        (1..=NEWEST_VERSION).map(move |version| {
            let labels = vec![
                ("path", path.to_owned()),
                ("family", name.to_owned()),
                ("version", version.to_string()),
            ];
            (labels, counters[answered_index(family, version)])
        })
    })
}
