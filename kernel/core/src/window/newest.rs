//! Distinct values as the newest time of each: a window that ends after the fold horizon holds a value iff its
//! newest event lies at or after the lower edge.
//!
//! Only the newest `kept` values stay. Dropping is exact: any window that could hold a dropped value also holds
//! `kept` newer ones, which is over the bound, and stays so because newest times only grow. So the list is one
//! function of the events, whatever their order.
//!
//! Beyond the bound an estimate may stand instead: then ranks are kept beside the list, but only while it is full. One
//! that is not has every value that any window could hold, and the ranks follow from it.

use super::bounds::entered;
use super::cell::Identity;
use super::layout::Distinct;
use super::ranks::{Ranks, Registers};
use crate::bytes::{BytesError, Reader, Writer};

/// Values with their newest times, newest first, then greatest identity first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Newest {
    entries: Vec<(i64, Identity)>,
    /// While as many values are kept as ever are, and more are to be estimated.
    ranks: Option<Ranks>,
}

impl Newest {
    /// Adds an event's value.
    pub(super) fn insert(&mut self, t: i64, identity: Identity, of: &Distinct) {
        self.insert_newest(t, identity, of.kept);
        match (&mut self.ranks, of.beyond) {
            (Some(ranks), Some(beyond)) => ranks.insert(beyond, t, &identity),
            (None, Some(beyond)) if self.entries.len() == of.kept => {
                let mut ranks = Ranks::new(beyond);
                for (t, identity) in &self.entries {
                    ranks.insert(beyond, *t, identity);
                }
                self.ranks = Some(ranks);
            }
            _ => {}
        }
    }

    fn insert_newest(&mut self, t: i64, identity: Identity, kept: usize) {
        if let Some(place) = self.entries.iter().position(|(_, own)| *own == identity) {
            if self.entries[place].0 >= t {
                return;
            }
            self.entries.remove(place);
        }
        let at = self.entries.partition_point(|entry| *entry > (t, identity));
        if at < kept {
            self.entries.insert(at, (t, identity));
            self.entries.truncate(kept);
        }
    }

    /// Drops the values whose newest time is before `lowest`.
    pub(super) fn drop_before(&mut self, lowest: i64, of: &Distinct) {
        self.entries
            .truncate(self.entries.partition_point(|(t, _)| *t >= lowest));
        if self.entries.len() < of.kept {
            self.ranks = None;
        }
        if let Some(ranks) = &mut self.ranks {
            ranks.drop_before(lowest);
        }
    }

    /// Raises the registers of a window that begins at an edge.
    pub(super) fn fill(&self, edge: i64, registers: &mut Registers) {
        if let Some(ranks) = &self.ranks {
            return ranks.fill(edge, registers);
        }
        let inside = self.entries.iter().take_while(|(t, _)| entered(edge, *t));
        inside.for_each(|(_, identity)| registers.see(identity));
    }

    /// About how many bytes it takes.
    pub(super) fn memory(&self) -> usize {
        self.entries.len() * 32 + self.ranks.as_ref().map_or(0, Ranks::memory)
    }

    /// Newest first.
    pub(super) fn entries(&self) -> &[(i64, Identity)] {
        &self.entries
    }

    /// All times are before `horizon`.
    pub(super) fn write(&self, writer: &mut Writer, horizon: i64, of: &Distinct) {
        writer.count(self.entries.len());
        let mut later = horizon;
        for (t, identity) in &self.entries {
            writer.gap(later, *t);
            identity.write(writer);
            later = *t;
        }
        if let (Some(ranks), Some(beyond)) = (&self.ranks, of.beyond) {
            ranks.write(writer, beyond, horizon);
        }
    }

    pub(super) fn read(
        reader: &mut Reader<'_>,
        horizon: i64,
        lowest: i64,
        of: &Distinct,
    ) -> Result<Self, BytesError> {
        let count = reader.count()?;
        if count > of.kept {
            return Err(BytesError::NotCanonical);
        }
        let mut entries: Vec<(i64, Identity)> = Vec::with_capacity(count);
        let mut later = horizon;
        for _ in 0..count {
            let t = reader.before(later)?;
            let identity = Identity::read(reader)?;
            if t >= horizon || t < lowest || entries.last().is_some_and(|last| *last <= (t, identity)) {
                return Err(BytesError::NotCanonical);
            }
            entries.push((t, identity));
            later = t;
        }
        let ranks = match of.beyond {
            Some(beyond) if count == of.kept => Some(Ranks::read(reader, beyond, horizon, lowest)?),
            _ => None,
        };
        Ok(Self { entries, ranks })
    }
}

#[cfg(test)]
mod tests {
    use super::super::cell::Cell;
    use super::*;

    const FOUR: Distinct = Distinct {
        column: 0,
        kept: 4,
        beyond: None,
        windows: Vec::new(),
    };

    fn identity(n: i64) -> Identity {
        Cell::Int(n).identity().unwrap()
    }

    #[test]
    fn any_order_gives_the_same_newest_values() {
        let events: Vec<(i64, i64)> = (0..60).map(|n| ((n * 37) % 23, (n * 17) % 11)).collect();
        let mut first: Option<Newest> = None;
        for turn in 0..events.len() {
            let mut newest = Newest::default();
            for place in 0..events.len() {
                let (t, n) = events[(place * 7 + turn) % events.len()];
                newest.insert(t, identity(n), &FOUR);
            }
            assert_eq!(newest.entries().len(), 4);
            assert_eq!(&newest, first.get_or_insert(newest.clone()));
        }
    }
}
