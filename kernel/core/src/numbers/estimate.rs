//! How many different values there are, from ranks of their hashes: in whole numbers, so that it has the same bits
//! everywhere.

/// The greatest rank.
pub const HIGHEST_RANK: u8 = 24;
/// Fractions are kept in units of two to minus this.
const FRACTION_BITS: u32 = 60;
/// `1 / (2 ln 2)` in these units, cut off.
const ALPHA: u128 = 831_657_068_615_270_155;

/// Where a hash counts: the register, which its first `bits` bits name, and its rank, one more than the zero bits
/// that follow.
pub fn register_of(hash: u64, bits: u32) -> (usize, u8) {
    let rank = (hash << bits).leading_zeros() + 1;
    #[allow(clippy::cast_possible_truncation)] // at most 2^12, and at most 24
    (
        (hash >> (u64::BITS - bits)) as usize,
        rank.min(u32::from(HIGHEST_RANK)) as u8,
    )
}

/// The estimate from the greatest rank of each register, 0 where there is none; the number of registers is a power
/// of two. At least one of them is not 0.
pub fn estimate(registers: &[u8]) -> u64 {
    let mut having = [0_u128; HIGHEST_RANK as usize + 1];
    for rank in registers {
        having[usize::from(*rank)] += 1;
    }
    let all = registers.len() as u128;
    // x + x^2 + 2 x^4 + 4 x^8 + ... of the share of empty registers.
    let mut power = (having[0] << FRACTION_BITS) / all;
    let mut empty = power;
    let mut doubling = 0;
    loop {
        power = (power * power) >> FRACTION_BITS;
        if power == 0 {
            break;
        }
        empty += power << doubling;
        doubling += 1;
    }
    let others = having.iter().enumerate().skip(1);
    let ranks: u128 = others
        .map(|(rank, count)| count << (FRACTION_BITS as usize - rank))
        .sum();
    let sum = all * empty + ranks;
    u64::try_from((2 * ALPHA * all * all + sum) / (2 * sum)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_name_registers_and_ranks() {
        assert_eq!(register_of(u64::MAX, 4), (15, 1));
        assert_eq!(register_of(0, 4), (0, 24));
        assert_eq!(register_of(1 << 58, 4), (0, 2));
        assert_eq!(register_of(0xa000_0000_0000_0001, 4), (10, 24));
    }

    #[test]
    #[allow(clippy::cast_precision_loss)]
    fn estimates_are_near_and_grow() {
        for bits in [6, 9, 12] {
            let mut registers = vec![0; 1 << bits];
            let mut before = 0;
            for n in 1..=200_000_u64 {
                let hash =
                    u64::from_be_bytes(blake3::hash(&n.to_be_bytes()).as_bytes()[..8].try_into().unwrap());
                let (register, rank) = register_of(hash, bits);
                registers[register] = rank.max(registers[register]);
                if n.is_power_of_two() || n == 200_000 {
                    let found = estimate(&registers);
                    assert!(found >= before, "{n}");
                    before = found;
                    let error = (found as f64 - n as f64).abs() / n as f64;
                    let wanted = 1.04 / f64::from(1 << bits).sqrt();
                    assert!(
                        error <= 4.0 * wanted + 0.5 / n as f64,
                        "{bits} bits, {n}: {found}"
                    );
                }
            }
        }
    }
}
