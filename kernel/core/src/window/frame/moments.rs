//! Exact moments of any range: differences of sums from the first event on.
//!
//! The sums are integers, so a difference is exact. Most entities fit narrow sums: their cells have zeros at the low
//! end in common, which are left off (amounts of a few digits at the scale 2^-64 end in dozens of them).

use super::lanes::Counts;
use super::taken::Taken;
use crate::numbers::{Moments, Wide};
use crate::window::slot::Level;

/// The moments of one column of one entity.
pub(super) struct Sums {
    level: Level,
    counted: Counts,
    /// Zero bits that every cell ends in, left off.
    cut: u32,
    units: Vec<i128>,
    narrow: Vec<Narrow>,
    /// Where narrow sums could overflow.
    wide: Vec<Moments>,
}

/// Sums over all events before one.
#[derive(Clone, Copy, Default)]
struct Narrow {
    sum: i128,
    squares: Wide<3>,
}

impl Sums {
    pub(super) fn new(level: Level) -> Self {
        Self {
            level,
            counted: Counts::default(),
            cut: 0,
            units: Vec::new(),
            narrow: Vec::new(),
            wide: Vec::new(),
        }
    }

    pub(super) fn fill(&mut self, cells: &[Taken<'_>]) {
        self.units.clear();
        self.narrow.clear();
        self.wide.clear();
        if self.level == Level::Count {
            self.counted.fill(cells.iter().map(|cell| cell.is_counted()));
            return;
        }
        self.counted.fill(cells.iter().map(|cell| cell.units().is_some()));
        self.units
            .extend(cells.iter().map(|cell| cell.units().unwrap_or(0)));
        let any = self.units.iter().fold(0, |any, units| any | units.unsigned_abs());
        self.cut = if any == 0 { 0 } else { any.trailing_zeros() };
        let bits = 128 - (any >> self.cut).leading_zeros();
        let many = usize::BITS - cells.len().leading_zeros();
        if bits + many < 127 && 2 * bits + many < 192 {
            self.fill_narrow();
        } else {
            self.fill_wide();
        }
    }

    fn fill_narrow(&mut self) {
        let mut sums = Narrow::default();
        self.narrow.reserve(self.units.len() + 1);
        self.narrow.push(sums);
        for units in &self.units {
            let units = units >> self.cut;
            sums.sum += units;
            if self.level == Level::Squares {
                let magnitude = Wide::<2>::from_u128(units.unsigned_abs());
                sums.squares.add(&magnitude.times(&magnitude));
            }
            self.narrow.push(sums);
        }
    }

    fn fill_wide(&mut self) {
        let mut sums = Moments::default();
        self.wide.push(sums);
        for units in &self.units {
            if self.level == Level::Squares {
                sums.insert_with_square(*units);
            } else {
                sums.insert(*units);
            }
            self.wide.push(sums);
        }
    }

    pub(super) fn between(&self, from: usize, to: usize) -> Moments {
        let count = self.counted.between(from, to);
        if self.level == Level::Count || count == 0 {
            return Moments {
                count,
                ..Moments::default()
            };
        }
        if let (Some(first), Some(last)) = (self.narrow.get(from), self.narrow.get(to)) {
            let mut squares = last.squares;
            squares.sub(&first.squares);
            let [a, b, c] = squares.0;
            return Moments {
                count,
                sum: Wide::from_i128(last.sum - first.sum).shifted_left(self.cut),
                squares: Wide([a, b, c, 0, 0]).shifted_left(2 * self.cut),
            };
        }
        let mut moments = self.wide.get(to).copied().unwrap_or_default();
        if let Some(first) = self.wide.get(from) {
            moments.sum.sub(&first.sum);
            moments.squares.sub(&first.squares);
        }
        Moments { count, ..moments }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::properties::Dice;

    #[test]
    fn any_range_has_the_moments_of_its_cells() {
        let greatest = f64::from_bits(9_223_372_036_854_775_808_f64.to_bits() - 1);
        let kinds: [&[f64]; 4] = [
            &[12.34, 0.01, -999.99, 0.0],
            &[greatest, -greatest, 0.001, 1e-15],
            &[1e-300, 3e-19, f64::NAN, 5.5],
            &[f64::INFINITY, 1e300],
        ];
        let mut dice = Dice(8);
        for (kind, level) in kinds
            .iter()
            .flat_map(|kind| [Level::Count, Level::Sum, Level::Squares].map(|level| (kind, level)))
        {
            let cells: Vec<Taken<'_>> = (0..40)
                .map(|_| {
                    let place = usize::try_from(dice.below(5)).unwrap();
                    kind.get(place)
                        .map_or(Taken::Null, |double| Taken::of(crate::expr::Cell::Float(*double)))
                })
                .collect();
            let mut sums = Sums::new(level);
            sums.fill(&cells);
            for from in 0..=40 {
                for to in from..=40 {
                    let mut naive = Moments::default();
                    for units in cells[from..to].iter().filter_map(|cell| cell.units()) {
                        match level {
                            Level::Count => naive.insert_count(),
                            Level::Sum => naive.insert(units),
                            Level::Squares => naive.insert_with_square(units),
                        }
                    }
                    assert_eq!(sums.between(from, to), naive, "{kind:?} {level:?} {from}..{to}");
                }
            }
        }
    }
}
