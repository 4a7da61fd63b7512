//! The sweep of a state over the events of one entity, for one asked row after another.
//!
//! Blocks of events are merged beforehand, so that a long window costs as many merges as it has whole blocks; a block
//! that holds an unknown event is taken event by event.

use std::collections::HashMap;

use super::{Log, entered, holds, is_known, past};
use crate::answer::Answer;
use crate::latest::frame::{Known, LogPosition};
use crate::window::cell::{Cell, Identity};
use crate::window::layout::{Layout, Origin};
use crate::window::ranks::Registers;
use crate::window::recent;
use crate::window::slot::Accumulator;
use crate::window::state::{Event, EventPosition};
use crate::window::sweep::{Aside, Sweep};

const BLOCK: usize = 64;

/// The events of one entity, by (t, position).
pub(super) struct Timeline {
    events: Vec<Event>,
    /// Per distinct count and event: the number of its value; absent where there is none.
    values: Vec<Vec<Option<u32>>>,
    /// Per distinct count: the different values.
    different: Vec<Vec<Identity>>,
    blocks: Vec<Block>,
}

/// Up to [`BLOCK`] events, merged.
struct Block {
    merged: Box<[Accumulator]>,
    /// The partition of all its events; absent if they are of several.
    partition: Option<u64>,
    /// The greatest offset.
    offset: u64,
}

impl Timeline {
    /// Of these rows of the log, which are sorted; `layout` is of features of the view.
    pub(super) fn new<L: Log + ?Sized>(layout: &Layout, log: &L, rows: &[u32]) -> Self {
        let event = |row: &u32| {
            let row = *row as usize;
            let kept = layout.columns.iter();
            let kept = kept.map(|column| match column.from {
                Origin::Row(from) => Cell::of(&log.cell(row, from).to_value(), column.keep_text),
                Origin::Condition(from) => Cell::of_condition(holds(&layout.conditions[from].expr, log, row)),
            });
            let (partition, offset) = log.position(row);
            Event {
                t: log.t(row),
                position: EventPosition {
                    epoch: u64::from(partition),
                    offset,
                },
                weight: layout.weight(|column| Some(log.cell(row, column).to_value())),
                cells: kept.collect(),
            }
        };
        let events: Vec<Event> = rows.iter().map(event).collect();
        let mut numbered = layout
            .distincts
            .iter()
            .map(|distinct| number(&events, distinct.column));
        let (values, different) = numbered.by_ref().unzip();
        let blocks = events
            .chunks(BLOCK)
            .map(|events| Block::new(layout, events))
            .collect();
        Self {
            events,
            values,
            different,
            blocks,
        }
    }

    pub(super) fn answer<'t>(
        &'t self,
        layout: &'t Layout,
        request: i64,
        known: Known<LogPosition>,
    ) -> Vec<Answer> {
        let mut sweep = Sweep::new(layout, request);
        let mut aside = Seen::new(layout, &self.different);
        let visible = self.events.partition_point(|event| past(request, event.t));
        let mut end = if known == Known::Nothing { 0 } else { visible };
        while end > 0 {
            let block = (end - 1) / BLOCK;
            let start = block * BLOCK;
            if !sweep.reach(self.events[end - 1].t, &aside) {
                break;
            }
            let whole = end == start + BLOCK
                && self.blocks[block].is_known(known)
                && sweep
                    .next_edge(self.events[end - 1].t)
                    .is_some_and(|edge| entered(edge, self.events[start].t));
            for place in (start..end).rev() {
                let event = &self.events[place];
                if !whole {
                    if !is_known_at(known, event.position) {
                        continue;
                    }
                    sweep.reach(event.t, &aside);
                    sweep.insert(event);
                } else if aside.is_settled() {
                    break;
                }
                aside.see(layout, event, self.values.iter().map(|values| values[place]));
            }
            if whole {
                sweep.merge(&self.blocks[block].merged, self.events[start].t);
            }
            end = start;
        }
        sweep.end(&aside)
    }
}

fn is_known_at(known: Known<LogPosition>, position: EventPosition) -> bool {
    u32::try_from(position.epoch).is_ok_and(|partition| is_known(known, partition, position.offset))
}

