//! Count, sum and sum of squares of a column: what count, sum, avg, variance and stddev are finished from.

use super::fixed::SCALE_BITS;
use super::round::round_ratio;
use super::wide::Wide;

/// The accumulators are wide enough for fewer events than this.
pub const MOST_EVENTS: u64 = 1 << 48;

/// A count in two's complement as the signed number that it is.
#[allow(clippy::cast_possible_wrap)] // the sign bit is the sign
pub const fn signed(count: u64) -> i64 {
    count as i64
}

/// A signed number as a count in two's complement.
#[allow(clippy::cast_sign_loss)] // the bits are what is wanted
pub const fn unsigned(count: i64) -> u64 {
    count as u64
}

/// What one unit of a sum is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scale {
    /// One: integers.
    One,
    /// 2^-64: doubles.
    Fixed,
    /// Ten to minus this: decimals.
    Tenth(u8),
}

impl Scale {
    pub(super) const fn bits(self) -> i32 {
        match self {
            Self::One | Self::Tenth(_) => 0,
            #[allow(clippy::cast_possible_wrap)] // 64
            Self::Fixed => SCALE_BITS as i32,
        }
    }

    /// What is divided by, besides the power of two. At most ten to the power 18.
    pub(super) const fn divisor(self) -> u64 {
        match self {
            Self::One | Self::Fixed => 1,
            Self::Tenth(digits) => 10_u64.pow(digits as u32),
        }
    }
}

/// What the cells are to a variance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spread {
    /// A sample: divided by one less than their number.
    Sample,
    /// All there is: divided by their number.
    Population,
}

/// Exact moments; merging is adding, in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moments {
    /// How many valid cells; two's complement, as those that were retracted are taken off.
    pub count: u64,
    /// Their sum in units of the scale, two's complement.
    pub sum: Wide<3>,
    /// The sum of their squares, in units of the squared scale, two's complement.
    pub squares: Wide<5>,
}

impl Moments {
    /// How many valid cells, less those that were retracted.
    pub fn signed_count(&self) -> i64 {
        signed(self.count)
    }

    /// Counts a cell without looking at it.
    pub fn insert_count(&mut self) {
        self.count = self.count.wrapping_add(1);
    }

    /// Adds a cell, in units of the scale.
    pub fn insert(&mut self, units: i128) {
        self.count = self.count.wrapping_add(1);
        self.sum.add(&Wide::from_i128(units));
    }

    /// Adds a cell and its square.
    pub fn insert_with_square(&mut self, units: i128) {
        self.insert(units);
        let magnitude = Wide::<2>::from_u128(units.unsigned_abs());
        let square: Wide<5> = magnitude.times(&magnitude);
        self.squares.add(&square);
    }

    /// Adds all cells of another.
    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.wrapping_add(other.count);
        self.sum.add(&other.sum);
        self.squares.add(&other.squares);
    }

    /// The sum of integers, or `None` if it does not fit.
    pub fn integer_sum(&self) -> Option<i64> {
        let [low, middle, high] = self.sum.0;
        let sign = if low >> 63 == 1 { u64::MAX } else { 0 };
        #[allow(clippy::cast_possible_wrap)] // the sign bit is the sign
        (middle == sign && high == sign).then_some(low as i64)
    }

    /// The sum, rounded once.
    pub fn sum(&self, scale: Scale) -> f64 {
        self.signed(round_ratio(
            &self.sum.magnitude(),
            [scale.divisor()],
            -scale.bits(),
        ))
    }

    /// The mean, rounded once; `None` over nothing.
    pub fn mean(&self, scale: Scale) -> Option<f64> {
        (self.signed_count() > 0).then(|| {
            self.signed(round_ratio(
                &self.widened(),
                [self.count, scale.divisor()],
                -scale.bits(),
            ))
        })
    }

    /// The sum per `unit` of a width, `sum * unit / width`, rounded once. Both are positive.
    pub fn rate(&self, scale: Scale, unit: u64, width: u64) -> f64 {
        let times: Wide<4> = self.sum.magnitude().times(&Wide([unit]));
        self.signed(round_ratio(&times, [width, scale.divisor()], -scale.bits()))
    }

    /// The variance, rounded once: of a sample, `None` over fewer than two; or of the cells as the whole population,
    /// `None` over nothing.
    pub fn variance(&self, scale: Scale, of: Spread) -> Option<f64> {
        let freedom = match of {
            Spread::Sample => self.signed_count().saturating_sub(1),
            Spread::Population => self.signed_count(),
        };
        if freedom <= 0 || self.squares.is_negative() {
            return None;
        }
        // n * Q - S^2, which is not negative for any numbers at all (Cauchy and Schwarz), unless more were retracted
        // than inserted.
        let magnitude = self.sum.magnitude();
        let mut spread: Wide<6> = self.squares.times(&Wide([self.count]));
        let square: Wide<6> = magnitude.times(&magnitude);
        if spread < square {
            return None;
        }
        spread.sub(&square);
        let divisors = [
            self.count,
            freedom.unsigned_abs(),
            scale.divisor(),
            scale.divisor(),
        ];
        Some(round_ratio(&spread, divisors, -2 * scale.bits()))
    }

    /// The correctly rounded root of the rounded variance; `None` where there is none.
    pub fn stddev(&self, scale: Scale, of: Spread) -> Option<f64> {
        self.variance(scale, of).map(f64::sqrt)
    }

    fn widened(&self) -> Wide<4> {
        let [a, b, c] = self.sum.magnitude().0;
        Wide([a, b, c, 0])
    }

    fn signed(&self, magnitude: f64) -> f64 {
        // Zero has no sign: -0.0 is never served.
        if self.sum.is_negative() {
            -magnitude
        } else {
            magnitude
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, clippy::cast_precision_loss)]
mod tests {
    use super::super::round::power_of_two;
    use super::super::to_fixed;
    use super::*;

