//! How long packets take: expressions of constants, random variables and times of the day.

use std::ops::Add;

use crate::chance::Chance;

/// The delay of one direction of a path, seconds. Expressions add up.
#[derive(Clone, Debug, PartialEq)]
pub enum Delay {
    /// Always the same.
    Fixed(f64),
    /// Exponential with this mean.
    Exponential(f64),
    /// Anything up to this, as likely.
    Uniform(f64),
    /// Another delay of some packets only: those that come while a receiver saves power, say.
    Sometimes {
        /// Probability of that.
        probability: f64,
        /// The delay.
        delay: Box<Delay>,
    },
    /// `scale_s * max(0, exponential(1) - threshold)`: rarely anything, then much.
    Spikes {
        /// Mean of a spike, seconds.
        scale_s: f64,
        /// The threshold: a spike has the probability `exp(-threshold)`.
        threshold: f64,
    },
    /// `scale_s * (uniform^(-1/shape) - 1)`: heavy tails.
    Pareto {
        /// The scale, seconds.
        scale_s: f64,
        /// The shape; variance is infinite up to 2, the mean up to 1.
        shape: f64,
    },
    /// `median_s * exp(deviation * normal)`.
    LogNormal {
        /// The median, seconds.
        median_s: f64,
        /// Standard deviation of the logarithm.
        deviation: f64,
    },
    /// Another delay in a part of every period only.
    Periodic {
        /// The period, seconds of true time.
        period_s: f64,
        /// The part of it, from its beginning, seconds.
        part_s: f64,
        /// The delay.
        delay: Box<Delay>,
    },
    /// It grows evenly to a height in the first half of every period, and falls evenly in the second.
    Triangle {
        /// The period, seconds of true time.
        period_s: f64,
        /// The height, seconds.
        height_s: f64,
    },
    /// Another delay from an instant on, seconds since the start.
    From {
        /// The instant, seconds since the start.
        start_s: f64,
        /// The delay.
        delay: Box<Delay>,
    },
    /// The sum of several.
    Sum(Vec<Delay>),
}

impl Delay {
    /// A constant and an exponential variable with the mean `jitter_s`: a path with queues.
    #[must_use]
    pub fn queued(base_s: f64, jitter_s: f64) -> Self {
        Self::Fixed(base_s) + Self::Exponential(jitter_s)
    }

    /// The delay of a packet that is sent at `now_s`, seconds since the start.
    pub fn draw(&self, now_s: f64, chance: &mut Chance) -> f64 {
        match self {
            Self::Fixed(seconds) => *seconds,
            Self::Exponential(mean_s) => mean_s * chance.exponential(),
            Self::Uniform(most_s) => most_s * chance.uniform(),
            Self::Sometimes { probability, delay } => {
                let delay_s = delay.draw(now_s, chance);
                if chance.happens(*probability) { delay_s } else { 0.0 }
            }
            Self::Spikes { scale_s, threshold } => {
                scale_s * (chance.exponential() - threshold).max(0.0)
            }
            Self::Pareto { scale_s, shape } => {
                scale_s * (chance.uniform().powf(-1.0 / shape) - 1.0)
            }
            Self::LogNormal { median_s, deviation } => {
                median_s * (deviation * chance.normal()).exp()
            }
            Self::Periodic { period_s, part_s, delay } => {
                let delay_s = delay.draw(now_s, chance);
                if now_s % period_s < *part_s { delay_s } else { 0.0 }
            }
            Self::Triangle { period_s, height_s } => {
                let phase = now_s % period_s / period_s;
                height_s * 2.0 * phase.min(1.0 - phase)
            }
            Self::From { start_s, delay } => {
                let delay_s = delay.draw(now_s, chance);
                if now_s >= *start_s { delay_s } else { 0.0 }
            }
            Self::Sum(parts) => parts.iter().map(|part| part.draw(now_s, chance)).sum(),
        }
    }
}

impl Add for Delay {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::Sum(vec![self, other])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(delay: &Delay, now_s: f64) -> f64 {
        let mut chance = Chance::new(7, 1);
        (0..200_000).map(|_| delay.draw(now_s, &mut chance)).sum::<f64>() / 2e5
    }

    #[test]
    fn triangle_grows_and_falls_evenly() {
        let triangle = Delay::Triangle { period_s: 100.0, height_s: 2.0 };
        for (now_s, expected_s) in [(0.0, 0.0), (25.0, 1.0), (50.0, 2.0), (75.0, 1.0), (125.0, 1.0)]
        {
            assert!((mean(&triangle, now_s) - expected_s).abs() < 1e-9, "{now_s}");
        }
    }

    #[test]
    fn means_are_those_of_the_expressions() {
        let spikes = Delay::Spikes { scale_s: 10.0, threshold: 4.0 };
        let cases = [
            (Delay::Fixed(3.0), 3.0),
            (Delay::queued(3.0, 0.5), 3.5),
            (Delay::Fixed(1.0) + Delay::queued(1.0, 1.0), 3.0),
            (spikes, 10.0 * (-4.0f64).exp()),
            (Delay::Uniform(4.0), 2.0),
            (Delay::Sometimes { probability: 0.25, delay: Box::new(Delay::Fixed(8.0)) }, 2.0),
            (Delay::Pareto { scale_s: 1.0, shape: 3.0 }, 0.5),
            (Delay::LogNormal { median_s: 1.0, deviation: 0.5 }, 0.125f64.exp()),
        ];
        for (delay, expected) in cases {
            let found = mean(&delay, 0.0);
            assert!((found / expected - 1.0).abs() < 0.05, "{delay:?}: {found}");
        }
    }

    #[test]
    fn delays_hold_in_their_time_only() {
        let fixed = || Box::new(Delay::Fixed(1.0));
        let periodic = Delay::Periodic { period_s: 100.0, part_s: 10.0, delay: fixed() };
        let from = Delay::From { start_s: 50.0, delay: fixed() };
        let mut chance = Chance::new(1, 1);
        let drawn = |delay: &Delay, now_s, chance: &mut Chance| delay.draw(now_s, chance) > 0.5;
        for (now_s, in_part, begun) in
            [(5.0, true, false), (49.0, false, false), (105.0, true, true)]
        {
            assert_eq!(drawn(&periodic, now_s, &mut chance), in_part, "{now_s}");
            assert_eq!(drawn(&from, now_s, &mut chance), begun, "{now_s}");
        }
    }
}
