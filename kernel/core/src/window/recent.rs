//! Cells of the oldest and the newest events, up to a number: for lists of them.
//!
//! Only as many newest cells stay as the longest list has items. Dropping is exact: a window that ends after the
//! fold horizon and holds a dropped cell also holds that many newer ones. The oldest stand in tiles instead,
//! because windows begin at different times.

use super::cell::Cell;
use super::layout::{KeptColumn, Newer};
use super::state::{Event, EventPosition, Last};
use crate::bytes::{BytesError, Reader, Writer};
use crate::value::Type;

/// Cells that are valid and not null, newest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Recent {
    entries: Vec<Last>,
}

impl Recent {
    /// Adds an event's cell.
    pub(super) fn insert(&mut self, newer: &Newer, event: &Event) {
        insert_event(&mut self.entries, newer.which(), event, newer.column, newer.kept);
    }

    /// Drops the cells of events before `lowest`.
    pub(super) fn drop_before(&mut self, lowest: i64) {
        self.entries
            .truncate(self.entries.partition_point(|own| own.t >= lowest));
    }

    /// Newest first.
    pub(super) fn entries(&self) -> &[Last] {
        &self.entries
    }

    /// All times are before `horizon`.
    pub(super) fn write(&self, writer: &mut Writer, horizon: i64) {
        writer.count(self.entries.len());
        let mut later = horizon;
        for own in &self.entries {
            writer.gap(later, own.t);
            write_behind(own, writer);
            later = own.t;
        }
    }

    pub(super) fn read(
        reader: &mut Reader<'_>,
        horizon: i64,
        lowest: i64,
        newer: &Newer,
        kind: Type,
    ) -> Result<Self, BytesError> {
        let count = reader.count()?;
        if count > newer.kept {
            return Err(BytesError::NotCanonical);
        }
        let mut entries: Vec<Last> = Vec::with_capacity(count);
        let mut later = horizon;
        for _ in 0..count {
            let t = reader.before(later)?;
            let own = read_behind(reader, t, kind)?;
            let falls = entries.last().is_none_or(|last| order(last) > order(&own));
            let again = newer.different && entries.iter().any(|other| other.cell == own.cell);
            if t >= horizon || t < lowest || !falls || again {
                return Err(BytesError::NotCanonical);
            }
            entries.push(own);
            later = t;
        }
        Ok(Self { entries })
    }
}

/// The newest cells of a list: of visible events, newest first, and then of folded ones, which are older.
pub(super) fn newest_cells<'s>(
    newer: &Newer,
    visible: &'s [Event],
    folded: &'s [Last],
) -> Vec<(i64, &'s Cell)> {
    let visible = visible.iter().rev();
    let visible = visible.map(|event| (event.t, &event.cells[newer.column]));
    let all = visible.chain(folded.iter().map(|own| (own.t, &own.cell)));
    let mut cells = Vec::new();
    for (t, cell) in all {
        see_newest(newer, &mut cells, t, cell);
    }
    cells
}

/// Adds the cell of an older event to a list, if it belongs there.
pub(super) fn see_newest<'s>(newer: &Newer, cells: &mut Vec<(i64, &'s Cell)>, t: i64, cell: &'s Cell) {
    let again = newer.different && cells.iter().any(|(_, own)| *own == cell);
    if cells.len() < newer.kept && cell.is_ordered() && !again {
        cells.push((t, cell));
    }
}

/// Which cells of a column are kept, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The oldest, oldest first.
    Oldest,
    /// The newest, newest first.
    Newest,
    /// The newest different ones, newest first.
    Different,
}

/// Adds an event's cell to those of a column.
pub(super) fn insert_event(own: &mut Vec<Last>, which: Which, event: &Event, column: usize, kept: usize) {
    let cell = &event.cells[column];
    if cell.is_ordered() {
        let cell = Last {
            t: event.t,
            position: event.position,
            cell: cell.clone(),
        };
        insert(own, which, &cell, kept);
    }
}

