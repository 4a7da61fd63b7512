//! Unsigned integers of `N` 64-bit limbs, least significant first. All arithmetic wraps; callers know their bounds.

use std::cmp::Ordering;

/// An unsigned integer of `64 * N` bits. As two's complement it also carries signed sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wide<const N: usize>(pub [u64; N]);

impl<const N: usize> Default for Wide<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

// Limbs are split out of 128-bit products and sums on purpose.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
impl<const N: usize> Wide<N> {
    /// Zero.
    pub const ZERO: Self = Self([0; N]);

    /// Whether every bit is clear.
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|limb| *limb == 0)
    }

    /// The bits of a 128-bit number, extended with zeros.
    pub fn from_u128(value: u128) -> Self {
        let mut limbs = [0; N];
        for (place, limb) in limbs.iter_mut().enumerate().take(2) {
            *limb = (value >> (64 * place)) as u64;
        }
        Self(limbs)
    }

    /// The bits of a signed 128-bit number, extended with its sign.
    pub fn from_i128(value: i128) -> Self {
        let fill = if value < 0 { u64::MAX } else { 0 };
        let mut limbs = [fill; N];
        for (place, limb) in limbs.iter_mut().enumerate().take(2) {
            *limb = (value >> (64 * place)) as u64;
        }
        Self(limbs)
    }

    /// Adds, wrapping.
    pub fn add(&mut self, other: &Self) {
        let mut carry = false;
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            let (sum, first) = a.overflowing_add(*b);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *a = sum;
            carry = first | second;
        }
    }

    /// Subtracts, wrapping.
    pub fn sub(&mut self, other: &Self) {
        let mut borrow = false;
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            let (difference, first) = a.overflowing_sub(*b);
            let (difference, second) = difference.overflowing_sub(u64::from(borrow));
            *a = difference;
            borrow = first | second;
        }
    }

    /// Whether the number is negative when read as two's complement.
    pub fn is_negative(&self) -> bool {
        self.0[N - 1] >> 63 == 1
    }

    /// The magnitude of the number read as two's complement.
    #[must_use]
    pub fn magnitude(&self) -> Self {
        if self.is_negative() { self.negated() } else { *self }
    }

    /// The negated number, as two's complement.
    #[must_use]
    pub fn negated(&self) -> Self {
        let mut result = Self::ZERO;
        result.sub(self);
        result
    }

    /// The product, wrapping at `M` limbs.
    #[must_use]
    pub fn times<const K: usize, const M: usize>(&self, other: &Wide<K>) -> Wide<M> {
        let mut result = [0_u64; M];
        for (i, a) in self.0.iter().enumerate() {
            if *a == 0 {
                continue;
            }
            let mut carry = 0_u128;
            for (place, limb) in result.iter_mut().enumerate().skip(i) {
                let b = other.0.get(place - i).copied().unwrap_or(0);
                if b == 0 && carry == 0 && place - i >= K {
                    break;
                }
                let sum = u128::from(*limb) + u128::from(*a) * u128::from(b) + carry;
                *limb = sum as u64;
                carry = sum >> 64;
            }
        }
        Wide(result)
    }

    /// How many bits the number needs; zero for zero.
    pub fn bits(&self) -> u32 {
        for (place, limb) in self.0.iter().enumerate().rev() {
            if *limb != 0 {
                return place as u32 * 64 + 64 - limb.leading_zeros();
            }
        }
        0
    }

    /// The top 128 bits, the first of them set, with the power of two that they stand at, and whether any set bit is
    /// below. The number is not zero.
    pub fn top(&self) -> (u128, i64, bool) {
        let bits = self.bits();
        let limb = |place: usize| u128::from(self.0.get(place).copied().unwrap_or(0));
        if bits <= 128 {
            let up = 128 - bits.max(1);
            return ((limb(1) << 64 | limb(0)) << up, -i64::from(up), false);
        }
        let (limbs, rest) = (((bits - 128) / 64) as usize, (bits - 128) % 64);
        let low = (limb(limbs + 1) << 64 | limb(limbs)) >> rest;
        let high = if rest == 0 {
            0
        } else {
            limb(limbs + 2) << (128 - rest)
        };
        let dropped = limb(limbs) & ((1 << rest) - 1) != 0 || self.0[..limbs].iter().any(|limb| *limb != 0);
        (high | low, i64::from(bits) - 128, dropped)
    }

    /// Shifted left, dropping what leaves the top.
    #[must_use]
    pub fn shifted_left(&self, by: u32) -> Self {
        let (limbs, bits) = ((by / 64) as usize, by % 64);
        let mut result = [0; N];
        for place in (limbs..N).rev() {
            let low = self.0[place - limbs] << bits;
            let carried = if bits > 0 && place > limbs {
                self.0[place - limbs - 1] >> (64 - bits)
            } else {
                0
            };
            result[place] = low | carried;
        }
        Self(result)
    }

    /// Shifted right; also whether any set bit was dropped.
    #[must_use]
    pub fn shifted_right(&self, by: u32) -> (Self, bool) {
        let (limbs, bits) = ((by / 64) as usize, by % 64);
        let mut result = [0; N];
        let mut dropped = self.0.iter().take(limbs).any(|limb| *limb != 0);
        if limbs < N {
            dropped |= bits > 0 && self.0[limbs] << (64 - bits) != 0;
            for place in limbs..N {
                let high = self.0[place] >> bits;
                let carried = if bits > 0 && place + 1 < N {
                    self.0[place + 1] << (64 - bits)
                } else {
                    0
                };
                result[place - limbs] = high | carried;
            }
        }
        (Self(result), dropped)
    }

    /// Divides in place by a number that is not zero; gives the remainder.
    pub fn divide(&mut self, by: u64) -> u64 {
        let mut remainder = 0_u128;
        for limb in self.0.iter_mut().rev() {
            let dividend = remainder << 64 | u128::from(*limb);
            *limb = (dividend / u128::from(by)) as u64;
            remainder = dividend % u128::from(by);
        }
        remainder as u64
    }
}

