//! The writer's half of a view: the cached states of one log partition, folded in log order and written in batches.
//!
//! Each state knows the offset below which it has everything, so an event folded twice changes nothing. Horizons
//! rise event by event with the writer's clock, which is the least of the wall clock and the greatest event time
//! seen in the partition: the bytes of a state do not depend on where batches were cut.

mod latest;
#[cfg(test)]
mod tests;
mod window;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::state::{Position, Prefix, StateError};
use crate::value::Value;
use crate::window::{EventPosition, Folded};
pub use window::CachedWindow;

/// A state that is kept per entity: of a window view, or of a latest view over a stream.
pub trait KeyedState: Sized {
    /// The compiled view.
    type View;
    /// An event as far as the view needs it.
    type Event;

    /// The state of an entity without events.
    fn open(view: &Self::View) -> Self;
    /// Reads a stored state.
    fn decode(view: &Self::View, head: &[u8], body: Option<&[u8]>) -> Result<(Prefix, Self), StateError>;
    /// The event of a source row; absent if the view's filter passes it over.
    fn event(view: &Self::View, t: i64, position: EventPosition, row: &[Value]) -> Option<Self::Event>;
    /// Folds an event that is not in the state yet.
    fn fold(&mut self, view: &Self::View, event: Self::Event) -> Folded;
    /// Raises the horizons as far as the writer's clock allows.
    fn raise(&mut self, view: &Self::View, clock: i64);
    /// The bytes to write: the head, and the body if it is not the one last written or read.
    fn write(&mut self, view: &Self::View, prefix: &Prefix) -> (Vec<u8>, Option<Vec<u8>>);
    /// When, in event time, the state stops mattering; absent if never.
    fn outlived_at(&self, view: &Self::View) -> Option<i64>;
    /// About how much memory the state takes.
    fn memory(&self) -> usize;
}

/// A row of the log as the decoder gave it.
#[derive(Debug)]
pub struct LogRow<'a> {
    /// Its offset.
    pub offset: u64,
    /// The event; absent if it is not accepted.
    pub event: Option<LogEvent<'a>>,
}

/// An accepted row.
#[derive(Debug)]
pub struct LogEvent<'a> {
    /// When it happened.
    pub t: i64,
    /// Whom it is about, if anyone.
    pub entity_id: Option<&'a str>,
    /// One cell per source column.
    pub row: Vec<Value>,
}

/// What became of the rows of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FoldReport {
    /// Folded into states, late ones among them.
    pub folded: u64,
    /// Older than the fold horizon of their state.
    pub late: u64,
    /// Older than anything an answerable request can see.
    pub below_horizon: u64,
    /// Already in their state.
    pub known: u64,
    /// Passed over by the view's filter.
    pub filtered: u64,
    /// About no entity.
    pub without_entity: u64,
    /// Not accepted.
    pub refused: u64,
}

/// Why a batch cannot be folded. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoldError {
    /// The state of an entity is neither cached nor said to be absent.
    NotLoaded {
        /// The entity.
        entity_id: String,
    },
    /// Offsets must rise.
    OutOfOrder {
        /// The offset that is not greater than the one before.
        offset: u64,
    },
}

impl fmt::Display for FoldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoaded { entity_id } => {
                write!(
                    f,
                    "the state of {entity_id} was not loaded; ask `missing` and `load` it before folding"
                )
            }
            Self::OutOfOrder { offset } => write!(f, "offset {offset} is not greater than the one before it"),
        }
    }
}

impl std::error::Error for FoldError {}

/// A state to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flushed {
    /// Whose it is.
    pub entity_id: Arc<str>,
    /// The head with its prefix.
    pub head: Vec<u8>,
    /// The body, if it changed.
    pub body: Option<Vec<u8>>,
    /// When the state may be forgotten, Unix milliseconds; absent if never.
    pub expire_at_ms: Option<i64>,
}

struct Cached<S> {
    state: S,
    /// Events below this are in the state.
    next_offset: u64,
    memory: usize,
}

/// The cached states of one log partition.
pub struct StatePartition<S: KeyedState> {
    view: Arc<S::View>,
    epoch: u64,
    partition: u32,
    run: u64,
    /// The greatest event time seen.
    greatest: Option<i64>,
    /// The wall clock of the last batch.
    wall: i64,
    states: HashMap<Arc<str>, Cached<S>>,
    dirty: BTreeSet<Arc<str>>,
    memory: usize,
}

impl<S: KeyedState> StatePartition<S> {
    /// No states yet; `run` is the incarnation of this writer.
    pub fn new(view: Arc<S::View>, epoch: u64, partition: u32, run: u64) -> Self {
        Self {
            view,
            epoch,
            partition,
            run,
            greatest: None,
            wall: i64::MIN,
            states: HashMap::new(),
            dirty: BTreeSet::new(),
            memory: 0,
        }
    }

    /// The writer's clock: the least of the wall clock and the greatest event time seen; absent before any event.
    pub fn clock(&self) -> Option<i64> {
        self.greatest.map(|greatest| greatest.min(self.wall))
    }

    /// How many states are cached.
    pub fn cached(&self) -> usize {
        self.states.len()
    }

    /// How many states have unwritten changes.
    pub fn dirty(&self) -> usize {
        self.dirty.len()
    }

    /// About how much memory the states take, in bytes.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Whether the state of an entity is cached.
    pub fn holds(&self, entity_id: &str) -> bool {
        self.states.contains_key(entity_id)
    }

