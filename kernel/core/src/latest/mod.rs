//! Latest values: the newest row of an entity.
//!
//! `table` holds what is stored for a row of a table, `stream` the state that events of a stream fold into. Both
//! keep rows (`row`) whose cells are in wire form (`wire`), and give a `reading` at a request time. `frame` finds
//! the newest rows for many asked instants at once, from all rows; `asof` is its index.

mod asof;
pub mod frame;
mod reading;
mod row;
pub mod stream;
pub mod table;
pub mod wire;

pub use reading::{Reading, WireAnswer};
pub use row::StoredRow;

use crate::definition::{LatestView, Source};
use crate::time::HOUR;

/// The most bytes that the stored state of one entity takes, with texts of [`wire::TEXT`] bytes.
pub fn worst_case_bytes(view: &LatestView) -> usize {
    let row = row::longest(view.features.iter().map(|feature| wire::longest(feature.kind)));
    match view.source {
        Source::Stream(_) => stream::worst_case_bytes(row, view.slacks.head_max),
        Source::Batch(_) => table::PREFIX_BYTES + row,
    }
}

/// Until when a row of this event time matters, as an instant of event time: after it every request finds it
/// outside the ttl. Absent for a view without ttl, and for one whose rows have no event time.
pub fn outlived_at(view: &LatestView, event_time: i64) -> Option<i64> {
    let tolerance = match &view.source {
        Source::Stream(source) => source.future_tolerance,
        Source::Batch(_) => 0,
    };
    let ttl = view.ttl.filter(|_| !view.is_timeless())?;
    Some(event_time.saturating_add(ttl).saturating_add(tolerance + SLACK))
}

/// Added to an expiry for clocks that disagree.
const SLACK: i64 = HOUR;

#[cfg(test)]
mod tests;
