//! What the clock was found to be off by, as reports tell it.

/// Part of the mean square of offsets that the latest one makes up.
const MEAN_SQUARE_GAIN: f64 = 0.1;

/// Offsets at updates, for reports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Offsets {
    pub(crate) updates: u64,
    pub(crate) last_s: f64,
    mean_square: f64,
}

impl Offsets {
    pub(crate) fn rms_s(&self) -> f64 {
        self.mean_square.sqrt()
    }

    pub(super) fn add(&mut self, offset_s: f64) {
        let gain = if self.updates == 0 { 1.0 } else { MEAN_SQUARE_GAIN };
        self.updates += 1;
        self.last_s = offset_s;
        self.mean_square += gain * (offset_s.powi(2) - self.mean_square);
    }
}
