//! From accumulated parts to answers: one pass from the newest part to the oldest serves all windows.
//!
//! Windows that end together differ in their lower edges only, so they are nested. The sweep merges parts in falling
//! order of time into each such group that they lie in; as it passes a lower edge, the features of that window are
//! finished from what has been merged so far.

use super::cell::Cell;
use super::layout::{Finish, How, Layout, Slot};
use super::slot::Accumulator;
use super::state::Event;
use crate::answer::Answer;
use crate::bytes::{BytesError, Reader};
use crate::numbers::{Grid, Moments, Scale, Wide, signed};
use crate::status::Status;
use crate::time::HOUR;
use crate::value::{Type, Value};

/// What answers need besides accumulators. Times are those of events before the request.
pub(super) trait Aside {
    /// The time of the newest event.
    fn newest(&self) -> Option<i64>;
    /// The newest valid cell of a last column, with its time.
    fn last(&self, last: usize) -> Option<(i64, &Cell)>;
    /// The newest cells of a list, newest first, with their times.
    fn newer(&self, newer: usize) -> &[(i64, &Cell)];
    /// How many different values lie at or after an edge; exact up to the bound, above it any number above it.
    fn distinct(&self, distinct: usize, edge: i64) -> usize;
    /// About how many they are, of a distinct count that is estimated beyond its bound.
    fn estimate(&self, distinct: usize, edge: i64) -> u64;
}

/// A sweep over the windows of a layout at one request time.
pub(super) struct Sweep<'l> {
    /// Windows of one upper edge each, the latest first.
    groups: Vec<Group<'l>>,
    answers: Vec<Answer>,
}

/// What one window has of each slot, while its features are finished at a request.
pub(super) struct Parts<'l> {
    layout: &'l Layout,
    request: i64,
    merged: Vec<Accumulator>,
}

/// Windows that end together, so that they are nested.
struct Group<'l> {
    parts: Parts<'l>,
    /// Where they end.
    upper: i64,
    /// Which slots they read; absent: all of them.
    slots: Option<Vec<bool>>,
    /// Windows with their lower edges, latest edge first.
    edges: Vec<(i64, usize)>,
    /// How many windows are finished.
    finished: usize,
}

impl<'l> Sweep<'l> {
    pub(super) fn new(layout: &'l Layout, request: i64) -> Self {
        let windows = layout.windows.iter().enumerate();
        let mut edges: Vec<(i64, i64, usize)> = windows
            .map(|(place, window)| {
                let upper = window.upper_edge(request, layout.origin);
                (upper, window.lower_edge(request, layout.origin), place)
            })
            .collect();
        edges.sort_unstable_by(|a, b| b.cmp(a));
        let groups: Vec<&[(i64, i64, usize)]> = edges.chunk_by(|a, b| a.0 == b.0).collect();
        let only = groups.len() == 1;
        let groups = groups.into_iter().map(|edges| Group {
            parts: Parts::new(layout, request),
            upper: edges[0].0,
            slots: (!only).then(|| slots_of(layout, edges)),
            edges: edges.iter().map(|(_, lower, place)| (*lower, *place)).collect(),
            finished: 0,
        });
        Self {
            groups: groups.collect(),
            answers: vec![Answer::without(Status::NotAnswerable); layout.features.len()],
        }
    }

    /// The next edge that parts up to `time` must be told apart by; absent when all windows are finished.
    pub(super) fn next_edge(&self, time: i64) -> Option<i64> {
        let open = self.groups.iter().filter_map(|group| {
            let lower = group.next_edge()?;
            // An upper edge at or before `time` is still to be passed.
            Some(if group.upper <= time { group.upper } else { lower })
        });
        open.max()
    }

    /// Tells that everything at or after `time` was merged and the next part begins at `time`: finishes every
    /// window that begins later. Gives whether any window still wants parts.
    pub(super) fn reach(&mut self, time: i64, aside: &impl Aside) -> bool {
        let mut wanted = false;
        for group in &mut self.groups {
            wanted |= group.reach(time, aside, &mut self.answers);
        }
        wanted
    }

