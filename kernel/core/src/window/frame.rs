//! Frames: window features for many asked instants at once, straight from the events of the log.
//!
//! Events are grouped by entity and sorted by (t, position). Each asked row then goes through the same sweep as a
//! state, over the events that it can see and knows. Blocks of events are merged beforehand, so that a long window
//! costs as many merges as it has whole blocks; a block that holds an unknown event is taken event by event.

use std::collections::HashMap;

use super::bounds::{entered, past};
use super::cell::{Cell, Identity};
use super::layout::{Layout, Origin};
use super::recent;
use super::slot::Accumulator;
use super::state::{Event, EventPosition};
use super::sweep::{Aside, Sweep};
use crate::answer::Answer;
use crate::definition::WindowView;
use crate::expr::{Cell as Borrowed, Columns, Expr, Row};
use crate::latest::frame::{Asked, Known, LogPosition, StreamRow};

const BLOCK: usize = 64;

/// The answers for each asked row, in its order: one per feature of the view, in declared order. `cells` has the
/// source's columns for each of `events`. An asked row without an entity has empty windows.
pub fn frame<C: Columns + ?Sized>(
    view: &WindowView,
    events: &[StreamRow<'_>],
    cells: &C,
    asked: &[Asked<'_, LogPosition>],
) -> Vec<Vec<Answer>> {
    let mut rows: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, ask) in asked.iter().enumerate() {
        rows.entry(ask.entity_id.unwrap_or_default())
            .or_default()
            .push(place);
    }
    let mut own: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, event) in events.iter().enumerate() {
        if rows.contains_key(event.entity_id) && passes(view, cells, place) {
            own.entry(event.entity_id).or_default().push(place);
        }
    }
    let mut answers: Vec<Vec<Answer>> = vec![Vec::new(); asked.len()];
    for (entity_id, places) in rows {
        let timeline = Timeline::new(
            &view.layout,
            events,
            cells,
            own.remove(entity_id).unwrap_or_default(),
        );
        for place in places {
            let ask = &asked[place];
            let known = if ask.entity_id.is_some() {
                ask.known
            } else {
                Known::Nothing
            };
            answers[place] = timeline.answer(&view.layout, ask.request_time, known);
        }
    }
    answers
}

/// The places of the events that a feature (its place in the view) aggregates for one entity, in the order of
/// (t, position).
pub fn contributing<C: Columns + ?Sized>(
    view: &WindowView,
    feature: usize,
    events: &[StreamRow<'_>],
    cells: &C,
    asked: &Asked<'_, LogPosition>,
) -> Vec<usize> {
    let Some(feature) = view.features.get(feature) else {
        return Vec::new();
    };
    let window = feature.edges();
    let edge = window.lower_edge(asked.request_time, view.origin);
    let end = window.upper_edge(asked.request_time, view.origin);
    let inside = |event: &StreamRow<'_>| {
        asked.entity_id == Some(event.entity_id)
            && entered(edge, event.t)
            && past(end, event.t)
            && is_known(asked.known, event.partition, event.offset)
    };
    let mut places: Vec<usize> = (0..events.len())
        .filter(|place| inside(&events[*place]) && passes(view, cells, *place))
        .collect();
    places.sort_by_key(|place| {
        let event = &events[*place];
        (event.t, event.partition, event.offset)
    });
    places
}

fn is_known(known: Known<LogPosition>, partition: u32, offset: u64) -> bool {
    match known {
        Known::Everything => true,
        Known::Nothing => false,
        Known::Upto(position) => partition == position.partition && offset < position.next_offset,
    }
}

fn passes<C: Columns + ?Sized>(view: &WindowView, cells: &C, place: usize) -> bool {
    view.filter
        .as_ref()
        .is_none_or(|filter| holds(filter, cells, place))
}

/// Whether a condition on events, which does not depend on the request time, is true of one.
fn holds<C: Columns + ?Sized>(condition: &Expr, cells: &C, place: usize) -> bool {
    condition.eval_cell(RowAt { cells, place }, 0) == Ok(Borrowed::Bool(true))
}

/// One row of columns, as the evaluator reads it.
struct RowAt<'a, C: Columns + ?Sized> {
    cells: &'a C,
    place: usize,
}

impl<C: Columns + ?Sized> Clone for RowAt<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: Columns + ?Sized> Copy for RowAt<'_, C> {}

impl<'a, C: Columns + ?Sized> Row<'a> for RowAt<'a, C> {
    fn cell(self, place: usize) -> Borrowed<'a> {
        self.cells.cell(self.place, place)
    }
}

/// The events of one entity, by (t, position).
struct Timeline {
    events: Vec<Event>,
    /// Per distinct count and event: the number of its value; absent where there is none.
    values: Vec<Vec<Option<u32>>>,
    /// Per distinct count: how many values there are.
    different: Vec<usize>,
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
    fn new<C: Columns + ?Sized>(
        layout: &Layout,
        rows: &[StreamRow<'_>],
        cells: &C,
        places: Vec<usize>,
    ) -> Self {
        let event = |place: usize| {
            let kept = layout.columns.iter();
            let kept = kept.map(|column| match column.from {
                Origin::Row(from) => Cell::of(&cells.cell(place, from).to_value(), column.keep_text),
                Origin::Condition(from) => {
                    Cell::of_condition(holds(&layout.conditions[from].expr, cells, place))
                }
            });
            // A key has one partition in each epoch, and a frame is of one epoch: should an entity have several
            // partitions nevertheless, they stand in their order.
            let position = EventPosition {
                epoch: u64::from(rows[place].partition),
                offset: rows[place].offset,
            };
            Event {
                t: rows[place].t,
                position,
                cells: kept.collect(),
            }
        };
        let mut events: Vec<Event> = places.into_iter().map(event).collect();
        events.sort_by_key(Event::order);
        // One event per position: a repeated row of the log does not count twice.
        events.dedup_by_key(|event| event.order());
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

    fn answer(&self, layout: &Layout, request: i64, known: Known<LogPosition>) -> Vec<Answer> {
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
fn number(events: &[Event], column: usize) -> (Vec<Option<u32>>, usize) {
    let mut numbers: HashMap<Identity, u32> = HashMap::new();
    let values = events.iter().map(|event| {
        let identity = event.cells[column].identity()?;
        let next = u32::try_from(numbers.len()).ok()?;
        Some(*numbers.entry(identity).or_insert(next))
    });
    let values = values.collect();
    (values, numbers.len())
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
    times: Vec<Vec<i64>>,
}

impl<'t> Seen<'t> {
    fn new(layout: &Layout, different: &[usize]) -> Self {
        Self {
            newest: None,
            lasts: vec![None; layout.lasts.len()],
            newer: vec![Vec::new(); layout.newer.len()],
            values: different.iter().map(|count| vec![false; *count]).collect(),
            times: vec![Vec::new(); different.len()],
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
                self.times[distinct].push(event.t);
            }
        }
    }
}

impl Aside for Seen<'_> {
    fn newest(&self) -> Option<i64> {
        self.newest
    }

    fn last(&self, last: usize) -> Option<(i64, &Cell)> {
        self.lasts[last]
    }

    fn newer(&self, newer: usize) -> &[(i64, &Cell)] {
        &self.newer[newer]
    }

    fn distinct(&self, distinct: usize, edge: i64) -> usize {
        self.times[distinct].partition_point(|t| entered(edge, *t))
    }
}
