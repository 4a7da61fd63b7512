//! What answers any range of the events of one entity, one slot each. Lanes are filled entity by entity and keep
//! their memory.

use super::taken::Taken;

/// How many of the events before each one are of a kind.
#[derive(Default)]
pub(super) struct Counts {
    /// Empty if all or none are.
    before: Vec<u32>,
    all: bool,
}

impl Counts {
    pub(super) fn fill(&mut self, events: impl ExactSizeIterator<Item = bool> + Clone) {
        self.before.clear();
        let length = events.len();
        let count = events.clone().filter(|is| *is).count();
        self.all = count == length;
        if self.all || count == 0 {
            return;
        }
        let mut count = 0;
        self.before.push(0);
        self.before.extend(events.map(|is| {
            count += u32::from(is);
            count
        }));
    }

    pub(super) fn between(&self, from: usize, to: usize) -> u64 {
        if self.all {
            (to - from) as u64
        } else if self.before.is_empty() {
            0
        } else {
            u64::from(self.before[to] - self.before[from])
        }
    }
}

const FAN: usize = 16;

/// The least key of any range: a tree of which each node has [`FAN`] children.
pub(super) struct Extreme {
    /// Whether the greatest is wanted; keys then stand negated.
    greatest: bool,
    counted: Counts,
    levels: Vec<Vec<i64>>,
}

impl Extreme {
    pub(super) fn new(greatest: bool) -> Self {
        Self {
            greatest,
            counted: Counts::default(),
            levels: Vec::new(),
        }
    }

    pub(super) fn fill(&mut self, cells: &[Taken<'_>]) {
        self.counted.fill(cells.iter().map(|cell| cell.key().is_some()));
        let turn = if self.greatest { -1 } else { 0 };
        if self.levels.is_empty() {
            self.levels.push(Vec::new());
        }
        self.levels[0].clear();
        self.levels[0].extend(
            cells
                .iter()
                .map(|cell| cell.key().map_or(i64::MAX, |key| key ^ turn)),
        );
        let mut level = 0;
        while self.levels[level].len() > FAN {
            if self.levels.len() == level + 1 {
                self.levels.push(Vec::new());
            }
            let (below, above) = self.levels.split_at_mut(level + 1);
            above[0].clear();
            above[0].extend(below[level].chunks(FAN).map(least));
            level += 1;
        }
    }

    pub(super) fn between(&self, mut from: usize, mut to: usize) -> Option<i64> {
        if self.counted.between(from, to) == 0 {
            return None;
        }
        let mut found = i64::MAX;
        for level in &self.levels {
            if to - from <= 2 * FAN {
                found = found.min(least(&level[from..to]));
                break;
            }
            let (first, last) = (from.next_multiple_of(FAN), to / FAN * FAN);
            found = found.min(least(&level[from..first])).min(least(&level[last..to]));
            (from, to) = (first / FAN, last / FAN);
        }
        Some(if self.greatest { !found } else { found })
    }
}

fn least(keys: &[i64]) -> i64 {
    keys.iter().copied().fold(i64::MAX, i64::min)
}

const NEVER: u32 = u32::MAX;

/// The nearest event of a kind before, or at and after, each one.
#[derive(Default)]
pub(super) struct Nearest {
    places: Vec<u32>,
}

impl Nearest {
    /// Per count of events, the last one of them.
    pub(super) fn fill_before(&mut self, events: impl ExactSizeIterator<Item = bool>) {
        self.places.clear();
        let mut last = NEVER;
        self.places.push(last);
        self.places.extend((0_u32..).zip(events).map(|(place, is)| {
            if is {
                last = place;
            }
            last
        }));
    }

    /// Per event, the first one from there on.
    pub(super) fn fill_after(&mut self, events: impl DoubleEndedIterator<Item = bool> + ExactSizeIterator) {
        self.places.clear();
        let count = events.len();
        self.places.resize(count + 1, NEVER);
        let mut next = NEVER;
        for (place, is) in events.enumerate().rev() {
            if is {
                next = u32::try_from(place).unwrap_or(NEVER);
            }
            self.places[place] = next;
        }
    }

    /// The last in a range.
    pub(super) fn last(&self, from: usize, to: usize) -> Option<usize> {
        let place = self.places[to];
        (place != NEVER && place as usize >= from).then_some(place as usize)
    }

    /// The first in a range.
    pub(super) fn first(&self, from: usize, to: usize) -> Option<usize> {
        let place = self.places[from];
        (place != NEVER && (place as usize) < to).then_some(place as usize)
    }
}
