//! The bank itself: filters for clocks from perfect to bad, weighted by how well they foretell the samples. What a
//! clock is like may change, so the weights drift back (an interacting multiple model).

use super::model::{Model, Moments, Observation, STATES, State, Updated};

/// Wanders of the models: 10^-25 to 10^-12 (s/s)^2 a second.
const MODELS: u8 = 14;
const LOWEST_WANDER_LOG10: f64 = -25.0;
/// What clocks are usually like: mean and standard deviation of log10 of the wander.
const USUAL_LOG10: f64 = -19.0;
const USUAL_DEVIATION: f64 = 2.5;
/// Time in which a clock becomes another, seconds: some days. With a shorter one no model is ever believed for good,
/// and a quiet clock is taken for a restless one.
const MEMORY_S: f64 = 500_000.0;
/// Least weight of a model, so that each can come back.
const LEAST_WEIGHT: f64 = 1e-30;

/// What became of an observation, over all models.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// Probability that it was no outlier.
    pub(super) inlier: f64,
    /// Its expected error, seconds.
    pub(super) error_s: f64,
    /// Logarithm of the density with which it was foretold.
    pub(super) ln_evidence: f64,
}

/// The clock at an instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ClockState {
    /// True time minus the raw clock, seconds.
    pub(super) offset_s: f64,
    pub(super) offset_variance: f64,
    /// How much that grows, seconds a second of the raw clock.
    pub(super) rate: f64,
    pub(super) rate_variance: f64,
}

/// Several models of one clock.
#[derive(Clone, Debug)]
pub(super) struct Mixture {
    models: Vec<Model>,
    /// Growth of the variance of the offset besides, s^2 a second.
    walk: f64,
    at_s: f64,
}

impl Mixture {
    /// Begins at `at_s` with an offset that was measured with `delay_s`, and a rate.
    pub(super) fn new(
        at_s: f64,
        offset_s: f64,
        delay_s: f64,
        rate: f64,
        rate_variance: f64,
    ) -> Self {
        let mut state = State::ZERO;
        (state.mean[0], state.mean[1]) = (offset_s, rate);
        state.covariance[0][0] = delay_s * delay_s;
        state.covariance[1][1] = rate_variance;
        let log10 = |model: u8| LOWEST_WANDER_LOG10 + f64::from(model);
        let density = |model| {
            let away: f64 = (log10(model) - USUAL_LOG10) / USUAL_DEVIATION;
            (-away * away / 2.0).exp()
        };
        let total: f64 = (0..MODELS).map(density).sum();
        let model = |model| {
            let prior = density(model) / total;
            Model { wander: 10f64.powf(log10(model)), prior, weight: prior, state }
        };
        let models = (0..MODELS).map(model).collect();
        Self { models, walk: 0.0, at_s }
    }

    /// The time that the states are of, on the raw clock.
    pub(super) fn at_s(&self) -> f64 {
        self.at_s
    }

    /// From now on the offset's variance grows by so much besides, s^2 a second.
    pub(super) fn set_walk(&mut self, walk: f64) {
        self.walk = walk;
    }

    /// Takes an observation made at `at_s`.
    pub(super) fn step(&mut self, seen: &Observation, at_s: f64) -> Outcome {
        self.advance_to(at_s);
        let updates: Vec<Updated> = self.models.iter_mut().map(|m| m.update(seen)).collect();
        let ln_weights: Vec<f64> = self
            .models
            .iter()
            .zip(&updates)
            .map(|(model, updated)| model.weight.max(LEAST_WEIGHT).ln() + updated.ln_evidence)
            .collect();
        let largest = ln_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = ln_weights.iter().map(|ln| (ln - largest).exp()).sum();
        let mut outcome = Outcome { ln_evidence: largest + total.ln(), ..Outcome::default() };
        for ((model, updated), ln) in self.models.iter_mut().zip(&updates).zip(&ln_weights) {
            model.weight = (ln - largest).exp() / total;
            outcome.inlier += model.weight * updated.inlier;
            outcome.error_s += model.weight * updated.error_s;
        }
        outcome
    }

    /// Lets time go on to `at_s`.
    fn advance_to(&mut self, at_s: f64) {
        let elapsed_s = (at_s - self.at_s).max(0.0);
        self.at_s = self.at_s.max(at_s);
        self.forget(1.0 - (-elapsed_s / MEMORY_S).exp());
        for model in &mut self.models {
            model.state.predict(elapsed_s, model.wander, self.walk);
        }
    }

    /// Mixes the bank's state into the models, as if each had become another with the probability `share`.
    fn forget(&mut self, share: f64) {
        let all = self.state();
        for model in &mut self.models {
            let (kept, new) = ((1.0 - share) * model.weight, share * model.prior);
            model.weight = kept + new;
            model.state = blend(&[(kept / model.weight, &model.state), (new / model.weight, &all)]);
        }
    }

