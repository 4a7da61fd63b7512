//! Rows by entity: events and asked rows in the same groups.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use super::Log;
use crate::latest::frame::Asked;

/// The events and asked rows of each asked entity, each in the order they came in.
pub(super) struct Groups {
    asked: Grouped,
    events: Grouped,
}

impl Groups {
    /// `counts` tells of an event whether it is one.
    pub(super) fn new<P, L: Log + ?Sized>(
        asked: &[Asked<'_, P>],
        log: &L,
        counts: impl Fn(usize) -> bool,
    ) -> Self {
        let mut numbers: HashMap<&str, u32, Mixing> = HashMap::with_hasher(Mixing::new());
        // Asked rows without an entity are a group without events.
        let mut groups = 1;
        let mut group_of = Vec::with_capacity(asked.len());
        for ask in asked {
            let group = ask.entity_id.map_or(0, |id| {
                *numbers.entry(id).or_insert_with(|| {
                    groups += 1;
                    groups - 1
                })
            });
            group_of.push(group);
        }
        let event = |row: usize| {
            let group = log.entity_id(row).and_then(|id| numbers.get(id));
            group.filter(|_| counts(row)).copied().unwrap_or(NONE)
        };
        Self {
            asked: Grouped::new(&group_of, groups),
            events: Grouped::new(&(0..log.len()).map(event).collect::<Vec<u32>>(), groups),
        }
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.asked.starts.len() - 1
    }

    /// The asked rows of a group.
    pub(super) fn asked(&self, group: usize) -> &[u32] {
        &self.asked.places[self.asked.starts[group] as usize..self.asked.starts[group + 1] as usize]
    }

    /// The events of a group.
    pub(super) fn rows(&mut self, group: usize) -> &mut [u32] {
        &mut self.events.places[self.events.starts[group] as usize..self.events.starts[group + 1] as usize]
    }
}

/// The number of what is in no group.
const NONE: u32 = u32::MAX;

struct Grouped {
    places: Vec<u32>,
    /// Where each group begins, and the end.
    starts: Vec<u32>,
}

impl Grouped {
    /// By counting; there are fewer than 2^32.
    fn new(group_of: &[u32], groups: u32) -> Self {
        let mut starts = vec![0_u32; groups as usize + 1];
        for group in group_of {
            if *group != NONE {
                starts[*group as usize + 1] += 1;
            }
        }
        for group in 1..starts.len() {
            starts[group] += starts[group - 1];
        }
        let mut next = starts.clone();
        let mut places = vec![0_u32; starts[groups as usize] as usize];
        for (place, group) in (0_u32..).zip(group_of) {
            if *group != NONE {
                let at = &mut next[*group as usize];
                places[*at as usize] = place;
                *at += 1;
            }
        }
        Self { places, starts }
    }
}

/// A quick hash of keys that come by the million. Seeded, so that no log can be made to collide.
#[derive(Clone)]
pub(super) struct Mixing(u64);

impl Mixing {
    pub(super) fn new() -> Self {
        Self(RandomState::new().hash_one(0))
    }
}

impl BuildHasher for Mixing {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer(self.0)
    }
}

/// Folds the 128-bit product of what was seen and what comes.
pub(super) struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, word: u64) {
        let wide = u128::from(self.0 ^ word) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
        #[allow(clippy::cast_possible_truncation)] // both halves, one over the other
        {
            self.0 = (wide as u64) ^ (wide >> 64) as u64;
        }
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            let mut eight = [0; 8];
            eight.copy_from_slice(word);
            self.mix(u64::from_le_bytes(eight));
        }
        let rest = words.remainder();
        let mut last = 0;
        for byte in rest {
            last = last << 8 | u64::from(*byte);
        }
        self.mix(last ^ (bytes.len() as u64) << 56);
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(u64::from(byte));
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