    /// Merges an event.
    pub(super) fn insert(&mut self, event: &Event) {
        for group in &mut self.groups {
            if super::bounds::past(group.upper, event.t) {
                group.insert(event);
            }
        }
    }

    /// Merges a tile or a block of events that begins here; no edge lies within it.
    pub(super) fn merge(&mut self, part: &[Accumulator], start: i64) {
        for group in &mut self.groups {
            if !super::bounds::past(group.upper, start) || group.finished == group.edges.len() {
                continue;
            }
            let Parts { layout, merged, .. } = &mut group.parts;
            let slots = layout.slots.iter().zip(merged).zip(part);
            match &group.slots {
                None => slots.for_each(|((slot, into), part)| slot.kind.merge(into, part)),
                Some(read) => {
                    for (((slot, into), part), _) in slots.zip(read).filter(|(_, is_read)| **is_read) {
                        slot.kind.merge(into, part);
                    }
                }
            }
        }
    }

    fn merge_slot(&mut self, slot: usize, part: &Accumulator, start: i64) {
        for group in &mut self.groups {
            if super::bounds::past(group.upper, start) && group.wants(slot) {
                group.parts.merge(slot, part);
            }
        }
    }

    /// Merges one slot of a stored tile that begins here.
    pub(super) fn merge_bytes(
        &mut self,
        place: usize,
        slot: &Slot,
        reader: &mut Reader<'_>,
        start: i64,
    ) -> Result<(), BytesError> {
        let Some(layout) = self.groups.first().map(|group| group.parts.layout) else {
            return Ok(());
        };
        let is_seen = |group: &Group<'_>| super::bounds::past(group.upper, start) && group.wants(place);
        match &mut self.groups[..] {
            [group] if is_seen(group) && !layout.is_signed() => {
                let into = &mut group.parts.merged[place];
                slot.kind.absorb(into, reader, &layout.columns, start)
            }
            _ => {
                let part = layout.read_slot(slot, reader, start)?;
                self.merge_slot(place, &part, start);
                Ok(())
            }
        }
    }

    /// Finishes the windows that are left.
    pub(super) fn end(mut self, aside: &impl Aside) -> Vec<Answer> {
        for group in &mut self.groups {
            group.end(aside, &mut self.answers);
        }
        self.answers
    }
}

fn slots_of(layout: &Layout, edges: &[(i64, i64, usize)]) -> Vec<bool> {
    let slots = layout.slots.iter();
    let reads = |slot: &super::layout::Slot| edges.iter().any(|(_, _, place)| slot.windows.contains(place));
    slots.map(reads).collect()
}

impl Group<'_> {
    fn next_edge(&self) -> Option<i64> {
        self.edges.get(self.finished).map(|(edge, _)| *edge)
    }

    fn wants(&self, slot: usize) -> bool {
        self.finished < self.edges.len() && self.slots.as_ref().is_none_or(|slots| slots[slot])
    }

    fn reach(&mut self, time: i64, aside: &impl Aside, answers: &mut [Answer]) -> bool {
        while let Some((edge, window)) = self.edges.get(self.finished).copied() {
            if super::bounds::entered(edge, time) {
                return true;
            }
            self.finish_window(window, edge, aside, answers);
            self.finished += 1;
        }
        false
    }

    fn insert(&mut self, event: &Event) {
        for (place, slot) in self.parts.layout.slots.iter().enumerate() {
            if self.wants(place) {
                slot.kind.insert(&mut self.parts.merged[place], event);
            }
        }
    }

    fn end(&mut self, aside: &impl Aside, answers: &mut [Answer]) {
        while let Some((edge, window)) = self.edges.get(self.finished).copied() {
            self.finish_window(window, edge, aside, answers);
            self.finished += 1;
        }
    }

    fn finish_window(&self, window: usize, edge: i64, aside: &impl Aside, answers: &mut [Answer]) {
        let newest = aside.newest().filter(|t| super::bounds::entered(edge, *t));
        for (place, feature) in self.parts.layout.features.iter().enumerate() {
            if feature.window == window {
                let newest = match feature.newest.map(|slot| &self.parts.merged[slot]) {
                    None => newest,
                    Some(Accumulator::Time(own)) => *own,
                    Some(_) => None,
                };
                answers[place] = self.parts.finish(feature, edge, newest, aside);
            }
        }
    }
}

