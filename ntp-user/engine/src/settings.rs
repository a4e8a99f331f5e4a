//! What the engine takes from a configuration: sources and figures of the discipline, and nothing that
//! belongs to files, sockets or privileges.

use std::collections::BTreeSet;

use crate::conf::{
    AuthSelectMode, Config, FallbackDrift, InitStepSlew, LeapSecMode, Local, LogFile, MakeStep,
    MaxChange, SmoothTime, Source,
};

/// log2 of [`EngineConfig::precision_log2`]'s default in seconds: 30 ns, what reading a clock takes.
const DEFAULT_PRECISION_LOG2: i8 = -25;

/// Smallest poll exponent that replies give when clients are not limited: any that a client asks for.
const ANY_POLL: i8 = i8::MIN;

/// The default of `corrtimeratio`, for which slews are as long as they are without it.
const USUAL_CORRECTION_TIME_RATIO: f64 = 3.0;

/// The settings of an [`crate::engine::Engine`].
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "one flag for each directive that is one")]
pub struct EngineConfig {
    /// `server`, `pool` and `peer` lines, in order.
    pub sources: Vec<Source>,
    /// Whether anybody is served, who may then follow us.
    pub serves: bool,
    /// Time between two looks at the addresses of names that are in use, seconds; 0: none.
    pub refresh_s: u32,
    /// Fewest samples kept of a source whose options don't say.
    pub min_samples: u32,
    /// Most samples kept of a source whose options don't say; 0: as many as fit.
    pub max_samples: u32,
    /// Whom to ask for the first correction, and when to step by it; `None`: the configured sources as usual.
    pub initial: Option<InitStepSlew>,
    /// When to step instead of slewing; `None`: never.
    pub makestep: Option<MakeStep>,
    /// Largest rate of slewing, seconds a second, above 0.
    pub max_slew_rate: f64,
    /// Which sources are followed.
    pub selection: SelectionSettings,
    /// Largest estimated error of a frequency that is taken over, seconds a second.
    pub max_update_skew: f64,
    /// What is done at a leap second.
    pub leap_mode: LeapSecMode,
    /// How corrections and leap seconds reach clients; `None`: at once.
    pub smooth_time: Option<SmoothTime>,
    /// Largest change at an update; `None`: no limit.
    pub max_change: Option<MaxChange>,
    /// Largest correction of the frequency, seconds a second.
    pub max_drift: f64,
    /// How fast the bound of the clock's error grows while nothing is measured, besides what the error of its frequency
    /// makes of it, seconds a second.
    pub max_clock_error: f64,
    /// How long slews take, in proportion to the usual.
    pub slew_length: f64,
    /// Mean frequencies for times without updates; `None`: none.
    pub fallback_drift: Option<FallbackDrift>,
    /// Whether times are taken by hand.
    pub manual: bool,
    /// What is served without sources; `None`: that there is no time.
    pub local: Option<Local>,
    /// Whether the kernel may copy the time to the real-time clock.
    pub rtcsync: bool,
    /// Least time between two updates of the drift file, seconds; 0: only on exit; `None`: there is none.
    pub drift_interval_s: Option<u32>,
    /// Errors of the clock beyond this are logged as warnings, seconds.
    pub log_change_s: f64,
    /// Files whose records are noted: see [`crate::record`].
    pub logs: BTreeSet<LogFile>,
    /// Whether packets are noted, too, that say nothing of use.
    pub logs_rejected: bool,
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
            serves: config.port != 0 && !config.access.is_empty(),
            refresh_s: config.refresh_s,
            min_samples: config.minsamples,
            max_samples: config.maxsamples,
            initial: config.initstepslew.clone(),
            makestep: config.makestep,
            max_slew_rate: config.maxslewrate_ppm * 1e-6,
            selection: SelectionSettings::from_config(config),
            max_update_skew: config.maxupdateskew_ppm * 1e-6,
            leap_mode: config.leapsecmode,
            smooth_time: config.smoothtime,
            max_change: config.maxchange,
            max_drift: config.maxdrift_ppm * 1e-6,
            max_clock_error: config.maxclockerror_ppm * 1e-6,
            slew_length: config.corrtimeratio / USUAL_CORRECTION_TIME_RATIO,
            fallback_drift: config.fallbackdrift,
            manual: config.manual,
            local: config.local,
            rtcsync: config.rtcsync,
            drift_interval_s: config.driftfile.as_ref().map(|file| file.interval_s),
            log_change_s: config.logchange_s,
            logs: config.log.clone(),
            logs_rejected: config.log_rawmeasurements,
            min_reply_poll_log2: config.ratelimit.map_or(ANY_POLL, |limit| limit.interval_log2),
            precision_log2: DEFAULT_PRECISION_LOG2,
        }
    }
}

/// Which sources are followed.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectionSettings {
    /// Largest root distance of a selectable source, seconds.
    pub max_distance_s: f64,
    /// Largest jitter of a selectable source, seconds.
    pub max_jitter_s: f64,
    /// Selectable sources needed before the clock is updated, from 1.
    pub min_sources: usize,
    /// Smallest stratum of a selectable source.
    pub min_stratum: u8,
    /// Largest stratum of a selectable source.
    pub max_stratum: u8,
    /// Root distances of the selected source within which others are combined with it; 0: none is.
    pub combine_limit: f64,
    /// Added to the distance of sources that are not selected, seconds.
    pub reselect_distance_s: f64,
    /// Distance that a stratum counts for, seconds.
    pub stratum_weight_s: f64,
    /// How authenticated sources and others are mixed.
    pub auth_mode: AuthSelectMode,
}

impl SelectionSettings {
    /// Takes over what a configuration says of selection.
    #[must_use]
    pub fn from_config(config: &Config) -> Self {
        Self {
            max_distance_s: config.maxdistance_s,
            max_jitter_s: config.maxjitter_s,
            min_sources: usize::try_from(config.minsources).unwrap_or(usize::MAX),
            min_stratum: config.minstratum,
            max_stratum: config.maxstratum,
            combine_limit: config.combinelimit,
            reselect_distance_s: config.reselectdist_s,
            stratum_weight_s: config.stratumweight_s,
            auth_mode: config.authselectmode,
        }
    }
}
