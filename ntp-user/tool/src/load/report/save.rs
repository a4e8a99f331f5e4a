//! Writes a report into a folder: the page, the JSON, and the histograms as logs that the tools of `HdrHistogram` read.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;

use super::Report;

impl Report {
    /// Writes `report.html`, `report.json`, `latency.hlog` and `offset.hlog` into `folder`, which is made if it is not
    /// there.
    ///
    /// # Errors
    /// The folder or a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let latency = self.steps.iter().map(|step| (step.seconds, Some(&step.latency)));
        let offset = self
            .steps
            .iter()
            .map(|step| (step.seconds, step.probe.as_ref().map(|probe| &probe.error)));
        let files = [
            ("report.html", self.html().into_bytes()),
            ("report.json", format!("{:#}\n", self.json()).into_bytes()),
            ("latency.hlog", log(latency)?),
            ("offset.hlog", log(offset)?),
        ];
        for (name, octets) in files {
            let path = folder.join(name);
            fs::write(&path, octets).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

/// An interval for each step, one after the other from the time of the test; values are nanoseconds.
fn log<'a>(steps: impl Iterator<Item = (f64, Option<&'a Histogram<u64>>)>) -> Result<Vec<u8>> {
    let mut octets = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment("ntp-xdp load-test; values in nanoseconds")
        .with_start_time(SystemTime::now());
    let mut writer = builder.begin_log_with(&mut octets, &mut serializer)?;
    let mut start = Duration::ZERO;
    for (seconds, histogram) in steps {
        let duration = Duration::from_secs_f64(seconds);
        if let Some(histogram) = histogram {
            writer
                .write_histogram(histogram, start, duration, None)
                .map_err(|error| anyhow::anyhow!("cannot write a histogram: {error:?}"))?;
        }
        start += duration;
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::sample;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    #[test]
    fn log_reads_back_what_was_measured() {
        let report = sample();
        let octets =
            log(report.steps.iter().map(|step| (step.seconds, Some(&step.latency)))).unwrap();
        let mut intervals = 0;
        for entry in IntervalLogIterator::new(&octets) {
            let LogEntry::Interval(interval) = entry.unwrap() else { continue };
            let decoded = base64(interval.encoded_histogram());
            let histogram: Histogram<u64> =
                Deserializer::new().deserialize(&mut decoded.as_slice()).unwrap();
            assert_eq!(histogram, report.steps[intervals].latency);
            intervals += 1;
        }
        assert_eq!(intervals, report.steps.len());
    }

    /// RFC 4648 section 4.
    fn base64(text: &str) -> Vec<u8> {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let (mut bits, mut count, mut octets) = (0u32, 0, Vec::new());
        for letter in text.bytes().filter(|letter| *letter != b'=') {
            let value = LETTERS.iter().position(|known| *known == letter).unwrap();
            bits = bits << 6 | u32::try_from(value).unwrap();
            count += 6;
            if count >= 8 {
                count -= 8;
                octets.push(u8::try_from(bits >> count & 0xff).unwrap());
            }
        }
        octets
    }
}
