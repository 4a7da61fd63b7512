//! The state of one entity: events fold into it in any order, horizons rise, bytes follow.

use super::cell::Cell;
use super::layout::{Layout, Origin};
use super::newest::Newest;
use super::recent::Recent;
use super::signed;
use super::tails::Tails;
use super::tiles::Tiles;
use crate::definition::WindowView;
use crate::time::floor_to_hop;
use crate::value::Value;

/// Where an event stands in its input log: breaks ties between events of one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventPosition {
    /// The epoch of the log.
    pub epoch: u64,
    /// The offset in the partition that holds the entity in this epoch.
    pub offset: u64,
}

/// An event as far as the view needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it happened, microseconds.
    pub t: i64,
    /// Where it stands in the log.
    pub position: EventPosition,
    /// How often it counts: once, unless its view has retractions.
    pub weight: i64,
    /// One cell per kept column of the layout.
    pub cells: Box<[Cell]>,
}

impl Event {
    /// The event of a source row.
    pub fn of(layout: &Layout, t: i64, position: EventPosition, row: &[Value]) -> Self {
        let cells = layout
            .columns
            .iter()
            .map(|column| match column.from {
                Origin::Row(place) => Cell::of(&row[place], column.keep_text),
                // A condition does not depend on the request time.
                Origin::Condition(place) => Cell::of_condition(layout.conditions[place].expr.holds(row, t)),
            })
            .collect();
        let weight = layout.weight(|column| row.get(column).cloned());
        Self {
            t,
            position,
            weight,
            cells,
        }
    }

    /// What events are ordered by.
    pub(crate) fn order(&self) -> (i64, EventPosition) {
        (self.t, self.position)
    }
}

/// Where a folded event went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folded {
    /// It is kept apart, exactly.
    Head,
    /// Late: folded into the tile of its time.
    Tile,
    /// Later than any answerable request can see: nothing to fold.
    BelowHorizon,
}

/// A valid cell of a column, null included, with the event that it is of: the newest one, or a tile's oldest.
#[derive(Debug, Clone, PartialEq)]
pub struct Last {
    /// When the event happened.
    pub t: i64,
    /// Where it stands in the log.
    pub position: EventPosition,
    /// Its cell.
    pub cell: Cell,
}

/// The state of one entity in a window view.
///
/// It is a pure function of its events and horizons. `i64::MIN` as fold horizon: never raised, so every event is
/// kept apart.
#[derive(Debug, Clone)]
pub struct WindowState {
    /// Events before this are folded; the earliest answerable request.
    pub(super) horizon: i64,
    pub(super) tails: Tails,
    /// Events at or after the horizon, by (t, position).
    pub(super) head: Vec<Event>,
    pub(super) tiles: Tiles,
    /// One per distinct count.
    pub(super) distincts: Box<[Newest]>,
    /// One per last column.
    pub(super) lasts: Box<[Option<Last>]>,
    /// One per list of newest cells.
    pub(super) recents: Box<[Recent]>,
    /// The time of the newest folded event.
    pub(super) newest: Option<i64>,
    /// Whether closed tiles may differ from those last written.
    pub(super) body_touched: bool,
}

impl WindowState {
    /// The state of an entity without events.
    pub fn new(view: &WindowView) -> Self {
        let layout = &view.layout;
        Self {
            horizon: i64::MIN,
            tails: Tails::open(layout),
            head: Vec::new(),
            tiles: Tiles::default(),
            distincts: vec![Newest::default(); layout.distincts.len()].into(),
            lasts: vec![None; layout.lasts.len()].into(),
            recents: vec![Recent::default(); layout.newer.len()].into(),
            newest: None,
            body_touched: false,
        }
    }

    /// The fold horizon, if it was ever raised.
    pub fn horizon(&self) -> Option<i64> {
        (self.horizon > i64::MIN).then_some(self.horizon)
    }