impl<const N: usize> PartialOrd for Wide<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const N: usize> Ord for Wide<N> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_and_borrows_cross_limbs() {
        let mut a = Wide::<3>([u64::MAX, u64::MAX, 0]);
        a.add(&Wide([1, 0, 0]));
        assert_eq!(a, Wide([0, 0, 1]));
        a.sub(&Wide([1, 0, 0]));
        assert_eq!(a, Wide([u64::MAX, u64::MAX, 0]));
    }

    #[test]
    fn signed_numbers_keep_their_sign() {
        let a = Wide::<3>::from_i128(-5);
        assert!(a.is_negative());
        assert_eq!(a.magnitude(), Wide([5, 0, 0]));
        assert_eq!(Wide::<3>::from_i128(i128::MIN).magnitude(), Wide([0, 1 << 63, 0]));
    }

    #[test]
    fn products_and_divisions_agree() {
        let a = Wide::<3>([0x1234_5678_9abc_def0, 0xfedc_ba98_7654_3210, 77]);
        let product: Wide<5> = a.times(&Wide([u64::MAX, 3]));
        let mut back = product;
        assert_eq!(back.divide(1 << 40), product.0[0] & ((1 << 40) - 1));
        assert_eq!(back, product.shifted_right(40).0);
        let mut seven: Wide<5> = a.times(&Wide([7]));
        assert_eq!(seven.divide(7), 0);
        assert_eq!(&seven.0[..3], &a.0);
    }

    #[test]
    fn shifts_know_what_they_drop() {
        let a = Wide::<3>([1, 0, 0]);
        assert_eq!(a.shifted_left(130), Wide([0, 0, 4]));
        assert_eq!(a.shifted_left(130).shifted_right(129), (Wide([2, 0, 0]), false));
        assert_eq!(a.shifted_right(1), (Wide([0, 0, 0]), true));
        assert_eq!(a.shifted_left(64).bits(), 65);
        assert_eq!(Wide::<3>([0, 9, 0]).shifted_right(64), (Wide([9, 0, 0]), false));
    }
}
