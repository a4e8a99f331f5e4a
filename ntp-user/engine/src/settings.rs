//! What the engine takes from a configuration: sources and figures of the discipline, and nothing that
//! belongs to files, sockets or privileges.

use crate::conf::{Config, LeapSecMode, Local, MakeStep, SmoothTime, Source};

/// log2 of [`EngineConfig::precision_log2`]'s default in seconds: 30 ns, what reading a clock takes.
const DEFAULT_PRECISION_LOG2: i8 = -25;

/// Smallest poll exponent that replies give when clients are not limited: any that a client asks for.
const ANY_POLL: i8 = i8::MIN;

/// The settings of an [`crate::engine::Engine`].
#[derive(Debug, Clone, PartialEq)]
pub struct EngineConfig {
    /// `server` and `pool` lines, in order.
    pub sources: Vec<Source>,
    /// When to step instead of slewing; `None`: never.
    pub makestep: Option<MakeStep>,
    /// Largest rate of slewing, seconds a second, above 0.
    pub max_slew_rate: f64,
    /// Largest root distance of a selectable source, seconds.
    pub max_distance_s: f64,
    /// Largest jitter of a selectable source, seconds.
    pub max_jitter_s: f64,
    /// Selectable sources needed before the clock is updated, from 1.
    pub min_sources: usize,
    /// Largest estimated error of a frequency that is taken over, seconds a second.
    pub max_update_skew: f64,
    /// What is done at a leap second.
    pub leap_mode: LeapSecMode,
    /// How corrections and leap seconds reach clients; `None`: at once.
    pub smooth_time: Option<SmoothTime>,
    /// What is served without sources; `None`: that there is no time.
    pub local: Option<Local>,
    /// Whether the kernel may copy the time to the real-time clock.
    pub rtcsync: bool,
    /// Least time between two updates of the drift file, seconds; 0: only on exit; `None`: there is none.
    pub drift_interval_s: Option<u32>,
    /// Errors of the clock beyond this are logged as warnings, seconds.
    pub log_change_s: f64,
    /// Smallest poll exponent that replies give, log2 seconds.
    pub min_reply_poll_log2: i8,
    /// Precision of the steered clock, log2 seconds, -32..=-1.
    pub precision_log2: i8,
}

impl EngineConfig {
    /// Takes over the engine's part of a configuration.
    #[must_use]
    pub fn from_config(config: &Config) -> Self {
        Self {
            sources: config.sources.iter().map(|line| line.value.clone()).collect(),
            makestep: config.makestep,
            max_slew_rate: config.maxslewrate_ppm * 1e-6,
            max_distance_s: config.maxdistance_s,
            max_jitter_s: config.maxjitter_s,
            min_sources: usize::try_from(config.minsources).unwrap_or(usize::MAX),
            max_update_skew: config.maxupdateskew_ppm * 1e-6,
            leap_mode: config.leapsecmode,
            smooth_time: config.smoothtime,
            local: config.local,
            rtcsync: config.rtcsync,
            drift_interval_s: config.driftfile.as_ref().map(|file| file.interval_s),
            log_change_s: config.logchange_s,
            min_reply_poll_log2: config.ratelimit.map_or(ANY_POLL, |limit| limit.interval_log2),
            precision_log2: DEFAULT_PRECISION_LOG2,
        }
    }
}
