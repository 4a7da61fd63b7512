//! The tiles of a state.
//!
//! A tile that was read from a store stays as its bytes, which were checked, until something is folded into it or its
//! place changes: a state of hundreds of tiles is read, advanced and written at the cost of the few that change.

use std::ops::Range;

use super::layout::Layout;
use super::signed;
use super::slot::Accumulator;
use super::sweep::Sweep;
use super::tails::Tails;
use crate::bytes::{BytesError, Reader, Writer};

/// Tiles by start.
#[derive(Debug, Clone, Default)]
pub(super) struct Tiles {
    /// Of the stored ones.
    bytes: Vec<u8>,
    tiles: Vec<(i64, Tile)>,
}

#[derive(Debug, Clone)]
enum Tile {
    /// Where its bytes stand; they hold the slots that the horizons ask for there.
    Stored { from: u32, to: u32 },
    /// One accumulator per slot; empty where the horizons ask for none.
    Open(Box<[Accumulator]>),
}

/// What of a tile a state needs.
pub(super) struct TileRef<'t> {
    bytes: &'t [u8],
    tile: &'t Tile,
    start: i64,
}

impl Tiles {
    /// Room for tiles of so many bytes.
    pub(super) fn expect(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// About how many bytes writing them takes.
    pub(super) fn room(&self, layout: &Layout) -> usize {
        let open = self
            .tiles
            .iter()
            .filter(|(_, tile)| matches!(tile, Tile::Open(_)));
        self.bytes.len() + open.count() * (8 + 12 * layout.slots.len())
    }

    /// Keeps a tile that begins before all others as its bytes, once they are checked.
    pub(super) fn push_older(
        &mut self,
        layout: &Layout,
        tails: &Tails,
        start: i64,
        reader: &mut Reader<'_>,
    ) -> Result<(), BytesError> {
        let all = reader.clone();
        if layout.is_signed() {
            pass_signed(layout, tails, start, reader)?;
        }
        let passed = if layout.is_signed() {
            &[][..]
        } else {
            &layout.slots
        };
        for (place, slot) in passed.iter().enumerate() {
            if tails.holds(place, start) {
                if let Some(t) = slot.kind.pass(reader, &layout.columns, start)? {
                    if tails.tile_start(layout, t) != start {
                        return Err(BytesError::NotCanonical);
                    }
                }
            }
        }
        let own = all.upto(reader);
        // Events are counted again and again.
        let tile = if layout.counting.is_some() {
            Tile::Open(read_parts(layout, tails, start, own))
        } else {
            let from = self.bytes.len();
            self.bytes.extend_from_slice(own);
            let place = |at: usize| u32::try_from(at).map_err(|_| BytesError::NotCanonical);
            Tile::Stored {
                from: place(from)?,
                to: place(self.bytes.len())?,
            }
        };
        self.tiles.push((start, tile));
        Ok(())
    }

    /// Ends a row of [`Self::push_older`].
    pub(super) fn settle(&mut self) {
        self.tiles.reverse();
    }

    /// Those that begin within a range.
    pub(super) fn range(&self, within: Range<i64>) -> impl DoubleEndedIterator<Item = (i64, TileRef<'_>)> {
        let from = self.tiles.partition_point(|(start, _)| *start < within.start);
        let to = self.tiles.partition_point(|(start, _)| *start < within.end);
        self.tiles[from..to.max(from)].iter().map(|(start, tile)| {
            let (bytes, start) = (&self.bytes[..], *start);
            (start, TileRef { bytes, tile, start })
        })
    }

    /// The accumulators of the tile that begins here, which is made if there is none.
    pub(super) fn open(&mut self, layout: &Layout, tails: &Tails, start: i64) -> &mut [Accumulator] {
        let is_new = self.tiles.last().is_none_or(|(last, _)| *last < start);
        let place = if is_new {
            self.tiles.len()
        } else {
            self.tiles.partition_point(|(own, _)| *own < start)
        };
        if self.tiles.get(place).is_none_or(|(own, _)| *own != start) {
            self.tiles.insert(place, (start, Tile::Open(empty(layout))));
        }
        let bytes = &self.bytes;
        let tile = &mut self.tiles[place].1;
        if let Tile::Stored { .. } = tile {
            let own = TileRef { bytes, tile, start }.parts(layout, tails);
            *tile = Tile::Open(own);
        }
        match tile {
            Tile::Open(parts) => parts,
            Tile::Stored { .. } => &mut [],
        }
    }

    /// Drops the tile that begins here.
    pub(super) fn remove(&mut self, start: i64) {
        if let Ok(place) = self.tiles.binary_search_by_key(&start, |(own, _)| *own) {
            self.tiles.remove(place);
        }
    }

    /// Gives every tile the width that the horizons ask for, and drops what is below all of them.
    pub(super) fn coarsen(&mut self, layout: &Layout, before: &Tails, after: &Tails) {
        let tiles = std::mem::take(&mut self.tiles);
        self.tiles.reserve(tiles.len());
        for (start, tile) in tiles {
            if start < after.lowest() {
                continue;
            }
            let to = after.tile_start(layout, start);
            let alone = self.tiles.last().is_none_or(|(last, _)| *last < to);
            if alone && to == start && after.holds_as(before, start) {
                self.tiles.push((start, tile));
                continue;
            }
            let parts = match tile {
                Tile::Open(parts) => parts,
                tile @ Tile::Stored { .. } => {
                    let (bytes, tile) = (&self.bytes[..], &tile);
                    TileRef { bytes, tile, start }.parts(layout, before)
                }
            };
            let into = self.open(layout, after, to);
            for (place, slot) in layout.slots.iter().enumerate() {
                if after.holds(place, to) {
                    slot.kind.merge(&mut into[place], &parts[place]);
                }
            }
        }
        if layout.is_signed() {
            self.tiles.retain(|(_, tile)| match tile {
                Tile::Open(parts) => !parts.iter().all(signed::is_zero),
                Tile::Stored { .. } => true,
            });
        }
    }

    /// About how much memory they take, in bytes.
    pub(super) fn memory(&self) -> usize {
        let open = self.tiles.iter().filter_map(|(_, tile)| match tile {
            Tile::Open(parts) => Some(parts),
            Tile::Stored { .. } => None,
        });
        let heap = |part: &Accumulator| part.heap().unwrap_or(0);
        let open: usize = open
            .map(|parts| size_of_val(&**parts) + parts.iter().map(heap).sum::<usize>())
            .sum();
        self.bytes.capacity() + self.tiles.capacity() * size_of::<(i64, Tile)>() + open
    }

    /// Opens all.
    #[cfg(test)]
    pub(super) fn open_all(&mut self, layout: &Layout, tails: &Tails) {
        let starts: Vec<i64> = self.tiles.iter().map(|(start, _)| *start).collect();
        for start in starts {
            self.open(layout, tails, start);
        }
    }
}

impl TileRef<'_> {
    fn stored(&self) -> Option<&[u8]> {
        match self.tile {
            Tile::Stored { from, to } => self.bytes.get(*from as usize..*to as usize),
            Tile::Open(_) => None,
        }
    }

