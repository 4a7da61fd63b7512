//! Stored rows: one cell per feature of the view, in wire form, behind a table of where each ends. A reader cuts a
//! cell out without looking at the others.
//!
//! | bytes | |
//! |---|---|
//! | 0 | 0: a deletion, nothing follows; else how many bytes an end takes: 1, 2 or 4, the least that fits |
//! | 1..3 | number of cells, big-endian |
//! | | the end of each cell, big-endian, counted from the first cell |
//! | | the cells |

use crate::bytes::{BytesError, Reader, Writer};
use crate::expr::Cell;

use super::wire;

/// A deletion.
pub(crate) const DELETED: &[u8] = &[0];

/// The canonical bytes of a row.
pub(crate) fn encode<'a>(cells: impl IntoIterator<Item = Cell<'a>>) -> Vec<u8> {
    let mut body = Writer::default();
    let mut ends = Vec::new();
    for cell in cells {
        wire::write(cell, &mut body);
        ends.push(body.bytes.len());
    }
    let width = width_of(body.bytes.len());
    let mut row = Writer::default();
    // At most 4, and definitions have far fewer features than 2^16.
    #[allow(clippy::cast_possible_truncation)]
    {
        row.byte(width as u8);
        row.raw(&(ends.len() as u16).to_be_bytes());
    }
    for end in ends {
        row.raw(&end.to_be_bytes()[size_of::<usize>() - width..]);
    }
    row.raw(&body.bytes);
    row.bytes
}

fn width_of(length: usize) -> usize {
    match length {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 4,
    }
}

/// The cells of a stored row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredRow<'a> {
    width: usize,
    ends: &'a [u8],
    cells: &'a [u8],
}

impl<'a> StoredRow<'a> {
    /// Finds the cells of a row; absent for a deletion. The table is checked, the cells are not.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<Self>, BytesError> {
        let mut reader = Reader::new(bytes);
        let width = match reader.byte()? {
            0 => return reader.end().map(|()| None),
            width @ (1 | 2 | 4) => usize::from(width),
            _ => return Err(BytesError::NotCanonical),
        };
        let count = usize::from(u16::from_be_bytes(reader.array()?));
        let ends = reader.raw(count * width)?;
        let cells = reader.raw(reader.left())?;
        let row = Self { width, ends, cells };
        let mut before = 0;
        for place in 0..count {
            let end = row.end(place);
            if end < before {
                return Err(BytesError::NotCanonical);
            }
            before = end;
        }
        if before != cells.len() || width != width_of(before) {
            return Err(BytesError::NotCanonical);
        }
        Ok(Some(row))
    }

    /// How many cells there are.
    pub fn len(&self) -> usize {
        self.ends.len() / self.width
    }

    /// Whether there is no cell.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The wire form of a cell; absent if the row has no such place.
    pub fn wire(&self, place: usize) -> Option<&'a [u8]> {
        if place >= self.len() {
            return None;
        }
        let start = if place == 0 { 0 } else { self.end(place - 1) };
        self.cells.get(start..self.end(place))
    }

    fn end(&self, place: usize) -> usize {
        let digits = &self.ends[place * self.width..(place + 1) * self.width];
        digits.iter().fold(0, |end, digit| end << 8 | usize::from(*digit))
    }
}

/// The most bytes that a row of cells of these sizes takes.
pub(crate) fn longest(cells: impl Iterator<Item = usize>) -> usize {
    let (count, bytes) = cells.fold((0, 0), |(count, bytes), cell| (count + 1, bytes + cell));
    3 + count * width_of(bytes) + bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> [Cell<'_>; 4] {
        [Cell::Int(-1), Cell::Null, Cell::Text(text), Cell::Bool(true)]
    }

    #[test]
    fn a_cell_is_cut_out_by_its_place() {
        for length in [0, 3, 200, 300, 70_000] {
            let text = "x".repeat(length);
            let bytes = encode(cells(&text));
            let row = StoredRow::parse(&bytes).unwrap().unwrap();
            assert_eq!((row.len(), row.is_empty()), (4, false));
            for (place, cell) in cells(&text).into_iter().enumerate() {
                assert_eq!(row.wire(place), Some(wire::to_bytes(cell).as_slice()));
            }
            assert_eq!(row.wire(4), None);
        }
    }

    #[test]
    fn a_deletion_has_no_cells() {
        assert_eq!(StoredRow::parse(DELETED), Ok(None));
        assert_eq!(StoredRow::parse(&[0, 0]), Err(BytesError::Trailing));
    }

    #[test]
    fn whatever_is_not_canonical_is_refused() {
        let bytes = encode(cells("abc"));
        for cut in 0..bytes.len() {
            assert!(StoredRow::parse(&bytes[..cut]).is_err(), "{cut}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(StoredRow::parse(&longer).is_err());
        for (place, wrong) in [(0, 2), (0, 3), (2, 5), (3, 200)] {
            let mut changed = bytes.clone();
            changed[place] = wrong;
            assert!(StoredRow::parse(&changed).is_err(), "{place}");
        }
        // Ends of two bytes where one fits.
        assert!(StoredRow::parse(&[2, 0, 1, 0, 2, 0x18, 1]).is_err());
        assert!(StoredRow::parse(&[1, 0, 1, 2, 0x18, 1]).is_ok());
    }

    #[test]
    fn the_worst_case_is_not_exceeded() {
        let bytes = encode([Cell::Int(-1), Cell::Float(1.5)]);
        assert_eq!(bytes.len(), longest([11, 9].into_iter()));
    }
}
