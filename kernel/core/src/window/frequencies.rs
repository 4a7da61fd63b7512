//! How often each different cell came, up to a bound of different ones; above it nothing is known, and stays so.

use super::cell::Cell;
use crate::bytes::{BytesError, Reader, Writer};
use crate::numbers::MOST_EVENTS;

/// The cells with their numbers, least cell first; absent when there are more than the bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Frequencies(Option<Vec<(Cell, u64)>>);

impl Default for Frequencies {
    fn default() -> Self {
        Self(Some(Vec::new()))
    }
}

impl Frequencies {
    /// Bytes that grow with the values.
    pub(super) fn memory(&self) -> usize {
        self.0
            .as_ref()
            .map_or(0, |entries| size_of_val(entries.as_slice()))
    }

    /// Counts a cell that is valid and not null.
    pub(super) fn insert(&mut self, cell: &Cell, bound: usize) {
        if cell.is_ordered() {
            self.add(cell, 1, bound);
        }
    }

    fn add(&mut self, cell: &Cell, count: u64, bound: usize) {
        let Some(entries) = &mut self.0 else { return };
        match entries.binary_search_by(|(own, _)| own.order(cell)) {
            Ok(place) => entries[place].1 = entries[place].1.wrapping_add(count),
            Err(_) if entries.len() == bound => self.0 = None,
            Err(place) => entries.insert(place, (cell.clone(), count)),
        }
    }

    /// Adds all of another.
    pub(super) fn merge(&mut self, other: &Self, bound: usize) {
        let Some(others) = &other.0 else {
            self.0 = None;
            return;
        };
        for (cell, count) in others {
            self.add(cell, *count, bound);
        }
    }

    /// The most frequent cells, the most frequent first, of equally frequent ones the least; absent above the bound.
    pub(super) fn top(&self, most: usize) -> Option<Vec<&Cell>> {
        let mut entries: Vec<&(Cell, u64)> = self.0.as_ref()?.iter().collect();
        // Stable: cells of one number stay in their order.
        entries.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Some(entries.into_iter().take(most).map(|(cell, _)| cell).collect())
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        let Some(entries) = &self.0 else {
            writer.byte(0);
            return;
        };
        writer.count(entries.len() + 1);
        for (cell, count) in entries {
            cell.write(writer);
            writer.varint(*count);
        }
    }

    pub(super) fn read(
        reader: &mut Reader<'_>,
        kind: crate::value::Type,
        bound: usize,
    ) -> Result<Self, BytesError> {
        let Some(length) = reader.varint()?.checked_sub(1) else {
            return Ok(Self(None));
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > bound {
            return Err(BytesError::NotCanonical);
        }
        let mut entries: Vec<(Cell, u64)> = Vec::with_capacity(length.min(reader.left()));
        for _ in 0..length {
            let cell = Cell::read(reader, kind)?;
            let count = reader.varint_up_to(MOST_EVENTS)?;
            let rises = entries.last().is_none_or(|(last, _)| last.order(&cell).is_lt());
            if !cell.is_ordered() || count == 0 || !rises {
                return Err(BytesError::NotCanonical);
            }
            entries.push((cell, count));
        }
        Ok(Self(Some(entries)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Type;

    fn of(cells: &[i64], bound: usize) -> Frequencies {
        let mut frequencies = Frequencies::default();
        for cell in cells {
            frequencies.insert(&Cell::Int(*cell), bound);
        }
        frequencies
    }

    #[test]
    fn the_most_frequent_come_first_and_equals_by_size() {
        let frequencies = of(&[3, 1, 2, 1, 3, 9], 4);
        let cells = |most| frequencies.top(most);
        assert_eq!(cells(3), Some(vec![&Cell::Int(1), &Cell::Int(3), &Cell::Int(2)]));
        assert_eq!(of(&[3, 1, 2, 1, 3, 9], 3).top(3), None);
    }

    #[test]
    fn above_the_bound_stays_above_it_in_any_order() {
        let over = of(&[1, 2, 3], 2);
        for (mut a, b) in [
            (over.clone(), of(&[1], 2)),
            (of(&[1], 2), over.clone()),
            (of(&[1, 2], 2), of(&[3], 2)),
        ] {
            a.merge(&b, 2);
            assert_eq!(a, over);
        }
    }

    #[test]
    fn they_are_read_back() {
        for frequencies in [of(&[], 3), of(&[5, -1, 5], 3), of(&[1, 2, 3, 4], 3)] {
            let mut writer = Writer::default();
            frequencies.write(&mut writer);
            let mut reader = Reader::new(&writer.bytes);
            assert_eq!(Frequencies::read(&mut reader, Type::Int64, 3), Ok(frequencies));
            assert_eq!(reader.end(), Ok(()));
        }
    }
}
