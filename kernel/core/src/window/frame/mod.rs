//! Frames: window features for many asked instants at once, straight from the events of the log.
//!
//! Events are grouped by entity and sorted by (t, position); then each entity is answered by itself, so that what is
//! kept besides the answers grows with the greatest entity alone. Two roads lead to the same answers:
//!
//! - `ranges`: a window is a range of the sorted events, and each slot answers any range from what was prepared once
//!   per entity (prefix sums, a tree of extremes, where a value stood before). `Plan` knows the features it is for.
//! - `timeline`: the sweep of a state, over the events that an asked row knows. It is for all other features, and
//!   for rows that do not know all that lies before them.

mod answers;
mod distinct;
mod groups;
mod lanes;
mod moments;
mod ranges;
mod taken;
mod timeline;

pub use answers::{Frame, FrameColumn, FrameTimes, FrameValues};

use super::bounds::{entered, past};
use super::layout::Layout;
use crate::definition::WindowView;
use crate::expr::{Cell as Borrowed, Columns, Expr, RowOf};
use crate::latest::frame::{Asked, Known, LogPosition};
use answers::Answers;
use groups::Groups;
use ranges::Ranges;
use timeline::Timeline;

/// The events of an input log, by row; their columns are those of the source.
pub trait Log: Columns {
    /// How many rows there are.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The canonical id of a row's entity; a row without one is passed over.
    fn entity_id(&self, row: usize) -> Option<&str>;
    /// When it happened, microseconds.
    fn t(&self, row: usize) -> i64;
    /// Its partition and offset. A key has one partition in each epoch, and a frame is of one epoch: should an entity
    /// have several partitions nevertheless, they stand in their order.
    fn position(&self, row: usize) -> (u32, u64);
}

/// A frame of more rows or events than are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// How many there are.
    pub found: usize,
}

impl TooMany {
    /// There must be fewer.
    pub const LIMIT: usize = u32::MAX as usize;
}

impl std::fmt::Display for TooMany {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (found, limit) = (self.found, Self::LIMIT);
        write!(
            f,
            "{found} rows are too many for one frame of fewer than {limit}; ask for fewer entities at once, or for a \
             shorter time"
        )
    }
}

/// The answers for each asked row, in its order. An asked row without an entity has empty windows.
pub fn frame<L: Log + ?Sized>(
    view: &WindowView,
    log: &L,
    asked: &[Asked<'_, LogPosition>],
) -> Result<Frame, TooMany> {
    let found = log.len().max(asked.len());
    if found >= TooMany::LIMIT {
        return Err(TooMany { found });
    }
    let plan = Plan::new(view);
    let mut groups = Groups::new(asked, log, |row| passes(view, log, row));
    let mut answers = Answers::new(view, asked.len());
    let mut ranges = Ranges::new(&view.layout, &plan.ranged);
    let mut asks = Vec::new();
    let mut dated = Vec::new();
    for group in 0..groups.len() {
        asks.clear();
        asks.extend_from_slice(groups.asked(group));
        asks.sort_unstable_by_key(|place| asked[*place as usize].request_time);
        let rows = groups.rows(group);
        let rows = sorted(log, rows, needed(view, asked, &asks), &mut dated);
        let mut entity = Entity {
            view,
            log,
            plan: &plan,
            rows,
            whole: None,
            rest: None,
        };
        entity.answer(asked, &asks, &mut ranges, &mut answers);
    }
    Ok(answers.finish())
}

/// Which features go which road.
struct Plan {
    ranged: Vec<usize>,
    /// The others, with a layout of their own, in which they stand in this order.
    swept: Vec<usize>,
    layout: Layout,
}

impl Plan {
    fn new(view: &WindowView) -> Self {
        let (ranged, swept): (Vec<usize>, Vec<usize>) =
            (0..view.features.len()).partition(|place| Ranges::knows(&view.layout, *place));
        let features: Vec<_> = swept.iter().map(|place| view.features[*place].clone()).collect();
        Self {
            ranged,
            swept,
            layout: Layout::new(
                &features,
                view.source.columns.columns(),
                view.origin,
                view.layout.operation.as_ref(),
            ),
        }
    }
}

/// The instants from the least lower edge to the greatest request time: no window of these asks holds others.
fn needed(view: &WindowView, asked: &[Asked<'_, LogPosition>], asks: &[u32]) -> std::ops::Range<i64> {
    let time = |place: Option<&u32>| place.map_or(0, |place| asked[*place as usize].request_time);
    let (first, last) = (time(asks.first()), time(asks.last()));
    let edges = view.layout.windows.iter();
    let edges = edges.map(|window| window.lower_edge(first, view.layout.origin));
    edges.min().unwrap_or(i64::MIN)..last
}

/// The rows of events that are needed, by (t, position), each position once: a repeated row of the log does not
/// count twice. `dated` is room for them with their times: rows lie far apart in the log, and each time is fetched once.
fn sorted<'r, L: Log + ?Sized>(
    log: &L,
    rows: &'r mut [u32],
    needed: std::ops::Range<i64>,
    dated: &mut Vec<(i64, u32)>,
) -> &'r [u32] {
    dated.clear();
    dated.extend(rows.iter().map(|row| (log.t(*row as usize), *row)));
    dated.retain(|(t, _)| entered(needed.start, *t) && past(needed.end, *t));
    if !dated.is_sorted_by(|before, after| before.0 < after.0) {
        let position = |row: u32| log.position(row as usize);
        dated.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| position(a.1).cmp(&position(b.1))));
        dated.dedup_by(|a, b| a.0 == b.0 && position(a.1) == position(b.1));
    }
    let rows = &mut rows[..dated.len()];
    for (row, (_, sorted)) in rows.iter_mut().zip(dated) {
        *row = *sorted;
    }
    rows
}

