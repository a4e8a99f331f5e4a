//! The drift file: the frequency error of the clock and its bound, ppm, in one line, kept between runs.
//!
//! Invariant: the file holds one whole line at any time, whenever the machine may stop.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ntp_engine::engine::Drift;
use ntp_engine::seams::DriftStore;

use crate::atomic_file::replace_durably;

/// Largest frequency error that is believed, ppm: what the kernel can correct.
const MAX_FREQUENCY_PPM: f64 = 100_000.0;

/// The drift file, if there is one.
#[derive(Debug)]
pub struct DriftFile {
    path: Option<PathBuf>,
    failure_logged: bool,
}

/// A drift file that tells nothing.
#[derive(Debug, thiserror::Error)]
enum DriftError {
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    #[error("it is not `frequency skew`, both in ppm")]
    Malformed,
}

impl DriftFile {
    /// Keeps the file at `path`.
    #[must_use]
    pub const fn new(path: Option<PathBuf>) -> Self {
        Self { path, failure_logged: false }
    }

    /// What an earlier run stored. A file that can't be read or understood is worth a warning and no more.
    #[must_use]
    pub fn read(&self) -> Option<Drift> {
        let path = self.path.as_ref()?;
        match read(path) {
            Ok(drift) => {
                let file = path.display();
                let Drift { frequency_ppm, skew_ppm } = drift;
                tracing::info!(
                    "Frequency {frequency_ppm:.3} +/- {skew_ppm:.3} ppm read from {file}"
                );
                Some(drift)
            }
            Err(DriftError::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "Drift file can't be used");
                None
            }
        }
    }
}

impl DriftStore for DriftFile {
    fn save(&mut self, frequency_ppm: f64, skew_ppm: f64) {
        let Some(path) = &self.path else { return };
        let line = format!("{frequency_ppm:20.6} {skew_ppm:20.6}\n");
        match replace_durably(path, line.as_bytes()) {
            Ok(()) => self.failure_logged = false,
            Err(error) if self.failure_logged => tracing::debug!(%error, "Drift file not written"),
            Err(error) => {
                self.failure_logged = true;
                tracing::warn!(file = %path.display(), %error, "Drift file can't be written");
            }
        }
    }
}

fn read(path: &Path) -> Result<Drift, DriftError> {
    parse(&fs::read_to_string(path)?).ok_or(DriftError::Malformed)
}

fn parse(text: &str) -> Option<Drift> {
    let mut numbers = text.split_whitespace().map(str::parse);
    let (frequency_ppm, skew_ppm): (f64, f64) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    let is_sane =
        frequency_ppm.abs() <= MAX_FREQUENCY_PPM && skew_ppm >= 0.0 && skew_ppm.is_finite();
    (is_sane && numbers.next().is_none()).then_some(Drift { frequency_ppm, skew_ppm })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("ntp-xdpd-drift-{}-{name}", std::process::id()))
    }

    #[test]
    fn what_is_saved_is_read_again() {
        let path = path("round-trip");
        let mut file = DriftFile::new(Some(path.clone()));
        assert_eq!(file.read(), None);
        for (frequency_ppm, skew_ppm) in [(-12.345_678, 0.025), (499.5, 1000.0)] {
            file.save(frequency_ppm, skew_ppm);
            assert_eq!(file.read(), Some(Drift { frequency_ppm, skew_ppm }));
        }
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
        assert!(!path.with_extension("tmp").exists());
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn files_of_chrony_are_read_and_nonsense_is_not() {
        let chronys = "            -4.712538             0.142391\n";
        assert_eq!(parse(chronys), Some(Drift { frequency_ppm: -4.712_538, skew_ppm: 0.142_391 }));
        for text in ["", "1.0", "a b", "1 2 3", "NaN 1", "1 NaN", "1e9 1", "1 -1", "1 inf"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn file_that_cannot_be_written_is_complained_of_once() {
        let mut file = DriftFile::new(Some(PathBuf::from("/nonexistent/drift")));
        file.save(1.0, 1.0);
        assert!(file.failure_logged);
        file.save(1.0, 1.0);
        assert_eq!(file.read(), None);
    }
}