/// Gives each different value of a column a number.
fn number(events: &[Event], column: usize) -> (Vec<Option<u32>>, Vec<Identity>) {
    let mut numbers: HashMap<Identity, u32> = HashMap::new();
    let mut different = Vec::new();
    let values = events.iter().map(|event| {
        let identity = event.cells[column].identity()?;
        let next = u32::try_from(different.len()).ok()?;
        Some(*numbers.entry(identity).or_insert_with(|| {
            different.push(identity);
            next
        }))
    });
    let values = values.collect();
    (values, different)
}

impl Block {
    fn new(layout: &Layout, events: &[Event]) -> Self {
        let mut merged: Box<[Accumulator]> = layout.slots.iter().map(|slot| slot.kind.empty()).collect();
        for event in events {
            for (slot, merged) in layout.slots.iter().zip(&mut merged) {
                slot.kind.insert(merged, event);
            }
        }
        let first = events.first().map(|event| event.position.epoch);
        let single = events.iter().all(|event| Some(event.position.epoch) == first);
        Self {
            merged,
            partition: first.filter(|_| single),
            offset: events
                .iter()
                .map(|event| event.position.offset)
                .max()
                .unwrap_or(0),
        }
    }

    /// Whether all its events are known.
    fn is_known(&self, known: Known<LogPosition>) -> bool {
        known == Known::Everything
            || self.partition.is_some_and(|partition| {
                is_known_at(
                    known,
                    EventPosition {
                        epoch: partition,
                        offset: self.offset,
                    },
                )
            })
    }
}

/// What the sweep has seen so far of one asked row, newest first.
struct Seen<'t> {
    newest: Option<i64>,
    lasts: Vec<Option<(i64, &'t Cell)>>,
    /// Per list of newest cells.
    newer: Vec<Vec<(i64, &'t Cell)>>,
    /// Per distinct count: which values were seen, and the newest time of each.
    values: Vec<Vec<bool>>,
    times: Vec<Vec<(i64, u32)>>,
    layout: &'t Layout,
    different: &'t [Vec<Identity>],
}

impl<'t> Seen<'t> {
    fn new(layout: &'t Layout, different: &'t [Vec<Identity>]) -> Self {
        Self {
            newest: None,
            lasts: vec![None; layout.lasts.len()],
            newer: vec![Vec::new(); layout.newer.len()],
            values: different.iter().map(|values| vec![false; values.len()]).collect(),
            times: vec![Vec::new(); different.len()],
            layout,
            different,
        }
    }

    /// Whether older events change nothing here.
    fn is_settled(&self) -> bool {
        self.values.is_empty()
            && self.newer.is_empty()
            && self.newest.is_some()
            && self.lasts.iter().all(Option::is_some)
    }

    fn see(&mut self, layout: &Layout, event: &'t Event, values: impl Iterator<Item = Option<u32>>) {
        self.newest = self.newest.or(Some(event.t));
        for (last, column) in self.lasts.iter_mut().zip(&layout.lasts) {
            if last.is_none() && !event.cells[*column].is_invalid(true) {
                *last = Some((event.t, &event.cells[*column]));
            }
        }
        for (cells, newer) in self.newer.iter_mut().zip(&layout.newer) {
            recent::see_newest(newer, cells, event.t, &event.cells[newer.column]);
        }
        for (distinct, value) in values.enumerate() {
            let Some(value) = value else { continue };
            let seen = &mut self.values[distinct][value as usize];
            if !*seen {
                *seen = true;
                self.times[distinct].push((event.t, value));
            }
        }
    }
}

impl Aside for Seen<'_> {
    fn newest(&self) -> Option<i64> {
        self.newest.filter(|_| !self.layout.is_signed())
    }

    fn last(&self, last: usize) -> Option<(i64, &Cell)> {
        self.lasts[last]
    }

    fn newer(&self, newer: usize) -> &[(i64, &Cell)] {
        &self.newer[newer]
    }

    fn distinct(&self, distinct: usize, edge: i64) -> usize {
        self.times[distinct].partition_point(|(t, _)| entered(edge, *t))
    }

    fn estimate(&self, distinct: usize, edge: i64) -> u64 {
        let Some(beyond) = self.layout.distincts[distinct].beyond else {
            return 0;
        };
        let mut registers = Registers::new(beyond);
        let inside = self.times[distinct].iter().take_while(|(t, _)| entered(edge, *t));
        inside.for_each(|(_, value)| registers.see(&self.different[distinct][*value as usize]));
        registers.estimate()
    }
}
