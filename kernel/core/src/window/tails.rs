//! Tail horizons: from where tiles are complete, and how wide a tile may be there.
//!
//! Each window has its own horizon `L`: every lower edge it can still be asked for is at or after it. A tile may
//! have hop `c` only where it lies wholly below the `L` of every window with a finer hop, and it is dropped where
//! it lies below every `L`. The width of a tile is therefore a pure function of an instant and the horizons, and
//! a state's bytes one of its events and horizons. A horizon that was never raised is `i64::MIN`.
//!
//! Two kinds of windows have rules of their own. An exact window has a tile for each instant with events, down to
//! its *cut*: the instant of the newest event with which there are more than its bound. Whichever window reaches the
//! cut holds too many, so nothing needs to be told apart below it. A lifetime window has no lower edge, so its tiles
//! are never dropped: below the horizons of all windows they are one, the base. Its own `L` only says up to where.

use super::bounds::WindowKind;
use super::layout::Layout;
use crate::time::floor_to_hop;

/// The tail horizons of a state with what follows from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tails {
    /// One per window of the layout.
    lows: Box<[i64]>,
    /// The cut of each window; `i64::MIN` if it has none.
    cuts: Box<[i64]>,
    /// Per window: what is before is in no answer of it any more.
    kept: Box<[i64]>,
    /// Per hop: tiles of this hop end here at the latest.
    ends: Box<[i64]>,
    /// Per slot: tiles that begin before this do not need it.
    slots: Box<[i64]>,
    /// From here on tiles need every slot.
    whole: i64,
    /// Tiles that begin before this are dropped.
    lowest: i64,
    /// From here on there is a tile for each instant.
    instants: i64,
    /// What is before lies in the base.
    base: i64,
}

impl Tails {
    /// The horizons of a new state: tiles are complete from the beginning of time.
    pub(super) fn open(layout: &Layout) -> Self {
        let never = || vec![i64::MIN; layout.windows.len()].into();
        Self::new(layout, never(), never())
    }

    /// These horizons and cuts, one per window.
    pub(super) fn new(layout: &Layout, lows: Box<[i64]>, cuts: Box<[i64]>) -> Self {
        let windows = || layout.windows.iter().enumerate();
        let settled = |place: usize| lows[place].max(cuts[place]);
        let least = |places: &mut dyn Iterator<Item = usize>, over_none: i64| {
            places.map(settled).min().unwrap_or(over_none)
        };
        let is_exact = |kind: WindowKind| matches!(kind, WindowKind::Exact { .. });
        let finer = |hop: i64| {
            windows()
                .filter(move |(_, window)| window.hop < hop && !is_exact(window.kind))
                .map(|(place, _)| place)
        };
        let ends = layout
            .hops
            .iter()
            .map(|hop| least(&mut finer(*hop), i64::MAX))
            .collect();
        let mut exact = windows()
            .filter(|(_, window)| is_exact(window.kind))
            .map(|(place, _)| place);
        let instants = least(&mut exact, i64::MAX);
        let base = if layout.has_base() {
            least(&mut (0..lows.len()), i64::MIN)
        } else {
            i64::MIN
        };
        let kept: Box<[i64]> = windows()
            .map(|(place, window)| match window.kind {
                WindowKind::Lifetime => i64::MIN,
                _ => settled(place),
            })
            .collect();
        let over = |places: &[usize]| places.iter().map(|place| kept[*place]).min();
        let slots = layout.slots.iter();
        let slots: Box<[i64]> = slots
            .map(|slot| over(&slot.windows).unwrap_or(i64::MIN))
            .collect();
        let whole = slots.iter().copied().max().unwrap_or(i64::MIN);
        let lowest = kept.iter().copied().min().unwrap_or(i64::MIN);
        Self {
            lows,
            cuts,
            kept,
            ends,
            slots,
            whole,
            lowest,
            instants,
            base,
        }
    }

    /// The horizon of each window.
    pub(super) fn lows(&self) -> &[i64] {
        &self.lows
    }

    /// The cut of each window.
    pub(super) fn cuts(&self) -> &[i64] {
        &self.cuts
    }

    /// Where tiles and events are dropped: no answerable request can see what is before.
    pub(super) fn lowest(&self) -> i64 {
        self.lowest
    }

    /// Whether a tile that begins here holds this slot.
    pub(super) fn holds(&self, slot: usize, start: i64) -> bool {
        self.slots[slot] <= start
    }

    /// Whether a tile that begins here holds the same slots as it did under other horizons.
    pub(super) fn holds_as(&self, other: &Self, start: i64) -> bool {
        start >= self.whole && start >= other.whole
            || (0..self.slots.len()).all(|slot| self.holds(slot, start) == other.holds(slot, start))
    }

    /// What is before this is in no answer of these windows any more.
    pub(super) fn lowest_of(&self, windows: &[usize]) -> i64 {
        windows
            .iter()
            .map(|window| self.kept[*window])
            .min()
            .unwrap_or(i64::MIN)
    }

    /// The start of the tile that an instant belongs to: of the coarsest hop that is allowed there.
    pub(super) fn tile_start(&self, layout: &Layout, t: i64) -> i64 {
        if t >= self.instants {
            return t;
        }
        if t < self.base {
            return layout.base();
        }
        for (hop, end) in layout.hops.iter().zip(&self.ends).rev() {
            // Whatever its start is, a tile with this instant ends later.
            if t >= *end {
                continue;
            }
            let start = floor_to_hop(t, *hop, layout.origin).unwrap_or(i64::MIN);
            if start.saturating_add(*hop) <= *end {
                return start;
            }
        }
        t
    }
}