    /// Mean and covariance over all models.
    fn state(&self) -> State {
        let parts: Vec<(f64, &State)> =
            self.models.iter().map(|model| (model.weight, &model.state)).collect();
        blend(&parts)
    }

    /// The clock at `at_s`.
    pub(super) fn at(&self, at_s: f64) -> ClockState {
        let mut state = self.state();
        let wander = self.models.iter().map(|model| model.weight * model.wander).sum();
        state.predict(at_s - self.at_s, wander, self.walk);
        ClockState {
            offset_s: state.mean[0],
            offset_variance: state.covariance[0][0],
            rate: state.mean[1],
            rate_variance: state.covariance[1][1],
        }
    }

    /// What an observation made at `at_s` is expected to say: one of a source that was not followed may be older than
    /// those that were used already.
    pub(super) fn expected(&self, seen: &Observation, at_s: f64) -> Moments {
        let mut later = self.clone();
        for model in &mut later.models {
            model.state.predict(at_s - self.at_s, model.wander, self.walk);
        }
        later.state().expected(seen)
    }

    /// The wander of the clock's frequency: mean of its logarithm.
    pub(super) fn wander(&self) -> f64 {
        self.models.iter().map(|model| model.weight * model.wander.ln()).sum::<f64>().exp()
    }

    /// Moves the offset.
    pub(super) fn shift(&mut self, by_s: f64) {
        for model in &mut self.models {
            model.state.mean[0] += by_s;
        }
    }

    /// Makes the offset, or the bias in a slot, uncertain by `away_s`, and the rate by `rate`.
    pub(super) fn doubt(&mut self, bias: Option<usize>, away_s: f64, rate: f64) {
        let state = bias.map_or(0, |bias| bias + 2);
        for model in &mut self.models {
            model.state.covariance[state][state] += away_s * away_s;
            model.state.covariance[1][1] += rate * rate;
        }
    }

    /// Forgets the bias in a slot.
    pub(super) fn forget_bias(&mut self, bias: usize) {
        for model in &mut self.models {
            model.state.forget_bias(bias);
        }
    }
}

/// Mean and covariance of a mixture of states with weights that sum up to 1.
fn blend(parts: &[(f64, &State)]) -> State {
    let size = parts.iter().map(|(_, state)| state.size()).max().unwrap_or(0);
    let mut all = State::ZERO;
    for (weight, state) in parts {
        for index in 0..size {
            all.mean[index] += weight * state.mean[index];
        }
    }
    for (weight, state) in parts {
        let away: [f64; STATES] = std::array::from_fn(|index| state.mean[index] - all.mean[index]);
        for row in 0..size {
            for column in 0..size {
                let spread = state.covariance[row][column] + away[row] * away[column];
                all.covariance[row][column] += weight * spread;
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(offset_s: f64) -> Observation {
        Observation {
            offset_s,
            half_width_s: 1e-5,
            softness_s: 1e-6,
            tilt: 0.0,
            delay_s: 1e-3,
            bias: None,
            bias_deviation_s: 0.0,
        }
    }

    #[test]
    fn what_an_older_sample_says_is_expected_for_its_own_time() {
        let mut mixture = Mixture::new(0.0, 0.0, 1e-3, 1e-4, 1e-14);
        for at_s in [64.0, 128.0, 192.0, 1000.0] {
            mixture.step(&seen(1e-4 * at_s), at_s);
        }
        let expected = |at_s: f64| mixture.expected(&seen(0.0), at_s);
        for at_s in [400.0, 999.99, 1000.0, 1600.0] {
            assert!((expected(at_s).mean - 1e-4 * at_s).abs() < 2e-5, "{at_s}");
            assert!((mixture.at(at_s).offset_s - 1e-4 * at_s).abs() < 2e-5, "{at_s}");
        }
        // What is further away, on either side, is less certain.
        assert!(expected(400.0).variance > expected(1000.0).variance);
        assert!(expected(1600.0).variance > expected(1000.0).variance);
    }

    #[test]
    fn time_becomes_uncertain_by_what_its_only_source_walks() {
        let mut mixture = Mixture::new(0.0, 0.0, 1e-3, 0.0, 1e-18);
        for sample in 1..20 {
            mixture.step(&seen(0.0), 64.0 * f64::from(sample));
        }
        let variance = |mixture: &Mixture| mixture.at(mixture.at_s() + 1000.0).offset_variance;
        let before = variance(&mixture);
        mixture.set_walk(1e-12);
        assert!((variance(&mixture) - before - 1e-9).abs() < 1e-15);
    }
}
