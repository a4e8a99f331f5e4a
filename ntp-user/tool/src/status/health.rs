//! Whether the time is good, and why not.

use ntp_engine::candm::{SourceStatus, Tracking};

use super::gather::State;
use crate::units::show_ns;

/// Root distance from which on there is a reservation, and from which on the time is not good, seconds. The latter
/// is what clients refuse by RFC 5905 (MAXDIST).
const DOUBTFUL_S: f64 = 0.1;
const BAD_S: f64 = 1.0;

/// Age of a snapshot that XDP does not answer from any more, milliseconds.
const EXPIRED_MS: u32 = 60_000;

/// The reference ID of a clock that is served as it is (`local`).
const LOCAL: u32 = 0x7f7f_0101;

/// The leap indicator of a clock that is not synchronised.
const UNSYNCHRONISED: u8 = 3;

/// How good the time is; the exit status of `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Level {
    Good = 0,
    Doubtful = 1,
    Bad = 2,
}

impl Level {
    /// A word for it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Doubtful => "doubtful",
            Self::Bad => "bad",
        }
    }
}

/// A judgement with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Health {
    pub(super) level: Level,
    pub(super) reasons: Vec<String>,
}

/// How far off the time is at most: root distance (RFC 5905 section 11.2.2) with what is still to be corrected,
/// seconds.
pub(super) fn most_off_s(tracking: &Tracking) -> f64 {
    tracking.root_delay_s / 2.0 + tracking.root_dispersion_s + tracking.correction_s.abs()
}

impl Health {
    /// Judges what the daemon told.
    pub(super) fn of(state: &State) -> Self {
        let mut health = Self { level: Level::Good, reasons: Vec::new() };
        health.judge_clock(state);
        health.judge_sources(state);
        health.judge_serving(state);
        health
    }

    fn note(&mut self, level: Level, reason: impl Into<String>) {
        self.level = self.level.max(level);
        self.reasons.push(reason.into());
    }

    fn judge_clock(&mut self, state: &State) {
        let tracking = &state.tracking;
        if state.paths.is_some_and(|paths| paths.is_too_far_off) {
            self.note(Level::Bad, "the clock is too far off to be slewed: run `chronyc makestep`");
        }
        if tracking.stratum == 0 || tracking.leap == UNSYNCHRONISED {
            self.note(Level::Bad, "the clock is not synchronised");
            return;
        }
        if tracking.reference_id == LOCAL {
            self.note(Level::Doubtful, "the clock follows nobody and is served as it is");
            return;
        }
        let off_s = most_off_s(tracking);
        let level = if off_s >= BAD_S { Level::Bad } else { Level::Doubtful };
        if off_s >= DOUBTFUL_S {
            self.note(level, format!("the time may be {} off", show_ns(off_s * 1e9)));
        }
    }

    fn judge_sources(&mut self, state: &State) {
        let with = |status: SourceStatus| {
            state.sources.iter().filter(move |source| source.data.status == status)
        };
        for source in with(SourceStatus::Selected).filter(|source| source.data.reach == 0) {
            let name = &source.name;
            self.note(Level::Doubtful, format!("{name}, which the clock follows, does not answer"));
        }
        let wrong: Vec<&str> =
            with(SourceStatus::Falseticker).map(|source| source.name.as_str()).collect();
        if !wrong.is_empty() {
            self.note(Level::Doubtful, format!("wrong: {}", wrong.join(", ")));
        }
    }

    fn judge_serving(&mut self, state: &State) {
        let Some(paths) = state.paths else { return };
        if paths.has_xdp && paths.interfaces == 0 {
            self.note(Level::Doubtful, "XDP is loaded, and on no interface");
        }
        if let Some(age_ms) = paths.snapshot_age_ms.filter(|&age_ms| age_ms > EXPIRED_MS) {
            let age = show_ns(f64::from(age_ms) * 1e6);
            self.note(Level::Bad, format!("what is answered from is {age} old"));
        }
    }
}
