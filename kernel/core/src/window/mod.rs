//! Windows: aggregates over the events of an entity up to a request.
//!
//! `bounds` says which events a window sees; `layout` what a state must hold to answer all features of a view;
//! `cell` and `slot` are the accumulators, `signed` those that retractions can be taken out of. `state` folds events
//! and raises horizons (`tails`, `tiles`, `newest`), `codec` turns states into canonical bytes, `read` answers from
//! them, `frame` answers straight from events. `sweep` finishes both.

mod bounds;
mod buckets;
mod calendar;
mod cell;
mod codec;
mod frame;
mod frequencies;
mod layout;
mod newest;
#[cfg(test)]
pub(crate) mod properties;
mod ranks;
mod read;
mod recent;
mod signed;
mod slot;
mod state;
mod sweep;
mod tails;
mod tiles;

pub use bounds::{INSTANT, Window, WindowKind, entered, past};
pub use calendar::{Calendar, NamedZone, Unit};
pub use cell::{Cell, LONGEST_TEXT};
pub use codec::{BodyMark, Encoded};
pub use frame::{Frame, FrameColumn, FrameTimes, FrameValues, Log, TooMany, contributing, frame};
pub use layout::{Layout, Origin, Size};
pub use read::{Reading, read};
pub use state::{Event, EventPosition, Folded, WindowState};
