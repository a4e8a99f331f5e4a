//! What the engine notes of its work for log files: values, for the daemon to write in whatever form.
//!
//! Invariant: what is noted is bounded; who does not take it loses the rest, not memory.

use std::net::IpAddr;

use ntp_common::time::NtpTimestamp;
use ntp_common::wire::{LeapIndicator, ReferenceId};

use crate::report::{Named, SelectOptions, Verdict};
use crate::seams::StampedBy;
use crate::tempcomp::Compensation;

/// Most records that wait to be taken: more than one event can give.
const MOST: usize = 4096;

/// One record. Offsets are positive when our clock is behind; times are on the steered clock.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A packet of a source.
    Measurement(Measurement),
    /// The line through the samples of a source, after a new one.
    Statistics(Statistics),
    /// The clock after an update, or without anything to follow.
    Tracking(Update),
    /// A source in a selection.
    Selection(Selected),
    /// A reading of a reference clock.
    ClockReading(ClockReading),
    /// The sample that the readings of a reference clock came to.
    ClockSample(ClockSample),
    /// A temperature that the clock was compensated for.
    Temperature(Temperature),
}

/// A packet of a source, and what was measured by it.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// When it arrived.
    pub at: NtpTimestamp,
    /// The source.
    pub source: IpAddr,
    /// The leap second that it announces.
    pub leap: LeapIndicator,
    /// Its stratum.
    pub stratum: u8,
    /// Tests that it passed: see [`crate::report::PacketReport::tests`].
    pub tests: u16,
    /// Our poll interval, log2 seconds.
    pub local_poll_log2: i8,
    /// The source's poll interval, log2 seconds.
    pub remote_poll_log2: i8,
    /// Offset, seconds.
    pub offset_s: f64,
    /// Round-trip delay, seconds.
    pub delay_s: f64,
    /// Bound of the error of reading both clocks, seconds.
    pub dispersion_s: f64,
    /// Delay from the source to its reference clock, seconds.
    pub root_delay_s: f64,
    /// Dispersion from the source to its reference clock, seconds.
    pub root_dispersion_s: f64,
    /// What the source follows.
    pub reference_id: ReferenceId,
    /// The packet's mode. RFC 5905 section 7.3.
    pub mode: u8,
    /// Whether it was interleaved (RFC 9769).
    pub interleaved: bool,
    /// Who stamped our packet and the source's; `None` where nothing could be measured.
    pub stamped_by: Option<(StampedBy, StampedBy)>,
}

/// The line through the samples of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// When the last sample was made.
    pub at: NtpTimestamp,
    /// The source.
    pub source: Named,
    /// Standard deviation of samples, seconds.
    pub deviation_s: f64,
    /// Offset at the last sample, seconds.
    pub offset_s: f64,
    /// Its standard deviation, seconds.
    pub offset_deviation_s: f64,
    /// How much the offset grows, seconds a second.
    pub frequency: f64,
    /// Bound of the error of that, seconds a second.
    pub skew: f64,
    /// By how much the frequency has changed, in proportion to the bound of its error before.
    pub stress: f64,
    /// Samples in use.
    pub samples: usize,
    /// Runs of residuals with the same sign.
    pub runs: usize,
    /// The asymmetry of jitter that samples were corrected for.
    pub asymmetry: f64,
}

/// The clock after an update.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// When.
    pub at: NtpTimestamp,
    /// The selected source; `None`: there is none.
    pub source: Option<Named>,
    /// Stratum that is served for it; 0: not synchronised.
    pub stratum: u8,
    /// How much faster than true time the clock runs by itself, ppm.
    pub frequency_ppm: f64,
    /// Bound of the error of that, ppm.
    pub skew_ppm: f64,
    /// Offset of the clock that was found, seconds.
    pub offset_s: f64,
    /// The leap indicator.
    pub leap: LeapIndicator,
    /// Sources that were combined.
    pub combined: usize,
    /// Standard deviation of the offset, seconds.
    pub offset_deviation_s: f64,
    /// What was still to be corrected of the offset before, seconds.
    pub remaining_s: f64,
    /// Round-trip delay to the reference clock, seconds.
    pub root_delay_s: f64,
    /// Dispersion to the reference clock, seconds.
    pub root_dispersion_s: f64,
    /// Bound of the error that the clock had since the update before, seconds.
    pub maximum_error_s: f64,
}

/// A source in a selection.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    /// When.
    pub at: NtpTimestamp,
    /// The source.
    pub source: Named,
    /// What was made of it.
    pub verdict: Verdict,
    /// The options that were in effect.
    pub options: SelectOptions,
    /// Its reachability register.
    pub reach: u8,
    /// How much better than the selected source it was lately.
    pub score: f64,
    /// Seconds since its last sample.
    pub last_sample_s: f64,
    /// Lowest offset that it lets expect, seconds.
    pub low_s: f64,
    /// Highest offset that it lets expect, seconds.
    pub high_s: f64,
}

/// A reading of a reference clock.
#[derive(Clone, Debug, PartialEq)]
pub struct ClockReading {
    /// When it was made.
    pub at: NtpTimestamp,
    /// The clock.
    pub clock: ReferenceId,
    /// How many there had been since the last sample.
    pub number: u32,
    /// The leap second that the clock announces.
    pub leap: LeapIndicator,
    /// Whether it told no more than the fraction of the second.
    pub is_pulse: bool,
    /// Offset as it was read, seconds.
    pub raw_s: f64,
    /// Offset with everything taken into account that is known of the clock, of the second and of what is still to be
    /// corrected, seconds.
    pub cooked_s: f64,
    /// Bound of the error of reading both clocks, seconds.
    pub dispersion_s: f64,
}

/// The sample that the readings of a reference clock came to.
#[derive(Clone, Debug, PartialEq)]
pub struct ClockSample {
    /// When its readings were made, on average.
    pub at: NtpTimestamp,
    /// The clock.
    pub clock: ReferenceId,
    /// The leap second that the clock announces.
    pub leap: LeapIndicator,
    /// Offset less what is still to be corrected, seconds.
    pub cooked_s: f64,
    /// How far it may be off by the readings alone, seconds.
    pub dispersion_s: f64,
}

/// A temperature that the clock was compensated for.
#[derive(Clone, Debug, PartialEq)]
pub struct Temperature {
    /// When it was read.
    pub at: NtpTimestamp,
    /// What is done about it.
    pub compensation: Compensation,
}

/// What was noted and has not been taken yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal(Vec<Record>);

impl Journal {
    /// Notes a record.
    pub(crate) fn note(&mut self, record: Record) {
        if self.0.len() < MOST {
            self.0.push(record);
        }
    }

    /// Gives what was noted since the last time.
    pub(crate) fn take(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.0)
    }
}
