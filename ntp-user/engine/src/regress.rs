//! A line through the samples of a source: its offset and how fast the offset grows, by weighted least
//! squares with what is known of the frequency beforehand. Pure arithmetic; it knows no clock.

/// One sample as the regression sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// Time, seconds from the instant that the line is wanted at.
    pub(crate) x: f64,
    /// Offset, seconds.
    pub(crate) y: f64,
    /// Standard deviation in units of that of the best sample, at least 1.
    pub(crate) deviation: f64,
}

/// What is known of the slope beforehand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Prior {
    /// The slope that is expected, seconds a second.
    pub(crate) slope: f64,
    /// Its standard deviation, above 0.
    pub(crate) deviation: f64,
    /// Standard deviation that is expected of the best samples, seconds, above 0. It counts as one sample.
    pub(crate) noise_s: f64,
}

/// A line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Line {
    /// Offset at x = 0, seconds.
    offset: f64,
    /// Standard deviation of the offset at `centre`, seconds.
    level_deviation: f64,
    /// The middle of the samples.
    centre: f64,
    /// Slope, seconds a second.
    pub(crate) slope: f64,
    /// Its standard deviation.
    pub(crate) slope_deviation: f64,
    /// Standard deviation of the best samples, seconds.
    pub(crate) noise: f64,
    /// Runs of residuals with the same sign.
    pub(crate) runs: usize,
}

/// Fewest samples that a line is tested on: fewer always look straight.
const FEWEST_TESTED: usize = 5;

/// Fits a line. There is at least one point, and times ascend.
pub(crate) fn fit(points: &[Point], prior: &Prior) -> Line {
    let first = solve(points, prior, prior.noise_s);
    let degrees_of_freedom = count(points.len().saturating_sub(2));
    let squares: f64 = points.iter().map(|p| (first.residual(p) / p.deviation).powi(2)).sum();
    let variance = (squares + prior.noise_s.powi(2)) / (degrees_of_freedom + 1.0);
    let mut line = solve(points, prior, variance.sqrt());
    line.runs = runs(points, &line);
    line
}

/// Index of the first point from which on the points lie on a line as far as their noise can tell: since
/// the frequency last changed, roughly.
pub(crate) fn straight_since(points: &[Point], prior: &Prior) -> usize {
    let last = points.len().saturating_sub(FEWEST_TESTED);
    (0..last)
        .find(|&start| {
            let window = &points[start..];
            fit(window, prior).runs > critical_runs(window.len())
        })
        .unwrap_or(last)
}

/// The most runs that a line through `samples` samples of a clock whose frequency does not change shows with
/// a probability of about 5 %.
///
/// The number of runs is nearly normal with a variance of a quarter of the number of samples; its mean is
/// above that of tossed coins, because a fitted line cuts through the residuals. Fitted to 400,000 trials
/// for each size from 3 to 64, it is off by one in 5 of them.
fn critical_runs(samples: usize) -> usize {
    let samples = count(samples);
    let critical = samples / 2.0 - 0.85 * samples.sqrt() + 1.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded down on purpose; a small number above 0"
    )]
    let critical = critical.max(0.0) as usize;
    critical
}

/// Weighted least squares with a known noise; the prior of the slope is one more observation.
fn solve(points: &[Point], prior: &Prior, noise: f64) -> Line {
    let weight = |point: &Point| point.deviation.powi(-2);
    let sum =
        |value: &dyn Fn(&Point) -> f64| points.iter().map(|p| weight(p) * value(p)).sum::<f64>();
    let total = sum(&|_| 1.0);
    let (mean_x, mean_y) = (sum(&|p| p.x) / total, sum(&|p| p.y) / total);
    let prior_weight = (noise / prior.deviation).powi(2);
    let square = sum(&|p| (p.x - mean_x).powi(2)) + prior_weight;
    let product = sum(&|p| (p.x - mean_x) * (p.y - mean_y)) + prior_weight * prior.slope;
    let slope = product / square;
    Line {
        offset: mean_y - slope * mean_x,
        level_deviation: noise / total.sqrt(),
        centre: mean_x,
        slope,
        slope_deviation: noise / square.sqrt(),
        noise,
        runs: 0,
    }
}

impl Line {
    /// Moves the line up.
    pub(crate) fn shift(&mut self, by_s: f64) {
        self.offset += by_s;
    }

