//! Doubles as integers at the scale 2^-64.

/// The scale is two to minus this.
pub const SCALE_BITS: u32 = 64;

/// The double as a multiple of 2^-64, nearest, ties to even; `None` if it is not finite or not below 2^63 in
/// magnitude: an invalid input. A magnitude of at most half the scale is zero.
pub fn to_fixed(x: f64) -> Option<i128> {
    const EXPONENT_BIAS: i32 = 1075; // of the mantissa read as an integer
    if !x.is_finite() {
        return None;
    }
    let bits = x.to_bits();
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // eleven bits
    let raw_exponent = (bits >> 52 & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    let (mantissa, exponent) = if raw_exponent == 0 {
        (fraction, 1 - EXPONENT_BIAS)
    } else {
        (fraction | 1 << 52, raw_exponent - EXPONENT_BIAS)
    };
    let shift = exponent + 64;
    let magnitude = if shift >= 0 {
        // |x| < 2^63 means mantissa * 2^exponent < 2^63, so the shifted mantissa stays below 2^127.
        if shift > 127 - 53 {
            return None;
        }
        u128::from(mantissa) << shift
    } else {
        u128::from(round_shift(mantissa, shift.unsigned_abs()))
    };
    let magnitude = i128::try_from(magnitude).ok()?;
    Some(if x.is_sign_negative() {
        -magnitude
    } else {
        magnitude
    })
}

/// Whether there is such a number.
pub fn fits_fixed(x: f64) -> bool {
    const END: f64 = 9_223_372_036_854_775_808.0;
    x.abs() < END
}

/// `mantissa / 2^by` to the nearest integer, ties to even.
fn round_shift(mantissa: u64, by: u32) -> u64 {
    if by > 54 {
        return 0;
    }
    let (kept, dropped) = (mantissa >> by, mantissa & ((1 << by) - 1));
    let half = 1 << (by - 1);
    kept + u64::from(dropped > half || dropped == half && kept & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::super::round::power_of_two;
    use super::*;

    const ONE: i128 = 1 << 64;

    #[test]
    fn whole_and_half_numbers_are_exact() {
        assert_eq!(to_fixed(1.0), Some(ONE));
        assert_eq!(to_fixed(-2.5), Some(-5 * ONE / 2));
        assert_eq!(to_fixed(0.0), Some(0));
        assert_eq!(to_fixed(-0.0), Some(0));
    }

    #[test]
    fn the_range_ends_below_two_to_63() {
        let end = power_of_two(63);
        assert_eq!(to_fixed(end), None);
        assert_eq!(to_fixed(-end), None);
        assert!(to_fixed(f64::from_bits(end.to_bits() - 1)).is_some());
        assert_eq!(to_fixed(f64::NAN), None);
        assert_eq!(to_fixed(f64::INFINITY), None);
        assert_eq!(to_fixed(1e300), None);
        let least_beyond = end.to_bits();
        let others = [
            f64::NAN,
            f64::INFINITY,
            -f64::INFINITY,
            0.0,
            -0.0,
            1e-300,
            5e-324,
            -3.5,
        ];
        for x in (least_beyond - 3..least_beyond + 3)
            .flat_map(|bits| [f64::from_bits(bits), -f64::from_bits(bits)])
            .chain(others)
        {
            assert_eq!(fits_fixed(x), to_fixed(x).is_some(), "{x}");
        }
    }

    #[test]
    fn below_the_scale_the_nearest_multiple_is_taken() {
        let scale = power_of_two(-64);
        assert_eq!(to_fixed(scale), Some(1));
        assert_eq!(to_fixed(scale / 2.0), Some(0));
        assert_eq!(to_fixed(scale * 0.500_001), Some(1));
        assert_eq!(to_fixed(scale * 1.5), Some(2));
        assert_eq!(to_fixed(scale * 2.5), Some(2));
        assert_eq!(to_fixed(f64::MIN_POSITIVE), Some(0));
        assert_eq!(to_fixed(f64::from_bits(1)), Some(0));
        assert_eq!(to_fixed(-scale), Some(-1));
    }
}
