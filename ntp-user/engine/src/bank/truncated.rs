//! The standard normal distribution cut to an interval: how much of it is left, its mean and its variance.

use std::f64::consts::{FRAC_1_SQRT_2, PI, SQRT_2};

/// ln(sqrt(2 pi)).
const LN_SQRT_TAU: f64 = 0.918_938_533_204_672_7;
/// Width below which the density in the interval is exponential as far as can be seen.
const NARROW: f64 = 0.1;
/// From here on the complement of the error function is calculated scaled, in the tail.
const TAIL: f64 = 0.5;
/// From here on the variance in the tail is that of an exponential distribution.
const FAR_TAIL: f64 = 30.0;

/// A distribution that was cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cut {
    /// Logarithm of the probability of the interval.
    pub(super) ln_mass: f64,
    pub(super) mean: f64,
    pub(super) variance: f64,
}

/// Cuts the standard normal distribution to `low..high`; `low` is below `high`.
pub(super) fn cut(low: f64, high: f64) -> Cut {
    if low + high < 0.0 {
        let mirrored = cut(-high, -low);
        return Cut { mean: -mirrored.mean, ..mirrored };
    }
    let width = high - low;
    if width < NARROW {
        narrow(f64::midpoint(low, high), width / 2.0)
    } else if low > TAIL {
        tail(low, high)
    } else {
        centre(low, high)
    }
}

/// An interval in which the density is proportional to `exp(-centre * x)`; `centre` is not negative.
fn narrow(centre: f64, half: f64) -> Cut {
    let slope = centre * half;
    let ln_flat = -centre * centre / 2.0 - LN_SQRT_TAU + (2.0 * half).ln();
    let flat_variance = half * half / 3.0;
    if slope < 1e-3 {
        let mean = centre - centre * flat_variance;
        return Cut { ln_mass: ln_flat, mean, variance: flat_variance };
    }
    let mean = centre - (half / slope.tanh() - 1.0 / centre);
    let (ln_excess, variance) = if slope > FAR_TAIL {
        (slope - (2.0 * slope).ln(), centre.powi(-2))
    } else {
        let sinh = slope.sinh();
        ((sinh / slope).ln(), centre.powi(-2) - (half / sinh).powi(2))
    };
    // The difference above loses all digits when the slope is small; it lies close below this then.
    let variance = if slope < 0.1 { flat_variance * (1.0 - slope * slope / 5.0) } else { variance };
    Cut { ln_mass: ln_flat + ln_excess, mean, variance }
}

/// An interval far from the middle.
fn tail(low: f64, high: f64) -> Cut {
    // The density at `high` over that at `low`.
    let fall = ((low * low - high * high) / 2.0).exp();
    let beyond = if fall > 0.0 { fall * scaled_erfc(high * FRAC_1_SQRT_2) } else { 0.0 };
    let scaled_mass = 0.5 * (scaled_erfc(low * FRAC_1_SQRT_2) - beyond);
    let density = (-LN_SQRT_TAU).exp() / scaled_mass;
    let mean = density * (1.0 - fall);
    let at_high = if fall > 0.0 { high * fall } else { 0.0 };
    let variance = if low > FAR_TAIL && fall < 1e-12 {
        low.powi(-2)
    } else {
        (1.0 + density * (low - at_high) - mean * mean).max(1e-9)
    };
    Cut { ln_mass: -low * low / 2.0 + scaled_mass.ln(), mean, variance }
}

/// An interval about the middle.
fn centre(low: f64, high: f64) -> Cut {
    let mass = 1.0 - 0.5 * erfc(-low * FRAC_1_SQRT_2) - 0.5 * erfc(high * FRAC_1_SQRT_2);
    let density = |x: f64| (-x * x / 2.0 - LN_SQRT_TAU).exp();
    let moment = |x: f64| if x.is_finite() { x * density(x) } else { 0.0 };
    let mean = (density(low) - density(high)) / mass;
    let variance = 1.0 + (moment(low) - moment(high)) / mass - mean * mean;
    Cut { ln_mass: mass.ln(), mean, variance: variance.max(1e-9) }
}

/// The complement of the error function.
fn erfc(x: f64) -> f64 {
    if x < 0.0 { 2.0 - erfc(-x) } else { scaled_erfc(x) * (-x * x).exp() }
}

/// `exp(x^2) erfc(x)` for `x` of 0 and more, to some 10^-9 of its value.
fn scaled_erfc(x: f64) -> f64 {
    if x < SQRT_2 { (x * x).exp() - series(x) } else { fraction(x) }
}

/// `exp(x^2) erf(x)`. Abramowitz and Stegun, 7.1.6.
fn series(x: f64) -> f64 {
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term > 1e-12 * sum {
        odd += 2.0;
        term *= 2.0 * x * x / odd;
        sum += term;
    }
    sum * 2.0 / PI.sqrt()
}

/// `exp(x^2) erfc(x)` by its continued fraction. Abramowitz and Stegun, 7.1.14.
fn fraction(x: f64) -> f64 {
    let levels = if x < 3.0 { 40u8 } else { 16 };
    let nested = (1..=levels).rev().fold(x, |below, level| x + f64::from(level) / 2.0 / below);
    1.0 / (PI.sqrt() * nested)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By summing the density over 200,000 strips.
    fn by_sums(low: f64, high: f64) -> Cut {
        let strips = 200_000u32;
        let peak = if low > 0.0 { low } else { 0.0 };
        let (mut mass, mut first, mut second) = (0.0, 0.0, 0.0);
        for strip in 0..strips {
            let x = low + (high - low) * (f64::from(strip) + 0.5) / f64::from(strips);
            let density = ((peak * peak - x * x) / 2.0).exp();
            mass += density;
            first += density * (x - low);
            second += density * (x - low).powi(2);
        }
        let (first, second) = (first / mass, second / mass);
        let strip = (high - low) / f64::from(strips);
        Cut {
            ln_mass: (mass * strip).ln() - peak * peak / 2.0 - LN_SQRT_TAU,
            mean: low + first,
            variance: second - first * first,
        }
    }

    #[test]
    fn tables_of_the_error_function_are_met() {
        let cases = [(0.0, 1.0), (0.5, 0.479_500_122), (1.0, 0.157_299_207), (2.0, 0.004_677_735)];
        for (x, expected) in cases {
            assert!((erfc(x) - expected).abs() < 1e-9, "{x}: {}", erfc(x));
        }
    }

    proptest! {
        #[test]
        fn moments_are_those_of_the_density(low in -6.0f64..8.0, width in 1e-3f64..8.0) {
            let (found, expected) = (cut(low, low + width), by_sums(low, low + width));
            prop_assume!(expected.ln_mass > -60.0);
            let deviation = expected.variance.sqrt();
            prop_assert!((found.ln_mass - expected.ln_mass).abs() < 5e-3, "{found:?} {expected:?}");
            prop_assert!((found.mean - expected.mean).abs() < 1e-2 * deviation, "{found:?} {expected:?}");
            prop_assert!((found.variance / expected.variance - 1.0).abs() < 2e-2, "{found:?} {expected:?}");
        }

        #[test]
        fn no_interval_gives_nonsense(low in -1e8f64..1e8, exponent in -12.0f64..8.0) {
            let high = low + 10f64.powf(exponent);
            prop_assume!(high > low);
            let found = cut(low, high);
            prop_assert!(found.ln_mass < 1e-6 && found.mean.is_finite(), "{found:?}");
            prop_assert!(found.variance > 0.0 && found.variance <= 1.0 + 1e-9, "{found:?}");
        }
    }
}
