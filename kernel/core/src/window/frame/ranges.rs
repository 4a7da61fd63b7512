//! Answers from ranges: with the events of an entity in order, a window is a range of them.

use std::sync::Arc;

use super::distinct::Distinct;
use super::lanes::{Counts, Extreme, Nearest};
use super::moments::Sums;
use super::taken::{Taken, float_of_key};
use super::{Log, entered, holds, past};
use crate::answer::Answer;
use crate::expr::{Cell as Borrowed, Numbers};
use crate::value::Type;
use crate::window::cell::Cell;
use crate::window::layout::{How, KeptColumn, Layout, Origin};
use crate::window::slot::{Accumulator, SlotKind};
use crate::window::state::{EventPosition, Last};
use crate::window::sweep::{Aside, Parts};

/// One entity's events, prepared for the features that are answered from ranges.
pub(super) struct Ranges<'v> {
    layout: &'v Layout,
    parts: Parts<'v>,
    /// Per window: the features, slots, distinct counts and newest cells that it asks for.
    windows: Vec<Asks>,
    times: Vec<i64>,
    columns: Vec<Vec<Taken<'v>>>,
    lanes: Vec<Lane>,
    distincts: Vec<Option<Distinct<'v>>>,
    lasts: Vec<Option<Nearest>>,
    /// How many events the ask before this one saw, and per window where it began.
    seen: usize,
    begun: Vec<usize>,
    found: Found,
}

#[derive(Default, Clone)]
struct Asks {
    features: Vec<usize>,
    slots: Vec<usize>,
    distincts: Vec<usize>,
    lasts: Vec<usize>,
}

/// What a slot is answered from; columns are places in the layout.
enum Lane {
    Unused,
    Events,
    Counts(usize, bool, Counts),
    Sums(usize, Sums),
    Extreme(usize, Extreme),
    Oldest(usize, Nearest),
}

impl Lane {
    fn new(kind: &SlotKind) -> Self {
        match *kind {
            SlotKind::Events => Self::Events,
            SlotKind::Moments { column, level } => Self::Sums(column, Sums::new(level)),
            SlotKind::Invalid { column, kept } => Self::Counts(column, kept, Counts::default()),
            SlotKind::Min { column } => Self::Extreme(column, Extreme::new(false)),
            SlotKind::Max { column } => Self::Extreme(column, Extreme::new(true)),
            SlotKind::Oldest { column } => Self::Oldest(column, Nearest::default()),
            // No feature of it is answered here.
            _ => Self::Unused,
        }
    }

    fn column(&self) -> Option<usize> {
        match self {
            Self::Unused | Self::Events => None,
            Self::Counts(column, ..)
            | Self::Sums(column, _)
            | Self::Extreme(column, _)
            | Self::Oldest(column, _) => Some(*column),
        }
    }

    fn fill(&mut self, columns: &[Vec<Taken<'_>>]) {
        match self {
            Self::Unused | Self::Events => {}
            Self::Counts(column, kept, counts) => {
                counts.fill(columns[*column].iter().map(|cell| cell.is_invalid(*kept)));
            }
            Self::Sums(column, sums) => sums.fill(&columns[*column]),
            Self::Extreme(column, extreme) => extreme.fill(&columns[*column]),
            Self::Oldest(column, nearest) => {
                nearest.fill_after(columns[*column].iter().map(|cell| !cell.is_invalid(true)));
            }
        }
    }
}

impl<'v> Ranges<'v> {
    /// Whether a feature is answered from ranges.
    pub(super) fn knows(layout: &Layout, feature: usize) -> bool {
        let takes = |column: usize| Taken::takes(layout.columns[column].kind);
        let is_answered = |slot: usize| match layout.slots[slot].kind {
            SlotKind::Events => true,
            SlotKind::Moments { column, .. }
            | SlotKind::Invalid { column, .. }
            | SlotKind::Oldest { column } => takes(column),
            SlotKind::Min { column } | SlotKind::Max { column } => {
                takes(column) && layout.columns[column].kind != Type::String
            }
            _ => false,
        };
        let feature = &layout.features[feature];
        if layout.windows[feature.window].is_closed() || layout.is_signed() {
            return false;
        }
        let known = match feature.how {
            How::TimeSinceLast => true,
            How::Distinct { distinct, .. } => {
                let own = &layout.distincts[distinct];
                own.beyond.is_none() && takes(own.column)
            }
            How::Last { last } => takes(layout.lasts[last]),
            _ => slot_of(feature.how).is_some_and(is_answered),
        };
        known && feature.invalid.is_none_or(is_answered)
    }

