//! Bins of numbers on a grid that is as fine as their magnitude asks for: what quantiles are finished from.
//!
//! Each power of two is cut into `2^bits` equal bins, so that no cell lies further from the middle of its bin than
//! `2^-(bits + 1)` of itself. With more bins than are kept, all neighbours are joined in pairs, as often as it takes.
//! How often is the least that suffices for these cells: a part never needs more than the whole, so the bins are one
//! function of the cells, whatever was merged in which order.

use super::moments::{MOST_EVENTS, Scale};
use super::round::round_ratio;
use super::wide::Wide;
use crate::bytes::{BytesError, Reader, Writer};

/// Units have magnitudes below two to this power.
const UNIT_BITS: u32 = 127;
/// A quantile is asked for in these parts of one.
pub const WHOLE: u32 = 1_000_000;

/// How fine the bins are, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grid {
    /// Bins of one power of two, as a power of two.
    bits: u32,
    /// How many bins are kept at most.
    most: usize,
}

impl Grid {
    /// The coarsest grid on which no cell lies further from the middle of its bin than `accuracy` of itself, in
    /// parts of [`WHOLE`].
    pub fn new(accuracy: u32, most: usize) -> Self {
        let fine = |bits: &u32| u64::from(accuracy) << (bits + 1) >= u64::from(WHOLE);
        Self {
            bits: (0..16).find(fine).unwrap_or(16),
            most,
        }
    }

    /// The bin of a number of units: 0 for none, else counted from 1, negative for negative ones.
    fn bin(self, units: i128) -> i32 {
        let magnitude = units.unsigned_abs();
        if magnitude == 0 {
            return 0;
        }
        let power = u128::BITS - 1 - magnitude.leading_zeros();
        let rest = magnitude ^ (1 << power);
        let within = if power >= self.bits {
            rest >> (power - self.bits)
        } else {
            rest << (self.bits - power)
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // below 2^(7 + 16)
        let bin = ((power << self.bits) + within as u32 + 1) as i32;
        if units < 0 { -bin } else { bin }
    }

    /// The least magnitude whose bin, counted from 0, is not below this one.
    fn least(self, bin: u32) -> u128 {
        let power = bin >> self.bits;
        if power >= UNIT_BITS {
            return 1 << UNIT_BITS;
        }
        let above = u128::from((1 << self.bits) + (bin & ((1 << self.bits) - 1)));
        if power >= self.bits {
            above << (power - self.bits)
        } else {
            above.div_ceil(1 << (self.bits - power))
        }
    }

    /// How many bins of one sign there are when neighbours were joined so often.
    fn bins(self, joined: u32) -> u32 {
        (UNIT_BITS << self.bits).div_ceil(1 << joined)
    }

    /// How often neighbours can be joined: then there is one bin of each sign.
    fn most_joined(self) -> u32 {
        self.bits + 7
    }

    /// The most bytes that writing takes.
    pub fn longest(self) -> usize {
        const COUNT: usize = 7;
        let span = 2 * (127_usize << self.bits);
        let gaps = self.most + self.most.min(span >> 7) + self.most.min(span >> 14);
        2 + 1 + 3 + gaps + self.most * COUNT
    }
}

/// How many cells lie in each bin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bins {
    /// How often neighbours were joined.
    joined: u32,
    /// Bins that are not empty, in the order of their cells.
    counts: Vec<(i32, u64)>,
}

impl Bins {
    /// Adds a number of units.
    pub fn insert(&mut self, grid: Grid, units: i128) {
        let bin = join(grid.bin(units), self.joined);
        match self.counts.binary_search_by_key(&bin, |(own, _)| *own) {
            Ok(place) => self.counts[place].1 += 1,
            Err(place) => {
                self.counts.insert(place, (bin, 1));
                self.shrink(grid);
            }
        }
    }

