//! Latest states over a stream as the writer keeps them.

use super::KeyedState;
use crate::definition::LatestView;
use crate::latest::stream::{LatestEvent, LatestState};
use crate::state::{Prefix, StateError};
use crate::value::Value;
use crate::window::{EventPosition, Folded};

impl KeyedState for LatestState {
    type View = LatestView;
    type Event = LatestEvent;

    fn open(_: &LatestView) -> Self {
        Self::new()
    }

    fn decode(view: &LatestView, head: &[u8], _: Option<&[u8]>) -> Result<(Prefix, Self), StateError> {
        Self::decode(view, head)
    }

    fn event(view: &LatestView, t: i64, position: EventPosition, row: &[Value]) -> Option<LatestEvent> {
        // A filter does not depend on the request time.
        let passes = view.filter.as_ref().is_none_or(|filter| filter.holds(row, t));
        passes.then(|| LatestEvent::of(view, t, position, row))
    }

    fn fold(&mut self, _: &LatestView, event: LatestEvent) -> Folded {
        let late = self.horizon().is_some_and(|horizon| event.t < horizon);
        match (Self::fold(self, event), late) {
            (true, false) => Folded::Head,
            (true, true) => Folded::Tile,
            (false, _) => Folded::BelowHorizon,
        }
    }

    fn raise(&mut self, view: &LatestView, clock: i64) {
        Self::raise(self, view, clock);
    }

    fn write(&mut self, _: &LatestView, prefix: &Prefix) -> (Vec<u8>, Option<Vec<u8>>) {
        (self.encode(prefix), None)
    }

    fn outlived_at(&self, view: &LatestView) -> Option<i64> {
        Self::outlived_at(self, view)
    }

    fn memory(&self) -> usize {
        Self::memory(self)
    }
}
