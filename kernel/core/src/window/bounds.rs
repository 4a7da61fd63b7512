//! Whether an event lies in a window: the only place that decides it.
//!
//! A sliding window of width `w` and hop `h` at the request time `T` is `[floor_h(T - w), T)`: the head edge is
//! exact, an event at `T` is not visible to the prediction at `T`; the tail edge snaps down to the hop. The other
//! kinds put one or both of the edges elsewhere. No edge ever goes back as `T` goes on.

use super::calendar::Calendar;
use crate::time::floor_to_hop;

/// What kind of window, by where its edges lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WindowKind {
    /// `[floor_h(T - w), T)`.
    Sliding,
    /// `[floor_w(T), T)`.
    Tumbling,
    /// Every event before `T`.
    Lifetime,
    /// `[T - w, T)`, as long as there are not too many events.
    Exact {
        /// The most events that a window may hold.
        bound: usize,
    },
    /// `[floor_w(T) - w, floor_w(T))`.
    Previous,
    /// `[floor_h(T - lag - w), floor_h(T - lag))`.
    Lag {
        /// How long before the request it ends, microseconds; a multiple of the hop.
        lag: i64,
    },
    /// From the beginning of the local hour, day, week or month up to the request, or the one before.
    Calendar(Calendar),
}

/// The edges of a window, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    /// The width; 0 where none is declared.
    pub width: i64,
    /// The hop of the lower edge.
    pub hop: i64,
    /// The kind.
    pub kind: WindowKind,
}

/// The hop of the tiles of a window whose edges are on no grid.
pub const INSTANT: i64 = 1;

impl Window {
    /// The lower edge at a request time: of a sliding window the latest hop that is not after `request - width`.
    ///
    /// Instants are years 1 to 9999, so nothing saturates but the extremes that no caller passes.
    pub fn lower_edge(self, request: i64, origin: i64) -> i64 {
        let floor = |t: i64, hop: i64| floor_to_hop(t, hop, origin).unwrap_or(i64::MIN);
        match self.kind {
            WindowKind::Sliding => floor(request.saturating_sub(self.width), self.hop),
            WindowKind::Tumbling => floor(request, self.width),
            WindowKind::Lifetime => i64::MIN,
            WindowKind::Exact { .. } => request.saturating_sub(self.width),
            WindowKind::Previous => floor(request, self.width).saturating_sub(self.width),
            WindowKind::Lag { lag } => {
                floor(request.saturating_sub(lag).saturating_sub(self.width), self.hop)
            }
            WindowKind::Calendar(calendar) => {
                let open = calendar.open(request, self.hop, origin);
                if calendar.previous {
                    calendar.before(open, self.hop, origin)
                } else {
                    open
                }
            }
        }
    }

    /// The upper edge at a request time: the request itself, where the window does not end on the hop before it.
    pub fn upper_edge(self, request: i64, origin: i64) -> i64 {
        let floor = |t: i64, hop: i64| floor_to_hop(t, hop, origin).unwrap_or(i64::MIN);
        match self.kind {
            WindowKind::Previous => floor(request, self.width),
            WindowKind::Lag { lag } => floor(request.saturating_sub(lag), self.hop),
            WindowKind::Calendar(calendar) if calendar.previous => calendar.open(request, self.hop, origin),
            _ => request,
        }
    }

    /// Whether it has an upper edge of its own, so that it does not see all that was folded.
    pub(crate) fn is_closed(self) -> bool {
        match self.kind {
            WindowKind::Previous | WindowKind::Lag { .. } => true,
            WindowKind::Calendar(calendar) => calendar.previous,
            _ => false,
        }
    }

    /// Below which no edge of a request at or after this time lies: what the tail horizon follows. A window without
    /// a lower edge has no edges at all before the request.
    pub(super) fn settled(self, request: i64, origin: i64) -> i64 {
        if self.kind == WindowKind::Lifetime {
            return floor_to_hop(request, self.hop, origin).unwrap_or(i64::MIN);
        }
        self.lower_edge(request, origin)
    }

    /// Whether a state whose tiles are complete from `low` on can answer a request.
    pub(super) fn is_answered(self, request: i64, origin: i64, low: i64) -> bool {
        self.kind == WindowKind::Lifetime || self.lower_edge(request, origin) >= low
    }

    /// How long before a request its lower edge lies at most, the hop aside; absent if it has none.
    pub(super) fn farthest(self) -> Option<i64> {
        match self.kind {
            WindowKind::Lifetime => None,
            WindowKind::Previous => Some(2 * self.width),
            WindowKind::Lag { lag } => Some(lag + self.width),
            WindowKind::Calendar(calendar) => {
                Some(calendar.unit.longest() * if calendar.previous { 2 } else { 1 })
            }
            _ => Some(self.width),
        }
    }

    /// How long before a request its lower edge lies at least.
    pub(super) fn nearest(self) -> i64 {
        match self.kind {
            WindowKind::Sliding | WindowKind::Exact { .. } | WindowKind::Previous => self.width,
            WindowKind::Lag { lag } => lag + self.width,
            WindowKind::Tumbling | WindowKind::Lifetime | WindowKind::Calendar(_) => 0,
        }
    }

    /// Whether it may hold only so many events.
    pub(crate) fn is_bounded(self) -> bool {
        self.bound().is_some()
    }

    /// The most events that it may hold, if there is such a bound.
    pub(super) fn bound(self) -> Option<usize> {
        match self.kind {
            WindowKind::Exact { bound } => Some(bound),
            _ => None,
        }
    }
}

/// Whether an event at `t` is at or after a lower edge.
pub fn entered(edge: i64, t: i64) -> bool {
    edge <= t
}

/// Whether an event at `t` is visible to a prediction at `request`.
pub fn past(request: i64, t: i64) -> bool {
    t < request
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{DAY, HOUR, MINUTE};

    fn sliding(width: i64, hop: i64) -> Window {
        Window {
            width,
            hop,
            kind: WindowKind::Sliding,
        }
    }

    #[test]
    fn the_head_edge_is_exact_and_the_tail_edge_snaps_down() {
        let window = sliding(HOUR, MINUTE);
        let request = 10 * HOUR + 30 * MINUTE + 17;
        let edge = window.lower_edge(request, 0);
        assert_eq!(edge, 9 * HOUR + 30 * MINUTE);
        assert!(entered(edge, edge) && !entered(edge, edge - 1));
        assert!(past(request, request - 1) && !past(request, request));
    }

    #[test]
    fn a_request_on_the_hop_sees_exactly_the_width() {
        let window = sliding(HOUR, MINUTE);
        assert_eq!(window.lower_edge(10 * HOUR, 0), 9 * HOUR);
        assert_eq!(window.lower_edge(10 * HOUR - 1, 0), 9 * HOUR - MINUTE);
        assert_eq!(window.lower_edge(-1, 0), -HOUR - MINUTE);
    }

    #[test]
    fn a_tumbling_window_begins_with_its_bucket_and_an_exact_one_at_its_width() {
        let bucket = Window {
            width: DAY,
            hop: HOUR,
            kind: WindowKind::Tumbling,
        };
        assert_eq!(bucket.lower_edge(3 * DAY, 0), 3 * DAY);
        assert_eq!(bucket.lower_edge(3 * DAY - 1, 0), 2 * DAY);
        assert_eq!(bucket.lower_edge(-1, HOUR), HOUR - DAY);
        let exact = Window {
            width: MINUTE,
            hop: INSTANT,
            kind: WindowKind::Exact { bound: 5 },
        };
        assert_eq!(exact.lower_edge(MINUTE + 3, 0), 3);
    }
}
