//! Accumulators from which events can be taken out again: of views whose source has retractions.
//!
//! Every count and sum is signed there, so that what is retracted cancels what was inserted, whichever came first. A
//! zero leaves no trace: neither an entry in the head list nor a tile. So a state is one function of the sums, and a
//! retraction that cancels an insertion gives the bytes of a state that saw neither.

use super::cell::Cell;
use super::slot::{Accumulator, Level, SlotKind};
use super::state::{Event, EventPosition};
use crate::bytes::{BytesError, Reader, Writer};
use crate::numbers::{MOST_EVENTS, Moments, Wide, signed, unsigned};

/// Adds an event as often as it weighs. What cannot be subtracted has no view with such events.
pub(super) fn insert(kind: &SlotKind, into: &mut Accumulator, event: &Event) {
    let cells = &event.cells;
    match (kind, into) {
        (SlotKind::Events, Accumulator::Count(count)) => add(count, event.weight),
        (SlotKind::Invalid { column, kept }, Accumulator::Count(count))
            if cells[*column].is_invalid(*kept) =>
        {
            add(count, event.weight);
        }
        (SlotKind::Moments { column, level }, Accumulator::Moments(moments)) => {
            insert_moments(moments, *level, &cells[*column], event.weight);
        }
        (SlotKind::Buckets { column, edges }, Accumulator::Buckets(counts)) => {
            let mut one = vec![0; counts.len()];
            super::buckets::insert_bucket(&mut one, edges, &cells[*column]);
            if let Some(place) = one.iter().position(|count| *count > 0) {
                add(&mut counts[place], event.weight);
            }
        }
        _ => {}
    }
}

fn insert_moments(moments: &mut Moments, level: Level, cell: &Cell, weight: i64) {
    if level == Level::Count {
        if cell.is_counted() {
            add(&mut moments.count, weight);
        }
        return;
    }
    if let Some(units) = cell.units() {
        add(&mut moments.count, weight);
        moments.sum.add(&weighed(
            &Wide::<2>::from_u128(units.unsigned_abs()),
            (units < 0) != (weight < 0),
            weight,
        ));
        if level == Level::Squares {
            let magnitude = Wide::<2>::from_u128(units.unsigned_abs());
            let square: Wide<4> = magnitude.times(&magnitude);
            moments.squares.add(&weighed(&square, weight < 0, weight));
        }
    }
}

/// A magnitude as often as the weight says, in two's complement.
fn weighed<const N: usize, const M: usize>(magnitude: &Wide<N>, negative: bool, weight: i64) -> Wide<M> {
    let product: Wide<M> = magnitude.times(&Wide([weight.unsigned_abs()]));
    if negative { product.negated() } else { product }
}

fn add(count: &mut u64, weight: i64) {
    *count = count.wrapping_add_signed(weight);
}

/// Whether nothing is left of all that came and went.
pub(super) fn is_zero(accumulator: &Accumulator) -> bool {
    match accumulator {
        Accumulator::Count(count) => *count == 0,
        Accumulator::Moments(moments) => *moments == Moments::default(),
        Accumulator::Buckets(counts) => counts.iter().all(|count| *count == 0),
        _ => false,
    }
}

/// Keeps an event apart, in the order of time and cells: positions do not matter to what can be subtracted.
pub(super) fn keep(head: &mut Vec<Event>, mut event: Event) {
    event.position = EventPosition { epoch: 0, offset: 0 };
    let from = head.partition_point(|own| own.t < event.t);
    let to = head.partition_point(|own| own.t <= event.t);
    if let Some(place) = (from..to).find(|place| head[*place].cells == event.cells) {
        head[place].weight += event.weight;
        if head[place].weight == 0 {
            head.remove(place);
        }
        return;
    }
    let bytes = bytes_of(&event.cells);
    let before = head[from..to].partition_point(|own| bytes_of(&own.cells) < bytes);
    head.insert(from + before, event);
}

/// Whether an event stands after another in the head list.
pub(super) fn follows(event: &Event, before: &Event) -> bool {
    (before.t, bytes_of(&before.cells)) < (event.t, bytes_of(&event.cells))
}

fn bytes_of(cells: &[Cell]) -> Vec<u8> {
    let mut writer = Writer::default();
    for cell in cells {
        cell.write(&mut writer);
    }
    writer.bytes
}

/// Writes a count that may be negative.
pub(super) fn write_count(count: u64, writer: &mut Writer) {
    writer.zigzag(signed(count));
}

/// Reads a count that may be negative.
pub(super) fn read_count(reader: &mut Reader<'_>) -> Result<u64, BytesError> {
    let count = reader.zigzag()?;
    if count.unsigned_abs() > MOST_EVENTS {
        return Err(BytesError::NotCanonical);
    }
    Ok(unsigned(count))
}

/// Writes an accumulator: numbers as signed ones, sums whatever the count is.
pub(super) fn write(kind: &SlotKind, accumulator: &Accumulator, writer: &mut Writer) {
    match (kind, accumulator) {
        (_, Accumulator::Count(count)) => write_count(*count, writer),
        (SlotKind::Moments { level, .. }, Accumulator::Moments(moments)) => {
            write_count(moments.count, writer);
            if *level >= Level::Sum {
                writer.wide(&moments.sum.magnitude(), moments.sum.is_negative());
            }
            if *level >= Level::Squares {
                writer.wide(&moments.squares.magnitude(), moments.squares.is_negative());
            }
        }
        (_, Accumulator::Buckets(counts)) => counts.iter().for_each(|count| write_count(*count, writer)),
        _ => {}
    }
}

/// Reads an accumulator.
pub(super) fn read(kind: &SlotKind, reader: &mut Reader<'_>) -> Result<Accumulator, BytesError> {
    match kind {
        SlotKind::Events | SlotKind::Invalid { .. } => read_count(reader).map(Accumulator::Count),
        SlotKind::Moments { level, .. } => {
            let mut moments = Moments {
                count: read_count(reader)?,
                ..Moments::default()
            };
            if *level >= Level::Sum {
                moments.sum = read_wide(reader)?;
            }
            if *level >= Level::Squares {
                moments.squares = read_wide(reader)?;
            }
            Ok(Accumulator::Moments(moments))
        }
        SlotKind::Buckets { edges, .. } => {
            let counts = (0..=edges.len()).map(|_| read_count(reader));
            counts.collect::<Result<_, _>>().map(Accumulator::Buckets)
        }
        _ => Err(BytesError::NotCanonical),
    }
}

fn read_wide<const N: usize>(reader: &mut Reader<'_>) -> Result<Wide<N>, BytesError> {
    let (magnitude, negative) = reader.wide::<N>()?;
    if magnitude.is_negative() {
        return Err(BytesError::NotCanonical);
    }
    Ok(if negative { magnitude.negated() } else { magnitude })
}
