//! Where the edges of a feature's window lie, as its definition says: `window_us`, `hop_us`, and `window` for every
//! kind that does not slide.

use super::limits;
use super::read::Reader;
use crate::time::HOP_LADDER;
use crate::window::{INSTANT, Window, WindowKind};

const KINDS: &str = "tumbling, lifetime, exact and lag";

/// The window of a feature.
pub(super) fn read_edges(at: &Reader<'_>) -> Option<Window> {
    if at.json.get("window").is_none() {
        let (width, hop) = width_and_hop(at)?;
        return Some(Window {
            width,
            hop,
            kind: WindowKind::Sliding,
        });
    }
    let shape = at.key("window");
    match shape.json.get("kind").and_then(serde_json::Value::as_str) {
        Some("tumbling") => tumbling(at, &shape),
        Some("lifetime") => lifetime(at, &shape),
        Some("exact") => exact(at, &shape),
        Some("lag") => lag(at, &shape),
        kind => shape.fault(
            "UNSUPPORTED_WINDOW",
            format!(
                "{} is no kind of window; there are {KINDS}, and a sliding window has no member \"window\"",
                kind.map_or("that".to_owned(), |kind| format!("{kind:?}"))
            ),
        ),
    }
}

fn tumbling(at: &Reader<'_>, shape: &Reader<'_>) -> Option<Window> {
    let keys = shape.keys(&["kind", "previous"]);
    let edges = width_and_hop(at);
    keys?;
    let previous = shape.key("previous").boolean()?;
    let (width, hop) = edges?;
    Some(Window {
        width,
        hop,
        kind: if previous {
            WindowKind::Previous
        } else {
            WindowKind::Tumbling
        },
    })
}

fn lag(at: &Reader<'_>, shape: &Reader<'_>) -> Option<Window> {
    let keys = shape.keys(&["kind", "lag_us"]);
    let edges = width_and_hop(at);
    keys?;
    let lag = shape.key("lag_us").int(1, limits::WIDEST_WINDOW)?;
    let (width, hop) = edges?;
    if lag % hop != 0 {
        return shape.key("lag_us").fault(
            "LAG_NOT_DIVISIBLE",
            format!("the lag {lag} us is no multiple of the hop {hop} us; change one of them"),
        );
    }
    Some(Window {
        width,
        hop,
        kind: WindowKind::Lag { lag },
    })
}

fn lifetime(at: &Reader<'_>, shape: &Reader<'_>) -> Option<Window> {
    let keys = shape.keys(&["kind"]);
    let none = [none(at, "window_us"), none(at, "hop_us")];
    keys?;
    if none.contains(&None) {
        return None;
    }
    Some(Window {
        width: 0,
        hop: 0,
        kind: WindowKind::Lifetime,
    })
}

fn exact(at: &Reader<'_>, shape: &Reader<'_>) -> Option<Window> {
    let keys = shape.keys(&["kind", "bound"]);
    let width = at.key("window_us").int(1, limits::WIDEST_WINDOW);
    let hop = at.key("hop_us").int(0, 0);
    keys?;
    let bound = shape.key("bound").int(1, limits::EXACT_BOUND)?;
    let (width, _) = (width?, hop?);
    Some(Window {
        width,
        hop: INSTANT,
        kind: WindowKind::Exact {
            bound: usize::try_from(bound).ok()?,
        },
    })
}

fn none(at: &Reader<'_>, member: &str) -> Option<()> {
    let place = at.key(member);
    if place.json.is_null() {
        return Some(());
    }
    place.fault("UNEXPECTED_WIDTH", "a window of this kind has none; write null")
}

fn width_and_hop(at: &Reader<'_>) -> Option<(i64, i64)> {
    let window = at.key("window_us").int(1, limits::WIDEST_WINDOW);
    let hop = at.key("hop_us").int(0, limits::WIDEST_WINDOW);
    let (window, hop) = (window?, hop?);
    if !HOP_LADDER.contains(&hop) {
        return at.key("hop_us").fault(
            "HOP_NOT_ON_LADDER",
            format!("{hop} us is no hop; choose 1 s, 10 s, 1 min, 5 min, 15 min, 1 h, 6 h or 1 d"),
        );
    }
    if window % hop != 0 {
        return at.key("window_us").fault(
            "WINDOW_NOT_DIVISIBLE",
            format!("the width {window} us is no multiple of the hop {hop} us; change one of them"),
        );
    }
    Some((window, hop))
}
