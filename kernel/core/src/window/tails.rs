//! Tail horizons: from where tiles are complete, and how wide a tile may be there.
//!
//! Each window has its own horizon `L`: every lower edge it can still be asked for is at or after it. A tile may
//! have hop `c` only where it lies wholly below the `L` of every window with a finer hop, and it is dropped where
//! it lies below every `L`. The width of a tile is therefore a pure function of an instant and the horizons, and
//! a state's bytes one of its events and horizons. A horizon that was never raised is `i64::MIN`.

use super::layout::Layout;
use crate::time::floor_to_hop;

/// The tail horizons of a state with what follows from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tails {
    /// One per window of the layout.
    lows: Box<[i64]>,
    /// Per hop: tiles of this hop end here at the latest.
    ends: Box<[i64]>,
    /// Per slot: tiles that begin before this do not need it.
    slots: Box<[i64]>,
    /// Tiles that begin before this are dropped.
    lowest: i64,
}

impl Tails {
    /// The horizons of a new state: tiles are complete from the beginning of time.
    pub(super) fn open(layout: &Layout) -> Self {
        Self::new(layout, vec![i64::MIN; layout.windows.len()].into())
    }

    /// These horizons, one per window.
    pub(super) fn new(layout: &Layout, lows: Box<[i64]>) -> Self {
        let least = |places: &mut dyn Iterator<Item = usize>, over_none: i64| {
            places.map(|place| lows[place]).min().unwrap_or(over_none)
        };
        let finer = |hop: i64| {
            let windows = layout.windows.iter().enumerate();
            windows
                .filter(move |(_, window)| window.hop < hop)
                .map(|(place, _)| place)
        };
        let ends = layout
            .hops
            .iter()
            .map(|hop| least(&mut finer(*hop), i64::MAX))
            .collect();
        let slots = layout.slots.iter();
        let slots = slots
            .map(|slot| least(&mut slot.windows.iter().copied(), i64::MIN))
            .collect();
        let lowest = least(&mut (0..lows.len()), i64::MIN);
        Self {
            lows,
            ends,
            slots,
            lowest,
        }
    }

    /// The horizon of each window.
    pub(super) fn lows(&self) -> &[i64] {
        &self.lows
    }

    /// Where tiles and events are dropped: no answerable request can see what is before.
    pub(super) fn lowest(&self) -> i64 {
        self.lowest
    }

    /// Whether a tile that begins here holds this slot.
    pub(super) fn holds(&self, slot: usize, start: i64) -> bool {
        self.slots[slot] <= start
    }

    /// The least of the horizons of these windows.
    pub(super) fn lowest_of(&self, windows: &[usize]) -> i64 {
        windows
            .iter()
            .map(|window| self.lows[*window])
            .min()
            .unwrap_or(i64::MIN)
    }

    /// The start of the tile that an instant belongs to: of the coarsest hop that is allowed there.
    pub(super) fn tile_start(&self, layout: &Layout, t: i64) -> i64 {
        for (hop, end) in layout.hops.iter().zip(&self.ends).rev() {
            let start = floor_to_hop(t, *hop, layout.origin).unwrap_or(i64::MIN);
            if start.saturating_add(*hop) <= *end {
                return start;
            }
        }
        t
    }
}