    /// Caches the stored state of an entity; no head if the store has none. A state with unwritten changes stays.
    pub fn load(
        &mut self,
        entity_id: &str,
        head: Option<&[u8]>,
        body: Option<&[u8]>,
    ) -> Result<(), StateError> {
        if self.dirty.contains(entity_id) {
            return Ok(());
        }
        let (state, next_offset) = match head {
            None => (S::open(&self.view), 0),
            Some(head) => {
                let (prefix, state) = S::decode(&self.view, head, body)?;
                (state, self.own_offset(prefix.position)?)
            }
        };
        self.forget(entity_id);
        let memory = state.memory() + entity_id.len();
        self.memory += memory;
        self.states.insert(
            Arc::from(entity_id),
            Cached {
                state,
                next_offset,
                memory,
            },
        );
        Ok(())
    }

    /// The offset of this epoch that a stored state has absorbed.
    fn own_offset(&self, stored: Position) -> Result<u64, StateError> {
        if stored.epoch > self.epoch {
            return Err(StateError::LaterEpoch {
                stored: stored.epoch,
                own: self.epoch,
            });
        }
        if stored.epoch < self.epoch {
            return Ok(0);
        }
        if stored.partition != self.partition {
            return Err(StateError::OtherPartition {
                stored: stored.partition,
                own: self.partition,
            });
        }
        Ok(stored.next_offset)
    }

    /// Folds rows of this partition, in offset order. Either all of them or, on an error, none.
    pub fn fold(&mut self, rows: Vec<LogRow<'_>>, wall: i64) -> Result<FoldReport, FoldError> {
        self.check(&rows)?;
        self.wall = wall;
        let mut report = FoldReport::default();
        for row in rows {
            let Some(event) = row.event else {
                report.refused += 1;
                continue;
            };
            self.greatest = self.greatest.max(Some(event.t));
            self.fold_event(row.offset, &event, &mut report);
        }
        Ok(report)
    }

    fn check(&self, rows: &[LogRow<'_>]) -> Result<(), FoldError> {
        for pair in rows.windows(2) {
            if pair[1].offset <= pair[0].offset {
                return Err(FoldError::OutOfOrder {
                    offset: pair[1].offset,
                });
            }
        }
        let named = rows.iter().filter_map(|row| row.event.as_ref()?.entity_id);
        for entity_id in named {
            if !self.holds(entity_id) {
                return Err(FoldError::NotLoaded {
                    entity_id: entity_id.to_owned(),
                });
            }
        }
        Ok(())
    }

    fn fold_event(&mut self, offset: u64, event: &LogEvent<'_>, report: &mut FoldReport) {
        let clock = self.clock();
        let Some(entity_id) = event.entity_id else {
            report.without_entity += 1;
            return;
        };
        let Some(cached) = self.states.get_mut(entity_id) else {
            return;
        };
        if offset < cached.next_offset {
            report.known += 1;
            return;
        }
        let position = EventPosition {
            epoch: self.epoch,
            offset,
        };
        let Some(folding) = S::event(&self.view, event.t, position, &event.row) else {
            report.filtered += 1;
            return;
        };
        report.folded += 1;
        match cached.state.fold(&self.view, folding) {
            Folded::Head => {}
            Folded::Tile => report.late += 1,
            Folded::BelowHorizon => {
                report.late += 1;
                report.below_horizon += 1;
            }
        }
        if let Some(clock) = clock {
            cached.state.raise(&self.view, clock);
        }
        cached.next_offset = offset + 1;
        let memory = cached.state.memory() + entity_id.len();
        self.memory = self.memory - cached.memory + memory;
        cached.memory = memory;
        if !self.dirty.contains(entity_id) {
            self.dirty.insert(Arc::from(entity_id));
        }
    }

    /// The states with unwritten changes, at most `limit` of them, in order of entity id. `next_offset` is the
    /// offset below which every row of the partition was folded.
    pub fn flush(&mut self, next_offset: u64, limit: Option<usize>) -> Vec<Flushed> {
        let mut flushed = Vec::new();
        while flushed.len() < limit.unwrap_or(usize::MAX) {
            let Some(entity_id) = self.dirty.pop_first() else {
                break;
            };
            let Some(cached) = self.states.get_mut(&entity_id) else {
                continue;
            };
            cached.next_offset = cached.next_offset.max(next_offset);
            let position = Position {
                epoch: self.epoch,
                partition: self.partition,
                next_offset: cached.next_offset,
            };
            let (head, body) = cached.state.write(
                &self.view,
                &Prefix {
                    position,
                    run: self.run,
                },
            );
            let expire_at_ms = cached.state.outlived_at(&self.view).map(|t| self.expiry(t));
            flushed.push(Flushed {
                entity_id,
                head,
                body,
                expire_at_ms,
            });
        }
        flushed
    }

    /// The expiry of a state that is outlived at `t` in event time. Where the writer's clock runs behind the wall
    /// clock, because history is replayed, requests are about the past too: the state lives longer by as much.
    fn expiry(&self, t: i64) -> i64 {
        let behind = self.clock().map_or(0, |clock| self.wall.saturating_sub(clock));
        t.saturating_add(behind).div_euclid(1000) + 1
    }

    /// Forgets the cached state of an entity, unwritten changes too.
    pub fn forget(&mut self, entity_id: &str) {
        self.dirty.remove(entity_id);
        if let Some(cached) = self.states.remove(entity_id) {
            self.memory -= cached.memory;
        }
    }

    /// Forgets all cached states, unwritten changes too.
    pub fn forget_all(&mut self) {
        self.states.clear();
        self.dirty.clear();
        self.memory = 0;
    }
}
