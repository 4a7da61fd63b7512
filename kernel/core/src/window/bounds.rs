//! Whether an event lies in a window: the only place that decides it.
//!
//! A window of width `w` and hop `h` at the request time `T` is `[floor_h(T - w), T)`: the head edge is exact,
//! an event at `T` is not visible to the prediction at `T`; the tail edge snaps down to the hop.

use crate::time::floor_to_hop;

/// The edges of a window, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    /// The width.
    pub width: i64,
    /// The hop of the lower edge.
    pub hop: i64,
}

impl Window {
    /// The lower edge at a request time: the latest hop that is not after `request - width`.
    ///
    /// Instants are years 1 to 9999, so nothing saturates but the extremes that no caller passes.
    pub fn lower_edge(self, request: i64, origin: i64) -> i64 {
        floor_to_hop(request.saturating_sub(self.width), self.hop, origin).unwrap_or(i64::MIN)
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
    use crate::time::{HOUR, MINUTE};

    #[test]
    fn the_head_edge_is_exact_and_the_tail_edge_snaps_down() {
        let window = Window {
            width: HOUR,
            hop: MINUTE,
        };
        let request = 10 * HOUR + 30 * MINUTE + 17;
        let edge = window.lower_edge(request, 0);
        assert_eq!(edge, 9 * HOUR + 30 * MINUTE);
        assert!(entered(edge, edge) && !entered(edge, edge - 1));
        assert!(past(request, request - 1) && !past(request, request));
    }

    #[test]
    fn a_request_on_the_hop_sees_exactly_the_width() {
        let window = Window {
            width: HOUR,
            hop: MINUTE,
        };
        assert_eq!(window.lower_edge(10 * HOUR, 0), 9 * HOUR);
        assert_eq!(window.lower_edge(10 * HOUR - 1, 0), 9 * HOUR - MINUTE);
        assert_eq!(window.lower_edge(-1, 0), -HOUR - MINUTE);
    }
}