    fn parts(&self, layout: &Layout, tails: &Tails) -> Box<[Accumulator]> {
        match (self.tile, self.stored()) {
            (Tile::Open(parts), _) => parts.clone(),
            (_, stored) => read_parts(layout, tails, self.start, stored.unwrap_or_default()),
        }
    }

    /// How many events a slot counts.
    pub(super) fn count(&self, layout: &Layout, tails: &Tails, slot: usize) -> i64 {
        match self.tile {
            Tile::Open(parts) => parts[slot].count(),
            Tile::Stored { .. } => self.parts(layout, tails)[slot].count(),
        }
    }

    /// Writes what stands behind its start.
    pub(super) fn write(&self, layout: &Layout, tails: &Tails, writer: &mut Writer) {
        if let Some(bytes) = self.stored() {
            writer.raw(bytes);
        }
        if let Tile::Open(parts) = self.tile {
            for (place, slot) in layout.slots.iter().enumerate() {
                if tails.holds(place, self.start) {
                    layout.write_slot(slot, &parts[place], self.start, writer);
                }
            }
        }
    }

    /// Merges it into a sweep.
    pub(super) fn merge(&self, layout: &Layout, tails: &Tails, sweep: &mut Sweep<'_>) {
        if let Tile::Open(parts) = self.tile {
            sweep.merge(parts, self.start);
        } else {
            sweep.merge(&self.parts(layout, tails), self.start);
        }
    }
}

/// Checks a tile of a view with retractions: one that adds up to nothing is not there.
fn pass_signed(
    layout: &Layout,
    tails: &Tails,
    start: i64,
    reader: &mut Reader<'_>,
) -> Result<(), BytesError> {
    let mut is_zero = true;
    for (place, slot) in layout.slots.iter().enumerate() {
        if tails.holds(place, start) {
            is_zero &= signed::is_zero(&layout.read_slot(slot, reader, start)?);
        }
    }
    if is_zero {
        Err(BytesError::NotCanonical)
    } else {
        Ok(())
    }
}

fn empty(layout: &Layout) -> Box<[Accumulator]> {
    layout.slots.iter().map(|slot| slot.kind.empty()).collect()
}

/// The accumulators of a tile whose bytes were checked when they came.
fn read_parts(layout: &Layout, tails: &Tails, start: i64, bytes: &[u8]) -> Box<[Accumulator]> {
    let mut reader = Reader::new(bytes);
    let slots = layout.slots.iter().enumerate();
    slots
        .map(|(place, slot)| {
            let read = tails
                .holds(place, start)
                .then(|| layout.read_slot(slot, &mut reader, start));
            read.and_then(Result::ok).unwrap_or_else(|| slot.kind.empty())
        })
        .collect()
}
