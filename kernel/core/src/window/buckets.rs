//! Histograms: how many cells lie between each two edges.

use super::cell::Cell;
use crate::bytes::{BytesError, Reader, Writer};
use crate::numbers::MOST_EVENTS;

/// Counts a cell: in bucket `i` are the cells that `i` of the edges do not exceed.
pub(super) fn insert_bucket(counts: &mut [u64], edges: &[Cell], cell: &Cell) {
    if cell.is_ordered() {
        let count = &mut counts[edges.partition_point(|edge| edge.order(cell).is_le())];
        *count = count.wrapping_add(1);
    }
}

/// Runs of zeros are told by their length: most buckets of a tile are empty.
pub(super) fn write_counts(counts: &[u64], writer: &mut Writer) {
    let mut rest = counts;
    while let Some((count, after)) = rest.split_first() {
        writer.varint(*count);
        rest = after;
        if *count == 0 {
            let more = rest.iter().take_while(|count| **count == 0).count();
            writer.count(more);
            rest = &rest[more..];
        }
    }
}

pub(super) fn read_counts(reader: &mut Reader<'_>, length: usize) -> Result<Box<[u64]>, BytesError> {
    let mut counts = Vec::with_capacity(length);
    let mut after_zeros = false;
    while counts.len() < length {
        let count = reader.varint_up_to(MOST_EVENTS)?;
        counts.push(count);
        if count == 0 {
            let more = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
            // Two runs of zeros on end would be one.
            if after_zeros || more > length - counts.len() {
                return Err(BytesError::NotCanonical);
            }
            counts.resize(counts.len() + more, 0);
        }
        after_zeros = count == 0;
    }
    Ok(counts.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_on_an_edge_lies_above_it() {
        let edges = [Cell::Int(-1), Cell::Int(5)];
        let mut counts = [0; 3];
        for x in [-2, -1, 0, 4, 5, 5, 9] {
            insert_bucket(&mut counts, &edges, &Cell::Int(x));
        }
        insert_bucket(&mut counts, &edges, &Cell::Null);
        assert_eq!(counts, [1, 3, 3]);
    }

    #[test]
    fn counts_are_read_back_in_their_one_form() {
        for counts in [
            vec![0, 0, 0],
            vec![1],
            vec![0, 7, 0, 0, 1, 0],
            vec![300, 0, 0, 0, 0, 0, 2],
        ] {
            let mut writer = Writer::default();
            write_counts(&counts, &mut writer);
            let mut reader = Reader::new(&writer.bytes);
            assert_eq!(read_counts(&mut reader, counts.len()).as_deref(), Ok(&counts[..]));
            assert_eq!(reader.end(), Ok(()));
        }
        // Zeros in two runs; a run beyond the end.
        assert!(read_counts(&mut Reader::new(&[0, 0, 0, 0]), 2).is_err());
        assert!(read_counts(&mut Reader::new(&[0, 2]), 2).is_err());
    }
}