    fn residual(&self, point: &Point) -> f64 {
        point.y - self.at(point.x)
    }

    /// The offset at `x`, seconds.
    pub(crate) fn at(&self, x: f64) -> f64 {
        self.offset + self.slope * x
    }

    /// The standard deviation of the offset at `x`, seconds: least in the middle of the samples.
    pub(crate) fn deviation_at(&self, x: f64) -> f64 {
        self.level_deviation.hypot(self.slope_deviation * (x - self.centre))
    }
}

fn runs(points: &[Point], line: &Line) -> usize {
    let above = |point: &Point| line.residual(point) > 0.0;
    let changes = points.windows(2).filter(|pair| above(&pair[0]) != above(&pair[1])).count();
    changes + usize::from(!points.is_empty())
}

#[expect(clippy::cast_precision_loss, reason = "a count of samples, far below 2^53")]
fn count(samples: usize) -> f64 {
    samples as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const VAGUE: Prior = Prior { slope: 0.0, deviation: 5e-4, noise_s: 1e-4 };

    fn points(slopes_ppm: &[f64], noise: f64, rng: &mut ChaCha8Rng) -> Vec<Point> {
        let mut offset = 0.0;
        let last = count(slopes_ppm.len() - 1);
        slopes_ppm
            .iter()
            .enumerate()
            .map(|(index, slope)| {
                offset += slope * 1e-6 * 64.0;
                let x = (count(index) - last) * 64.0;
                Point { x, y: offset + noise * normal(rng), deviation: 1.0 }
            })
            .collect()
    }

    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
    }

    #[test]
    fn line_through_exact_points_is_that_line() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let points = points(&[20.0; 16], 0.0, &mut rng);
        let line = fit(&points, &Prior { noise_s: 1e-9, ..VAGUE });
        assert!((line.slope - 20e-6).abs() < 1e-10, "{}", line.slope);
        assert!((line.at(0.0) - 16.0 * 64.0 * 20e-6).abs() < 1e-9);
    }

    #[test]
    fn a_single_point_keeps_the_slope_that_was_known() {
        let point = Point { x: 0.0, y: 0.1, deviation: 1.0 };
        let line = fit(&[point], &Prior { slope: 3e-6, ..VAGUE });
        assert!((line.at(0.0) - 0.1).abs() < 1e-12);
        assert!((line.slope - 3e-6).abs() < 1e-15);
        assert!((line.slope_deviation - 5e-4).abs() < 1e-9);
    }

    #[test]
    fn errors_are_as_large_as_the_fit_says() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let (mut offsets, mut slopes) = (0.0, 0.0);
        let trials = 500;
        for _ in 0..trials {
            let line = fit(&points(&[0.0; 20], 1e-4, &mut rng), &VAGUE);
            offsets += (line.at(0.0) / line.deviation_at(0.0)).powi(2) / f64::from(trials);
            slopes += (line.slope / line.slope_deviation).powi(2) / f64::from(trials);
        }
        assert!((0.8..1.3).contains(&offsets), "{offsets}");
        assert!((0.8..1.3).contains(&slopes), "{slopes}");
    }

    #[test]
    fn noise_alone_is_taken_for_a_bend_in_about_one_of_twenty() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        // Runs are few and whole numbers: for fewer samples the probability is well below.
        for (samples, least) in [(8, 0), (12, 1), (16, 5), (24, 10), (40, 10), (64, 10)] {
            let trials = 1000;
            let bent = (0..trials)
                .filter(|_| {
                    let points = points(&vec![0.0; samples], 1e-4, &mut rng);
                    fit(&points, &VAGUE).runs <= critical_runs(samples)
                })
                .count();
            assert!((least..=90).contains(&bent), "{bent} of {trials} with {samples} samples");
        }
    }

    #[test]
    fn a_change_of_frequency_cuts_off_what_came_before() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut slopes = vec![0.0; 30];
        slopes.extend([10.0; 20]);
        let points = points(&slopes, 1e-5, &mut rng);
        let start = straight_since(&points, &Prior { noise_s: 1e-5, ..VAGUE });
        assert!((25..=45).contains(&start), "{start}");
        let line = fit(&points[start..], &Prior { noise_s: 1e-5, ..VAGUE });
        assert!((line.slope - 10e-6).abs() < 2e-6, "{}", line.slope);
    }
}
