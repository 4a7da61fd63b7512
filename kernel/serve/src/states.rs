//! The states of a request: which keys they have, what they know, and what they say at the request time.

use skewless_core::definition::LatestView;
use skewless_core::latest;
use skewless_core::state::{self, StateError};
use skewless_core::status::Status;
use skewless_core::token::{Knowledge, TokenView, ViewKind};
use skewless_core::window;

use crate::answer::{Cell, Content};
use crate::rows::Rows;
use crate::store::{Fetched, MultiGet};
use crate::vector::{Stored, Vector, View};

/// What the states of a request know.
#[derive(Debug)]
pub(crate) struct Known {
    /// The stored views, in the order of the vector.
    pub(crate) views: Vec<TokenView>,
    /// Row by row, one per view.
    pub(crate) per_row: Vec<Option<Knowledge>>,
    /// The earliest request time that all of them can answer; absent if any.
    pub(crate) earliest: Option<i64>,
}

/// The fetched states of all rows of a request.
#[derive(Debug)]
pub(crate) struct States<'v> {
    vector: &'v Vector,
    rows: usize,
    in_slots: bool,
    /// Absent when the store did not answer.
    fetched: Option<Fetched>,
}

/// What is known of one row's state.
enum State<'a> {
    /// Its cells: the state or its head and body.
    Read(&'a [Option<bytes::Bytes>]),
    /// The view's sentinel is missing where it lies.
    Rebuilding,
    /// The store did not answer.
    Unanswered,
}

impl<'v> States<'v> {
    /// One fetch of everything: per stored view its sentinel, then per row its keys. Where keys lie in slots each row
    /// is followed by the sentinel of its slot instead. Absent if nothing is stored.
    pub(crate) fn keys(vector: &Vector, rows: &Rows, in_slots: bool) -> Option<MultiGet> {
        if vector.stored.is_empty() {
            return None;
        }
        let bytes = vector.stored.len() * (64 + rows.count * if in_slots { 192 } else { 128 });
        let mut keys = MultiGet::with_capacity(bytes, in_slots);
        for stored in &vector.stored {
            if !in_slots {
                keys.sentinel(&stored.sentinel_key);
            }
            for id in rows.ids(stored.entity) {
                keys.key(&[&stored.key_front, id.as_bytes(), &stored.key_back]);
                if stored.has_body {
                    keys.key(&[&stored.key_front, id.as_bytes(), &stored.key_back, b":b"]);
                }
                if in_slots {
                    keys.sentinel(&stored.sentinel_key);
                }
            }
        }
        Some(keys)
    }

    /// What was fetched by [`keys`](Self::keys).
    pub(crate) fn new(vector: &'v Vector, rows: usize, in_slots: bool, fetched: Option<Fetched>) -> Self {
        Self {
            vector,
            rows,
            in_slots,
            fetched,
        }
    }

    /// Each stored view with the states of its rows, in order.
    fn views(&self) -> impl Iterator<Item = (&'v Stored, impl Iterator<Item = State<'_>>)> {
        let mut next = 0;
        self.vector.stored.iter().map(move |stored| {
            let start = next;
            let keys = stored.keys_per_row();
            let (ahead, per_row) = if self.in_slots { (0, keys + 1) } else { (1, keys) };
            next += ahead + self.rows * per_row;
            let states = (0..self.rows).map(move |row| {
                let first = start + ahead + row * per_row;
                let sentinel = if self.in_slots { first + keys } else { start };
                let Some(fetched) = self.fetched.as_ref().filter(|fetched| fetched.has(sentinel)) else {
                    return State::Unanswered;
                };
                let says = fetched.cells.get(sentinel).and_then(Option::as_deref);
                match fetched.cells.get(first..first + keys) {
                    Some(cells) if says == Some(stored.sentinel.as_bytes()) => State::Read(cells),
                    _ => State::Rebuilding,
                }
            });
            (stored, states)
        })
    }

