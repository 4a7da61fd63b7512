//! What a distinct count keeps beyond its bound: per register the ranks of hashes with their newest times.
//!
//! A window that ends after the fold horizon has, in each register, the greatest rank that lies at or after its lower
//! edge. So only those are kept that no newer one reaches: a stair of falling times and rising ranks, exact for every
//! window. Lower edges lie on hops, and so do the times.

use super::bounds::entered;
use super::cell::Identity;
use crate::bytes::{BytesError, Reader, Writer};
use crate::numbers::{HIGHEST_RANK, estimate, register_of};
use crate::time::floor_to_hop;

/// How values are told beyond the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beyond {
    /// Registers, as a power of two.
    pub bits: u32,
    /// The finest hop of the windows that ask.
    pub hop: i64,
    /// From where hops are laid out.
    pub origin: i64,
}

impl Beyond {
    fn floor(self, t: i64) -> i64 {
        floor_to_hop(t, self.hop, self.origin).unwrap_or(t)
    }

    /// The register and rank of a value.
    pub(super) fn place(self, identity: &Identity) -> (usize, u8) {
        register_of(identity.hash(), self.bits)
    }

    /// The most bytes that writing takes, where times lie within so many microseconds.
    pub(super) fn longest(self, reach: i64) -> usize {
        let hops = usize::try_from(reach / self.hop).unwrap_or(usize::MAX) + 2;
        let stair = hops.min(usize::from(HIGHEST_RANK));
        let gaps: usize = (0..9).map(|bytes| stair.min(hops >> (7 * bytes))).sum();
        (1 << self.bits) * (1 + gaps + stair)
    }
}

/// The registers of one window, as they are filled.
pub(super) struct Registers {
    beyond: Beyond,
    greatest: Vec<u8>,
}

impl Registers {
    pub(super) fn new(beyond: Beyond) -> Self {
        Self {
            beyond,
            greatest: vec![0; 1 << beyond.bits],
        }
    }

    pub(super) fn see(&mut self, identity: &Identity) {
        self.raise(self.beyond.place(identity));
    }

    pub(super) fn raise(&mut self, (register, rank): (usize, u8)) {
        let own = &mut self.greatest[register];
        *own = rank.max(*own);
    }

    pub(super) fn estimate(&self) -> u64 {
        estimate(&self.greatest)
    }
}

/// Per register its stair: floored times, newest first, with rising ranks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ranks {
    stairs: Box<[Vec<(i64, u8)>]>,
}

impl Ranks {
    pub(super) fn new(beyond: Beyond) -> Self {
        Self {
            stairs: vec![Vec::new(); 1 << beyond.bits].into(),
        }
    }

    pub(super) fn insert(&mut self, beyond: Beyond, t: i64, identity: &Identity) {
        let (register, rank) = beyond.place(identity);
        let t = beyond.floor(t);
        let stair = &mut self.stairs[register];
        let newer = stair.partition_point(|step| step.0 >= t);
        if newer > 0 && stair[newer - 1].1 >= rank {
            return;
        }
        // The step of the same time is lower, and so are some of the older ones.
        let from = stair.partition_point(|step| step.0 > t);
        let to = stair.partition_point(|step| step.0 > t || step.1 <= rank);
        stair.splice(from..to, [(t, rank)]);
    }

    pub(super) fn drop_before(&mut self, lowest: i64) {
        for stair in &mut self.stairs {
            stair.truncate(stair.partition_point(|(t, _)| *t >= lowest));
        }
    }

    /// Raises the registers of a window to what lies at or after its lower edge.
    pub(super) fn fill(&self, edge: i64, registers: &mut Registers) {
        for (register, stair) in self.stairs.iter().enumerate() {
            let inside = stair.partition_point(|(t, _)| entered(edge, *t));
            if let Some((_, rank)) = stair[..inside].last() {
                registers.raise((register, *rank));
            }
        }
    }

    /// Bytes on the heap.
    pub(super) fn memory(&self) -> usize {
        let steps: usize = self.stairs.iter().map(Vec::capacity).sum();
        self.stairs.len() * size_of::<Vec<(i64, u8)>>() + steps * size_of::<(i64, u8)>()
    }

    pub(super) fn write(&self, writer: &mut Writer, beyond: Beyond, horizon: i64) {
        for stair in &self.stairs {
            writer.count(stair.len());
            let mut later = beyond.floor(horizon);
            for (t, rank) in stair {
                writer.varint(later.abs_diff(*t) / beyond.hop.unsigned_abs());
                writer.byte(*rank);
                later = *t;
            }
        }
    }

    pub(super) fn read(
        reader: &mut Reader<'_>,
        beyond: Beyond,
        horizon: i64,
        lowest: i64,
    ) -> Result<Self, BytesError> {
        let mut ranks = Self::new(beyond);
        for stair in &mut ranks.stairs {
            let length = reader.varint_up_to(u64::from(HIGHEST_RANK))?;
            let mut before = (beyond.floor(horizon), 0);
            for place in 0..length {
                let hops = reader.varint()?.checked_mul(beyond.hop.unsigned_abs());
                let t = hops.and_then(|back| before.0.checked_sub_unsigned(back));
                let t = t.ok_or(BytesError::NotCanonical)?;
                let rank = reader.byte()?;
                let falls = place == 0 || t < before.0;
                if !falls || t < lowest || t >= horizon || rank <= before.1 || rank > HIGHEST_RANK {
                    return Err(BytesError::NotCanonical);
                }
                stair.push((t, rank));
                before = (t, rank);
            }
        }
        Ok(ranks)
    }
}

#[cfg(test)]
mod tests {
    use super::super::cell::Cell;
    use super::*;

    const BEYOND: Beyond = Beyond {
        bits: 4,
        hop: 10,
        origin: 0,
    };

    #[test]
    fn any_order_gives_the_same_stairs_and_every_window_its_registers() {
        let events: Vec<(i64, Identity)> = (0..300_i64)
            .map(|n| ((n * 37) % 211, Cell::Int((n * 17) % 97).identity().unwrap()))
            .collect();
        let of = |turn: usize| {
            let mut ranks = Ranks::new(BEYOND);
            for place in 0..events.len() {
                let (t, identity) = &events[(place * 7 + turn) % events.len()];
                ranks.insert(BEYOND, *t, identity);
            }
            ranks
        };
        let ranks = of(0);
        for turn in 1..40 {
            assert_eq!(of(turn), ranks);
        }
        for edge in (0..=220).step_by(10) {
            let (mut wanted, mut got) = (Registers::new(BEYOND), Registers::new(BEYOND));
            ranks.fill(edge, &mut got);
            for (t, identity) in &events {
                if *t >= edge {
                    wanted.see(identity);
                }
            }
            assert_eq!(got.greatest, wanted.greatest);
        }
        let mut writer = Writer::default();
        ranks.write(&mut writer, BEYOND, 215);
        assert!(writer.bytes.len() <= BEYOND.longest(215));
        let mut reader = Reader::new(&writer.bytes);
        assert_eq!(Ranks::read(&mut reader, BEYOND, 215, 0), Ok(ranks));
        assert_eq!(reader.end(), Ok(()));
    }
}
