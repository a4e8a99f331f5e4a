//! How often it is worth to ask.

/// With the frequency's wander q and the samples' variance R, the error between samples grows as much as it
/// falls with them at intervals proportional to the cube root of R/q.
const BALANCE: f64 = 0.5;
/// A clock that has been calm for so long is asked after this many roots of it, ...
const TRUST: f64 = 6.6;
/// ... and after at most this part of it: a new clock has much to tell.
const YOUNG: f64 = 1.0 / 6.0;
/// Exponent of the share of requests that are answered.
const REACH: f64 = 0.3;
/// After a surprise a clock counts as calm for this long, seconds: asked after 19 s, or as soon as may be.
pub(super) const CALM_S: f64 = 114.0;

/// The interval, seconds: for samples of `noise_variance` s^2 and a clock with `wander` (s/s)^2 a second that has
/// been calm for `calm_s`, of whose requests a share `reach` is answered.
pub(super) fn interval_s(noise_variance: f64, wander: f64, calm_s: f64, reach: f64) -> f64 {
    let balanced_s = BALANCE * (noise_variance / wander).cbrt();
    let calm_s = calm_s.max(0.0);
    let trusted_s = (TRUST * calm_s.sqrt()).min(YOUNG * calm_s);
    balanced_s.min(trusted_s) * reach.clamp(0.0, 1.0).powf(REACH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_clocks_and_worse_networks_are_asked_less_often() {
        let usual_s = interval_s(1e-8, 1e-18, 1e6, 1.0);
        assert!(interval_s(1e-8, 1e-20, 1e6, 1.0) > 2.0 * usual_s);
        assert!(interval_s(1e-6, 1e-18, 1e6, 1.0) > 2.0 * usual_s);
        assert!(interval_s(1e-8, 1e-18, 1e6, 0.3) < 0.8 * usual_s);
    }

    #[test]
    fn clocks_are_asked_ever_less_often_after_a_start_or_a_surprise() {
        for (calm_s, expected_s) in
            [(0.0, 0.0), (CALM_S, 19.0), (384.0, 64.0), (900.0, 150.0), (10_000.0, 660.0)]
        {
            let interval_s = interval_s(1.0, 1e-20, calm_s, 1.0);
            assert!((interval_s - expected_s).abs() < 1e-9, "{calm_s}: {interval_s}");
        }
    }
}
