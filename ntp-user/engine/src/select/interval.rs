//! Where the true offset lies according to sources, and what a majority of them agrees on. RFC 5905 section 11.2.1.

/// Where the true offset lies according to a source: its correctness interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Interval {
    /// All that is no further than `distance` from `middle`, seconds.
    pub(super) fn around(middle: f64, distance: f64) -> Self {
        Self { low: middle - distance, high: middle + distance }
    }

    /// Whether the two have a point in common.
    pub(super) fn meets(self, other: Self) -> bool {
        self.low <= other.high && self.high >= other.low
    }

    /// Whether it has no point that `other` has not.
    pub(super) fn lies_in(self, other: Self) -> bool {
        self.low >= other.low && self.high <= other.high
    }
}

/// The interval that a majority agrees on: from the lowest to the highest point that lies in the intervals of
/// all sources but as few as possible, less than half of them.
///
/// RFC 5905 section 11.2.1 asks besides that the midpoints lie in it. Sources that agree would be left
/// without a majority by that when their intervals are not much wider than what they differ by.
pub(super) fn intersection(votes: &[Interval]) -> Option<Interval> {
    let mut lows: Vec<f64> = votes.iter().map(|vote| vote.low).collect();
    let mut highs: Vec<f64> = votes.iter().map(|vote| vote.high).collect();
    lows.sort_by(f64::total_cmp);
    highs.sort_by(f64::total_cmp);
    // From above everything is the same with its sign changed.
    let mirrored = |values: &[f64]| values.iter().rev().map(|value| -value).collect::<Vec<f64>>();
    (votes.len() / 2 + 1..=votes.len()).rev().find_map(|needed| {
        let low = first_shared(&lows, &highs, needed)?;
        let high = -first_shared(&mirrored(&highs), &mirrored(&lows), needed)?;
        Some(Interval { low, high })
    })
}

/// The lowest point that lies in at least `needed` intervals, of their sorted ends.
fn first_shared(lows: &[f64], highs: &[f64], needed: usize) -> Option<f64> {
    let mut ended = 0;
    for (index, &low) in lows.iter().enumerate() {
        while highs[ended] < low {
            ended += 1;
        }
        if index + 1 - ended >= needed {
            return Some(low);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, tried on every pair of ends.
    fn brute_force(votes: &[Interval]) -> Option<Interval> {
        let holders =
            |point: f64| votes.iter().filter(|v| v.low <= point && point <= v.high).count();
        for needed in (1..=votes.len()).rev().filter(|needed| 2 * needed > votes.len()) {
            let shared = |point: &f64| holders(*point) >= needed;
            let low = votes.iter().map(|v| v.low).filter(shared).reduce(f64::min);
            let high = votes.iter().map(|v| v.high).filter(shared).reduce(f64::max);
            if let (Some(low), Some(high)) = (low, high) {
                return Some(Interval { low, high });
            }
        }
        None
    }

    proptest! {
        #[test]
        fn intersection_agrees_with_its_definition(
            votes in proptest::collection::vec((-20i32..20, 1i32..12), 1..9),
        ) {
            let votes: Vec<Interval> = votes
                .into_iter()
                .map(|(middle, half)| (f64::from(middle), f64::from(half)))
                .map(|(middle, half)| Interval { low: middle - half, high: middle + half })
                .collect();
            prop_assert_eq!(intersection(&votes), brute_force(&votes));
        }
    }
}
