//! From accumulated parts to answers: one pass from the newest part to the oldest serves all windows.
//!
//! All windows end at the request time and only their lower edges differ, so they are nested. The sweep merges
//! parts in falling order of time; as it passes a lower edge, the features of that window are finished from what
//! has been merged so far.

use super::cell::Cell;
use super::layout::{Finish, How, Layout};
use super::slot::Accumulator;
use super::state::Event;
use crate::answer::Answer;
use crate::numbers::{Grid, Moments, Scale, Wide};
use crate::status::Status;
use crate::time::HOUR;
use crate::value::Value;

/// What answers need besides accumulators. Times are those of events before the request.
pub(super) trait Aside {
    /// The time of the newest event.
    fn newest(&self) -> Option<i64>;
    /// The newest valid cell of a last column, with its time.
    fn last(&self, last: usize) -> Option<(i64, &Cell)>;
    /// How many different values lie at or after an edge; exact up to the bound, above it any number above it.
    fn distinct(&self, distinct: usize, edge: i64) -> usize;
}

/// A sweep over the windows of a layout at one request time.
pub(super) struct Sweep<'l> {
    layout: &'l Layout,
    request: i64,
    /// Windows with their lower edges, latest edge first.
    edges: Vec<(i64, usize)>,
    /// How many windows are finished.
    finished: usize,
    merged: Vec<Accumulator>,
    answers: Vec<Answer>,
}

impl<'l> Sweep<'l> {
    pub(super) fn new(layout: &'l Layout, request: i64) -> Self {
        let windows = layout.windows.iter().enumerate();
        let mut edges: Vec<(i64, usize)> = windows
            .map(|(place, window)| (window.lower_edge(request, layout.origin), place))
            .collect();
        edges.sort_unstable_by(|a, b| b.cmp(a));
        Self {
            layout,
            request,
            edges,
            finished: 0,
            merged: layout.slots.iter().map(|slot| slot.kind.empty()).collect(),
            answers: vec![Answer::without(Status::NotAnswerable); layout.features.len()],
        }
    }

    /// The next lower edge that parts must be told apart by; absent when all windows are finished.
    pub(super) fn next_edge(&self) -> Option<i64> {
        self.edges.get(self.finished).map(|(edge, _)| *edge)
    }

    /// Tells that everything at or after `time` was merged and the next part begins at `time`: finishes every
    /// window that begins later. Gives whether any window still wants parts.
    pub(super) fn reach(&mut self, time: i64, aside: &impl Aside) -> bool {
        while let Some((edge, window)) = self.edges.get(self.finished).copied() {
            if super::bounds::entered(edge, time) {
                return true;
            }
            self.finish_window(window, edge, aside);
            self.finished += 1;
        }
        false
    }

    /// Merges an event.
    pub(super) fn insert(&mut self, event: &Event) {
        for (slot, merged) in self.layout.slots.iter().zip(&mut self.merged) {
            slot.kind.insert(merged, event);
        }
    }

    /// Merges a tile or a block of events.
    pub(super) fn merge(&mut self, part: &[Accumulator]) {
        for ((slot, merged), part) in self.layout.slots.iter().zip(&mut self.merged).zip(part) {
            slot.kind.merge(merged, part);
        }
    }

    /// Merges one slot of a tile.
    pub(super) fn merge_slot(&mut self, slot: usize, part: &Accumulator) {
        self.layout.slots[slot].kind.merge(&mut self.merged[slot], part);
    }

    /// Finishes the windows that are left.
    pub(super) fn end(mut self, aside: &impl Aside) -> Vec<Answer> {
        while let Some((edge, window)) = self.edges.get(self.finished).copied() {
            self.finish_window(window, edge, aside);
            self.finished += 1;
        }
        self.answers
    }

    fn finish_window(&mut self, window: usize, edge: i64, aside: &impl Aside) {
        let newest = aside.newest().filter(|t| super::bounds::entered(edge, *t));
        for (place, feature) in self.layout.features.iter().enumerate() {
            if feature.window == window {
                self.answers[place] = self.finish(feature, edge, newest, aside);
            }
        }
    }

    fn finish(&self, feature: &Finish, edge: i64, newest: Option<i64>, aside: &impl Aside) -> Answer {
        if feature
            .bounded
            .is_some_and(|(slot, bound)| self.merged[slot].count() > bound)
        {
            return over_bound(newest);
        }
        let value = match feature.how {
            How::Events { slot } => int(i64::try_from(self.merged[slot].count()).ok()),
            How::Count { slot } => int(i64::try_from(self.moments(slot).count).ok()),
            How::Sum {
                slot,
                scale: Scale::One,
            } => int(self.moments(slot).integer_sum()),
            How::Sum { slot, scale } => Some(Value::Float(self.moments(slot).sum(scale))),
            How::Avg { slot, scale } => Some(float(self.moments(slot).mean(scale))),
            How::EventRate { slot } => {
                let events = Moments {
                    sum: Wide::from_u128(u128::from(self.merged[slot].count())),
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
            How::Distinct { distinct, bound } => {
                let found = aside.distinct(distinct, edge);
                if found > bound {
                    return over_bound(newest);
                }
                int(i64::try_from(found).ok())
            }
            How::Last { last } => {
                let inside = aside.last(last).filter(|(t, _)| super::bounds::entered(edge, *t));
                Some(inside.map_or(Value::Null, |(_, cell)| cell.value()))
            }
            How::TimeSinceLast => {
                Some(newest.map_or(Value::Null, |t| Value::Int(self.request.saturating_sub(t))))
            }
        };
        let Some(value) = value else {
            return Answer {
                event_time: newest,
                ..Answer::without(Status::Overflow)
            };
        };
        let mut answer = Answer::of(value, newest);
        let skipped = feature.invalid.is_some_and(|slot| self.merged[slot].count() > 0);
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

fn over_bound(newest: Option<i64>) -> Answer {
    Answer {
        event_time: newest,
        ..Answer::without(Status::OverBound)
    }
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
