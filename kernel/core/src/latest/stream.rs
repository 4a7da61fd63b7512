//! The latest state of an entity over a stream: events fold in, the horizon rises, bytes follow.
//!
//! The state keeps the newest row of each event time from the horizon on, and the newest row before it. So the
//! newest row before `T` is at hand for every `T` at or after the horizon, in whatever order events came.
//!
//! Bytes: the start of every stream state (`state`), the number of rows, then the rows from the newest to the
//! oldest: event time (eight bytes big-endian for the first, then how much earlier as a varint), epoch and offset
//! as varints, length of the row, the row.

use super::outlived_at;
use super::reading::Reading;
use super::row::{self, StoredRow};
use crate::bytes::{BytesError, Reader};
use crate::definition::LatestView;
use crate::expr::Cell;
use crate::state::{Prefix, StateError, read_start, write_start};
use crate::value::Value;
use crate::window::EventPosition;

/// An event as far as the view needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestEvent {
    /// When it happened, microseconds.
    pub t: i64,
    /// Where it stands in the log: decides between events of one time.
    pub position: EventPosition,
    row: Box<[u8]>,
}

impl LatestEvent {
    /// The event of a source row.
    pub fn of(view: &LatestView, t: i64, position: EventPosition, row: &[Value]) -> Self {
        let cell = |place: usize| row.get(place).map_or(Cell::Null, Cell::from);
        let operation = view.operation();
        let deletes = operation.is_some_and(|operation| {
            row.get(operation.column)
                .is_some_and(|cell| operation.retracts(cell))
        });
        let row = if deletes {
            row::DELETED.to_vec()
        } else {
            row::encode(view.features.iter().map(|feature| cell(feature.column)))
        };
        Self {
            t,
            position,
            row: row.into(),
        }
    }
}

/// The state of one entity in a latest view over a stream.
///
/// It is a pure function of its events and its horizon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestState {
    /// The earliest answerable request; `i64::MIN`: never raised, so every request is.
    horizon: i64,
    /// The oldest first, one per event time; at most one before the horizon.
    rows: Vec<LatestEvent>,
}

impl Default for LatestState {
    fn default() -> Self {
        Self::new()
    }
}

impl LatestState {
    /// The state of an entity without events.
    pub fn new() -> Self {
        Self {
            horizon: i64::MIN,
            rows: Vec::new(),
        }
    }

    /// The fold horizon, if it was ever raised: the earliest request time that can be answered.
    pub fn horizon(&self) -> Option<i64> {
        (self.horizon > i64::MIN).then_some(self.horizon)
    }

    /// The time of the newest event, if there was any.
    pub fn newest_event(&self) -> Option<i64> {
        self.rows.last().map(|row| row.t)
    }

    /// Folds an event that passes the view's filter; whether it changed the state. One that is older than a row
    /// before the horizon, or than another of its time, cannot be seen by any answerable request. Folding an
    /// event again changes nothing.
    pub fn fold(&mut self, event: LatestEvent) -> bool {
        match self.rows.binary_search_by_key(&event.t, |row| row.t) {
            Ok(same) if self.rows[same].position >= event.position => false,
            Ok(same) => {
                self.rows[same] = event;
                true
            }
            // The oldest row is the only one that may lie before the horizon.
            Err(0) if event.t < self.horizon && self.rows.first().is_some_and(|row| row.t < self.horizon) => {
                false
            }
            Err(place) => {
                self.rows.insert(place, event);
                self.drop_hidden();
                true
            }
        }
    }

    /// Raises the horizon as far as the writer's clock allows: to `clock - head_slack`, and beyond that only where
    /// more than `head_max` rows are kept from there on.
    pub fn raise(&mut self, view: &LatestView, clock: i64) {
        let mut horizon = clock.saturating_sub(view.slacks.head);
        if let Some(beyond) = self.rows.len().checked_sub(view.slacks.head_max + 1) {
            horizon = horizon.max(self.rows[beyond].t.saturating_add(1));
        }
        if horizon > self.horizon {
            self.horizon = horizon;
            self.drop_hidden();
        }
    }

    /// Drops the rows before the horizon but the newest of them.
    fn drop_hidden(&mut self) {
        let before = self.rows.partition_point(|row| row.t < self.horizon);
        self.rows.drain(..before.saturating_sub(1));
    }

    /// The bytes to store.
    pub fn encode(&self, prefix: &Prefix) -> Vec<u8> {
        let mut writer = write_start(prefix, self.horizon());
        writer.count(self.rows.len());
        let mut later = None;
        for kept in self.rows.iter().rev() {
            match later {
                None => writer.raw(&kept.t.to_be_bytes()),
                Some(later) => writer.gap(later, kept.t),
            }
            writer.varint(kept.position.epoch);
            writer.varint(kept.position.offset);
            writer.text(&kept.row);
            later = Some(kept.t);
        }
        writer.bytes
    }

