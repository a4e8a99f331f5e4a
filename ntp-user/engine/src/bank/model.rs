//! One filter of the bank: a Kalman filter for one wander of our clock's frequency, whose samples bound the
//! offset instead of measuring it with Gaussian noise.

use super::truncated::cut;

/// Most sources whose biases are estimated at once.
pub(super) const BIASES: usize = 8;
/// States: the offset of true time from the raw clock, its rate, and the sources' biases.
pub(super) const STATES: usize = 2 + BIASES;

/// Probability that a sample says nothing about the time.
const OUTLIER: f64 = 1e-3;
/// Growth of the variance of a bias, s^2 a second: paths change.
const BIAS_WALK: f64 = 1e-16;

/// Deviations of the time from a sample beyond which its delay may bound it.
const ANCHOR_DEVIATIONS: f64 = 3.0;

/// What a sample says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Observation {
    /// The offset, seconds.
    pub(super) offset_s: f64,
    /// The truth lies within this of it, seconds, ...
    pub(super) half_width_s: f64,
    /// ... give or take this standard deviation, seconds.
    pub(super) softness_s: f64,
    /// Exponent of the density within, 1/s: the density of an error `e` is proportional to `exp(-tilt e)`.
    pub(super) tilt: f64,
    /// Width of the density of outliers, seconds.
    pub(super) delay_s: f64,
    /// The state that is the bias of the source.
    pub(super) bias: Option<usize>,
    /// Standard deviation of a bias that nothing is known of, seconds.
    pub(super) bias_deviation_s: f64,
}

/// What became of an observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Updated {
    /// Logarithm of the probability density that it had.
    pub(super) ln_evidence: f64,
    /// Probability that it is no outlier.
    pub(super) inlier: f64,
    /// Its expected error, seconds.
    pub(super) error_s: f64,
}

/// Mean and variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moments {
    pub(super) mean: f64,
    pub(super) variance: f64,
}

/// Mean and covariance of the states. A bias that no source has is 0, with variance 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct State {
    pub(super) mean: [f64; STATES],
    pub(super) covariance: [[f64; STATES]; STATES],
}

impl State {
    /// All states 0 and known.
    pub(super) const ZERO: Self = Self { mean: [0.0; STATES], covariance: [[0.0; STATES]; STATES] };

    /// States in use: those up to the last that is not known for certain.
    pub(super) fn size(&self) -> usize {
        let uncertain = |state: &usize| self.covariance[*state][*state] > 0.0;
        (0..STATES).rev().find(uncertain).map_or(0, |last| last + 1).max(2)
    }

    /// Lets `elapsed_s` pass, in which the variance of the rate grows by `wander` a second, and that of the offset by `walk`
    /// besides. Back in time it goes as well.
    pub(super) fn predict(&mut self, elapsed_s: f64, wander: f64, walk: f64) {
        let (size, time, span) = (self.size(), elapsed_s, elapsed_s.abs());
        self.mean[0] += time * self.mean[1];
        let covariance = &mut self.covariance;
        let of_rate = covariance[1];
        for (of_offset, of_rate) in covariance[0].iter_mut().zip(of_rate) {
            *of_offset += time * of_rate;
        }
        for row in covariance.iter_mut().take(size) {
            row[0] += time * row[1];
        }
        covariance[0][0] += wander * span.powi(3) / 3.0 + walk * span;
        covariance[0][1] += wander * time * span / 2.0;
        covariance[1][0] = covariance[0][1];
        covariance[1][1] += wander * span;
        for (state, row) in covariance.iter_mut().enumerate().skip(2) {
            if row[state] > 0.0 {
                row[state] += BIAS_WALK * span;
            }
        }
    }

    /// What `seen` is expected to say, before its own error.
    pub(super) fn expected(&self, seen: &Observation) -> Moments {
        let Some(bias) = seen.bias.map(|bias| bias + 2) else {
            return Moments { mean: self.mean[0], variance: self.covariance[0][0] };
        };
        let known = self.covariance[bias][bias];
        let own = if known > 0.0 { known } else { seen.bias_deviation_s.powi(2) };
        Moments {
            mean: self.mean[0] + self.mean[bias],
            variance: self.covariance[0][0] + 2.0 * self.covariance[0][bias] + own,
        }
    }

