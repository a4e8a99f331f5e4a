//! Random numbers of the distributions that clocks and networks are made of.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A stream of random numbers that follows from a seed and the name of what it is for: streams for different
/// purposes are independent, so that a packet more changes no clock.
#[derive(Clone, Debug)]
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// The stream `purpose` of `seed`.
    #[must_use]
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(purpose);
        Self(rng)
    }

    /// Uniform in 0..1, never 0.
    pub fn uniform(&mut self) -> f64 {
        1.0 - self.0.random::<f64>()
    }

    /// Exponential with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -self.uniform().ln()
    }

    /// Normal with mean 0 and variance 1, by the method of Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let radius = (2.0 * self.exponential()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// True with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.0.random::<f64>() < probability
    }

    /// The generator itself, for the engine.
    #[must_use]
    pub fn into_rng(self) -> ChaCha8Rng {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_have_their_moments() {
        let mut chance = Chance::new(1, 0);
        let mut check = |draw: fn(&mut Chance) -> f64, mean: f64, variance: f64| {
            let draws: Vec<f64> = (0..200_000).map(|_| draw(&mut chance)).collect();
            let found = draws.iter().sum::<f64>() / 2e5;
            let squares = draws.iter().map(|value| (value - found).powi(2)).sum::<f64>() / 2e5;
            assert!((found - mean).abs() < 0.01, "mean {found}");
            assert!((squares - variance).abs() < 0.03, "variance {squares}");
        };
        check(Chance::uniform, 0.5, 1.0 / 12.0);
        check(Chance::exponential, 1.0, 1.0);
        check(Chance::normal, 0.0, 1.0);
    }
}
