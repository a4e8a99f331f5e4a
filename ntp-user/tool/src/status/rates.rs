//! What happens in a second, from two readings.

use ntp_engine::candm::PathCounts;

use super::gather::Reading;

/// Packets a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) user: PathRates,
    pub(super) xdp: PathRates,
}

/// Packets a second on one path.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct PathRates {
    pub(super) answered: f64,
    pub(super) limited: f64,
    pub(super) denied: f64,
    pub(super) dropped: f64,
    pub(super) passed: f64,
}

impl Rates {
    /// `None` unless both have counts, the second later ones of the same run.
    pub(super) fn between(before: &Reading, after: &Reading) -> Option<Self> {
        let (first, second) = (before.state.paths?, after.state.paths?);
        let passed_s = after.at.checked_duration_since(before.at)?.as_secs_f64();
        if passed_s <= 0.0 || second.uptime_s < first.uptime_s {
            return None;
        }
        let path = |before: &PathCounts, after: &PathCounts| {
            let rate =
                |of: fn(&PathCounts) -> u64| of(after).saturating_sub(of(before)) as f64 / passed_s;
            PathRates {
                answered: rate(PathCounts::answered),
                limited: rate(|it| it.limited + it.kisses),
                denied: rate(|it| it.denied),
                dropped: rate(|it| it.dropped),
                passed: rate(|it| it.passed),
            }
        };
        Some(Self { user: path(&first.user, &second.user), xdp: path(&first.xdp, &second.xdp) })
    }

    /// Requests answered a second, by both paths.
    pub(super) fn answered(&self) -> f64 {
        self.user.answered + self.xdp.answered
    }
}