    /// Forgets the bias in a slot.
    pub(super) fn forget_bias(&mut self, bias: usize) {
        let state = bias + 2;
        self.mean[state] = 0.0;
        self.covariance[state] = [0.0; STATES];
        for row in &mut self.covariance {
            row[state] = 0.0;
        }
    }
}

/// One filter.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Growth of the variance of the clock's rate, (s/s)^2 a second.
    pub(super) wander: f64,
    /// Probability of the model before anything was measured.
    pub(super) prior: f64,
    /// Its probability.
    pub(super) weight: f64,
    pub(super) state: State,
}

impl Model {
    /// Takes an observation at the time that the state is of.
    pub(super) fn update(&mut self, seen: &Observation) -> Updated {
        self.admit_bias(seen);
        self.anchor(seen);
        self.take(seen)
    }

    /// A bias is at most half of the delay. Where that says something new of the time, it is taken into
    /// account: else biases and the time could run off together.
    fn anchor(&mut self, seen: &Observation) {
        let bound_s = seen.delay_s / 2.0;
        let (away_s, variance) =
            ((seen.offset_s - self.state.mean[0]).abs(), self.state.covariance[0][0]);
        if seen.bias.is_some() && away_s + ANCHOR_DEVIATIONS * variance.sqrt() > bound_s {
            let half_width_s = bound_s + seen.softness_s;
            self.take(&Observation { bias: None, half_width_s, tilt: 0.0, ..*seen });
        }
    }

    fn take(&mut self, seen: &Observation) -> Updated {
        let expected = self.state.expected(seen);
        let variance = expected.variance + seen.softness_s.powi(2);
        let (ln_density, posterior) = posterior(expected.mean, variance, seen);
        let spread_s = seen.delay_s + (std::f64::consts::TAU * expected.variance).sqrt();
        let ln_outlier = OUTLIER.ln() - spread_s.ln();
        let ln_inlier = (1.0 - OUTLIER).ln() + ln_density;
        let largest = ln_outlier.max(ln_inlier);
        let ln_evidence =
            largest + ((ln_outlier - largest).exp() + (ln_inlier - largest).exp()).ln();
        let inlier = (ln_inlier - ln_evidence).exp();
        let moved_s = posterior.mean - expected.mean;
        self.correct(seen, variance, moved_s, posterior.variance, inlier);
        Updated { ln_evidence, inlier, error_s: seen.offset_s - posterior.mean }
    }

    fn admit_bias(&mut self, seen: &Observation) {
        if let Some(state) = seen.bias.map(|bias| bias + 2) {
            let variance = &mut self.state.covariance[state][state];
            if *variance <= 0.0 {
                *variance = seen.bias_deviation_s.powi(2);
            }
        }
    }

    /// Moves the states by what the observed sum moved, as far as they go with it; an outlier moves nothing.
    fn correct(&mut self, seen: &Observation, variance: f64, moved_s: f64, left: f64, inlier: f64) {
        let size = self.state.size();
        let State { mean, covariance } = &mut self.state;
        let mut gain = [0.0; STATES];
        for (state, gain) in gain.iter_mut().enumerate().take(size) {
            let with_bias = seen.bias.map_or(0.0, |bias| covariance[state][bias + 2]);
            *gain = (covariance[state][0] + with_bias) / variance;
        }
        let shrink = inlier * (variance - left) - inlier * (1.0 - inlier) * moved_s * moved_s;
        for row in 0..size {
            for column in 0..size {
                covariance[row][column] -= gain[row] * gain[column] * shrink;
            }
            mean[row] += inlier * gain[row] * moved_s;
        }
    }
}

/// Logarithm of the probability density of an observation of what is `mean` with `variance` beforehand, and
/// what it is afterwards.
fn posterior(mean: f64, variance: f64, seen: &Observation) -> (f64, Moments) {
    let Observation { offset_s, half_width_s, tilt, .. } = *seen;
    let deviation = variance.sqrt();
    // An exponential density times a normal one is a normal one beside it.
    let centre = mean + tilt * variance;
    let cut = cut(
        (offset_s - half_width_s - centre) / deviation,
        (offset_s + half_width_s - centre) / deviation,
    );
    let ln_density =
        tilt * (mean - offset_s) + tilt * tilt * variance / 2.0 - ln_width(half_width_s, tilt);
    let posterior =
        Moments { mean: centre + deviation * cut.mean, variance: cut.variance * variance };
    (ln_density + cut.ln_mass, posterior)
}