impl<'l> Parts<'l> {
    /// Those of no events.
    pub(super) fn new(layout: &'l Layout, request: i64) -> Self {
        Self {
            layout,
            request,
            merged: layout.slots.iter().map(|slot| slot.kind.empty()).collect(),
        }
    }

    /// Goes on to another request.
    pub(super) fn at(&mut self, request: i64) {
        self.request = request;
    }

    /// Puts what a slot has.
    pub(super) fn set(&mut self, slot: usize, part: Accumulator) {
        self.merged[slot] = part;
    }

    fn merge(&mut self, slot: usize, part: &Accumulator) {
        self.layout.slots[slot].kind.merge(&mut self.merged[slot], part);
    }

    /// A feature of the window, which begins at `edge`.
    pub(super) fn finish(
        &self,
        feature: &Finish,
        edge: i64,
        newest: Option<i64>,
        aside: &impl Aside,
    ) -> Answer {
        if feature
            .bounded
            .is_some_and(|(slot, bound)| self.merged[slot].count() > signed(bound))
        {
            return over_bound(newest);
        }
        let value = match feature.how {
            How::Events { slot } => int(Some(self.merged[slot].count())),
            How::Count { slot } => int(Some(self.moments(slot).signed_count())),
            How::Sum {
                slot,
                scale: Scale::Fixed,
            } => Some(Value::Float(self.moments(slot).sum(Scale::Fixed))),
            How::Sum { slot, .. } => int(self.moments(slot).integer_sum()),
            How::Avg { slot, scale } => Some(float(self.moments(slot).mean(scale))),
            How::EventRate { slot } => {
                let events = Moments {
                    sum: Wide::from_i128(i128::from(self.merged[slot].count())),
                    ..Moments::default()
                };
                Some(Value::Float(self.rate(&events, Scale::One, feature)))
            }
            How::Rate { slot, scale } => Some(Value::Float(self.rate(&self.moments(slot), scale, feature))),
            How::Variance { slot, scale, of } => Some(float(self.moments(slot).variance(scale, of))),
            How::Stddev { slot, scale, of } => Some(float(self.moments(slot).stddev(scale, of))),
            How::First { slot } => Some(first(&self.merged[slot])),
            How::Quantile { slot, grid, q, scale } => Some(quantile(&self.merged[slot], grid, q, scale)),
            How::Extreme { slot } => Some(extreme(&self.merged[slot])),
            How::Distinct {
                distinct,
                bound,
                estimated,
            } => {
                let mut found = aside.distinct(distinct, edge) as u64;
                let bound = bound as u64;
                if found > bound && estimated {
                    found = aside.estimate(distinct, edge).max(bound + 1);
                } else if found > bound {
                    return over_bound(newest);
                }
                int(i64::try_from(found).ok())
            }
            How::Different { slot, bound } => {
                let found = match &self.merged[slot] {
                    Accumulator::Different(Some(different)) if different.len() <= bound => different.len(),
                    _ => return over_bound(newest),
                };
                int(i64::try_from(found).ok())
            }
            How::Last { last } => {
                let inside = aside.last(last).filter(|(t, _)| super::bounds::entered(edge, *t));
                Some(inside.map_or(Value::Null, |(_, cell)| cell.value()))
            }
            How::FirstN { slot, most } => {
                let cells = match &self.merged[slot] {
                    Accumulator::Cells(oldest) => &oldest[..most.min(oldest.len())],
                    _ => &[],
                };
                Some(list(feature.kind, cells.iter().map(|own| &own.cell)))
            }
            How::Newest { newer, most } => {
                let cells = aside.newer(newer).iter().take(most);
                let inside = cells.take_while(|(t, _)| super::bounds::entered(edge, *t));
                Some(list(feature.kind, inside.map(|(_, cell)| *cell)))
            }
            How::Histogram { slot } => histogram(&self.merged[slot]),
            How::Top { slot, most } => {
                let top = match &self.merged[slot] {
                    Accumulator::Frequencies(frequencies) => frequencies.top(most),
                    _ => None,
                };
                let Some(top) = top else {
                    return Answer {
                        event_time: newest,
                        ..Answer::without(Status::OverBound)
                    };
                };
                Some(list(feature.kind, top.into_iter()))
            }
            How::TimeSinceLast => {
                Some(newest.map_or(Value::Null, |t| Value::Int(self.request.saturating_sub(t))))
            }
        };
        let Some(value) = value.and_then(|value| of_units(value, feature.kind)) else {
            return Answer {
                event_time: newest,
                ..Answer::without(Status::Overflow)
            };
        };
        let mut answer = Answer::of(value, newest);
        let skipped = feature.invalid.is_some_and(|slot| self.merged[slot].count() != 0);
        if skipped && answer.status == Status::Present {
            answer.status = Status::Partial;
        }
        answer
    }

