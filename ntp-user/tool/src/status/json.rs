//! The state as JSON, for programs: names with units, `null` for what the daemon does not tell.

use ntp_engine::candm::{Client, Interface, PathCounts, SourceMode, SourceStatus};
use serde_json::{Value, json};

use super::Seen;
use super::gather::{Source, show_address};
use super::health::most_off_s;
use super::rates::PathRates;

/// Everything that was seen.
pub(super) fn value(seen: &Seen) -> Value {
    let (state, tracking) = (&seen.state, &seen.state.tracking);
    json!({
        "server": state.server,
        "health": seen.health.level.name(),
        "reasons": seen.health.reasons,
        "clock": {
            "stratum": tracking.stratum,
            "leap": tracking.leap,
            "reference_id": format!("{:08X}", tracking.reference_id),
            "source": show_address(tracking.address),
            "most_off_s": most_off_s(tracking),
            "correction_s": tracking.correction_s,
            "last_offset_s": tracking.last_offset_s,
            "rms_offset_s": tracking.rms_offset_s,
            "frequency_ppm": tracking.frequency_ppm,
            "skew_ppm": tracking.skew_ppm,
            "root_delay_s": tracking.root_delay_s,
            "root_dispersion_s": tracking.root_dispersion_s,
            "update_interval_s": tracking.update_interval_s,
            "updated_unix_s": tracking.reference_time.seconds,
        },
        "sources": state.sources.iter().map(source).collect::<Vec<_>>(),
        "serving": serving(seen),
        "clients": state.clients.iter().map(client).collect::<Vec<_>>(),
    })
}

/// What there is to tell of a daemon that nobody reaches.
pub(super) fn unreachable(error: &anyhow::Error) -> Value {
    json!({"health": "unreachable", "reasons": [format!("{error:#}")]})
}

/// The name of what became of a source.
pub(super) const fn status(status: SourceStatus) -> &'static str {
    match status {
        SourceStatus::Selected => "selected",
        SourceStatus::Unusable => "unusable",
        SourceStatus::Falseticker => "falseticker",
        SourceStatus::Jittery => "jittery",
        SourceStatus::Combined => "combined",
        SourceStatus::NotCombined => "not_combined",
    }
}

fn source(source: &Source) -> Value {
    let data = &source.data;
    let mode = match data.mode {
        SourceMode::Client => "server",
        SourceMode::Peer => "peer",
        SourceMode::Reference => "refclock",
    };
    json!({
        "name": source.name,
        "address": show_address(data.address),
        "kind": mode,
        "state": status(data.status),
        "stratum": data.stratum,
        "poll_interval_s": f64::from(data.poll_log2).exp2(),
        "reach": data.reach,
        "last_sample_s": data.last_sample_s,
        "offset_s": data.adjusted_s,
        "error_s": data.error_s,
    })
}

fn serving(seen: &Seen) -> Value {
    let Some(paths) = seen.state.paths else { return Value::Null };
    let interface = |interface: &Interface| json!({"name": interface.name, "mode": interface.mode, "note": interface.note});
    let interfaces: Vec<Value> = seen.state.interfaces.iter().map(interface).collect();
    let rates = seen.rates;
    json!({
        "uptime_s": paths.uptime_s,
        "is_synchronised": paths.is_synchronised,
        "snapshot_age_s": paths.snapshot_age_ms.map(|age_ms| f64::from(age_ms) / 1e3),
        "interfaces": interfaces,
        "client_slots": paths.client_slots,
        "clients": paths.clients,
        "is_limiting": paths.is_limiting,
        "xdp": if paths.has_xdp { path(&paths.xdp, rates.map(|it| it.xdp)) } else { Value::Null },
        "user": path(&paths.user, rates.map(|it| it.user)),
        "stats": seen.state.stats.map(|stats| json!({
            "authenticated": stats.authenticated,
            "interleaved": stats.interleaved,
            "commands": stats.commands.received,
        })),
    })
}

fn path(counts: &PathCounts, rates: Option<PathRates>) -> Value {
    json!({
        "answered_ipv4": counts.answered_v4,
        "answered_ipv6": counts.answered_v6,
        "limited": counts.limited,
        "kisses": counts.kisses,
        "denied": counts.denied,
        "dropped": counts.dropped,
        "passed": counts.passed,
        "rates": rates.map(|rates| json!({
            "answered": rates.answered,
            "limited": rates.limited,
            "denied": rates.denied,
            "dropped": rates.dropped,
            "passed": rates.passed,
        })),
    })
}

fn client(client: &Client) -> Value {
    json!({
        "address": show_address(client.address),
        "requests": client.ntp.received,
        "dropped": client.ntp.dropped,
        "interval_s": interval_s(client),
        "last_s": client.last_ntp_s,
    })
}

/// Mean interval of a client's requests, seconds, to a power of two.
pub(super) fn interval_s(client: &Client) -> Option<f64> {
    const NOT_KNOWN: i8 = 127;
    let log2 = client.ntp_interval_log2;
    (log2 != NOT_KNOWN).then(|| f64::from(log2).exp2())
}