    /// Of these features of the layout.
    pub(super) fn new(layout: &'v Layout, features: &[usize]) -> Self {
        let mut windows = vec![Asks::default(); layout.windows.len()];
        let mut lanes: Vec<Lane> = layout.slots.iter().map(|_| Lane::Unused).collect();
        let mut distincts: Vec<Option<Distinct<'v>>> = layout.distincts.iter().map(|_| None).collect();
        let mut lasts: Vec<Option<Nearest>> = layout.lasts.iter().map(|_| None).collect();
        for place in features {
            let feature = &layout.features[*place];
            let asks = &mut windows[feature.window];
            asks.features.push(*place);
            let bound = feature.bounded.map(|(slot, _)| slot);
            for slot in slot_of(feature.how)
                .into_iter()
                .chain(feature.invalid)
                .chain(bound)
            {
                if !asks.slots.contains(&slot) {
                    asks.slots.push(slot);
                }
                if matches!(lanes[slot], Lane::Unused) {
                    lanes[slot] = Lane::new(&layout.slots[slot].kind);
                }
            }
            match feature.how {
                How::Distinct { distinct, .. } => {
                    distincts[distinct].get_or_insert_with(|| Distinct::new(layout.windows.len()));
                    asks.distincts.push(distinct);
                }
                How::Last { last } => {
                    lasts[last].get_or_insert_default();
                    asks.lasts.push(last);
                }
                _ => {}
            }
        }
        for asks in &mut windows {
            asks.distincts.sort_unstable();
            asks.distincts.dedup();
            asks.lasts.sort_unstable();
            asks.lasts.dedup();
        }
        Self {
            layout,
            parts: Parts::new(layout, 0),
            windows,
            times: Vec::new(),
            columns: vec![Vec::new(); layout.columns.len()],
            lanes,
            distincts,
            lasts,
            seen: 0,
            begun: vec![0; layout.windows.len()],
            found: Found {
                newest: None,
                distincts: vec![0; layout.distincts.len()],
                lasts: vec![None; layout.lasts.len()],
            },
        }
    }

    /// Takes the next entity: rows of the log in order.
    pub(super) fn fill<L: Log + ?Sized>(&mut self, log: &'v L, rows: &[u32]) {
        self.times.clear();
        self.times.extend(rows.iter().map(|row| log.t(*row as usize)));
        self.seen = 0;
        self.begun.fill(0);
        for (place, column) in self.layout.columns.iter().enumerate() {
            let distincts = self.layout.distincts.iter().zip(&self.distincts);
            let lasts = self.layout.lasts.iter().zip(&self.lasts);
            let is_read = self.lanes.iter().any(|lane| lane.column() == Some(place))
                || distincts
                    .into_iter()
                    .any(|(of, own)| own.is_some() && of.column == place)
                || lasts.into_iter().any(|(of, own)| own.is_some() && *of == place);
            if is_read {
                gather(&mut self.columns[place], self.layout, *column, log, rows);
            }
        }
        for lane in &mut self.lanes {
            lane.fill(&self.columns);
        }
        for (of, distinct) in self.layout.distincts.iter().zip(&mut self.distincts) {
            if let Some(distinct) = distinct {
                distinct.fill(&self.columns[of.column]);
            }
        }
        for (column, last) in self.layout.lasts.iter().zip(&mut self.lasts) {
            if let Some(last) = last {
                let cells = self.columns[*column].iter();
                last.fill_before(cells.map(|cell| !cell.is_invalid(true)));
            }
        }
    }

    /// How many events a request sees. Requests come in the order of time.
    pub(super) fn visible(&mut self, request: i64) -> usize {
        self.seen = further(&self.times, self.seen, |t| past(request, t));
        self.seen
    }