    /// The sum per hour of the declared width.
    fn rate(&self, moments: &Moments, scale: Scale, feature: &Finish) -> f64 {
        let width = self.layout.windows[feature.window].width;
        moments.rate(scale, HOUR.unsigned_abs(), width.unsigned_abs())
    }

    fn moments(&self, slot: usize) -> Moments {
        match &self.merged[slot] {
            Accumulator::Moments(moments) => *moments,
            _ => Moments::default(),
        }
    }
}

/// Units as decimals, where the feature is one or a list of them; absent if it has not so many digits.
fn of_units(value: Value, kind: Type) -> Option<Value> {
    Some(match (value, kind) {
        (Value::Int(units), Type::Decimal(kind)) => Value::Decimal(kind.fit(i128::from(units))?, kind),
        (Value::List(of, items), Type::List(Type::Decimal(_))) => {
            let items = items.iter().map(|item| of_units(item.clone(), *of));
            Value::List(of, items.collect::<Option<_>>()?)
        }
        (value, _) => value,
    })
}

fn over_bound(newest: Option<i64>) -> Answer {
    Answer {
        event_time: newest,
        ..Answer::without(Status::OverBound)
    }
}

fn list<'c>(kind: Type, cells: impl Iterator<Item = &'c Cell>) -> Value {
    match kind {
        Type::List(of) => Value::List(of, cells.map(Cell::value).collect()),
        _ => Value::Null,
    }
}

fn histogram(accumulator: &Accumulator) -> Option<Value> {
    let Accumulator::Buckets(counts) = accumulator else {
        return None;
    };
    let counts = counts.iter().map(|count| signed(*count));
    Some(Value::List(&Type::Int64, counts.map(Value::Int).collect()))
}

fn int(value: Option<i64>) -> Option<Value> {
    value.map(Value::Int)
}

fn float(value: Option<f64>) -> Value {
    value.map_or(Value::Null, Value::Float)
}

fn first(accumulator: &Accumulator) -> Value {
    match accumulator {
        Accumulator::Oldest(Some(oldest)) => oldest.cell.value(),
        _ => Value::Null,
    }
}

fn quantile(accumulator: &Accumulator, grid: Grid, q: u32, scale: Scale) -> Value {
    match accumulator {
        Accumulator::Bins(bins) => float(bins.quantile(grid, q, scale)),
        _ => Value::Null,
    }
}

fn extreme(accumulator: &Accumulator) -> Value {
    match accumulator {
        Accumulator::Extreme(cell) => cell.value(),
        _ => Value::Null,
    }
}
