//! States as canonical bytes: the same events and horizons give the same bytes.
//!
//! Head: prefix and fold horizon (`crate::state`), tail horizons, newest times and cells, distinct values, head
//! list, the mark of the body, open tiles. Body: a version, closed tiles. Tiles stand newest first, so that a
//! read can stop at its oldest edge. A state that was never raised has everything in the head list.

use super::cell::Cell;
use super::layout::{Layout, Slot};
use super::newest::Newest;
use super::recent::Recent;
use super::signed;
use super::slot::Accumulator;
use super::state::{Event, EventPosition, Last, WindowState};
use super::tails::Tails;
use super::tiles::Tiles;
use crate::bytes::{BytesError, Reader, Writer};
use crate::definition::WindowView;
use crate::state::{Prefix, StateError, read_start, write_start};
use crate::time::floor_to_hop;

/// The first byte of a body.
fn body_form(layout: &Layout) -> u8 {
    if layout.is_signed() { 2 } else { 1 }
}

/// The mark of a body in its head: eight bytes of its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyMark([u8; 8]);

impl BodyMark {
    /// The mark of a body; absent for the one without tiles, which need not be stored.
    pub fn of(body: &[u8]) -> Option<Self> {
        if body.len() <= 2 {
            return None;
        }
        let mut mark = [0; 8];
        mark.copy_from_slice(&blake3::hash(body).as_bytes()[..8]);
        Some(Self(mark))
    }
}

/// A written state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The head with its prefix.
    pub head: Vec<u8>,
    /// The body; the same bytes as long as its mark stays.
    pub body: Vec<u8>,
}

impl Layout {
    pub(super) fn write_slot(&self, slot: &Slot, part: &Accumulator, start: i64, writer: &mut Writer) {
        if self.is_signed() {
            signed::write(&slot.kind, part, writer);
        } else {
            slot.kind.write(part, start, writer);
        }
    }

    pub(super) fn read_slot(
        &self,
        slot: &Slot,
        reader: &mut Reader<'_>,
        start: i64,
    ) -> Result<Accumulator, BytesError> {
        if self.is_signed() {
            signed::read(&slot.kind, reader)
        } else {
            slot.kind.read(reader, &self.columns, start)
        }
    }
}

impl WindowState {
    /// The closed tiles.
    pub fn write_body(&self, layout: &Layout) -> Vec<u8> {
        let mut writer = Writer::with_room(self.tiles.room(layout));
        writer.byte(body_form(layout));
        self.write_tiles(layout, &mut writer, i64::MIN, self.closed(layout), None);
        writer.bytes
    }

    /// The closed tiles, if they may differ from those given the last time.
    pub fn take_body(&mut self, layout: &Layout) -> Option<Vec<u8>> {
        std::mem::take(&mut self.body_touched).then(|| self.write_body(layout))
    }

    /// Everything but the closed tiles, which are told by their mark.
    pub fn write_head(&self, layout: &Layout, prefix: &Prefix, body: Option<BodyMark>) -> Vec<u8> {
        let mut writer = write_start(prefix, self.horizon());
        if self.horizon().is_some() {
            self.write_folded(layout, &mut writer);
        }
        self.write_events(layout, &mut writer);
        match body {
            None => writer.byte(0),
            Some(BodyMark(mark)) => {
                writer.byte(1);
                writer.raw(&mark);
            }
        }
        if self.horizon().is_some() {
            let from = self.closed(layout);
            self.write_tiles(layout, &mut writer, from, i64::MAX, Some(self.horizon));
        }
        writer.bytes
    }

    /// Both parts.
    pub fn encode(&self, layout: &Layout, prefix: &Prefix) -> Encoded {
        let body = self.write_body(layout);
        Encoded {
            head: self.write_head(layout, prefix, BodyMark::of(&body)),
            body,
        }
    }

    fn write_folded(&self, layout: &Layout, writer: &mut Writer) {
        for (window, low) in layout.windows.iter().zip(self.tails.lows()) {
            if *low == i64::MIN {
                writer.byte(0);
            } else {
                let most = window.settled(self.horizon, layout.origin);
                writer.varint(most.abs_diff(*low) / window.hop.unsigned_abs() + 1);
            }
        }
        let bounded = layout.windows.iter().zip(self.tails.cuts());
        for (_, cut) in bounded.filter(|(window, _)| window.bound().is_some()) {
            if *cut == i64::MIN {
                writer.byte(0);
            } else {
                writer.gap(self.horizon, *cut);
            }
        }
        match self.newest {
            _ if layout.is_signed() => {}
            None => writer.byte(0),
            Some(t) => {
                writer.byte(1);
                writer.gap(self.horizon, t);
            }
        }
        for last in &self.lasts {
            match last {
                None => writer.byte(0),
                Some(last) => {
                    writer.byte(1);
                    writer.gap(self.horizon, last.t);
                    writer.varint(last.position.epoch);
                    writer.varint(last.position.offset);
                    last.cell.write(writer);
                }
            }
        }
        for (newest, distinct) in self.distincts.iter().zip(&layout.distincts) {
            newest.write(writer, self.horizon, distinct);
        }
        for recent in &self.recents {
            recent.write(writer, self.horizon);
        }
    }

