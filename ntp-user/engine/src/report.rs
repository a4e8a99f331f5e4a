//! What the engine tells of its state: values for status commands, metrics and logs.

use std::net::IpAddr;

use ntp_common::time::NtpTimestamp;
use ntp_common::wire::{LeapIndicator, ReferenceId};

pub use crate::reference::reference_id;
use crate::seams::SourceId;

/// What became of a source in the last selection. The characters are those of `chronyc sources`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// `*`: the clock follows it.
    Selected,
    /// `+`: combined with the selected source.
    Combined,
    /// `-`: right, but not needed.
    NotCombined,
    /// `x`: disagrees with the majority.
    Falseticker,
    /// `~`: varies too much.
    Jittery,
    /// `?`: unreachable, not synchronised, too far off, or not to be selected.
    Unusable,
}

impl SourceState {
    /// The character that stands for the state.
    #[must_use]
    pub const fn symbol(self) -> char {
        match self {
            Self::Selected => '*',
            Self::Combined => '+',
            Self::NotCombined => '-',
            Self::Falseticker => 'x',
            Self::Jittery => '~',
            Self::Unusable => '?',
        }
    }
}

/// One source. Offsets are positive when our clock is behind the source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceReport {
    /// Its identifier; `None` while its name is not resolved.
    pub id: Option<SourceId>,
    /// The name it was configured by, if it was by name.
    pub name: Option<String>,
    /// Its address; `None` while its name is not resolved.
    pub address: Option<IpAddr>,
    /// What the last selection made of it.
    pub state: SourceState,
    /// Stratum of its last valid reply, 0 when there was none.
    pub stratum: u8,
    /// Poll interval, log2 seconds.
    pub poll_log2: i8,
    /// Reachability register: one bit for each of the last 8 polls, the latest lowest.
    pub reach: u8,
    /// Seconds since the last sample.
    pub last_sample_s: Option<f64>,
    /// Offset of the last sample as it was measured, seconds.
    pub measured_offset_s: f64,
    /// Offset of the last sample on the clock as it has been adjusted since, seconds.
    pub adjusted_offset_s: f64,
    /// Bound of the error of the last sample, seconds.
    pub error_s: f64,
    /// Samples in use for the estimate.
    pub samples: usize,
    /// Runs of residuals with the same sign.
    pub runs: usize,
    /// Time that these samples span, seconds.
    pub span_s: f64,
    /// Estimated frequency of the source against our clock, ppm.
    pub frequency_ppm: f64,
    /// Estimated error of that frequency, ppm.
    pub skew_ppm: f64,
    /// Estimated offset, seconds.
    pub offset_s: f64,
    /// Estimated standard deviation of samples, seconds.
    pub deviation_s: f64,
    /// Requests sent.
    pub sent: u64,
    /// Replies that passed all checks.
    pub accepted: u64,
    /// Packets that failed a check.
    pub rejected: u64,
}

/// The clock and what it follows. Offsets are positive when our clock is behind true time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tracking {
    /// What the clock is synchronised to.
    pub reference_id: ReferenceId,
    /// Address of the selected source.
    pub address: Option<IpAddr>,
    /// Stratum that is served; 0 when not synchronised.
    pub stratum: u8,
    /// Leap indicator that is served.
    pub leap: LeapIndicator,
    /// When the clock was last corrected.
    pub reference_timestamp: NtpTimestamp,
    /// Correction of the clock that is still to be slewed, seconds.
    pub remaining_correction_s: f64,
    /// Offset at the last update, seconds.
    pub last_offset_s: f64,
    /// Long-term root mean square of the offset at updates, seconds.
    pub rms_offset_s: f64,
    /// How much faster than true time the clock runs by itself, ppm.
    pub frequency_ppm: f64,
    /// Frequency that the selected sources see left over, ppm.
    pub residual_frequency_ppm: f64,
    /// Estimated error of the frequency, ppm.
    pub skew_ppm: f64,
    /// Round-trip delay to the reference clock, seconds.
    pub root_delay_s: f64,
    /// Dispersion to the reference clock, seconds.
    pub root_dispersion_s: f64,
    /// Time between the last two updates, seconds.
    pub update_interval_s: f64,
    /// Updates of the clock since the start.
    pub updates: u64,
}

/// How served time is smoothed (`smoothtime`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smoothing {
    /// Whether smoothing has begun.
    pub is_active: bool,
    /// Whether nothing but leap seconds is smoothed.
    pub leap_only: bool,
    /// What served time is ahead of estimated true time, seconds.
    pub offset_s: f64,
    /// How much faster it runs, ppm.
    pub frequency_ppm: f64,
    /// How that changes, ppm a second.
    pub wander_ppm: f64,
    /// Since the curve was last changed, seconds.
    pub last_update_s: f64,
    /// Until served time is true time, seconds.
    pub remaining_s: f64,
}