    /// Where closed tiles end: what begins before lies in the body.
    pub(super) fn closed(&self, layout: &Layout) -> i64 {
        if self.horizon == i64::MIN {
            return i64::MIN;
        }
        floor_to_hop(self.horizon, layout.closing, layout.origin).unwrap_or(i64::MIN)
    }

    /// The time of the newest event, if there was any.
    pub fn newest_event(&self) -> Option<i64> {
        self.head.last().map(|event| event.t).or(self.newest)
    }

    /// Folds an event that is not in the state yet and that passes the view's filter.
    pub fn fold(&mut self, view: &WindowView, event: Event) -> Folded {
        if event.t >= self.horizon {
            if view.layout.is_signed() {
                signed::keep(&mut self.head, event);
                return Folded::Head;
            }
            let at = self.head.partition_point(|own| own.order() <= event.order());
            self.head.insert(at, event);
            return Folded::Head;
        }
        let folded = self.fold_below(&view.layout, &event);
        self.cut(&view.layout);
        folded
    }

    fn fold_below(&mut self, layout: &Layout, event: &Event) -> Folded {
        if !layout.is_signed() {
            self.newest = self.newest.max(Some(event.t));
        }
        for (last, column) in self.lasts.iter_mut().zip(&layout.lasts) {
            let cell = &event.cells[*column];
            let newer = last
                .as_ref()
                .is_none_or(|own| (own.t, own.position) < event.order());
            if newer && !cell.is_invalid(true) {
                *last = Some(Last {
                    t: event.t,
                    position: event.position,
                    cell: cell.clone(),
                });
            }
        }
        if event.t < self.tails.lowest() {
            return Folded::BelowHorizon;
        }
        for (newest, distinct) in self.distincts.iter_mut().zip(&layout.distincts) {
            if event.t < self.tails.lowest_of(&distinct.windows) {
                continue;
            }
            if let Some(identity) = event.cells[distinct.column].identity() {
                newest.insert(event.t, identity, distinct);
            }
        }
        for (recent, newer) in self.recents.iter_mut().zip(&layout.newer) {
            if event.t >= self.tails.lowest_of(&newer.windows) {
                recent.insert(newer, event);
            }
        }
        if layout.slots.is_empty() {
            return Folded::Tile;
        }
        let start = self.tails.tile_start(layout, event.t);
        self.body_touched |= start < self.closed(layout);
        let tile = self.tiles.open(layout, &self.tails, start);
        for (place, slot) in layout.slots.iter().enumerate() {
            if self.tails.holds(place, start) {
                slot.kind.insert(&mut tile[place], event);
            }
        }
        if layout.is_signed() && tile.iter().all(signed::is_zero) {
            self.tiles.remove(start);
        }
        Folded::Tile
    }

    /// Raises the horizons as far as the writer's clock allows: the fold horizon to `clock - head_slack`, and
    /// beyond that only where the head list exceeds `head_max`; the tail horizons behind it.
    pub fn raise(&mut self, view: &WindowView, clock: i64) {
        let slacks = view.slacks;
        let mut horizon = clock.saturating_sub(slacks.head);
        if self.head.len() > slacks.head_max {
            let full = &self.head[self.head.len() - slacks.head_max - 1];
            horizon = horizon.max(full.t.saturating_add(1));
        }
        if horizon > self.horizon {
            self.raise_to(view, horizon, clock);
        }
    }

    /// Raises the fold horizon. The tail horizons follow whenever a closing hop ends: every request from
    /// `back_slack` before that end (or the clock, if it is behind) keeps its lower edges. They do not follow the
    /// clock itself, so that writers with equal horizons and events have equal states.
    pub(super) fn raise_to(&mut self, view: &WindowView, horizon: i64, clock: i64) {
        let layout = &view.layout;
        let closed = self.closed(layout);
        let folded = self.head.partition_point(|event| event.t < horizon);
        let rest = self.head.split_off(folded);
        let below = std::mem::replace(&mut self.head, rest);
        self.horizon = horizon;
        for event in &below {
            self.fold_below(layout, event);
        }
        self.cut(layout);
        let now_closed = self.closed(layout);
        if now_closed > closed {
            self.body_touched = true;
            self.raise_tails(layout, now_closed.min(clock).saturating_sub(view.back_slack));
        }
    }

