//! Reading an answer from a state: the online half of the law.

use super::bounds::past;
use super::cell::{Cell, Identity};
use super::codec::{Body, Opened, TakeTile};
use super::layout::{Distinct, Layout};
use super::newest::Newest;
use super::ranks::Registers;
use super::recent::{self, Recent};
use super::state::{Event, Last, WindowState};
use super::sweep::{Aside, Sweep};
use super::tails::Tails;
use crate::answer::Answer;
use crate::bytes::{BytesError, Reader};
use crate::definition::WindowView;
use crate::state::{Position, StateError};
use crate::status::Status;

/// The answer of a view for one entity at one request time.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// One per feature, in declared order.
    pub answers: Vec<Answer>,
    /// What was known; absent where there was no state.
    pub position: Option<Position>,
    /// The earliest request time that the state can answer; absent if it can answer any.
    pub earliest: Option<i64>,
}

impl Reading {
    /// Every feature without a value, for this reason.
    pub fn without(status: Status, features: usize) -> Self {
        Self {
            answers: vec![Answer::without(status); features],
            position: None,
            earliest: None,
        }
    }
}

/// Reads a stored state as it is in the store: head and body, of one call. No head is the state of an entity
/// without events: empty windows.
///
/// A request that the state cannot answer exactly gets [`Status::NotAnswerable`] and no value.
pub fn read(
    view: &WindowView,
    head: Option<&[u8]>,
    body: Option<&[u8]>,
    request: i64,
) -> Result<Reading, StateError> {
    let layout = &view.layout;
    let Some(head) = head else {
        let answers = Sweep::new(layout, request).end(&Nothing);
        return Ok(Reading {
            answers,
            position: None,
            earliest: None,
        });
    };
    let mut open = Opened::read(layout, head)?;
    let body = Body::check(&open, body)?;
    let position = Some(open.prefix.position);
    let mut reading = Reading {
        answers: Vec::new(),
        position,
        earliest: open.horizon,
    };
    if !is_answerable(layout, open.horizon, &open.tails, request) {
        reading.answers = Reading::without(Status::NotAnswerable, layout.features.len()).answers;
        return Ok(reading);
    }
    let closed = open.closed(layout);
    let events = std::mem::take(&mut open.events);
    let visible = visible(&events, request);
    let folded = Folded {
        newest: open.newest,
        lasts: &std::mem::take(&mut open.lasts),
        distincts: &std::mem::take(&mut open.distincts),
        recents: &std::mem::take(&mut open.recents),
    };
    let aside = Asides::new(layout, visible, &folded);
    let mut sweep = Sweep::new(layout, request);
    sweep_events(&mut sweep, visible, &aside);
    let mut take = SweepTiles {
        layout,
        sweep: &mut sweep,
        aside: &aside,
    };
    open.tiles(layout, &mut take)?;
    body.tiles(layout, &open.tails, closed, &mut take)?;
    reading.answers = sweep.end(&aside);
    Ok(reading)
}

impl WindowState {
    /// The answer at a request time; `None` if the state cannot answer it exactly.
    pub fn answer(&self, view: &WindowView, request: i64) -> Option<Vec<Answer>> {
        let layout = &view.layout;
        if !is_answerable(layout, self.horizon(), &self.tails, request) {
            return None;
        }
        let visible = visible(&self.head, request);
        let folded = Folded {
            newest: self.newest,
            lasts: &self.lasts,
            distincts: &self.distincts,
            recents: &self.recents,
        };
        let aside = Asides::new(layout, visible, &folded);
        let mut sweep = Sweep::new(layout, request);
        sweep_events(&mut sweep, visible, &aside);
        for (start, tile) in self.tiles.range(i64::MIN..i64::MAX).rev() {
            if !sweep.reach(start, &aside) {
                break;
            }
            tile.merge(layout, &self.tails, &mut sweep);
        }
        Some(sweep.end(&aside))
    }
}

/// A request is answerable iff it is not before the fold horizon and no window begins before its tail horizon.
fn is_answerable(layout: &Layout, horizon: Option<i64>, tails: &Tails, request: i64) -> bool {
    let windows = layout.windows.iter().zip(tails.lows());
    horizon.is_none_or(|horizon| request >= horizon)
        && windows
            .into_iter()
            .all(|(window, low)| window.is_answered(request, layout.origin, *low))
}

/// The events of a head list that the request can see.
fn visible(head: &[Event], request: i64) -> &[Event] {
    &head[..head.partition_point(|event| past(request, event.t))]
}

fn sweep_events(sweep: &mut Sweep<'_>, events: &[Event], aside: &impl Aside) {
    for event in events.iter().rev() {
        if !sweep.reach(event.t, aside) {
            break;
        }
        sweep.insert(event);
    }
}