/// One entity while its rows are answered.
struct Entity<'a, 'r, L: Log + ?Sized> {
    view: &'a WindowView,
    log: &'a L,
    plan: &'r Plan,
    rows: &'r [u32],
    /// Of all features, for asked rows that do not know all events.
    whole: Option<Timeline>,
    /// Of the features that are swept.
    rest: Option<Timeline>,
}

impl<'a, L: Log + ?Sized> Entity<'a, '_, L> {
    fn answer(
        &mut self,
        asked: &[Asked<'_, LogPosition>],
        asks: &[u32],
        ranges: &mut Ranges<'a>,
        answers: &mut Answers,
    ) {
        let newest_known = self.newest_known(asked, asks);
        ranges.fill(self.log, self.rows);
        for place in asks {
            let ask = &asked[*place as usize];
            answers.begin(*place);
            let known = if ask.entity_id.is_some() {
                ask.known
            } else {
                Known::Nothing
            };
            let layout = &self.view.layout;
            let visible = ranges.visible(ask.request_time);
            let is_whole = match known {
                Known::Nothing => visible == 0,
                Known::Everything => true,
                Known::Upto(known) => newest_known.knows(visible, known),
            };
            if !is_whole && known != Known::Nothing {
                let whole = &mut self.whole;
                let whole = whole.get_or_insert_with(|| Timeline::new(layout, self.log, self.rows));
                let own = whole.answer(layout, ask.request_time, known);
                for (feature, answer) in own.into_iter().enumerate() {
                    answers.put(feature, answer);
                }
                continue;
            }
            let known = if is_whole {
                Known::Everything
            } else {
                Known::Nothing
            };
            ranges.answer(ask.request_time, known == Known::Everything, |feature, answer| {
                answers.put(feature, answer);
            });
            if !self.plan.swept.is_empty() {
                let layout = &self.plan.layout;
                let rest = &mut self.rest;
                let rest = rest.get_or_insert_with(|| Timeline::new(layout, self.log, self.rows));
                let own = rest.answer(layout, ask.request_time, known);
                for (feature, answer) in self.plan.swept.iter().zip(own) {
                    answers.put(*feature, answer);
                }
            }
        }
    }

    fn newest_known(&self, asked: &[Asked<'_, LogPosition>], asks: &[u32]) -> Offsets {
        let is_asked = asks
            .iter()
            .any(|place| matches!(asked[*place as usize].known, Known::Upto(_)));
        if !is_asked {
            return Offsets::default();
        }
        Offsets::new(self.rows.iter().map(|row| self.log.position(*row as usize)))
    }
}

/// From which offset on all events before one are known.
#[derive(Default)]
struct Offsets {
    /// Of all events; absent if they are of several.
    partition: Option<u32>,
    /// Per event, the greatest offset up to it.
    greatest: Vec<u64>,
}

impl Offsets {
    fn new(positions: impl Iterator<Item = (u32, u64)>) -> Self {
        let mut single = true;
        let mut first = None;
        let mut greatest = Vec::with_capacity(positions.size_hint().0);
        let mut most = 0;
        for (partition, offset) in positions {
            single &= *first.get_or_insert(partition) == partition;
            most = offset.max(most);
            greatest.push(most);
        }
        Self {
            partition: first.filter(|_| single),
            greatest,
        }
    }

    /// Whether the first `count` events are all known.
    fn knows(&self, count: usize, known: LogPosition) -> bool {
        let Some(last) = count.checked_sub(1) else {
            return true;
        };
        let greatest = self.greatest.get(last);
        self.partition == Some(known.partition) && greatest.is_some_and(|offset| *offset < known.next_offset)
    }
}

/// The rows of the events that a feature (its place in the view) aggregates for one entity, in the order of
/// (t, position).
pub fn contributing<L: Log + ?Sized>(
    view: &WindowView,
    feature: usize,
    log: &L,
    asked: &Asked<'_, LogPosition>,
) -> Vec<usize> {
    let Some(feature) = view.features.get(feature) else {
        return Vec::new();
    };
    let window = feature.edges();
    let edge = window.lower_edge(asked.request_time, view.origin);
    let end = window.upper_edge(asked.request_time, view.origin);
    let inside = |row: usize| {
        let t = log.t(row);
        let (partition, offset) = log.position(row);
        entered(edge, t) && past(end, t) && is_known(asked.known, partition, offset)
    };
    let is_own = |row: usize| asked.entity_id.is_some() && log.entity_id(row) == asked.entity_id;
    let mut rows: Vec<usize> = (0..log.len())
        .filter(|row| is_own(*row) && inside(*row) && passes(view, log, *row))
        .collect();
    rows.sort_by_key(|row| (log.t(*row), log.position(*row)));
    rows
}

fn is_known(known: Known<LogPosition>, partition: u32, offset: u64) -> bool {
    match known {
        Known::Everything => true,
        Known::Nothing => false,
        Known::Upto(position) => partition == position.partition && offset < position.next_offset,
    }
}

fn passes<C: Columns + ?Sized>(view: &WindowView, cells: &C, row: usize) -> bool {
    view.filter
        .as_ref()
        .is_none_or(|filter| holds(filter, cells, row))
}

/// Whether a condition on events, which does not depend on the request time, is true of one.
fn holds<C: Columns + ?Sized>(condition: &Expr, cells: &C, place: usize) -> bool {
    condition.eval_cell(
        RowOf {
            columns: cells,
            row: place,
        },
        0,
    ) == Ok(Borrowed::Bool(true))
}
