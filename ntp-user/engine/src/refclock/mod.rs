//! One reference clock: takes the readings that its driver makes, completes pulses, and makes one sample of the
//! readings of a poll. It knows neither sources nor the selection.
//!
//! Invariant: what is kept is bounded by the options `filter`, and speaks of the steered clock as it is now.

mod filter;
mod pulse;

use ntp_common::time::NtpDuration;
use ntp_common::wire::{LeapIndicator, ReferenceId};

use crate::conf::{self, RefClockOptions};
use crate::sample::{ClockChange, Sample};
use crate::seams::Reading;
use crate::seconds;
use filter::Filter;
use pulse::Signal;

/// Deviations of a sample that bound its error.
const BOUND: f64 = 3.0;
/// Readings that a sample is made of at least: pulses, and what a poll has so many of. One that came late is left out
/// then; alone it would be the truth, and the difference to the next one a rate.
const FEWEST_READINGS: usize = 4;
/// Polls for which a reading waits for others to make a sample with: those from before a silence are of no use.
const WAITING_POLLS: f64 = 16.0;
/// How far in the future a reading may lie that is believed, seconds: clocks are not read at the same instant.
const MOST_AHEAD_S: f64 = 0.1;
/// Polls after which a reading is too old to be believed, and the least time, seconds.
const OLD_POLLS: f64 = 2.0;
const LEAST_OLD_S: f64 = 16.0;

/// A reference clock's ID as it is written in the configuration.
#[must_use]
pub fn clock_name(id: ReferenceId) -> String {
    let printable = |octet: u8| if octet.is_ascii_graphic() { char::from(octet) } else { '?' };
    let octets = id.0.to_be_bytes();
    let len = octets.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
    octets[..len].iter().map(|&octet| printable(octet)).collect()
}

/// What completes a pulse: where the second that it belongs to lies, roughly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Second {
    /// The offset that is known, seconds.
    pub(crate) offset: NtpDuration,
    /// Bound of its error, seconds.
    pub(crate) error_s: f64,
    /// Leap second that is announced.
    pub(crate) leap: LeapIndicator,
    /// Stratum below which the pulses can't be: what they are completed by is that far from the truth.
    pub(crate) stratum: u8,
}

/// Why a reading was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// It is not of now: the program that makes it is stuck, or the clock was stepped since.
    #[error("reading is not of now")]
    NotOfNow,
    /// Nothing says which second a pulse is of.
    #[error("nothing says which second it is")]
    NoSecond,
    /// What says so is too far off, or too uncertain.
    #[error("the second that it is of is in doubt")]
    DoubtfulSecond,
    /// The clock keeps TAI, and nobody knows how far that is from UTC.
    #[error("what TAI is ahead of UTC is not known (`leapseclist`)")]
    NoTai,
}

/// A reading with everything taken into account.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cooked {
    /// When it was made, and by whom, as in a sample.
    pub(crate) reading: Reading,
    /// The offset that it comes to.
    pub(crate) offset: NtpDuration,
    /// Stratum that it gives the clock.
    pub(crate) stratum: u8,
    /// Readings since the last poll, before this one.
    pub(crate) number: u32,
}

/// The sample that the readings of a poll come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Combined {
    pub(crate) sample: Sample,
    /// Its standard deviation, as far as the readings tell, seconds.
    pub(crate) deviation_s: f64,
    /// Bound of the error of reading both clocks, seconds.
    pub(crate) reading_s: f64,
}

/// A reference clock.
#[derive(Clone, Debug)]
pub(crate) struct RefClock {
    line: conf::RefClock,
    precision_s: f64,
    /// What is added to readings, seconds.
    offset_s: f64,
    filter: Filter,
    /// The last reading that told full time, or was completed.
    last: Option<Cooked>,
    /// Readings since the last poll.
    number: u32,
    /// Readings that could not be used since the last poll, and why the last of them.
    unusable: Option<Unusable>,
}

impl RefClock {
    /// A clock that was not read yet; `precision_s` is that of the steered clock.
    pub(crate) fn new(line: conf::RefClock, precision_s: f64) -> Self {
        let precision_s = line.options.precision_s.unwrap_or(precision_s);
        let (offset_s, filter) = (line.options.offset_s, Filter::new(line.options.filter));
        Self { line, precision_s, offset_s, filter, last: None, number: 0, unusable: None }
    }

    /// The line that it is of.
    pub(crate) fn line(&self) -> &conf::RefClock {
        &self.line
    }

    /// Its options.
    pub(crate) fn options(&self) -> &RefClockOptions {
        &self.line.options
    }

    /// Its reference ID.
    pub(crate) fn id(&self) -> ReferenceId {
        self.line.options.refid
    }

    /// Has something else added to readings from now on, seconds.
    pub(crate) fn set_offset(&mut self, offset_s: f64) {
        self.offset_s = offset_s;
    }

    /// Precision of reading it, seconds.
    pub(crate) fn precision_s(&self) -> f64 {
        self.precision_s
    }

    /// Whether its readings are to be completed: `reading` says if this one tells no more than a pulse.
    pub(crate) fn is_pulse(&self, reading: &Reading) -> bool {
        reading.is_pulse || self.line.gives_pulses()
    }