    /// Adds all cells of another.
    pub fn merge(&mut self, grid: Grid, other: &Self) {
        if other.counts.is_empty() {
            return;
        }
        if self.joined < other.joined {
            self.join_to(other.joined);
        }
        let up = self.joined - other.joined;
        let own = std::mem::take(&mut self.counts);
        let mut added = other
            .counts
            .iter()
            .map(|(bin, count)| (join(*bin, up), *count))
            .peekable();
        self.counts.reserve(own.len() + other.counts.len());
        for (bin, count) in own {
            while let Some(before) = added.next_if(|(other, _)| *other <= bin) {
                self.push(before);
            }
            self.push((bin, count));
        }
        added.for_each(|last| self.push(last));
        self.shrink(grid);
    }

    /// Appends a bin that is not before the last one.
    fn push(&mut self, (bin, count): (i32, u64)) {
        match self.counts.last_mut() {
            Some(last) if last.0 == bin => last.1 = last.1.wrapping_add(count),
            _ => self.counts.push((bin, count)),
        }
    }

    fn shrink(&mut self, grid: Grid) {
        while self.counts.len() > grid.most && self.joined < grid.most_joined() {
            self.join_to(self.joined + 1);
        }
    }

    fn join_to(&mut self, joined: u32) {
        let up = joined - self.joined;
        self.joined = joined;
        for (bin, count) in std::mem::take(&mut self.counts) {
            self.push((join(bin, up), count));
        }
    }

    /// How many cells.
    fn total(&self) -> u64 {
        self.counts
            .iter()
            .fold(0, |sum, (_, count)| sum.wrapping_add(*count))
    }

    /// The middle of the bin of the cell at the place `⌊q · (n - 1)⌋` from 0, `q` in parts of [`WHOLE`], rounded
    /// once; `None` over nothing.
    pub fn quantile(&self, grid: Grid, q: u32, scale: Scale) -> Option<f64> {
        let others = u128::from(self.total().checked_sub(1)?);
        let place = u128::from(q) * others / u128::from(WHOLE);
        let mut passed = 0_u128;
        let found = self.counts.iter().find(|(_, count)| {
            passed += u128::from(*count);
            place < passed
        });
        let bin = found?.0;
        let Some(at) = bin.unsigned_abs().checked_sub(1) else {
            return Some(0.0);
        };
        let least = grid.least(at << self.joined);
        let greatest = grid.least((at + 1) << self.joined) - 1;
        let middle = round_ratio(
            &Wide::<4>::from_u128(least + greatest),
            [2, scale.divisor()],
            -scale.bits(),
        );
        Some(if bin < 0 { -middle } else { middle })
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        self.counts.capacity() * size_of::<(i32, u64)>()
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.count(self.counts.len());
        let Some((first, _)) = self.counts.first() else {
            return;
        };
        writer.varint(u64::from(self.joined));
        let mut before = *first;
        for (place, (bin, count)) in self.counts.iter().enumerate() {
            if place == 0 {
                writer.zigzag(i64::from(*bin));
            } else {
                writer.gap(i64::from(*bin), i64::from(before));
            }
            writer.varint(*count);
            before = *bin;
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>, grid: Grid) -> Result<Self, BytesError> {
        let length = reader.count()?;
        if length == 0 {
            return Ok(Self::default());
        }
        let joined = reader.varint_up_to(u64::from(grid.most_joined()))?;
        let joined = u32::try_from(joined).map_err(|_| BytesError::NotCanonical)?;
        let greatest = i64::from(grid.bins(joined));
        // Neighbours were joined because there were too many of them: at most twice as many as now, and zero.
        if length > grid.most || joined > 0 && 2 * length <= grid.most {
            return Err(BytesError::NotCanonical);
        }
        let mut counts: Vec<(i32, u64)> = Vec::with_capacity(length);
        for _ in 0..length {
            let bin = match counts.last() {
                None => reader.zigzag()?,
                Some((before, _)) => {
                    let gap = reader.varint_up_to(2 * greatest.unsigned_abs())?;
                    if gap == 0 {
                        return Err(BytesError::NotCanonical);
                    }
                    i64::from(*before).saturating_add_unsigned(gap)
                }
            };
            let bin = i32::try_from(bin).map_err(|_| BytesError::NotCanonical)?;
            let count = reader.varint_up_to(MOST_EVENTS)?;
            if i64::from(bin).abs() > greatest || count == 0 {
                return Err(BytesError::NotCanonical);
            }
            counts.push((bin, count));
        }
        Ok(Self { joined, counts })
    }
}

/// The bin after neighbours were joined so often; that of zero stays alone.
fn join(bin: i32, times: u32) -> i32 {
    match bin {
        0 => 0,
        1.. => ((bin - 1) >> times) + 1,
        _ => -(((-bin - 1) >> times) + 1),
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, clippy::cast_precision_loss)]
mod tests {
    use super::*;

