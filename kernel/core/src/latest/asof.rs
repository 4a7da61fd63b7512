//! An index that finds the newest known row of a key at an instant.
//!
//! Entries are sorted by group, then from the oldest row to the newest; a group holds the rows of one key in one
//! partition. Knowledge is a bound: an entry is known when its place in the log, or its run, is at most the bound.
//! A tree of least values over the entries finds the last known one in logarithmic time, however little is known.

use std::cmp::Ordering;
use std::collections::HashMap;

/// A row as the index needs it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Rows of one key in one partition; see [`Groups`].
    pub(super) group: u32,
    /// When the row happened.
    pub(super) t: i64,
    /// What decides between rows of one time, first of all.
    pub(super) tie: i64,
    /// The place in the log, or the run: decides next, and is what knowledge bounds.
    pub(super) known_from: u64,
    /// Where the row stands in the caller's list.
    pub(super) row: usize,
}

/// Sorted entries.
pub(super) struct Index {
    entries: Vec<Entry>,
    /// A binary tree as a list: the least `known_from` below each node; leaves from `leaves` on.
    least: Vec<u64>,
    leaves: usize,
}

impl Index {
    /// An index of these entries. `last_tie` decides between rows (by their places in the caller's list) that are
    /// equal otherwise.
    pub(super) fn new(mut entries: Vec<Entry>, last_tie: impl Fn(usize, usize) -> Ordering) -> Self {
        let order = |entry: &Entry| (entry.group, entry.t, entry.tie, entry.known_from);
        entries.sort_unstable_by(|a, b| {
            order(a)
                .cmp(&order(b))
                .then_with(|| last_tie(a.row, b.row))
                .then(a.row.cmp(&b.row))
        });
        // More leaves than entries: the leaf at the end of any range is there.
        let leaves = (entries.len() + 1).next_power_of_two();
        let mut least = vec![u64::MAX; 2 * leaves];
        for (leaf, entry) in least[leaves..].iter_mut().zip(&entries) {
            *leaf = entry.known_from;
        }
        for node in (1..leaves).rev() {
            least[node] = least[2 * node].min(least[2 * node + 1]);
        }
        Self {
            entries,
            least,
            leaves,
        }
    }

    /// The newest entry of a group with `t <= until` and `known_from <= bound`.
    pub(super) fn newest(&self, group: u32, until: i64, bound: u64) -> Option<&Entry> {
        let end = self
            .entries
            .partition_point(|entry| (entry.group, entry.t) <= (group, until));
        let entry = &self.entries[self.last_known(end, bound)?];
        (entry.group == group).then_some(entry)
    }

    /// The last place before `end` whose `known_from` is at most `bound`.
    fn last_known(&self, end: usize, bound: u64) -> Option<usize> {
        // The node after the nodes that were looked at; begins with the leaf at `end`.
        let mut after = self.leaves + end;
        loop {
            // Up, while the node before is no sibling.
            while after > 1 && after % 2 == 0 {
                after /= 2;
            }
            if after <= 1 {
                return None;
            }
            let mut node = after - 1;
            if self.least[node] <= bound {
                while node < self.leaves {
                    node = 2 * node + 1;
                    if self.least[node] > bound {
                        node -= 1;
                    }
                }
                return Some(node - self.leaves);
            }
            after = node;
        }
    }
}

/// Numbers for keys and their partitions: only what was asked for gets one.
pub(super) struct Groups<'a> {
    keys: HashMap<&'a str, Vec<(u32, u32)>>,
    count: u32,
}

impl<'a> Groups<'a> {
    /// No group yet, for these keys.
    pub(super) fn new(keys: impl Iterator<Item = &'a str>) -> Self {
        Self {
            keys: keys.map(|key| (key, Vec::new())).collect(),
            count: 0,
        }
    }

    /// The group of a row; absent if its key was not asked for.
    pub(super) fn of_row(&mut self, key: &str, partition: u32) -> Option<u32> {
        let groups = self.keys.get_mut(key)?;
        if let Some((_, group)) = groups.iter().find(|(own, _)| *own == partition) {
            return Some(*group);
        }
        let group = self.count;
        self.count += 1;
        groups.push((partition, group));
        Some(group)
    }

    /// The groups of a key, with their partitions: one, unless the key changed its partition.
    pub(super) fn of_key(&self, key: &str) -> &[(u32, u32)] {
        self.keys.get(key).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow(entries: &[Entry], group: u32, until: i64, bound: u64) -> Option<usize> {
        entries
            .iter()
            .filter(|e| e.group == group && e.t <= until && e.known_from <= bound)
            .max_by_key(|e| (e.t, e.tie, e.known_from, e.row))
            .map(|e| e.row)
    }

    #[test]
    fn the_newest_known_entry_is_found() {
        let mut seed = 7_u64;
        let mut next = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        for size in [0, 1, 2, 3, 7, 8, 9, 64, 100] {
            let entries: Vec<Entry> = (0..size)
                .map(|row| Entry {
                    group: u32::try_from(next(4)).unwrap(),
                    t: i64::try_from(next(10)).unwrap(),
                    tie: i64::try_from(next(2)).unwrap(),
                    known_from: next(6),
                    row,
                })
                .collect();
            let index = Index::new(entries.clone(), |_, _| Ordering::Equal);
            for group in 0..5 {
                for until in -1..11 {
                    for bound in (0..7).chain([u64::MAX]) {
                        let found = index.newest(group, until, bound).map(|entry| entry.row);
                        assert_eq!(
                            found,
                            slow(&entries, group, until, bound),
                            "{size} {group} {until} {bound}"
                        );
                    }
                }
            }
        }
    }
}