    /// Reads stored bytes. Any but those that [`LatestState::encode`] gives for a state of this view are refused.
    pub fn decode(view: &LatestView, bytes: &[u8]) -> Result<(Prefix, Self), StateError> {
        let (prefix, horizon, mut stored) = Stored::open(bytes)?;
        let mut rows = Vec::with_capacity(stored.left);
        while let Some(StoredEvent { t, position, bytes }) = stored.next()? {
            match StoredRow::parse(bytes)? {
                None if view.operation().is_none() => return Err(BytesError::NotCanonical.into()),
                Some(cells) if cells.len() != view.features.len() => return Err(StateError::RowMismatch),
                _ => {}
            }
            rows.push(LatestEvent {
                t,
                position,
                row: bytes.into(),
            });
        }
        rows.reverse();
        let horizon = horizon.unwrap_or(i64::MIN);
        if rows.get(1).is_some_and(|row| row.t < horizon) {
            return Err(BytesError::NotCanonical.into());
        }
        Ok((prefix, Self { horizon, rows }))
    }

    /// The row of the entity at a request time.
    pub fn read(&self, view: &LatestView, request_time: i64) -> Result<Reading<'_>, StateError> {
        if request_time < self.horizon {
            return Ok(Reading::NotAnswerable {
                earliest: self.horizon,
            });
        }
        let newest = self.rows.iter().rev().find(|row| row.t < request_time);
        newest.map_or(Ok(Reading::NotFound), |newest| {
            Reading::of(view, StoredRow::parse(&newest.row)?, newest.t, request_time)
        })
    }

    /// Until when the state matters, as an instant of event time: after it every answerable request finds its rows
    /// outside the ttl. Absent for a view without ttl and while there are no rows.
    pub fn outlived_at(&self, view: &LatestView) -> Option<i64> {
        outlived_at(view, self.newest_event()?)
    }

    /// About how much memory the state takes, in bytes.
    pub fn memory(&self) -> usize {
        let rows: usize = self
            .rows
            .iter()
            .map(|row| size_of::<LatestEvent>() + row.row.len())
            .sum();
        size_of::<Self>() + rows
    }
}

/// The row of a stored state at a request time, without decoding the others; no bytes are no row.
pub fn read<'a>(
    view: &LatestView,
    bytes: Option<&'a [u8]>,
    request_time: i64,
) -> Result<Reading<'a>, StateError> {
    let Some(bytes) = bytes else {
        return Ok(Reading::NotFound);
    };
    let (_, horizon, mut stored) = Stored::open(bytes)?;
    if let Some(earliest) = horizon.filter(|horizon| request_time < *horizon) {
        return Ok(Reading::NotAnswerable { earliest });
    }
    while let Some(StoredEvent { t, bytes, .. }) = stored.next()? {
        if t < request_time {
            return Reading::of(view, StoredRow::parse(bytes)?, t, request_time);
        }
    }
    Ok(Reading::NotFound)
}

/// A row of stored bytes.
struct StoredEvent<'a> {
    t: i64,
    position: EventPosition,
    bytes: &'a [u8],
}

/// Walks over the rows of stored bytes, the newest first.
struct Stored<'a> {
    reader: Reader<'a>,
    left: usize,
    later: Option<i64>,
}

impl<'a> Stored<'a> {
    fn open(bytes: &'a [u8]) -> Result<(Prefix, Option<i64>, Self), StateError> {
        let mut reader = Reader::new(bytes);
        let (prefix, horizon) = read_start(&mut reader)?;
        let left = reader.count()?;
        Ok((
            prefix,
            horizon,
            Self {
                reader,
                left,
                later: None,
            },
        ))
    }

    fn next(&mut self) -> Result<Option<StoredEvent<'a>>, BytesError> {
        if self.left == 0 {
            return self.reader.end().map(|()| None);
        }
        let t = match self.later {
            None => i64::from_be_bytes(self.reader.array()?),
            Some(later) => self.reader.before(later)?,
        };
        if self.later == Some(t) {
            return Err(BytesError::NotCanonical);
        }
        let position = EventPosition {
            epoch: self.reader.varint()?,
            offset: self.reader.varint()?,
        };
        let bytes = self.reader.text(usize::MAX)?;
        self.later = Some(t);
        self.left -= 1;
        Ok(Some(StoredEvent { t, position, bytes }))
    }
}

/// The most bytes that a state takes whose rows take `row` bytes each; numbers as varints of real magnitudes.
pub(super) fn worst_case_bytes(row: usize, head_max: usize) -> usize {
    let start = 29 + 9 + 3;
    let kept = 8 + 3 + 8 + 3 + row;
    start + (head_max + 1) * kept
}