    const HUNDREDTH: Grid = Grid { bits: 6, most: 64 };

    fn of(grid: Grid, cells: &[i128]) -> Bins {
        let mut bins = Bins::default();
        for cell in cells {
            bins.insert(grid, *cell);
        }
        bins
    }

    #[test]
    fn an_accuracy_asks_for_a_grid() {
        for (accuracy, bits) in [(250_000, 1), (10_000, 6), (7_813, 6), (7_812, 7), (1_000, 9)] {
            assert_eq!(Grid::new(accuracy, 64), Grid { bits, most: 64 });
        }
    }

    #[test]
    fn each_number_lies_in_its_bin_and_near_the_middle_of_it() {
        let mut units: Vec<i128> = (1..5_000).collect();
        units.extend((12..127).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 7]));
        units.push(i128::MAX);
        for grid in [HUNDREDTH, Grid { bits: 1, most: 9 }, Grid { bits: 9, most: 9 }] {
            for joined in 0..=grid.most_joined() {
                for unit in &units {
                    let at = join(grid.bin(*unit), joined).unsigned_abs() - 1;
                    let (least, beyond) = (grid.least(at << joined), grid.least((at + 1) << joined));
                    let magnitude = unit.unsigned_abs();
                    assert!(least <= magnitude && magnitude < beyond, "{unit} at {joined}");
                    assert!(at < grid.bins(joined));
                    if joined == 0 {
                        assert!((beyond - 1 - least) >> 1 <= magnitude >> grid.bits);
                    }
                }
            }
        }
    }

    #[test]
    fn small_integers_are_themselves() {
        for unit in -127..=127_i128 {
            let bins = of(HUNDREDTH, &[unit]);
            assert_eq!(bins.quantile(HUNDREDTH, 500_000, Scale::One), Some(unit as f64));
        }
        assert_eq!(
            of(HUNDREDTH, &[1000]).quantile(HUNDREDTH, 0, Scale::One),
            Some(1003.5)
        );
        assert_eq!(
            of(HUNDREDTH, &[-1000]).quantile(HUNDREDTH, 0, Scale::One),
            Some(-1003.5)
        );
        assert_eq!(of(HUNDREDTH, &[]).quantile(HUNDREDTH, 0, Scale::One), None);
    }

    #[test]
    fn ranks_are_exact() {
        let cells: Vec<i128> = (0..=100).collect();
        let grid = Grid { bits: 6, most: 128 };
        let bins = of(grid, &cells);
        for (q, wanted) in [
            (0, 0.0),
            (950_000, 95.0),
            (959_999, 95.0),
            (960_000, 96.0),
            (WHOLE, 100.0),
        ] {
            assert_eq!(bins.quantile(grid, q, Scale::One), Some(wanted));
        }
    }

    #[test]
    fn any_order_and_any_parts_give_the_same_bins() {
        let cells: Vec<i128> = (0..200_i128).map(|n| (n * n * n - 900_000) << (n % 50)).collect();
        for most in [4, 8, 33, 500] {
            let grid = Grid { bits: 6, most };
            let whole = of(grid, &cells);
            assert!(whole.counts.len() <= most);
            for step in [1, 7, 63] {
                let order: Vec<i128> = (0..200).map(|n| cells[(n * step + 5) % 200]).collect();
                assert_eq!(of(grid, &order), whole);
                let mut merged = Bins::default();
                for part in order.chunks(30) {
                    merged.merge(grid, &of(grid, part));
                }
                assert_eq!(merged, whole);
            }
            let mut writer = Writer::default();
            whole.write(&mut writer);
            assert!(writer.bytes.len() <= grid.longest());
            let mut reader = Reader::new(&writer.bytes);
            assert_eq!(Bins::read(&mut reader, grid), Ok(whole));
            assert_eq!(reader.end(), Ok(()));
        }
    }
}