    fn write_events(&self, layout: &Layout, writer: &mut Writer) {
        writer.count(self.head.len());
        let mut before = (self.horizon().unwrap_or(0), 0_i64);
        for event in &self.head {
            #[allow(clippy::cast_possible_wrap)] // offsets of brokers are signed
            let offset = event.position.offset as i64;
            writer.zigzag(event.t.wrapping_sub(before.0));
            if layout.is_signed() {
                writer.zigzag(event.weight);
            } else {
                writer.varint(event.position.epoch);
                writer.zigzag(offset.wrapping_sub(before.1));
            }
            for cell in &event.cells {
                cell.write(writer);
            }
            before = (event.t, offset);
        }
    }

    /// Tiles that begin in `[from, to)`, newest first; the first start is told relative to `anchor` or the origin.
    fn write_tiles(&self, layout: &Layout, writer: &mut Writer, from: i64, to: i64, anchor: Option<i64>) {
        if from >= to {
            writer.count(0);
            return;
        }
        let unit = layout.unit.unsigned_abs();
        writer.count(self.tiles.range(from..to).count());
        let mut later: Option<i64> = None;
        for (start, tile) in self.tiles.range(from..to).rev() {
            match (later, anchor) {
                // All starts are on the grid of the unit.
                (Some(later), _) => writer.varint(later.abs_diff(start) / unit),
                (None, Some(anchor)) => {
                    let anchor = floor_to_hop(anchor, layout.unit, layout.origin).unwrap_or(start);
                    writer.varint(anchor.abs_diff(start) / unit);
                }
                (None, None) => writer.zigzag((start - layout.origin).div_euclid(layout.unit)),
            }
            later = Some(start);
            tile.write(layout, &self.tails, writer);
        }
    }

    /// Reads a state back. Strict: any bytes but those that writing gives are refused.
    pub fn decode(view: &WindowView, head: &[u8], body: Option<&[u8]>) -> Result<(Prefix, Self), StateError> {
        Self::decode_marked(view, head, body).map(|(prefix, state, _)| (prefix, state))
    }

    /// Reads a state back, with the mark of its body.
    pub fn decode_marked(
        view: &WindowView,
        head: &[u8],
        body: Option<&[u8]>,
    ) -> Result<(Prefix, Self, Option<BodyMark>), StateError> {
        let layout = &view.layout;
        let mut open = Opened::read(layout, head)?;
        let mut tiles = Tiles::default();
        tiles.expect(body.map_or(0, <[u8]>::len));
        let mut keep = KeepTiles {
            layout,
            tiles: &mut tiles,
        };
        open.tiles(layout, &mut keep)?;
        let closed = open.closed(layout);
        Body::check(&open, body)?.tiles(layout, &open.tails, closed, &mut keep)?;
        tiles.settle();
        let Opened {
            mark,
            prefix,
            horizon,
            tails,
            newest,
            lasts,
            distincts,
            recents,
            events,
            ..
        } = open;
        let state = Self {
            horizon: horizon.unwrap_or(i64::MIN),
            tails,
            head: events,
            tiles,
            distincts,
            lasts,
            recents,
            newest,
            body_touched: false,
        };
        if *state.cuts(layout, state.tails.lows()) != *state.tails.cuts() {
            return Err(BytesError::NotCanonical.into());
        }
        Ok((prefix, state, mark))
    }
}

/// A head that was read up to its tiles.
pub(super) struct Opened<'a> {
    pub(super) prefix: Prefix,
    pub(super) horizon: Option<i64>,
    pub(super) tails: Tails,
    pub(super) newest: Option<i64>,
    pub(super) lasts: Box<[Option<Last>]>,
    pub(super) distincts: Box<[Newest]>,
    pub(super) recents: Box<[Recent]>,
    pub(super) events: Vec<Event>,
    pub(super) mark: Option<BodyMark>,
    rest: Reader<'a>,
}

