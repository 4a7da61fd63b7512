//! Frames: the newest rows for many asked instants at once, straight from all rows.

use std::cmp::Ordering;

use super::asof::{Entry, Groups, Index};
use super::reading::{Age, age};
use super::table::{RowTimes, TIMELESS, digest};
use super::{row, wire};
use crate::definition::LatestView;
use crate::expr::{Cell, Columns, RowOf};
use crate::status::Status;

/// A row of a table.
#[derive(Debug, Clone, Copy)]
pub struct TableRow<'a> {
    /// The canonical id of its entity.
    pub entity_id: &'a str,
    /// What orders it.
    pub times: RowTimes,
    /// Whether the entity was deleted; cells are not looked at then.
    pub deleted: bool,
}

/// An accepted event of a stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamRow<'a> {
    /// The canonical id of its entity.
    pub entity_id: &'a str,
    /// When it happened, microseconds.
    pub t: i64,
    /// The partition of the input log.
    pub partition: u32,
    /// The offset in the partition.
    pub offset: u64,
}

/// An asked entity and instant.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a, P> {
    /// The canonical id; absent for no entity, of which nothing is known.
    pub entity_id: Option<&'a str>,
    /// The instant `T`, microseconds.
    pub request_time: i64,
    /// What is known.
    pub known: Known<P>,
}

/// What an asked row knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<P> {
    /// All rows that there are.
    Everything,
    /// No row: the store had no state.
    Nothing,
    /// The rows up to this knowledge.
    Upto(P),
}

/// A position in an input log, within its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPosition {
    /// The partition that holds the key.
    pub partition: u32,
    /// Offsets below this are known.
    pub next_offset: u64,
}

/// The newest row for an asked instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// Its place in the list of rows; absent where no row counts.
    pub row: Option<usize>,
    /// What each feature is, if the row's cell for it is not null.
    pub status: Status,
    /// When the row happened, microseconds; absent where there is none or it is timeless.
    pub event_time: Option<i64>,
}

impl Newest {
    const NOT_FOUND: Self = Self {
        row: None,
        status: Status::NotFound,
        event_time: None,
    };

    fn of(view: &LatestView, row: usize, t: i64, request_time: i64) -> Self {
        let (row, status, event_time) = match age(view, t, request_time) {
            Age::Timeless => (Some(row), Status::Present, None),
            Age::Counts => (Some(row), Status::Present, Some(t)),
            Age::TooOld => (None, Status::OutsideTtl, Some(t)),
        };
        Self {
            row,
            status,
            event_time,
        }
    }

    /// The cell of a column at `place`, with its status.
    pub fn cell<'a, C: Columns + ?Sized>(&self, cells: &'a C, place: usize) -> (Cell<'a>, Status) {
        let Some(row) = self.row else {
            return (Cell::Null, self.status);
        };
        match wire::normalized(cells.cell(row, place)) {
            Cell::Null => (Cell::Null, Status::Null),
            cell => (cell, self.status),
        }
    }
}

/// The newest row of a table per asked instant. `cells` has the view's features in declared order, for each of
/// `rows`.
pub fn table<C: Columns + ?Sized>(
    view: &LatestView,
    rows: &[TableRow<'_>],
    cells: &C,
    asked: &[Asked<'_, u64>],
) -> Vec<Newest> {
    let timeless = view.is_timeless();
    let mut groups = Groups::new(asked.iter().filter_map(|ask| ask.entity_id));
    let mut entries = Vec::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        if let Some(group) = groups.of_row(row.entity_id, 0) {
            entries.push(Entry {
                group,
                t: if timeless { TIMELESS } else { row.times.event_time },
                tie: row.times.created_time.unwrap_or(i64::MIN),
                known_from: row.times.run_seq,
                row: place,
            });
        }
    }
    let stored = |place: usize| {
        if rows[place].deleted {
            return row::DELETED.to_vec();
        }
        row::encode((0..view.features.len()).map(|feature| cells.cell(place, feature)))
    };
    let index = Index::new(entries, |a, b| digest(&stored(a)).cmp(&digest(&stored(b))));
    let find = |ask: &Asked<'_, u64>| {
        let bound = match ask.known {
            Known::Everything => u64::MAX,
            Known::Nothing => return None,
            Known::Upto(run_seq) => run_seq,
        };
        let until = if timeless { i64::MAX } else { ask.request_time };
        let groups = groups.of_key(ask.entity_id?);
        groups
            .iter()
            .find_map(|(_, group)| index.newest(*group, until, bound))
    };
    asked
        .iter()
        .map(|ask| match find(ask) {
            Some(entry) if !rows[entry.row].deleted => Newest::of(view, entry.row, entry.t, ask.request_time),
            _ => Newest::NOT_FOUND,
        })
        .collect()
}

/// The newest event of a stream per asked instant, among those that pass the view's filter. `cells` has the
/// source's columns in declared order, for each of `events`, which are of one epoch.
pub fn stream<C: Columns + ?Sized>(
    view: &LatestView,
    events: &[StreamRow<'_>],
    cells: &C,
    asked: &[Asked<'_, LogPosition>],
) -> Vec<Newest> {
    let mut groups = Groups::new(asked.iter().filter_map(|ask| ask.entity_id));
    let mut entries = Vec::with_capacity(events.len());
    for (place, event) in events.iter().enumerate() {
        let Some(group) = groups.of_row(event.entity_id, event.partition) else {
            continue;
        };
        if passes(view, cells, place) {
            entries.push(Entry {
                group,
                t: event.t,
                tie: 0,
                known_from: event.offset,
                row: place,
            });
        }
    }
    let index = Index::new(entries, |_, _| Ordering::Equal);
    let find = |ask: &Asked<'_, LogPosition>| {
        let until = ask.request_time.checked_sub(1)?;
        let groups = groups.of_key(ask.entity_id?).iter();
        match ask.known {
            Known::Nothing => None,
            // Of equal times in two partitions the greater position is the newer.
            Known::Everything => groups
                .filter_map(|(partition, group)| Some((*partition, index.newest(*group, until, u64::MAX)?)))
                .max_by_key(|(partition, entry)| (entry.t, *partition))
                .map(|(_, entry)| entry),
            Known::Upto(known) => {
                let bound = known.next_offset.checked_sub(1)?;
                let mut own = groups.filter(|(partition, _)| *partition == known.partition);
                own.find_map(|(_, group)| index.newest(*group, until, bound))
            }
        }
    };
    let deletes = |row: usize| {
        let operation = view.operation();
        operation.is_some_and(|operation| operation.retracts(&cells.cell(row, operation.column).to_value()))
    };
    asked
        .iter()
        .map(|ask| match find(ask) {
            Some(entry) if !deletes(entry.row) => Newest::of(view, entry.row, entry.t, ask.request_time),
            _ => Newest::NOT_FOUND,
        })
        .collect()
}

fn passes<C: Columns + ?Sized>(view: &LatestView, cells: &C, place: usize) -> bool {
    view.filter.as_ref().is_none_or(|filter| {
        filter.eval_cell(
            RowOf {
                columns: cells,
                row: place,
            },
            0,
        ) == Ok(Cell::Bool(true))
    })
}
