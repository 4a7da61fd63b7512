//! Window states as the writer keeps them: with the mark of the body that the store has.

use super::KeyedState;
use crate::definition::WindowView;
use crate::state::{Prefix, StateError};
use crate::value::Value;
use crate::window::{BodyMark, Event, EventPosition, Folded, WindowState};

/// A window state and the body that was last read or written.
#[derive(Debug)]
pub struct CachedWindow {
    state: WindowState,
    /// Absent if the store has no body, or one that no head refers to.
    stored: Option<BodyMark>,
}

impl KeyedState for CachedWindow {
    type View = WindowView;
    type Event = Event;

    fn open(view: &WindowView) -> Self {
        Self {
            state: WindowState::new(view),
            stored: None,
        }
    }

    fn decode(view: &WindowView, head: &[u8], body: Option<&[u8]>) -> Result<(Prefix, Self), StateError> {
        let (prefix, state, stored) = WindowState::decode_marked(view, head, body)?;
        Ok((prefix, Self { state, stored }))
    }

    fn event(view: &WindowView, t: i64, position: EventPosition, row: &[Value]) -> Option<Event> {
        // A filter does not depend on the request time.
        let passes = view.filter.as_ref().is_none_or(|filter| filter.holds(row, t));
        passes.then(|| Event::of(&view.layout, t, position, row))
    }

    fn fold(&mut self, view: &WindowView, event: Event) -> Folded {
        self.state.fold(view, event)
    }

    fn raise(&mut self, view: &WindowView, clock: i64) {
        self.state.raise(view, clock);
    }

    fn write(&mut self, view: &WindowView, prefix: &Prefix) -> (Vec<u8>, Option<Vec<u8>>) {
        let body = self.state.take_body(&view.layout);
        let mut changed = None;
        if let Some(body) = body {
            let mark = BodyMark::of(&body);
            // A body without tiles need not be stored: no head refers to it.
            changed = (mark.is_some() && mark != self.stored).then_some(body);
            self.stored = mark;
        }
        (self.state.write_head(&view.layout, prefix, self.stored), changed)
    }

    fn outlived_at(&self, view: &WindowView) -> Option<i64> {
        self.state.outlived_at(view)
    }

    fn memory(&self) -> usize {
        self.state.memory()
    }
}