impl<'a> Opened<'a> {
    pub(super) fn read(layout: &Layout, head: &'a [u8]) -> Result<Self, StateError> {
        let mut reader = Reader::new(head);
        let (prefix, horizon) = read_start(&mut reader)?;
        let tails = match horizon {
            Some(horizon) => read_tails(layout, horizon, &mut reader)?,
            None => Tails::open(layout),
        };
        let mut open = Self {
            prefix,
            horizon,
            tails,
            newest: None,
            lasts: vec![None; layout.lasts.len()].into(),
            distincts: vec![Newest::default(); layout.distincts.len()].into(),
            recents: vec![Recent::default(); layout.newer.len()].into(),
            events: Vec::new(),
            mark: None,
            rest: reader,
        };
        if let Some(horizon) = horizon {
            open.read_folded(layout, horizon)?;
        }
        open.read_events(layout)?;
        open.mark = if open.rest.flag()? {
            Some(BodyMark(open.rest.array()?))
        } else {
            None
        };
        Ok(open)
    }

    fn read_folded(&mut self, layout: &Layout, horizon: i64) -> Result<(), StateError> {
        let reader = &mut self.rest;
        let before = |reader: &mut Reader<'_>| {
            let t = reader.before(horizon)?;
            if t < horizon {
                Ok(t)
            } else {
                Err(BytesError::NotCanonical)
            }
        };
        if !layout.is_signed() && reader.flag()? {
            self.newest = Some(before(reader)?);
        }
        for (last, column) in self.lasts.iter_mut().zip(&layout.lasts) {
            if reader.flag()? {
                let t = before(reader)?;
                let position = EventPosition {
                    epoch: reader.varint()?,
                    offset: reader.varint()?,
                };
                let cell = Cell::read(reader, layout.columns[*column].kind)?;
                *last = Some(Last { t, position, cell });
            }
        }
        for (newest, distinct) in self.distincts.iter_mut().zip(&layout.distincts) {
            let lowest = self.tails.lowest_of(&distinct.windows);
            *newest = Newest::read(reader, horizon, lowest, distinct)?;
        }
        for (recent, newer) in self.recents.iter_mut().zip(&layout.newer) {
            let lowest = self.tails.lowest_of(&newer.windows);
            *recent = Recent::read(reader, horizon, lowest, newer, layout.columns[newer.column].kind)?;
        }
        Ok(())
    }

    fn read_events(&mut self, layout: &Layout) -> Result<(), StateError> {
        let reader = &mut self.rest;
        let count = reader.count()?;
        let least = self.horizon.unwrap_or(i64::MIN);
        let mut before = (self.horizon.unwrap_or(0), 0_i64);
        self.events.reserve(count);
        for _ in 0..count {
            let t = before.0.wrapping_add(reader.zigzag()?);
            let (epoch, offset, weight) = if layout.is_signed() {
                (0, 0, reader.zigzag()?)
            } else {
                (reader.varint()?, before.1.wrapping_add(reader.zigzag()?), 1)
            };
            let cells = layout
                .columns
                .iter()
                .map(|column| Cell::read(reader, column.kind));
            let cells = cells.collect::<Result<_, _>>()?;
            #[allow(clippy::cast_sign_loss)] // written from an unsigned number
            let event = Event {
                t,
                position: EventPosition {
                    epoch,
                    offset: offset as u64,
                },
                weight,
                cells,
            };
            let follows = |last: &Event| match &layout.operation {
                None => last.order() < event.order(),
                Some(_) => signed::follows(&event, last),
            };
            if t < least || weight == 0 || !self.events.last().is_none_or(follows) {
                return Err(BytesError::NotCanonical.into());
            }
            self.events.push(event);
            before = (t, offset);
        }
        Ok(())
    }

    /// Where the body's tiles end.
    pub(super) fn closed(&self, layout: &Layout) -> i64 {
        let floor = |horizon| floor_to_hop(horizon, layout.closing, layout.origin).ok();
        self.horizon.and_then(floor).unwrap_or(i64::MIN)
    }

    /// Reads the open tiles, newest first, and the end of the head.
    pub(super) fn tiles(&mut self, layout: &Layout, take: &mut impl TakeTile) -> Result<(), StateError> {
        if let Some(horizon) = self.horizon {
            let from = self.closed(layout);
            let unit = layout.unit;
            let anchor = floor_to_hop(horizon, unit, layout.origin).map_err(|_| BytesError::NotCanonical)?;
            let reader = &mut self.rest;
            let first = |reader: &mut Reader<'_>| {
                let hops = reader.varint()?.checked_mul(unit.unsigned_abs());
                hops.and_then(|back| anchor.checked_sub_unsigned(back))
                    .ok_or(BytesError::NotCanonical)
            };
            if !read_tiles(reader, layout, &self.tails, from..horizon, first, take)? {
                return Ok(());
            }
        }
        self.rest.end()?;
        Ok(())
    }
}