    /// What the states know. A view whose states are not complete, and a state that cannot be read, know nothing.
    pub(crate) fn knowledge(&self) -> Known {
        let views = self.vector.stored.len();
        let mut result = Known {
            views: self
                .vector
                .stored
                .iter()
                .map(|stored| token_view(&stored.view))
                .collect(),
            per_row: vec![None; self.rows * views],
            earliest: None,
        };
        for (place, (stored, states)) in self.views().enumerate() {
            for (row, state) in states.enumerate() {
                let State::Read([Some(head), ..]) = state else {
                    continue;
                };
                if let Ok((known, earliest)) = peek(&stored.view, head) {
                    result.per_row[row * views + place] = Some(known);
                    result.earliest = result.earliest.max(earliest);
                }
            }
        }
        result
    }

    /// Fills the slots of the stored features. Gives the fault of a state that could not be read, if there was
    /// one; its values stay unavailable.
    pub(crate) fn read<'a>(&'a self, request_time: i64, out: &mut [Cell<'a>]) -> Option<String> {
        let mut unreadable = None;
        for (stored, states) in self.views() {
            for (row, state) in states.enumerate() {
                let mut put = |slot: usize, cell| out[slot * self.rows + row] = cell;
                let without = match state {
                    State::Unanswered => continue,
                    State::Rebuilding => Status::Rebuilding,
                    State::Read(keys) => match read_state(stored, keys, request_time, &mut put) {
                        Ok(()) => continue,
                        Err(error) => {
                            let name = stored.name();
                            unreadable = Some(format!("a state of the view {name} cannot be read: {error}"));
                            Status::Unavailable
                        }
                    },
                };
                for &(_, slot) in &stored.features {
                    put(slot, Cell::without(without));
                }
            }
        }
        unreadable
    }
}

fn token_view(view: &View) -> TokenView {
    let mut meaning = [0; 16];
    meaning.copy_from_slice(&view.meaning()[..16]);
    let kind = match view {
        View::Latest(view) if !view.is_stream() => ViewKind::LatestTable,
        View::Latest(_) => ViewKind::LatestStream,
        View::Window(_) | View::OnDemand(_) => ViewKind::Window,
    };
    TokenView { meaning, kind }
}

/// What a state knows, and from when it can answer.
fn peek(view: &View, state: &[u8]) -> Result<(Knowledge, Option<i64>), StateError> {
    match view {
        View::Latest(view) if !view.is_stream() => Ok((
            Knowledge::Run(latest::table::known(state)?),
            latest::table::answers_from(view, state)?,
        )),
        _ => {
            let (position, horizon) = state::peek(state)?;
            Ok((Knowledge::Stream(position), horizon))
        }
    }
}

fn read_state<'a>(
    stored: &Stored,
    keys: &'a [Option<bytes::Bytes>],
    request_time: i64,
    mut put: impl FnMut(usize, Cell<'a>),
) -> Result<(), StateError> {
    let key = |place: usize| keys.get(place).and_then(|key| key.as_deref());
    match &*stored.view {
        View::Window(view) => {
            let mut reading = window::read(view, key(0), key(1), request_time)?;
            for &(feature, slot) in &stored.features {
                let answer = reading.answers.get_mut(feature).ok_or(StateError::RowMismatch)?;
                let value = std::mem::take(&mut answer.value);
                put(
                    slot,
                    Cell {
                        content: Content::Value(value),
                        status: answer.status,
                        event_time: answer.event_time,
                    },
                );
            }
        }
        View::Latest(view) => {
            let reading = read_latest(view, key(0), request_time)?;
            for &(feature, slot) in &stored.features {
                let found = reading.wire(feature)?;
                put(
                    slot,
                    Cell {
                        content: Content::Wire(found.wire),
                        status: found.status,
                        event_time: found.event_time,
                    },
                );
            }
        }
        // A vector keeps no on-demand view among the stored ones.
        View::OnDemand(_) => {}
    }
    Ok(())
}

fn read_latest<'a>(
    view: &LatestView,
    state: Option<&'a [u8]>,
    request_time: i64,
) -> Result<latest::Reading<'a>, StateError> {
    if view.is_stream() {
        latest::stream::read(view, state, request_time)
    } else {
        latest::table::read(view, state, request_time)
    }
}
