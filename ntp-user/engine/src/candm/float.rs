//! The protocol's number format: a signed exponent of 7 bits above a signed coefficient of 25 bits, which
//! stand for coefficient * 2^(exponent - 25).

use super::octets::{Reader, Writer};

/// Bits of the coefficient.
const COEFFICIENT_BITS: u32 = 25;
const MAX_COEFFICIENT: i64 = (1 << (COEFFICIENT_BITS - 1)) - 1;
const MIN_COEFFICIENT: i64 = -MAX_COEFFICIENT - 1;
const MAX_EXPONENT: i32 = 63;
const MIN_EXPONENT: i32 = -64;

impl Reader<'_> {
    pub(super) fn float(&mut self) -> f64 {
        decode(self.u32())
    }
}

impl Writer {
    pub(super) fn float(&mut self, value: f64) -> &mut Self {
        self.u32(encode(value))
    }
}

/// What the bits stand for; always finite.
fn decode(bits: u32) -> f64 {
    // Shifts of a signed number keep its sign.
    let exponent = bits.cast_signed() >> COEFFICIENT_BITS;
    let unused = u32::BITS - COEFFICIENT_BITS;
    let coefficient = (bits << unused).cast_signed() >> unused;
    f64::from(coefficient) * f64::from(exponent - 25).exp2()
}

/// The nearest number that the format has: the largest for what is larger, 0 for what is no number.
fn encode(value: f64) -> u32 {
    if value == 0.0 || value.is_nan() {
        return 0;
    }
    // |value| = fraction * 2^exponent, the fraction from 1/2 to 1; or both are out of the format's range.
    let mut exponent = (binary_exponent(value) + 1).clamp(MIN_EXPONENT, MAX_EXPONENT);
    let mut coefficient = scaled(value, exponent);
    if !(MIN_COEFFICIENT..=MAX_COEFFICIENT).contains(&coefficient) {
        exponent += 1;
        coefficient = scaled(value, exponent);
    }
    if exponent > MAX_EXPONENT {
        exponent = MAX_EXPONENT;
        coefficient = scaled(value, exponent).clamp(MIN_COEFFICIENT, MAX_COEFFICIENT);
    }
    if coefficient == 0 {
        return 0;
    }
    let low = coefficient.to_le_bytes();
    let coefficient = u32::from_le_bytes([low[0], low[1], low[2], low[3]]);
    (exponent.cast_unsigned() << COEFFICIENT_BITS) | (coefficient & ((1 << COEFFICIENT_BITS) - 1))
}

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
fn scaled(value: f64, exponent: i32) -> i64 {
    (value * f64::from(25 - exponent).exp2()).round() as i64
}

/// The exponent whose power of two is the least above |value|.
fn binary_exponent(value: f64) -> i32 {
    let biased = (value.abs().to_bits() >> 52) & 0x7ff;
    i32::try_from(biased).unwrap_or_default() - 1022
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_laid_out_as_chrony_lays_them_out() {
        let cases =
            [(0.0, 0x0000_0000), (1.0, 0x0480_0000), (-1.0, 0x0300_0000), (0.5, 0x0280_0000)];
        for (value, bits) in cases {
            assert_eq!(decode(bits).to_bits(), f64::to_bits(value), "{bits:08x}");
            assert_eq!(decode(encode(value)).to_bits(), f64::to_bits(value), "{value}");
        }
    }

    #[test]
    fn what_the_format_does_not_have_comes_as_near_as_it_can() {
        let largest = decode(encode(f64::INFINITY));
        assert!(largest > 4e18 && decode(encode(1e300)) >= largest);
        assert!(decode(encode(f64::NEG_INFINITY)) < -4e18);
        for none in [f64::NAN, 1e-300, -1e-300, f64::MIN_POSITIVE] {
            assert_eq!(encode(none), 0, "{none}");
        }
    }

    proptest! {
        #[test]
        fn numbers_survive_with_a_relative_error_of_a_16_millionth(value in -1e18f64..1e18) {
            for value in [value, value * 1e-18, value * 1e-27] {
                let error = (decode(encode(value)) - value).abs();
                prop_assert!(error <= value.abs() * 2f64.powi(-24), "{value}: {error}");
            }
        }

        #[test]
        fn whatever_is_read_is_written_as_the_same_number(bits: u32) {
            let value = decode(bits);
            prop_assert!(value.is_finite());
            prop_assert_eq!(decode(encode(value)).to_bits(), value.to_bits());
        }
    }
}
