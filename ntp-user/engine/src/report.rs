//! What the engine tells of its state: values for status commands, metrics and logs.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ntp_common::time::NtpTimestamp;
use ntp_common::wire::{Header, LeapIndicator, ReferenceId};

pub use crate::refclock::clock_name;
pub use crate::reference::reference_id;
use crate::seams::{SourceId, StampedBy};

/// What a source is called: its address, or the reference ID of a reference clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// It is asked over the network.
    Address(IpAddr),
    /// It is a reference clock.
    Clock(ReferenceId),
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Clock(id) => f.write_str(&clock_name(*id)),
        }
    }
}

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

/// What the last selection made of a source, and why. The characters are those of `chronyc selectdata`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `N`: has the option `noselect`, or `authselectmode` shuts it out.
    NoSelect,
    /// `M`: there is no measurement yet.
    NoMeasurement,
    /// `s`: says that it is not synchronised.
    Unsynchronised,
    /// `r`: its stratum is not between `minstratum` and `maxstratum`, or leaves none for us.
    BadStratum,
    /// `d`: its root distance is above `maxdistance`.
    TooFar,
    /// `~`: its jitter is above `maxjitter`.
    Jittery,
    /// `w`: waits for sources that have not answered yet.
    WaitsForAnswers,
    /// `S`: unreachable, and its measurements are older than those of others, or for more polls than `maxunreach`.
    Stale,
    /// `O`: serves local time like us (`local orphan`).
    Orphan,
    /// `T`: does not fully agree with the sources that have the option `trust`.
    Untrusted,
    /// `x`: disagrees with the majority.
    Falseticker,
    /// `W`: right, but `minsources` or `require` ask for other sources, too.
    WaitsForSources,
    /// `P`: right, but others have the option `prefer`.
    NotPreferred,
    /// `D`: right, but too far away to be combined (`combinelimit`).
    Distant,
    /// `+`: combined with the selected source.
    Combined,
    /// `*`: the clock follows it.
    Selected,
}

impl Verdict {
    /// The character that stands for the verdict.
    #[must_use]
    pub const fn code(self) -> char {
        match self {
            Self::NoSelect => 'N',
            Self::NoMeasurement => 'M',
            Self::Unsynchronised => 's',
            Self::BadStratum => 'r',
            Self::TooFar => 'd',
            Self::Jittery => '~',
            Self::WaitsForAnswers => 'w',
            Self::Stale => 'S',
            Self::Orphan => 'O',
            Self::Untrusted => 'T',
            Self::Falseticker => 'x',
            Self::WaitsForSources => 'W',
            Self::NotPreferred => 'P',
            Self::Distant => 'D',
            Self::Combined => '+',
            Self::Selected => '*',
        }
    }

    /// The state that it comes to.
    #[must_use]
    pub const fn state(self) -> SourceState {
        match self {
            Self::Selected => SourceState::Selected,
            Self::Combined => SourceState::Combined,
            Self::WaitsForSources | Self::NotPreferred | Self::Distant => SourceState::NotCombined,
            Self::Falseticker => SourceState::Falseticker,
            Self::Jittery => SourceState::Jittery,
            Self::NoSelect
            | Self::NoMeasurement
            | Self::Unsynchronised
            | Self::BadStratum
            | Self::TooFar
            | Self::WaitsForAnswers
            | Self::Stale
            | Self::Orphan
            | Self::Untrusted => SourceState::Unusable,
        }
    }
}

/// Options of a source that selection goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one flag for each option of chrony.conf")]
pub struct SelectOptions {
    /// `noselect`: never to be followed.
    pub noselect: bool,
    /// `prefer`: to be followed rather than others that are right, too.
    pub prefer: bool,
    /// `trust`: others are judged by it.
    pub trust: bool,
    /// `require`: nothing is followed unless a source with this option is right.
    pub require: bool,
}

