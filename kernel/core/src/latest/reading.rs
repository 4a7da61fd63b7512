//! What a stored value says at a request time.

use super::row::StoredRow;
use super::wire;
use crate::answer::Answer;
use crate::definition::LatestView;
use crate::state::StateError;
use crate::status::Status;

/// The row of an entity at a request time, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading<'a> {
    /// No row is known, or the newest says that the entity was deleted.
    NotFound,
    /// The newest row is older than the view allows.
    OutsideTtl {
        /// When it happened, microseconds.
        event_time: i64,
    },
    /// The stored value is not exact for this request time.
    NotAnswerable {
        /// The earliest request time it is exact for, microseconds.
        earliest: i64,
    },
    /// The newest row.
    Row {
        /// Its cells, one per feature of the view.
        row: StoredRow<'a>,
        /// When it happened, microseconds; absent for a timeless row.
        event_time: Option<i64>,
    },
}

/// A cell in wire form, with what is known about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireAnswer<'a> {
    /// The bytes of a message `skewless.api.types.v1.Value`; empty where there is no value.
    pub wire: &'a [u8],
    /// How the value came about.
    pub status: Status,
    /// When the row happened, microseconds; absent where there is none or the row is timeless.
    pub event_time: Option<i64>,
}

impl<'a> Reading<'a> {
    /// The newest row as the view lets it count at a request time.
    pub(super) fn of(
        view: &LatestView,
        row: Option<StoredRow<'a>>,
        event_time: i64,
        request_time: i64,
    ) -> Result<Self, StateError> {
        let Some(row) = row else {
            return Ok(Self::NotFound);
        };
        if row.len() != view.features.len() {
            return Err(StateError::RowMismatch);
        }
        Ok(match age(view, event_time, request_time) {
            Age::Timeless => Self::Row {
                row,
                event_time: None,
            },
            Age::Counts => Self::Row {
                row,
                event_time: Some(event_time),
            },
            Age::TooOld => Self::OutsideTtl { event_time },
        })
    }

    /// The answer for a feature (its place in the view), its value still in wire form.
    pub fn wire(&self, feature: usize) -> Result<WireAnswer<'a>, StateError> {
        let (wire, status, event_time): (&[u8], _, _) = match self {
            Self::NotFound => (&[], Status::NotFound, None),
            Self::OutsideTtl { event_time } => (&[], Status::OutsideTtl, Some(*event_time)),
            Self::NotAnswerable { .. } => (&[], Status::NotAnswerable, None),
            Self::Row { row, event_time } => {
                let wire = row.wire(feature).ok_or(StateError::RowMismatch)?;
                let status = if wire.is_empty() {
                    Status::Null
                } else {
                    Status::Present
                };
                (wire, status, *event_time)
            }
        };
        Ok(WireAnswer {
            wire,
            status,
            event_time,
        })
    }

    /// The answer for a feature (its place in the view).
    pub fn answer(&self, view: &LatestView, feature: usize) -> Result<Answer, StateError> {
        let found = self.wire(feature)?;
        let kind = view.features.get(feature).ok_or(StateError::RowMismatch)?.kind;
        Ok(Answer {
            value: wire::read(found.wire, kind)?,
            status: found.status,
            event_time: found.event_time,
        })
    }

    /// The earliest request time that can be answered, where this one cannot.
    pub fn earliest(&self) -> Option<i64> {
        match self {
            Self::NotAnswerable { earliest } => Some(*earliest),
            _ => None,
        }
    }
}

/// Whether a visible row counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// It has no event time and always counts.
    Timeless,
    /// It is young enough.
    Counts,
    /// It is older than the view's ttl.
    TooOld,
}

pub(super) fn age(view: &LatestView, event_time: i64, request_time: i64) -> Age {
    if view.is_timeless() {
        return Age::Timeless;
    }
    match view.ttl {
        Some(ttl) if request_time.saturating_sub(event_time) > ttl => Age::TooOld,
        _ => Age::Counts,
    }
}
