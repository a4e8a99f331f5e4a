//! Reads the sensor of `tempcomp`, and has the clock compensated for its temperature.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ntp_common::time::MonoNs;
use ntp_engine::conf::{TempComp, TempCompCurve};
use ntp_engine::tempcomp::{Compensation, Curve, MOST_PPM, Points};

use crate::event_loop::DaemonDriver;

/// A sensor, and what its temperature says of the clock.
#[derive(Debug)]
pub(crate) struct Thermometer {
    file: PathBuf,
    interval_ns: u64,
    curve: Curve,
    due: MonoNs,
    failure_logged: bool,
}

/// A sensor that tells nothing.
#[derive(Debug, thiserror::Error)]
enum SensorError {
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    #[error("it holds no number")]
    NoNumber,
    #[error("at {0} the clock would have to be compensated by more than {MOST_PPM} ppm")]
    TooMuch(f64),
}

impl Thermometer {
    /// Gets ready to read what a configuration names.
    ///
    /// # Errors
    /// When the file of points can't be used.
    pub(crate) fn new(config: &TempComp) -> anyhow::Result<Self> {
        let curve = match &config.curve {
            &TempCompCurve::Polynomial { t0, k0, k1, k2 } => Curve::Polynomial { t0, k0, k1, k2 },
            TempCompCurve::Points(path) => Curve::Points(points(path)?),
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "above 0; the cast saturates"
        )]
        let interval_ns = (config.interval_s * 1e9) as u64;
        let file = config.file.clone();
        Ok(Self { file, interval_ns, curve, due: MonoNs(0), failure_logged: false })
    }

    /// To be called often: reads the sensor when its time has come, and has the clock compensated.
    pub(crate) fn tick(&mut self, driver: &mut DaemonDriver) {
        let now = driver.now().mono;
        if now < self.due {
            return;
        }
        self.due = now.after(self.interval_ns);
        match self.read() {
            Ok(compensation) => {
                self.failure_logged = false;
                driver.compensate(compensation);
            }
            Err(error) if self.failure_logged => tracing::debug!(%error, "No temperature"),
            Err(error) => {
                self.failure_logged = true;
                let file = self.file.display();
                tracing::warn!("The temperature in {file} is not used: {error}");
            }
        }
    }

    fn read(&self) -> Result<Compensation, SensorError> {
        let text = fs::read_to_string(&self.file)?;
        let number = text.split_whitespace().next().and_then(|word| word.parse().ok());
        let temperature = number.ok_or(SensorError::NoNumber)?;
        self.curve.at(temperature).ok_or(SensorError::TooMuch(temperature))
    }
}

fn points(path: &Path) -> anyhow::Result<Points> {
    let named = || format!("cannot use the points of `tempcomp` in {}", path.display());
    let text = fs::read_to_string(path).with_context(named)?;
    Points::parse(&text).with_context(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensor_is_read_and_what_it_says_is_compensated_within_reason() {
        let folder = std::env::temp_dir().join(format!("ntp-xdpd-heat-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (sensor, table) = (folder.join("temp1_input"), folder.join("points"));
        fs::write(&table, "20000 1.0\n30000 0.0\n").unwrap();
        let config = |curve| TempComp { file: sensor.clone(), interval_s: 2.5, curve };
        let thermometer = Thermometer::new(&config(TempCompCurve::Points(table.clone()))).unwrap();
        assert_eq!(thermometer.interval_ns, 2_500_000_000);
        assert!(matches!(thermometer.read(), Err(SensorError::Unreadable(_))));
        for (text, expected) in [("25000\n", Some(0.5)), ("", None), ("hot", None), ("NaN", None)] {
            fs::write(&sensor, text).unwrap();
            assert_eq!(thermometer.read().ok().map(|it| it.ppm), expected, "{text:?}");
        }
        fs::write(&sensor, "900000").unwrap();
        assert!(matches!(thermometer.read(), Err(SensorError::TooMuch(_))));
        fs::write(&table, "20000 1.0\n").unwrap();
        let error = Thermometer::new(&config(TempCompCurve::Points(table))).unwrap_err();
        assert!(format!("{error:#}").contains("less than two points"), "{error:#}");
        fs::remove_dir_all(folder).unwrap();
    }
}