/// The part of a source in the last selection.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectionReport {
    /// Its identifier; `None` while its name is not resolved.
    pub id: Option<SourceId>,
    /// The name it was configured by, if it was by name.
    pub name: Option<String>,
    /// Its address; `None` while its name is not resolved, and for a reference clock.
    pub address: Option<IpAddr>,
    /// Its reference ID, if it is a reference clock.
    pub clock: Option<ReferenceId>,
    /// What was made of it.
    pub verdict: Verdict,
    /// Whether its packets are authenticated.
    pub authenticated: bool,
    /// The options that are configured.
    pub configured: SelectOptions,
    /// The options that were in effect: `authselectmode` may add some.
    pub effective: SelectOptions,
    /// Seconds between its last sample and the selection.
    pub last_sample_s: Option<f64>,
    /// How much better than the selected source it was lately, from 1; above 10 it is selected.
    pub score: f64,
    /// Lowest offset that it lets expect, seconds; positive when our clock is behind. (`chronyc` shows offsets of
    /// the opposite sign.)
    pub low_s: f64,
    /// Highest offset that it lets expect, seconds.
    pub high_s: f64,
    /// The leap second that it announces; unsynchronised without a measurement.
    pub leap: LeapIndicator,
}

/// One source. Offsets are positive when our clock is behind the source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceReport {
    /// Its identifier; `None` while its name is not resolved.
    pub id: Option<SourceId>,
    /// The name it was configured by, if it was by name.
    pub name: Option<String>,
    /// Its address; `None` while its name is not resolved, and for a reference clock.
    pub address: Option<IpAddr>,
    /// Its reference ID, if it is a reference clock.
    pub clock: Option<ReferenceId>,
    /// Whether it is a peer: both send on their own account.
    pub is_peer: bool,
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

/// What the last packet of a source said that answered one of ours, and how many there were.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PacketReport {
    /// Where packets go to.
    pub remote: SocketAddr,
    /// The address of ours that they come back to; `None` before there was an answer.
    pub local: Option<IpAddr>,
    /// The header; all fields that are not known yet are 0.
    pub header: Header,
    /// Whether it was interleaved (RFC 9769).
    pub interleaved: bool,
    /// Whether it was authenticated.
    pub authenticated: bool,
    /// Tests that it passed, one bit each: 1, 2, 3, 5, 6, 7, A, B, C, D of `chronyc ntpdata` from the highest to
    /// the lowest of ten.
    pub tests: u16,
    /// The offset that was measured, seconds: positive when our clock is behind.
    pub offset_s: f64,
    /// Round-trip delay, seconds.
    pub delay_s: f64,
    /// Bound of the error of reading both clocks, seconds.
    pub dispersion_s: f64,
    /// How long the source took to answer, seconds.
    pub response_s: f64,
    /// Asymmetry of jitter that the option `asymmetry` gives; 0 without.
    pub jitter_asymmetry: f64,
    /// Who stamped our packet and the source's; `None` before there was a measurement.
    pub stamped_by: Option<(StampedBy, StampedBy)>,
    /// Packets sent.
    pub sent: u64,
    /// Packets that came in.
    pub received: u64,
    /// Packets that answered ours.
    pub valid: u64,
    /// Packets of which a sample was made.
    pub good: u64,
    /// Timestamps by the kernel, of requests and replies of which a measurement was made.
    pub kernel_stamps: [u64; 2],
    /// The same by the network interface.
    pub hardware_stamps: [u64; 2],
}

/// The clock and what it follows. Offsets are positive when our clock is behind true time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tracking {
    /// What the clock is synchronised to.
    pub reference_id: ReferenceId,
    /// Address of the selected source; a reference clock has none.
    pub address: Option<IpAddr>,
    /// Reference ID of the selected source, if it is a reference clock.
    pub clock: Option<ReferenceId>,
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
    /// The clock is so far off that slewing it takes more than an hour, and may not be stepped: somebody has to
    /// run `chronyc makestep`.
    pub too_far_off: bool,
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