/// Merges tiles into a sweep until no window wants more: what is older is not even read.
struct SweepTiles<'s, 'l, A: Aside> {
    layout: &'s Layout,
    sweep: &'s mut Sweep<'l>,
    aside: &'s A,
}

impl<A: Aside> TakeTile for SweepTiles<'_, '_, A> {
    fn take(&mut self, start: i64, tails: &Tails, reader: &mut Reader<'_>) -> Result<bool, BytesError> {
        if !self.sweep.reach(start, self.aside) {
            return Ok(false);
        }
        for (place, slot) in self.layout.slots.iter().enumerate() {
            if tails.holds(place, start) {
                self.sweep.merge_bytes(place, slot, reader, start)?;
            }
        }
        Ok(true)
    }
}

/// No events at all.
struct Nothing;

impl Aside for Nothing {
    fn newest(&self) -> Option<i64> {
        None
    }

    fn last(&self, _: usize) -> Option<(i64, &Cell)> {
        None
    }

    fn newer(&self, _: usize) -> &[(i64, &Cell)] {
        &[]
    }

    fn distinct(&self, _: usize, _: i64) -> usize {
        0
    }

    fn estimate(&self, _: usize, _: i64) -> u64 {
        0
    }
}

/// The first feature over no events.
#[cfg(test)]
pub(super) fn over_nothing(layout: &Layout) -> crate::value::Value {
    Sweep::new(layout, 0).end(&Nothing).swap_remove(0).value
}

/// What a state knows of its folded events besides tiles.
struct Folded<'s> {
    newest: Option<i64>,
    lasts: &'s [Option<Last>],
    distincts: &'s [Newest],
    recents: &'s [Recent],
}

/// Newest times and cells over visible and folded events.
struct Asides<'s> {
    newest: Option<i64>,
    lasts: Vec<Option<(i64, &'s Cell)>>,
    /// Per list of newest cells.
    newer: Vec<Vec<(i64, &'s Cell)>>,
    /// Per distinct count, the newest times of the values, latest first.
    distincts: Vec<Vec<i64>>,
    layout: &'s Layout,
    visible: &'s [Event],
    folded: &'s [Newest],
}

impl<'s> Asides<'s> {
    fn new(layout: &'s Layout, visible: &'s [Event], folded: &Folded<'s>) -> Self {
        let last = |(column, folded): (&usize, &'s Option<Last>)| {
            let newest = visible
                .iter()
                .rev()
                .find(|event| !event.cells[*column].is_invalid(true));
            let newest = newest.map(|event| (event.t, &event.cells[*column]));
            newest.or_else(|| folded.as_ref().map(|last| (last.t, &last.cell)))
        };
        let distinct =
            |(distinct, folded): (&Distinct, &Newest)| newest_times(visible, distinct.column, folded);
        Self {
            newest: visible
                .last()
                .map(|event| event.t)
                .or(folded.newest)
                .filter(|_| !layout.is_signed()),
            lasts: layout.lasts.iter().zip(folded.lasts).map(last).collect(),
            newer: layout
                .newer
                .iter()
                .zip(folded.recents)
                .map(|(newer, folded)| recent::newest_cells(newer, visible, folded.entries()))
                .collect(),
            distincts: layout
                .distincts
                .iter()
                .zip(folded.distincts)
                .map(distinct)
                .collect(),
            layout,
            visible,
            folded: folded.distincts,
        }
    }
}

/// The newest time of each value, latest first: folded events are older than visible ones.
fn newest_times(visible: &[Event], column: usize, folded: &Newest) -> Vec<i64> {
    let mut seen: Vec<Identity> = Vec::new();
    let mut times = Vec::with_capacity(folded.entries().len());
    for event in visible.iter().rev() {
        if let Some(identity) = event.cells[column].identity() {
            if !seen.contains(&identity) {
                seen.push(identity);
                times.push(event.t);
            }
        }
    }
    let older = folded
        .entries()
        .iter()
        .filter(|(_, identity)| !seen.contains(identity));
    times.extend(older.map(|(t, _)| *t));
    times
}

impl Aside for Asides<'_> {
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
        self.distincts[distinct].partition_point(|t| super::bounds::entered(edge, *t))
    }

    fn estimate(&self, distinct: usize, edge: i64) -> u64 {
        let Distinct { column, beyond, .. } = self.layout.distincts[distinct];
        let Some(beyond) = beyond else { return 0 };
        let mut registers = Registers::new(beyond);
        self.folded[distinct].fill(edge, &mut registers);
        let inside = self
            .visible
            .iter()
            .filter(|event| super::bounds::entered(edge, event.t));
        let identities = inside.filter_map(|event| event.cells[column].identity());
        identities.for_each(|identity| registers.see(&identity));
        registers.estimate()
    }
}
