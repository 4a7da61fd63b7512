//! Where the edges of a feature's window lie, as its definition says: `window_us`, `hop_us`, and `window` for every
//! kind that does not slide.

use super::limits;
use super::read::Reader;
use crate::expr::zone::tzdata_version;
use crate::time::{HOP_LADDER, SECOND};
use crate::window::{Calendar, INSTANT, NamedZone, Unit, Window, WindowKind};

const KINDS: &str = "tumbling, lifetime, exact, lag and calendar";

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
        Some("calendar") => calendar(at, &shape),
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

fn calendar(at: &Reader<'_>, shape: &Reader<'_>) -> Option<Window> {
    let keys = shape.keys(&["kind", "unit", "zone", "tzdata", "previous"]);
    let none = none(at, "window_us");
    let hop = at.key("hop_us").int(0, limits::WIDEST_WINDOW);
    keys?;
    let unit = read_unit(&shape.key("unit"));
    let zone = read_zone(&shape.key("zone"));
    let tzdata = read_tzdata(&shape.key("tzdata"));
    let previous = shape.key("previous").boolean();
    let (hop, unit, zone) = (hop?, unit?, zone?);
    none.and(tzdata)?;
    let hop = on_ladder(at, hop)?;
    let grid = unit.grid(zone);
    if hop > grid {
        return at.key("hop_us").fault(
            "HOP_NOT_ON_CALENDAR",
            format!(
                "the clock of that zone is on a grid of {} s, and {} s is more; take that or a finer hop",
                grid / SECOND,
                hop / SECOND
            ),
        );
    }
    Some(Window {
        width: 0,
        hop,
        kind: WindowKind::Calendar(Calendar {
            unit,
            zone,
            previous: previous?,
        }),
    })
}

fn read_unit(at: &Reader<'_>) -> Option<Unit> {
    let name = at.text()?;
    Unit::named(name).or_else(|| {
        at.fault(
            "UNKNOWN_UNIT",
            format!("{name:?} is no part of a calendar; there are hour, day, week and month"),
        )
    })
}

fn read_zone(at: &Reader<'_>) -> Option<NamedZone> {
    let name = at.text()?;
    NamedZone::named(name).or_else(|| {
        at.fault(
            "UNKNOWN_ZONE",
            format!(
                "no time zone {name:?} in the bundled data ({}); write an IANA name in its own spelling, such as \
                 America/New_York or UTC",
                tzdata_version()
            ),
        )
    })
}

/// Other zone data would give other values under the same meaning.
fn read_tzdata(at: &Reader<'_>) -> Option<()> {
    let release = at.text()?;
    if release == tzdata_version() {
        return Some(());
    }
    at.fault(
        "OTHER_TZDATA",
        format!(
            "the zone data here are {}, not {release:?}; plan the definition again, as a new version",
            tzdata_version()
        ),
    )
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
    let hop = on_ladder(at, hop)?;
    if window % hop != 0 {
        return at.key("window_us").fault(
            "WINDOW_NOT_DIVISIBLE",
            format!("the width {window} us is no multiple of the hop {hop} us; change one of them"),
        );
    }
    Some((window, hop))
}

fn on_ladder(at: &Reader<'_>, hop: i64) -> Option<i64> {
    if HOP_LADDER.contains(&hop) {
        return Some(hop);
    }
    at.key("hop_us").fault(
        "HOP_NOT_ON_LADDER",
        format!("{hop} us is no hop; choose 1 s, 10 s, 1 min, 5 min, 15 min, 1 h, 6 h or 1 d"),
    )
}