    fn raise_tails(&mut self, layout: &Layout, back: i64) {
        let raised = layout.windows.iter().zip(self.tails.lows()).map(|(window, low)| {
            let edge = window.settled(back, layout.origin);
            // A request at the fold horizon must keep its lower edge too.
            let most = window.settled(self.horizon, layout.origin);
            edge.min(most).max(*low)
        });
        let lows: Box<[i64]> = raised.collect();
        if *lows != *self.tails.lows() {
            let cuts = self.cuts(layout, &lows);
            self.turn(layout, Tails::new(layout, lows, cuts));
        }
    }

    /// Moves the cuts to where the events put them.
    fn cut(&mut self, layout: &Layout) {
        if layout.counting.is_none() {
            return;
        }
        let cuts = self.cuts(layout, self.tails.lows());
        if *cuts != *self.tails.cuts() {
            self.turn(layout, Tails::new(layout, self.tails.lows().into(), cuts));
            self.body_touched = true;
        }
    }

    /// Per window: the instant of the newest folded event with which there are more than it may hold.
    pub(super) fn cuts(&self, layout: &Layout, lows: &[i64]) -> Box<[i64]> {
        let windows = layout.windows.iter().zip(lows).zip(self.tails.cuts());
        windows
            .map(|((window, low), cut)| {
                let (Some(bound), Some(slot)) = (window.bound(), layout.counting) else {
                    return i64::MIN;
                };
                let mut events = 0;
                // Below the cut there is nothing to count any more, and it never goes back.
                let own = self.tiles.range(*low.max(cut)..i64::MAX).rev();
                let over = own
                    .map(|(start, tile)| (start, tile.count(layout, &self.tails, slot)))
                    .find(|(_, count)| {
                        events += count;
                        events > i64::try_from(bound).unwrap_or(i64::MAX)
                    });
                over.map_or(i64::MIN, |(start, _)| start)
            })
            .collect()
    }

    /// Goes on to other tail horizons: drops what no answerable request can see.
    fn turn(&mut self, layout: &Layout, tails: Tails) {
        self.tiles.coarsen(layout, &self.tails, &tails);
        self.tails = tails;
        for (newest, distinct) in self.distincts.iter_mut().zip(&layout.distincts) {
            newest.drop_before(self.tails.lowest_of(&distinct.windows), distinct);
        }
        for (recent, newer) in self.recents.iter_mut().zip(&layout.newer) {
            recent.drop_before(self.tails.lowest_of(&newer.windows));
        }
    }

    /// Until when the state matters, as an instant of event time: after it every answerable request sees empty
    /// windows. Absent while there are no events, and where a window never ends to see them.
    pub fn outlived_at(&self, view: &WindowView) -> Option<i64> {
        let span = view.layout.longest_reach()? + view.source.future_tolerance + view.back_slack + SLACK;
        // What was retracted left no time behind; all that was folded lies before the horizon.
        let newest = self.newest_event().or(self.horizon());
        newest.map(|t| t.saturating_add(span))
    }

    /// About how much memory the state takes, in bytes.
    pub fn memory(&self) -> usize {
        let cells = self
            .head
            .first()
            .map_or(0, |event| event.cells.len() * size_of::<Cell>());
        let distinct: usize = self.distincts.iter().map(Newest::memory).sum();
        size_of::<Self>()
            + self.head.len() * (size_of::<Event>() + cells)
            + self.tiles.memory()
            + self.lasts.len() * size_of::<Option<Last>>()
            + self
                .recents
                .iter()
                .map(|recent| size_of_val(recent.entries()))
                .sum::<usize>()
            + distinct
    }
}

/// Added to an expiry for clocks that disagree.
const SLACK: i64 = crate::time::HOUR;