    /// The answers to a request, or those of empty windows.
    pub(super) fn answer(&mut self, request: i64, knows: bool, mut put: impl FnMut(usize, Answer)) {
        let visible = self.visible(request);
        self.parts.at(request);
        for (place, asks) in self.windows.iter().enumerate() {
            let edge = self.layout.windows[place].lower_edge(request, self.layout.origin);
            let from = further(&self.times, self.begun[place], |t| !entered(edge, t));
            self.begun[place] = from;
            let (from, to) = if knows {
                (from.min(visible), visible)
            } else {
                (0, 0)
            };
            for slot in &asks.slots {
                self.parts.set(
                    *slot,
                    part(&self.lanes[*slot], self.layout, &self.columns, from, to),
                );
            }
            for place_of in &asks.distincts {
                if let Some(distinct) = &mut self.distincts[*place_of] {
                    self.found.distincts[*place_of] = distinct.between(place, from, to);
                }
            }
            for last in &asks.lasts {
                let found = self.lasts[*last].as_ref().and_then(|lane| lane.last(from, to));
                let cells = &self.columns[self.layout.lasts[*last]];
                self.found.lasts[*last] = found.map(|event| (self.times[event], kept(cells[event])));
            }
            self.found.newest = (from < to).then(|| self.times[to - 1]);
            for feature in &asks.features {
                let finish = &self.layout.features[*feature];
                put(
                    *feature,
                    self.parts.finish(finish, edge, self.found.newest, &self.found),
                );
            }
        }
    }
}

/// What a slot has over a range of events.
fn part(lane: &Lane, layout: &Layout, columns: &[Vec<Taken<'_>>], from: usize, to: usize) -> Accumulator {
    match lane {
        Lane::Unused => Accumulator::Count(0),
        Lane::Events => Accumulator::Count((to - from) as u64),
        Lane::Counts(_, _, counts) => Accumulator::Count(counts.between(from, to)),
        Lane::Sums(_, sums) => Accumulator::Moments(sums.between(from, to)),
        Lane::Extreme(column, extreme) => {
            let key = extreme.between(from, to);
            Accumulator::Extreme(key.map_or(Cell::Null, |key| match layout.columns[*column].kind {
                Type::Float64 => Cell::Float(float_of_key(key)),
                Type::Bool => Cell::Bool(key == 1),
                Type::Timestamp => Cell::Time(key),
                _ => Cell::Int(key),
            }))
        }
        Lane::Oldest(column, nearest) => Accumulator::Oldest(nearest.first(from, to).map(|event| Last {
            // Of an answer only the cell matters.
            t: 0,
            position: EventPosition { epoch: 0, offset: 0 },
            cell: kept(columns[*column][event]),
        })),
    }
}

fn kept(cell: Taken<'_>) -> Cell {
    match cell {
        Taken::Null => Cell::Null,
        Taken::Invalid => Cell::Invalid,
        Taken::Int(value) => Cell::Int(value),
        Taken::Float(value) => Cell::Float(value),
        Taken::Bool(value) => Cell::Bool(value),
        Taken::Time(value) => Cell::Time(value),
        Taken::Text(text) => Cell::Text(Arc::from(text)),
    }
}

fn gather<'v, L: Log + ?Sized>(
    into: &mut Vec<Taken<'v>>,
    layout: &Layout,
    column: KeptColumn,
    log: &'v L,
    rows: &[u32],
) {
    into.clear();
    if let Origin::Row(from) = column.from {
        // Rows lie far apart in the log: the less is done for each, the more of them are fetched at once.
        match log.numbers(from) {
            Some(Numbers::Ints(numbers)) => {
                return into.extend(rows.iter().map(|row| Taken::Int(numbers[*row as usize])));
            }
            Some(Numbers::Floats(numbers)) => {
                return into.extend(
                    rows.iter()
                        .map(|row| Taken::of(Borrowed::Float(numbers[*row as usize]))),
                );
            }
            None => {}
        }
    }
    into.extend(rows.iter().map(|row| match column.from {
        Origin::Row(from) => Taken::of(log.cell(*row as usize, from)),
        Origin::Condition(from) => {
            Taken::of_condition(holds(&layout.conditions[from].expr, log, *row as usize))
        }
    }));
}

/// How many times lie before a border that seldom goes back; `from` is what it was the last time.
fn further(times: &[i64], from: usize, before: impl Fn(i64) -> bool) -> usize {
    let went_back = from.checked_sub(1).is_some_and(|last| !before(times[last]));
    let mut low = if went_back { 0 } else { from };
    let mut step = 1;
    while low + step <= times.len() && before(times[low + step - 1]) {
        low += step;
        step *= 2;
    }
    let high = times.len().min(low + step - 1);
    low + times[low..high].partition_point(|t| before(*t))
}

/// The slot that a feature is made of, if it is made of one.
fn slot_of(how: How) -> Option<usize> {
    match how {
        How::Events { slot }
        | How::Count { slot }
        | How::Sum { slot, .. }
        | How::Avg { slot, .. }
        | How::Rate { slot, .. }
        | How::EventRate { slot }
        | How::Variance { slot, .. }
        | How::Stddev { slot, .. }
        | How::Extreme { slot }
        | How::First { slot } => Some(slot),
        _ => None,
    }
}

/// What one range has besides slots.
struct Found {
    newest: Option<i64>,
    distincts: Vec<usize>,
    lasts: Vec<Option<(i64, Cell)>>,
}

impl Aside for Found {
    fn newest(&self) -> Option<i64> {
        self.newest
    }

    fn last(&self, last: usize) -> Option<(i64, &Cell)> {
        self.lasts[last].as_ref().map(|(t, cell)| (*t, cell))
    }

    /// No list is answered here.
    fn newer(&self, _: usize) -> &[(i64, &Cell)] {
        &[]
    }

    fn estimate(&self, _: usize, _: i64) -> u64 {
        // Estimates are answered by the sweep.
        0
    }

    fn distinct(&self, distinct: usize, _: i64) -> usize {
        self.distincts[distinct]
    }
}