/// Reads the tail horizons and cuts.
fn read_tails(layout: &Layout, horizon: i64, reader: &mut Reader<'_>) -> Result<Tails, StateError> {
    let mut lows = vec![i64::MIN; layout.windows.len()];
    for (window, low) in layout.windows.iter().zip(&mut lows) {
        let hops = reader.varint()?;
        if hops > 0 {
            let most = window.settled(horizon, layout.origin);
            let back = (hops - 1).checked_mul(window.hop.unsigned_abs());
            *low = back
                .and_then(|back| most.checked_sub_unsigned(back))
                .filter(|low| *low > i64::MIN)
                .ok_or(BytesError::NotCanonical)?;
        }
    }
    let mut cuts = vec![i64::MIN; layout.windows.len()];
    let bounded = layout.windows.iter().zip(&mut cuts);
    for (_, cut) in bounded.filter(|(window, _)| window.bound().is_some()) {
        // No folded event is at the horizon itself.
        let gap = reader.varint()?;
        if gap > 0 {
            let at = horizon.checked_sub_unsigned(gap);
            *cut = at.filter(|at| *at > i64::MIN).ok_or(BytesError::NotCanonical)?;
        }
    }
    Ok(Tails::new(layout, lows.into(), cuts.into()))
}

/// What is done with the tiles of a state as they are read, newest first.
pub(super) trait TakeTile {
    /// Takes the tile that begins at `start` off the reader; gives whether older ones are wanted.
    fn take(&mut self, start: i64, tails: &Tails, reader: &mut Reader<'_>) -> Result<bool, BytesError>;
}

/// A body that its head refers to.
pub(super) struct Body<'a> {
    rest: Option<Reader<'a>>,
}

impl<'a> Body<'a> {
    /// The body must be the one that the head was written with. A head without closed tiles has none, whatever
    /// an older write left behind.
    pub(super) fn check(open: &Opened<'_>, body: Option<&'a [u8]>) -> Result<Self, StateError> {
        let Some(wanted) = open.mark else {
            return Ok(Self { rest: None });
        };
        let bytes = body.ok_or(StateError::BodyMismatch)?;
        if BodyMark::of(bytes) != Some(wanted) {
            return Err(StateError::BodyMismatch);
        }
        Ok(Self {
            rest: Some(Reader::new(bytes)),
        })
    }

    /// Reads the closed tiles, newest first, and the end of the body.
    pub(super) fn tiles(
        self,
        layout: &Layout,
        tails: &Tails,
        closed: i64,
        take: &mut impl TakeTile,
    ) -> Result<(), StateError> {
        let Some(mut reader) = self.rest else {
            return Ok(());
        };
        match reader.byte() {
            Ok(form) if form == body_form(layout) => {}
            other => return Err(StateError::UnknownFormat { format: other.ok() }),
        }
        let unit = layout.unit;
        let first = |reader: &mut Reader<'_>| {
            let hops = reader.zigzag()?.checked_mul(unit);
            hops.and_then(|hops| hops.checked_add(layout.origin))
                .ok_or(BytesError::NotCanonical)
        };
        if read_tiles(&mut reader, layout, tails, i64::MIN..closed, first, take)? {
            reader.end()?;
        }
        Ok(())
    }
}

/// Hands over the tiles one by one; gives whether all of them were wanted.
fn read_tiles(
    reader: &mut Reader<'_>,
    layout: &Layout,
    tails: &Tails,
    within: std::ops::Range<i64>,
    first: impl Fn(&mut Reader<'_>) -> Result<i64, BytesError>,
    take: &mut impl TakeTile,
) -> Result<bool, BytesError> {
    let unit = layout.unit;
    let count = reader.varint()?;
    let mut later: Option<i64> = None;
    for _ in 0..count {
        let start = match later {
            None => first(reader)?,
            Some(later) => {
                let hops = reader.varint()?.checked_mul(unit.unsigned_abs());
                let start = hops.and_then(|hops| later.checked_sub_unsigned(hops));
                start
                    .filter(|start| *start < later)
                    .ok_or(BytesError::NotCanonical)?
            }
        };
        if !within.contains(&start) {
            return Err(BytesError::NotCanonical);
        }
        if !take.take(start, tails, reader)? {
            return Ok(false);
        }
        later = Some(start);
    }
    Ok(true)
}

/// Keeps every tile, and checks that it stands where the horizons put it.
struct KeepTiles<'s> {
    layout: &'s Layout,
    tiles: &'s mut Tiles,
}

impl TakeTile for KeepTiles<'_> {
    fn take(&mut self, start: i64, tails: &Tails, reader: &mut Reader<'_>) -> Result<bool, BytesError> {
        if tails.tile_start(self.layout, start) != start || start < tails.lowest() {
            return Err(BytesError::NotCanonical);
        }
        self.tiles.push_older(self.layout, tails, start, reader)?;
        Ok(true)
    }
}