/// Adds a cell to those of its column.
pub(super) fn insert(own: &mut Vec<Last>, which: Which, cell: &Last, kept: usize) {
    if which == Which::Different {
        if let Some(place) = own.iter().position(|other| other.cell == cell.cell) {
            if order(&own[place]) >= order(cell) {
                return;
            }
            own.remove(place);
        }
    }
    let at = own.partition_point(|other| match which {
        Which::Oldest => order(other) < order(cell),
        Which::Newest | Which::Different => order(other) > order(cell),
    });
    if at < kept {
        own.insert(at, cell.clone());
        own.truncate(kept);
    }
}

/// Writes the cells of a tile that begins at `start`, the oldest first.
pub(super) fn write_tile(own: &[Last], which: Which, start: i64, writer: &mut Writer) {
    writer.count(own.len());
    let mut before = start;
    let mut write = |cell: &Last| {
        writer.gap(cell.t, before);
        write_behind(cell, writer);
        before = cell.t;
    };
    match which {
        Which::Oldest => own.iter().for_each(&mut write),
        Which::Newest | Which::Different => own.iter().rev().for_each(&mut write),
    }
}

/// Reads the cells of a tile that begins at `start`.
pub(super) fn read_tile(
    reader: &mut Reader<'_>,
    which: Which,
    start: i64,
    kind: Type,
    kept: usize,
) -> Result<Vec<Last>, BytesError> {
    let count = reader.count()?;
    if count > kept {
        return Err(BytesError::NotCanonical);
    }
    let mut own: Vec<Last> = Vec::with_capacity(count);
    let mut before = start;
    for _ in 0..count {
        let t = before.checked_add_unsigned(reader.varint()?);
        let cell = read_behind(reader, t.ok_or(BytesError::NotCanonical)?, kind)?;
        let rises = own.last().is_none_or(|last| order(last) < order(&cell));
        let again = which == Which::Different && own.iter().any(|other| other.cell == cell.cell);
        if !rises || again {
            return Err(BytesError::NotCanonical);
        }
        before = cell.t;
        own.push(cell);
    }
    if which != Which::Oldest {
        own.reverse();
    }
    Ok(own)
}

/// The most bytes that a cell of a column takes with its time, within a tile of at most a day, and its position,
/// as varints of real magnitudes.
pub(super) fn longest(column: &KeptColumn) -> usize {
    6 + 3 + 8 + Cell::longest(column.kind, column.keep_text)
}

fn order(own: &Last) -> (i64, EventPosition) {
    (own.t, own.position)
}

fn write_behind(own: &Last, writer: &mut Writer) {
    writer.varint(own.position.epoch);
    writer.varint(own.position.offset);
    own.cell.write(writer);
}

fn read_behind(reader: &mut Reader<'_>, t: i64, kind: Type) -> Result<Last, BytesError> {
    let position = EventPosition {
        epoch: reader.varint()?,
        offset: reader.varint()?,
    };
    let cell = Cell::read(reader, kind)?;
    if !cell.is_ordered() {
        return Err(BytesError::NotCanonical);
    }
    Ok(Last { t, position, cell })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(t: i64, offset: u64, n: i64) -> Event {
        Event {
            t,
            position: EventPosition { epoch: 1, offset },
            weight: 1,
            cells: [Cell::Int(n)].into(),
        }
    }

    #[test]
    fn any_order_gives_the_same_newest_cells_and_the_same_oldest() {
        let events: Vec<Event> = (0..60_i64)
            .map(|n| event((n * 37) % 23, n.unsigned_abs(), (n * 17) % 11))
            .collect();
        for different in [false, true] {
            let newer = Newer {
                column: 0,
                kept: 4,
                different,
                windows: vec![0],
            };
            let mut first: Option<(Recent, Vec<Last>)> = None;
            for turn in 0..events.len() {
                let mut recent = Recent::default();
                let mut oldest = Vec::new();
                for place in 0..events.len() {
                    let event = &events[(place * 7 + turn) % events.len()];
                    recent.insert(&newer, event);
                    insert_event(&mut oldest, Which::Oldest, event, 0, 4);
                }
                assert_eq!((recent.entries().len(), oldest.len()), (4, 4));
                let own = (recent, oldest);
                assert_eq!(&own, first.get_or_insert(own.clone()));
            }
        }
    }
}
