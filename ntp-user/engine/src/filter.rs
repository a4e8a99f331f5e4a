//! What a sample is worth by its delay: whatever waited in a queue is late in one direction, so a delay above
//! the shortest one bounds an error of half as much.

/// Delays that are known, and the deviation of offsets that they let expect.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DelayFilter {
    minimum_s: f64,
    scale_s: f64,
    samples: usize,
}

impl DelayFilter {
    /// Takes the measure of some delays, seconds, of which the shortest may be known beforehand; `precision_s` is
    /// the least deviation that can be seen.
    pub(crate) fn new(
        delays_s: impl Iterator<Item = f64>,
        shortest_s: Option<f64>,
        precision_s: f64,
    ) -> Self {
        let mut sorted: Vec<f64> = delays_s.collect();
        sorted.sort_by(f64::total_cmp);
        let minimum_s = shortest_s.or(sorted.first().copied()).unwrap_or(0.0);
        let excess_s = (median(&sorted) - minimum_s).max(0.0);
        Self { minimum_s, scale_s: (excess_s / 2.0).max(precision_s), samples: sorted.len() }
    }

    /// How much longer a delay is than the shortest one, seconds.
    pub(crate) fn excess_s(&self, delay_s: f64) -> f64 {
        (delay_s - self.minimum_s).max(0.0)
    }

    /// Deviation of a sample with this delay, in units of that of a sample with the shortest.
    pub(crate) fn relative_deviation(&self, delay_s: f64) -> f64 {
        1.0 + self.excess_s(delay_s) / 2.0 / self.scale_s
    }

    /// The deviation, seconds, that is expected of a sample with the shortest delay before offsets tell:
    /// with less than three delays an eighth of the delay, since it may well be asymmetric.
    pub(crate) fn expected_deviation_s(&self) -> f64 {
        if self.samples < 3 { self.scale_s.max(self.minimum_s / 8.0) } else { self.scale_s }
    }
}

/// The middle of sorted values, 0 for none.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted {
        [] => 0.0,
        values if values.len() % 2 == 1 => values[middle],
        values => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(delays_s: &[f64]) -> DelayFilter {
        DelayFilter::new(delays_s.iter().copied(), None, 1e-7)
    }

    #[test]
    fn a_spike_among_four_samples_counts_for_nothing() {
        let filter = filter(&[1.00e-3, 1.01e-3, 1.02e-3, 0.1]);
        assert!(filter.relative_deviation(1.02e-3) < 4.0);
        assert!(filter.relative_deviation(0.1) > 1000.0);
    }

    #[test]
    fn the_shortest_delay_has_the_least_deviation() {
        for delays in [&[2e-3][..], &[2e-3, 3e-3], &[2e-3, 2e-3, 5e-3]] {
            assert!((filter(delays).relative_deviation(2e-3) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn one_delay_lets_expect_an_eighth_of_it() {
        assert!((filter(&[8e-3]).expected_deviation_s() - 1e-3).abs() < 1e-12);
    }
}
