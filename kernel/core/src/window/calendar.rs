//! Calendar windows: the local hour, day, week or month of a request in a named zone.
//!
//! An hour begins whenever the local clock shows a full hour. A day, a week or a month begins at the first instant whose
//! local date lies in it or after it: clocks leap over midnight, and show it twice. Of those that have begun by an
//! instant the latest one counts, so no edge goes back when a clock does.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use crate::expr::zone::{LocalTime, Zone};
use crate::time::{DAY, HOP_LADDER, HOUR, MINUTE, floor_to_hop};

/// The parts of a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    /// From full hour to full hour.
    Hour,
    /// A local date.
    Day,
    /// From Monday on.
    Week,
    /// From the first on.
    Month,
}

/// A zone with its name. Windows are copied, so zones are kept for ever: there are some hundreds of them.
#[derive(Debug, Clone, Copy)]
pub struct NamedZone {
    name: &'static str,
    zone: &'static Zone,
}

/// Which part of which calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Calendar {
    /// What of it.
    pub unit: Unit,
    /// Whose clock.
    pub zone: NamedZone,
    /// Whether the last full one is meant, and not the one that is open.
    pub previous: bool,
}

static ZONES: Mutex<BTreeMap<&'static str, NamedZone>> = Mutex::new(BTreeMap::new());

impl NamedZone {
    /// The zone of exactly this IANA name; absent if there is none.
    pub fn named(name: &str) -> Option<Self> {
        let mut zones = ZONES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = zones.get(name) {
            return Some(*known);
        }
        let zone = Box::leak(Box::new(Zone::named(name)?));
        let name: &'static str = Box::leak(name.into());
        let named = Self { name, zone };
        zones.insert(name, named);
        Some(named)
    }
}

impl PartialEq for NamedZone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for NamedZone {}

impl Hash for NamedZone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl PartialOrd for NamedZone {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

// The order of windows is that of their horizons in stored states: it is by name, not by who came first.
impl Ord for NamedZone {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(other.name)
    }
}

/// From when on clocks lie on a grid, 1980-01-01, and up to when changes that were announced are looked at, 2100-01-01;
/// from then on they repeat.
const MODERN: (i64, i64) = (3_652 * DAY, 47_482 * DAY);
/// The grid of all clocks since 1980.
const FINEST_GRID: i64 = 15 * MINUTE;

impl Unit {
    /// The unit of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "hour" => Some(Self::Hour),
            "day" => Some(Self::Day),
            "week" => Some(Self::Week),
            "month" => Some(Self::Month),
            _ => None,
        }
    }

    /// More than any one of them lasts, whatever the clock does.
    pub(super) fn longest(self) -> i64 {
        match self {
            Self::Hour => 3 * HOUR,
            Self::Day => 2 * DAY,
            Self::Week => 9 * DAY,
            Self::Month => 33 * DAY,
        }
    }

    /// The greatest hop on which all of them begin in a zone since 1980.
    pub fn grid(self, zone: NamedZone) -> i64 {
        let widest = if self == Self::Hour { HOUR } else { DAY };
        let (from, to) = MODERN;
        let zone = zone.zone;
        let is_on = |hop: i64| {
            let changes = || zone.changes(from, to);
            zone.offset(from) % hop == 0
                && changes().all(|change| change % hop == 0 && zone.offset(change) % hop == 0)
        };
        let mut hops = HOP_LADDER.into_iter().rev();
        let found = hops.find(|hop| *hop <= widest && (*hop <= FINEST_GRID || is_on(*hop)));
        found.unwrap_or(FINEST_GRID)
    }
}

impl Calendar {
    /// The beginning of the one that is open at an instant, on the grid.
    pub(super) fn open(self, at: i64, hop: i64, origin: i64) -> i64 {
        let floor = |t: i64| floor_to_hop(t, hop, origin).unwrap_or(i64::MIN);
        // What begins within a cell of the grid begins with it.
        let end = floor(at).saturating_add(hop - 1);
        let begin = match self.unit {
            Unit::Hour => self.hour(end),
            Unit::Day | Unit::Week | Unit::Month => self.date(end),
        };
        begin.map_or(i64::MIN, floor)
    }

    /// The beginning of the one before.
    pub(super) fn before(self, open: i64, hop: i64, origin: i64) -> i64 {
        self.open(open.saturating_sub(1), hop, origin)
    }

    /// When the clock last showed a full hour.
    fn hour(self, mut at: i64) -> Option<i64> {
        let zone = self.zone.zone;
        loop {
            let shown = at.checked_sub(zone.clock(at).within_hour())?;
            if zone.offset(shown) == zone.offset(at) {
                return Some(shown);
            }
            // Its clock changed since, and showed none from then on.
            at = zone.changed(at)? - 1;
        }
    }

