//! One rounding at the end.

use super::wide::Wide;

/// `numerator / (d1 * d2 * …) * 2^exponent` as the nearest double, ties to even. The divisors are not zero, the number
/// has room for their product and 65 bits more, and the result lies within the normal range of doubles or is zero.
pub fn round_ratio<const N: usize, const D: usize>(
    numerator: &Wide<N>,
    divisors: [u64; D],
    exponent: i32,
) -> f64 {
    if numerator.is_zero() {
        return 0.0;
    }
    let product = divisors
        .iter()
        .try_fold(1_u64, |product, own| product.checked_mul(*own));
    let Some(divisor) = product else {
        return round_by_steps(numerator, divisors, exponent);
    };
    // Of 128 bits by less than 64 the quotient has at least 64; the remainder says whether anything follows them.
    let (top, scale, dropped) = numerator.top();
    let divisor = u128::from(divisor);
    let quotient = top / divisor;
    let inexact = dropped || quotient * divisor != top;
    rounded(quotient, inexact, scale + i64::from(exponent))
}

/// The same where the product of the divisors is too great for one division.
fn round_by_steps<const N: usize, const D: usize>(
    numerator: &Wide<N>,
    divisors: [u64; D],
    exponent: i32,
) -> f64 {
    let wanted = divisors
        .iter()
        .map(|divisor| 64 - divisor.leading_zeros())
        .sum::<u32>()
        + 65;
    let up = wanted.saturating_sub(numerator.bits());
    let mut quotient = numerator.shifted_left(up);
    let mut inexact = false;
    for divisor in divisors {
        inexact |= quotient.divide(divisor) != 0;
    }
    let (top, scale, dropped) = quotient.top();
    rounded(
        top,
        inexact || dropped,
        scale - i64::from(up) + i64::from(exponent),
    )
}

/// `number * 2^scale` as the nearest double, ties to even; the number has at least 64 bits, and `inexact` says whether
/// anything follows them.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // 64 bits, then 53
fn rounded(number: u128, mut inexact: bool, scale: i64) -> f64 {
    let down = 64 - number.leading_zeros().min(64);
    let top = (number >> down) as u64;
    inexact |= u128::from(top) << down != number;
    let (mut mantissa, rest) = (top >> 11, top & 0x7ff);
    let half = 0x400;
    if rest > half || rest == half && (inexact || mantissa & 1 == 1) {
        mantissa += 1;
    }
    mantissa as f64 * power_of_two(11 + i64::from(down) + scale)
}

/// Two to a power within the normal range of doubles; outside it the nearest end.
pub(super) fn power_of_two(power: i64) -> f64 {
    #[allow(clippy::cast_sign_loss)] // 1 to 2046
    let biased = (power.clamp(-1022, 1023) + 1023) as u64;
    f64::from_bits(biased << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(n: u128, d: u64, exponent: i32) -> f64 {
        round_ratio(&Wide::<6>::from_u128(n), [d, 1], exponent)
    }

    #[test]
    #[allow(clippy::float_cmp)]
    fn small_ratios_are_those_of_ieee_division() {
        for (n, d) in [
            (1, 3),
            (2, 3),
            (10, 7),
            (1, 1),
            (u32::MAX, 3),
            (7, u32::MAX),
            (123_456_789, 1000),
        ] {
            assert_eq!(
                ratio(u128::from(n), u64::from(d), 0),
                f64::from(n) / f64::from(d),
                "{n}/{d}"
            );
        }
    }

    #[test]
    fn both_divisions_round_alike() {
        let mut dice = crate::window::properties::Dice(3);
        for _ in 0..20_000 {
            let mut number = Wide::<6>([0; 6].map(|_: u64| dice.next()));
            for _ in 0..dice.below(4) {
                number.0[usize::try_from(dice.below(6)).unwrap()] = 0;
            }
            let number = number.shifted_right(u32::try_from(dice.below(384)).unwrap()).0;
            let divisors = [0, 0].map(|_: u64| (dice.next() >> (32 + dice.below(32))).max(1));
            let quick = round_ratio(&number, divisors, -128);
            let stepwise = if number.is_zero() {
                0.0
            } else {
                round_by_steps(&number, divisors, -128)
            };
            assert_eq!(quick.to_bits(), stepwise.to_bits(), "{number:?} / {divisors:?}");
        }
    }

    #[test]
    #[allow(clippy::float_cmp)]
    fn ties_go_to_even_unless_anything_follows() {
        let tie = (1_u128 << 53) + 1;
        assert_eq!(ratio(tie, 1, 0), power_of_two(53));
        assert_eq!(ratio(tie + 2, 1, 0), power_of_two(53) + 4.0);
        assert_eq!(ratio((tie << 60) + 1, 1, -60), power_of_two(53) + 2.0);
        assert_eq!(ratio((1 << 54) - 1, 1, 0), power_of_two(54));
    }

    #[test]
    #[allow(clippy::float_cmp)]
    fn the_exponent_only_scales() {
        assert_eq!(ratio(5 << 64, 1, -64), 5.0);
        assert_eq!(ratio(1, 3, -128), 1.0 / 3.0 * power_of_two(-128));
        assert_eq!(round_ratio(&Wide::<6>::from_u128(1), [3, 5], 0), 1.0 / 15.0);
        assert_eq!(ratio(0, 3, 0), 0.0);
    }
}