    fn of(cells: &[f64]) -> Moments {
        let mut moments = Moments::default();
        for cell in cells {
            moments.insert_with_square(to_fixed(*cell).unwrap());
        }
        moments
    }

    #[test]
    fn a_single_cell_is_its_own_sum_and_mean() {
        for cell in [0.1, -123.45, 1e-3, 9e18, 0.01, 1.0 / 3.0] {
            assert_eq!(of(&[cell]).sum(Scale::Fixed), cell);
            assert_eq!(of(&[cell]).mean(Scale::Fixed), Some(cell));
            assert_eq!(of(&[cell]).variance(Scale::Fixed, Spread::Sample), None);
        }
    }

    #[test]
    fn constant_groups_have_no_spread() {
        for n in [2, 3, 1000] {
            assert_eq!(of(&vec![0.1; n]).stddev(Scale::Fixed, Spread::Sample), Some(0.0));
        }
    }

    #[test]
    fn known_spreads() {
        assert_eq!(
            of(&[1.0, 2.0, 3.0, 4.0]).variance(Scale::Fixed, Spread::Sample),
            Some(5.0 / 3.0)
        );
        assert_eq!(of(&[-2.0, 2.0]).variance(Scale::Fixed, Spread::Sample), Some(8.0));
        assert_eq!(
            of(&[2.0, 4.0]).stddev(Scale::Fixed, Spread::Sample),
            Some(2_f64.sqrt())
        );
    }

    #[test]
    fn a_population_is_divided_by_its_number() {
        let population = |cells: &[f64]| of(cells).variance(Scale::Fixed, Spread::Population);
        assert_eq!(population(&[]), None);
        assert_eq!(population(&[7.25]), Some(0.0));
        assert_eq!(population(&[0.1, 0.1, 0.1]), Some(0.0));
        assert_eq!(population(&[1.0, 2.0, 3.0, 4.0]), Some(1.25));
        assert_eq!(
            of(&[-1.0, 2.0]).stddev(Scale::Fixed, Spread::Population),
            Some(1.5)
        );
    }

    #[test]
    fn rates_are_rounded_once() {
        let thirds = of(&[1.0]);
        assert_eq!(thirds.rate(Scale::Fixed, 1, 3), 1.0 / 3.0);
        assert_eq!(of(&[0.1, 0.2]).rate(Scale::Fixed, 10, 1), 3.0);
        assert_eq!(of(&[-0.5]).rate(Scale::Fixed, 3, 2), -0.75);
        assert!(of(&[]).rate(Scale::Fixed, 3, 2).is_sign_positive());
    }

    #[test]
    fn cancelling_sums_are_exact() {
        let moments = of(&[1e18, 1e-3, -1e18]);
        assert_eq!(moments.sum(Scale::Fixed), 1e-3);
        assert!(of(&[1.0, -1.0]).sum(Scale::Fixed).is_sign_positive());
    }

    #[test]
    fn the_extremes_do_not_overflow() {
        let greatest = f64::from_bits(power_of_two(63).to_bits() - 1);
        let mut moments = of(&[greatest, -greatest]);
        // Doubling 46 times: the greatest count that the accumulators are made for.
        for _ in 0..46 {
            let copy = moments;
            moments.merge(&copy);
        }
        assert_eq!(moments.sum(Scale::Fixed), 0.0);
        let n = moments.count as f64;
        let expected = greatest * greatest * (n / (n - 1.0));
        let ratio = moments.variance(Scale::Fixed, Spread::Sample).unwrap() / expected;
        assert!((ratio - 1.0).abs() < 1e-12);
    }

    #[test]
    fn integers_are_summed_at_scale_one() {
        let mut moments = Moments::default();
        for cell in [i64::MAX, 1, i64::MIN] {
            moments.insert_with_square(i128::from(cell));
        }
        assert_eq!(moments.integer_sum(), Some(0));
        assert_eq!(moments.mean(Scale::One), Some(0.0));
        moments.insert(i128::from(i64::MIN));
        assert_eq!(moments.integer_sum(), Some(i64::MIN));
        moments.insert(-1);
        assert_eq!(moments.integer_sum(), None);
        let mut thirds = Moments::default();
        for cell in [1, 1, 2] {
            thirds.insert(cell);
        }
        assert_eq!(thirds.mean(Scale::One), Some(4.0 / 3.0));
    }
}