    /// When the last one of those that are made of dates began.
    fn date(self, at: i64) -> Option<i64> {
        let zone = self.zone.zone;
        let mut first = self.first(zone.clock(at).days());
        let mut begin = zone.first_of(first)?;
        // A clock that goes back over midnight shows the day before once more.
        loop {
            let next = self.next(first);
            match zone.first_of(next) {
                Some(later) if later <= at => (first, begin) = (next, later),
                _ => return Some(begin),
            }
        }
    }

    /// The first day of the one that a day lies in.
    fn first(self, day: i64) -> i64 {
        match self.unit {
            Unit::Hour | Unit::Day => day,
            Unit::Week => day - (LocalTime::of_day(day).weekday() - 1),
            Unit::Month => day - (LocalTime::of_day(day).day() - 1),
        }
    }

    /// The first day of the next one.
    fn next(self, first: i64) -> i64 {
        match self.unit {
            Unit::Hour | Unit::Day => first + 1,
            Unit::Week => first + 7,
            Unit::Month => self.first(first + 31),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::limits;
    use crate::expr::zone::zones;

    const QUARTER: i64 = 15 * MINUTE;
    const UNITS: [Unit; 4] = [Unit::Hour, Unit::Day, Unit::Week, Unit::Month];

    fn calendar(unit: Unit, zone: &str) -> Calendar {
        Calendar {
            unit,
            zone: NamedZone::named(zone).unwrap(),
            previous: false,
        }
    }

    #[test]
    fn every_clock_since_1980_begins_on_its_grid_and_nothing_lasts_longer_than_said() {
        for name in zones() {
            let zone = NamedZone::named(&name).unwrap();
            for unit in UNITS {
                let own = calendar(unit, &name);
                let grid = unit.grid(zone);
                let (from, _) = MODERN;
                let changes = zone.zone.changes(from, from + 60 * 366 * DAY);
                for change in changes.chain([from + 400 * DAY]) {
                    let mut at = change + unit.longest();
                    while at > change - unit.longest() {
                        let open = own.open(at, 1, 0);
                        assert!(open <= at && at - open < unit.longest(), "{name} {unit:?} {at}");
                        assert_eq!(open % grid, 0, "{name} {unit:?} {at}");
                        at = open - 1;
                    }
                }
            }
        }
    }

    #[test]
    fn edges_never_go_back_while_time_goes_on() {
        // One minute after midnight clocks went back to 23:01; a day was left out; the clock moves by half an hour.
        for name in [
            "America/St_Johns",
            "Pacific/Apia",
            "Australia/Lord_Howe",
            "Africa/Monrovia",
        ] {
            let zone = NamedZone::named(name).unwrap();
            for change in zone.zone.changes(-10 * 366 * DAY, MODERN.1) {
                for unit in UNITS {
                    let own = calendar(unit, name);
                    let mut last = i64::MIN;
                    for step in -100..100 {
                        let open = own.open(change + step * 20 * MINUTE + 1, QUARTER, 0);
                        assert!(open >= last && open <= change + step * 20 * MINUTE + 1);
                        assert_eq!(open % QUARTER, 0);
                        last = open;
                    }
                }
            }
        }
    }

    #[test]
    fn zones_that_differ_from_utc_by_whole_hours_have_wider_tiles() {
        let grid = |unit: Unit, name| unit.grid(NamedZone::named(name).unwrap());
        assert_eq!(grid(Unit::Month, "UTC"), DAY);
        assert_eq!(grid(Unit::Hour, "UTC"), HOUR);
        assert_eq!(grid(Unit::Day, "Europe/Berlin"), HOUR);
        assert_eq!(grid(Unit::Day, "Asia/Kolkata"), QUARTER);
        assert_eq!(grid(Unit::Hour, "Australia/Lord_Howe"), QUARTER);
        assert_eq!(grid(Unit::Day, "America/St_Johns"), QUARTER);
    }

    #[test]
    fn extreme_instants_have_edges() {
        for unit in UNITS {
            for name in ["UTC", "America/St_Johns", "Pacific/Apia"] {
                for at in [limits::INSTANTS.0, limits::INSTANTS.1] {
                    let own = calendar(unit, name);
                    let open = own.open(at, QUARTER, 0);
                    assert!(
                        open <= at && own.before(open, QUARTER, 0) <= open,
                        "{unit:?} {name} {at} {open}"
                    );
                }
            }
        }
    }
}