/// Logarithm of the integral of `exp(-tilt e)` over errors `e` within `half_width_s`.
fn ln_width(half_width_s: f64, tilt: f64) -> f64 {
    let exponent = (tilt * half_width_s).abs();
    if exponent < 1e-6 {
        (2.0 * half_width_s).ln()
    } else {
        exponent + (1.0 - (-2.0 * exponent).exp()).ln() - tilt.abs().ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(deviation_s: f64) -> Model {
        let mut state = State::ZERO;
        state.covariance[0][0] = deviation_s * deviation_s;
        state.covariance[1][1] = 1e-16;
        Model { wander: 1e-20, prior: 1.0, weight: 1.0, state }
    }

    fn seen(offset_s: f64) -> Observation {
        Observation {
            offset_s,
            half_width_s: 1e-4,
            softness_s: 1e-7,
            tilt: 0.0,
            delay_s: 1e-3,
            bias: None,
            bias_deviation_s: 5e-5,
        }
    }

    #[test]
    fn observation_leaves_the_offset_within_its_bounds() {
        let mut model = model(1e-3);
        let updated = model.update(&seen(5e-4));
        assert!(updated.inlier > 0.99, "{updated:?}");
        assert!((model.state.mean[0] - 5e-4).abs() < 1e-5);
        let uniform = 1e-4 / 3f64.sqrt();
        assert!((model.state.covariance[0][0].sqrt() / uniform - 1.0).abs() < 0.2);
    }

    #[test]
    fn outlier_moves_nothing() {
        let mut model = model(1e-5);
        let updated = model.update(&seen(0.3));
        assert!(updated.inlier < 1e-6, "{updated:?}");
        assert!(model.state.mean[0].abs() < 1e-9);
        assert!((model.state.covariance[0][0].sqrt() - 1e-5).abs() < 1e-7);
    }

    #[test]
    fn tilted_observation_draws_towards_the_likely_side() {
        for tilt in [-1e5, 1e5] {
            let mut model = model(1.0);
            let updated = model.update(&Observation { tilt, ..seen(0.0) });
            let away_s = model.state.mean[0];
            assert!(away_s * tilt > 0.0 && away_s.abs() > 8e-5, "{tilt}: {away_s}");
            assert!((updated.error_s + away_s).abs() < 1e-5, "{updated:?}");
        }
    }

    #[test]
    fn bias_takes_its_share_of_what_one_source_says() {
        let mut model = model(5e-5);
        let biased = Observation { bias: Some(3), half_width_s: 1e-6, ..seen(4e-5) };
        model.update(&biased);
        assert!((model.state.mean[0] - 2e-5).abs() < 1e-6, "{:?}", model.state.mean);
        assert!((model.state.mean[5] - 2e-5).abs() < 1e-6);
        assert_eq!(model.state.size(), 6);
        model.state.forget_bias(3);
        assert_eq!(model.state.size(), 2);
    }

    #[test]
    fn offset_runs_off_with_the_rate_and_becomes_uncertain() {
        let mut state = model(0.0).state;
        state.mean[1] = 1e-6;
        state.predict(1000.0, 1e-18, 0.0);
        assert!((state.mean[0] - 1e-3).abs() < 1e-12);
        let expected = 1e-16 * 1e6 + 1e-18 * 1e9 / 3.0;
        assert!((state.covariance[0][0] / expected - 1.0).abs() < 1e-9);
        assert!((state.covariance[1][1] / (1e-16 + 1e-15) - 1.0).abs() < 1e-9);
        let mut earlier = model(0.0).state;
        earlier.predict(-1000.0, 1e-18, 0.0);
        assert!((earlier.covariance[0][0] / expected - 1.0).abs() < 1e-9);
        assert!((earlier.covariance[0][1] / -(1e-13 + 5e-13) - 1.0).abs() < 1e-9);
    }
}
