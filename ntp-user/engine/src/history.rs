//! What was measured of a source, as it is kept between two runs: values, and their text. Invariant: samples speak of
//! a clock that runs on; whether it does, its reading tells together with that of the monotonic clock.

use std::fmt::Write;
use std::net::IpAddr;

use ntp_common::time::{MonoNs, NtpDuration, NtpTimestamp};
use ntp_common::wire::{LeapIndicator, ReferenceId};

use crate::sample::Sample;
use crate::seams::Now;
use crate::series::MOST_SAMPLES;

/// First line of the text; the number is the version of what follows.
const TITLE: &str = "ntp-xdp history 1";

/// Bound of what is a frequency of a clock, seconds a second.
const MOST_FREQUENCY: f64 = 0.5;

/// The samples of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// Address of the source.
    pub source: IpAddr,
    /// What the clocks read.
    pub clock: Now,
    /// The correction of its frequency that the steered clock was left with, seconds a second.
    pub frequency: f64,
    pub(crate) samples: Vec<Sample>,
}

/// A text is no history, or one of another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a history of version 1")]
pub struct Malformed;

impl History {
    /// Writes it; numbers are exact.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{TITLE}\n{}\n", self.source);
        // Writing to a string does not fail.
        let Now { mono, time, rate } = self.clock;
        let [time, rate, frequency] = [time.to_bits(), rate.to_bits(), self.frequency.to_bits()];
        let _written = writeln!(text, "{} {time:016x} {rate:016x} {frequency:016x}", mono.0);
        for sample in &self.samples {
            let numbers = [
                sample.offset_s,
                sample.delay_s,
                sample.dispersion_s,
                sample.root_delay_s,
                sample.root_dispersion_s,
            ];
            let _written = write!(text, "{:016x}", sample.time.to_bits());
            for number in numbers {
                let _written = write!(text, " {:016x}", number.to_bits());
            }
            let (leap, reference_id) = (sample.leap as u8, sample.reference_id.0);
            let _written = writeln!(text, " {} {leap} {reference_id:08x}", sample.stratum);
        }
        text
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut lines = text.lines();
        // A line that was cut off may look like a whole one.
        if lines.next() != Some(TITLE) || !text.ends_with('\n') {
            return Err(Malformed);
        }
        let source = lines.next().and_then(|line| line.parse().ok()).ok_or(Malformed)?;
        let (clock, frequency) = lines.next().and_then(clock).ok_or(Malformed)?;
        let samples: Option<Vec<Sample>> = lines.take(MOST_SAMPLES + 1).map(sample).collect();
        let samples = samples.filter(|samples| samples.len() <= MOST_SAMPLES).ok_or(Malformed)?;
        let in_order = samples.is_sorted_by(|a, b| b.time.since(a.time) > NtpDuration::ZERO);
        in_order.then_some(Self { source, clock, frequency, samples }).ok_or(Malformed)
    }
}

/// A finite number by its bits.
fn float(text: &str) -> Option<f64> {
    u64::from_str_radix(text, 16).ok().map(f64::from_bits).filter(|value| value.is_finite())
}

/// The reading of the clocks and the frequency.
fn clock(line: &str) -> Option<(Now, f64)> {
    let mut words = line.split(' ');
    let mono = MonoNs(words.next()?.parse().ok()?);
    let time = NtpTimestamp::from_bits(u64::from_str_radix(words.next()?, 16).ok()?);
    let rate = float(words.next()?).filter(|rate| (rate - 1.0).abs() < MOST_FREQUENCY)?;
    let frequency = float(words.next()?).filter(|frequency| frequency.abs() < MOST_FREQUENCY)?;
    words.next().is_none().then_some((Now { mono, time, rate }, frequency))
}

fn sample(line: &str) -> Option<Sample> {
    let mut words = line.split(' ');
    let time = NtpTimestamp::from_bits(u64::from_str_radix(words.next()?, 16).ok()?);
    let offset_s = float(words.next()?)?;
    let mut bound = || words.next().and_then(float).filter(|value| *value >= 0.0);
    let (delay_s, dispersion_s) = (bound()?, bound()?);
    let (root_delay_s, root_dispersion_s) = (bound()?, bound()?);
    let stratum = words.next()?.parse().ok().filter(|stratum| (1..16).contains(stratum))?;
    let leap = match words.next()? {
        "0" => LeapIndicator::Normal,
        "1" => LeapIndicator::Insert,
        "2" => LeapIndicator::Delete,
        _ => return None,
    };
    let reference_id = ReferenceId(u32::from_str_radix(words.next()?, 16).ok()?);
    let sample = Sample {
        time,
        offset_s,
        delay_s,
        dispersion_s,
        root_delay_s,
        root_dispersion_s,
        stratum,
        leap,
        reference_id,
    };
    words.next().is_none().then_some(sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let sample = |seconds: u64| Sample {
            time: NtpTimestamp::from_bits((4_000_000_000 + seconds) << 32),
            offset_s: -1.0 / 3.0,
            delay_s: 1e-3,
            dispersion_s: 1e-7,
            root_delay_s: 0.01,
            root_dispersion_s: 1e-4,
            stratum: 2,
            leap: LeapIndicator::Insert,
            reference_id: ReferenceId(0xc000_0201),
        };
        History {
            source: "2001:db8::1".parse().unwrap(),
            clock: Now {
                mono: MonoNs(12_345_678_901),
                time: NtpTimestamp::from_bits(4_000_000_065 << 32 | 1),
                rate: 1.0,
            },
            frequency: 1.25e-5,
            samples: vec![sample(0), sample(64)],
        }
    }

    #[test]
    fn what_is_written_is_read_again_to_the_bit() {
        assert_eq!(History::parse(&history().to_text()), Ok(history()));
    }

    #[test]
    fn texts_that_were_cut_off_or_changed_are_refused() {
        let text = history().to_text();
        for length in 0..text.len() - 1 {
            // What ends with a whole line is a shorter history.
            if let Ok(shorter) = History::parse(&text[..length]) {
                assert!(shorter.samples.len() < 2, "{length}");
            }
        }
        let nan = format!("{:016x}", f64::NAN.to_bits());
        let zero = text.replace(&format!("{:016x}", 1e-3_f64.to_bits()), &nan);
        assert_eq!(History::parse(&zero), Err(Malformed));
        assert_eq!(History::parse(&text.replace("history 1", "history 2")), Err(Malformed));
        let many = text.lines().last().unwrap_or_default().to_owned() + "\n";
        assert_eq!(History::parse(&(text + &many.repeat(100))), Err(Malformed));
    }
}