    /// The last reading that was used.
    pub(crate) fn last(&self) -> Option<&Cooked> {
        self.last.as_ref()
    }

    /// Takes a reading that was made `age_s` seconds ago. `second` completes it, if it is a pulse; `tai` is what TAI
    /// is ahead of UTC.
    ///
    /// # Errors
    /// Why it was not used.
    pub(crate) fn read(
        &mut self,
        reading: Reading,
        age_s: f64,
        second: Option<&Second>,
        tai_offset: Option<i32>,
    ) -> Result<Cooked, Unusable> {
        let cooked = self.cook(reading, age_s, second, tai_offset);
        match cooked {
            Ok(cooked) => {
                self.number = self.number.saturating_add(1);
                self.last = Some(cooked);
                let interval_s = f64::from(self.options().poll_log2).exp2();
                let waiting = seconds::duration(WAITING_POLLS * interval_s.max(1.0));
                self.filter.forget_before(cooked.reading.at - waiting);
                self.filter.add(&cooked);
            }
            Err(reason) => self.unusable = Some(reason),
        }
        cooked
    }

    fn cook(
        &self,
        reading: Reading,
        age_s: f64,
        second: Option<&Second>,
        tai_offset: Option<i32>,
    ) -> Result<Cooked, Unusable> {
        let options = self.options();
        let interval_s = f64::from(options.poll_log2).exp2();
        if !(-MOST_AHEAD_S..=LEAST_OLD_S.max(OLD_POLLS * interval_s)).contains(&age_s) {
            return Err(Unusable::NotOfNow);
        }
        let raw = reading.offset + seconds::duration(self.offset_s);
        let number = self.number;
        if self.is_pulse(&reading) {
            let second = second.ok_or(Unusable::NoSecond)?;
            let signal = Signal::new(options.rate, options.width_s);
            let error_s = second.error_s + reading.dispersion_s;
            let offset = signal.complete(raw, second.offset, error_s);
            return Ok(Cooked {
                reading: Reading { leap: second.leap, ..reading },
                offset: offset.ok_or(Unusable::DoubtfulSecond)?,
                stratum: options.stratum.max(second.stratum),
                number,
            });
        }
        let ahead = match (options.tai, tai_offset) {
            (false, _) => 0,
            (true, Some(seconds)) => seconds,
            (true, None) => return Err(Unusable::NoTai),
        };
        let offset = raw - NtpDuration::from_bits(i64::from(ahead) << 32);
        Ok(Cooked { reading, offset, stratum: options.stratum, number })
    }

    /// Whether readings come in, but too few yet to make a sample of.
    pub(crate) fn needs_more(&self) -> bool {
        self.number > 0 && self.filter.len() < self.fewest()
    }

    /// Lets it be read once more before the poll ends.
    pub(crate) fn wait_for_more(&mut self) {
        self.number = 0;
    }

    /// Readings that a sample is made of at least: of pulses also where that takes more than a poll.
    fn fewest(&self) -> usize {
        let fewest = FEWEST_READINGS.min(self.filter.most());
        let options = self.options();
        if self.line.gives_pulses() {
            return fewest;
        }
        let in_a_poll = f64::from(options.poll_log2 - options.dpoll_log2).exp2();
        (1..=fewest).rev().find(|&fewest| filter::float(fewest) <= in_a_poll).unwrap_or(1)
    }

    /// Ends a poll: gives the sample that its readings come to. `noise_s` is what samples of the clock were found to
    /// deviate by.
    pub(crate) fn poll(&mut self, noise_s: Option<f64>) -> Result<Combined, Option<Unusable>> {
        self.number = 0;
        let unusable = self.unusable.take();
        if self.filter.len() < self.fewest() {
            return Err(unusable);
        }
        let filtered = self.filter.take().ok_or(unusable)?;
        let options = &self.line.options;
        let deviation_s = filtered.deviation_s.max(noise_s.unwrap_or(0.0)).max(self.precision_s);
        let reading_s = filtered.dispersion_s + self.precision_s;
        let limit_s = options.maxdispersion_s;
        if limit_s > 0.0 && reading_s + deviation_s > limit_s {
            return Err(None);
        }
        let sample = Sample {
            time: filtered.time,
            offset_s: filtered.offset_s,
            delay_s: options.delay_s.max(f64::MIN_POSITIVE),
            dispersion_s: reading_s + BOUND * deviation_s,
            root_delay_s: 0.0,
            root_dispersion_s: 0.0,
            stratum: filtered.stratum,
            leap: filtered.leap,
            reference_id: self.id(),
        };
        Ok(Combined { sample, deviation_s, reading_s })
    }

    /// Forgets what was read since the last poll.
    pub(crate) fn clear(&mut self) {
        self.filter.clear();
        self.last = None;
        self.number = 0;
    }

    /// Moves everything onto the clock as it is since `change`.
    pub(crate) fn move_onto(&mut self, change: &ClockChange) {
        self.filter.move_onto(change);
        if let Some(last) = &mut self.last {
            let moved = seconds::duration(change.moved_s(last.reading.at));
            last.reading.at = last.reading.at + moved;
            last.offset = last.offset - moved;
        }
    }
}

#[cfg(test)]
mod tests;
