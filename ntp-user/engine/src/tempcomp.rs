//! `tempcomp`: by how much the clock is made to run faster at a temperature, as a crystal runs slower by it. Pure
//! arithmetic, and the text of a file of points.

/// Largest compensation that is believed, ppm: beyond, the sensor or the curve is wrong.
pub const MOST_PPM: f64 = 10.0;

/// A compensation over temperature. The unit of temperature is the sensor's.
#[derive(Clone, Debug, PartialEq)]
pub enum Curve {
    /// `k0 + (t - t0) k1 + (t - t0)^2 k2`, ppm.
    Polynomial {
        /// Temperature at which it is `k0`.
        t0: f64,
        /// Constant part, ppm.
        k0: f64,
        /// Linear part, ppm a degree.
        k1: f64,
        /// Quadratic part, ppm a square degree.
        k2: f64,
    },
    /// Lines between points; the outer ones go on.
    Points(Points),
}

/// Temperatures that ascend, at least two, and the compensation at each, ppm.
#[derive(Clone, Debug, PartialEq)]
pub struct Points(Vec<(f64, f64)>);

/// A temperature and what is done about it: the columns of `tempcomp.log`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compensation {
    /// The temperature, in the sensor's unit.
    pub temperature: f64,
    /// By how much the clock is made to run faster, ppm.
    pub ppm: f64,
}

/// A text is no file of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointsError {
    /// A line is not two numbers.
    #[error("line {0} is not a temperature and a compensation in ppm")]
    Malformed(usize),
    /// A temperature is not above that of the line before.
    #[error("the temperature of line {0} is not above that before")]
    NotAscending(usize),
    /// There are less than two lines.
    #[error("there are less than two points")]
    TooFew,
}

impl Points {
    /// Reads points: two numbers a line; lines that are empty or begin as comments are passed over.
    ///
    /// # Errors
    /// [`PointsError`].
    pub fn parse(text: &str) -> Result<Self, PointsError> {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', '!', ';', '%']) {
                continue;
            }
            let mut words = line.split_whitespace().map(|word| word.parse().ok());
            let mut next = || words.next().flatten().filter(|value: &f64| value.is_finite());
            let point = next().zip(next()).filter(|_| words.next().is_none());
            let point = point.ok_or(PointsError::Malformed(number))?;
            if points.last().is_some_and(|last| point.0 <= last.0) {
                return Err(PointsError::NotAscending(number));
            }
            points.push(point);
        }
        if points.len() < 2 {
            return Err(PointsError::TooFew);
        }
        Ok(Self(points))
    }

    fn at(&self, temperature: f64) -> f64 {
        let above = self.0.iter().position(|point| point.0 >= temperature);
        let upper = above.unwrap_or(self.0.len()).clamp(1, self.0.len() - 1);
        let ((t1, c1), (t2, c2)) = (self.0[upper - 1], self.0[upper]);
        c1 + (c2 - c1) * (temperature - t1) / (t2 - t1)
    }
}

impl Curve {
    /// What is to be done at a temperature; `None` when it would be more than [`MOST_PPM`].
    #[must_use]
    pub fn at(&self, temperature: f64) -> Option<Compensation> {
        let ppm = match self {
            Self::Polynomial { t0, k0, k1, k2 } => {
                let above = temperature - t0;
                k0 + above * k1 + above * above * k2
            }
            Self::Points(points) => points.at(temperature),
        };
        (ppm.abs() <= MOST_PPM).then_some(Compensation { temperature, ppm })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(curve: &Curve, cases: &[(f64, Option<f64>)]) {
        for &(temperature, expected) in cases {
            let found = curve.at(temperature).map(|compensation| compensation.ppm);
            let is_close = found.zip(expected).is_none_or(|(a, b)| (a - b).abs() < 1e-9);
            assert!(found.is_some() == expected.is_some() && is_close, "{temperature}: {found:?}");
        }
    }

    #[test]
    fn polynomial_is_that_of_the_distance_from_its_origin() {
        let curve = Curve::Polynomial { t0: 25.0, k0: 0.5, k1: -0.1, k2: 0.04 };
        check(&curve, &[(25.0, Some(0.5)), (30.0, Some(1.0)), (20.0, Some(2.0)), (45.0, None)]);
        check(&curve, &[(f64::NAN, None), (f64::INFINITY, None)]);
    }

    #[test]
    fn lines_go_through_the_points_and_on_beyond_them() {
        let text = "# crystal\n20000 1.0\n21000 0.64\n\n25000 0.0\n";
        let curve = Curve::Points(Points::parse(text).unwrap());
        check(&curve, &[(20_000.0, Some(1.0)), (20_500.0, Some(0.82)), (21_000.0, Some(0.64))]);
        check(&curve, &[(23_000.0, Some(0.32)), (19_000.0, Some(1.36)), (30_000.0, Some(-0.8))]);
        check(&curve, &[(-10_000.0, None)]);
    }

    #[test]
    fn text_that_is_no_file_of_points_is_refused_with_the_line() {
        for (text, expected) in [
            ("", PointsError::TooFew),
            ("1 2\n", PointsError::TooFew),
            ("1 2\n3\n", PointsError::Malformed(2)),
            ("1 2 3\n", PointsError::Malformed(1)),
            ("1 x\n", PointsError::Malformed(1)),
            ("1 inf\n", PointsError::Malformed(1)),
            ("1 2\n\n1 3\n", PointsError::NotAscending(3)),
        ] {
            assert_eq!(Points::parse(text), Err(expected), "{text:?}");
        }
    }
}
