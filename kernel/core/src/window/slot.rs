//! The accumulators: insert, merge, write, read. All of them are commutative and associative.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::buckets::{insert_bucket, read_counts, write_counts};
use super::cell::{Cell, Identity, read_double};
use super::frequencies::Frequencies;
use super::layout::KeptColumn;
use super::recent::{self, Which};
use super::signed;
use super::state::{Event, EventPosition, Last};
use crate::bytes::{BytesError, Reader, Writer};
use crate::numbers::{Bins, Grid, MOST_EVENTS, Moments, signed as signed_number};
use crate::value::Type;

/// What a slot accumulates; columns are places in the layout.
#[derive(Debug, Clone, PartialEq)]
pub enum SlotKind {
    /// How many events.
    Events,
    /// Moments of a column, as far as features need them.
    Moments {
        /// The column.
        column: usize,
        /// How far.
        level: Level,
    },
    /// How many cells were skipped as invalid.
    Invalid {
        /// The column.
        column: usize,
        /// Whether the features give the cell back, so that a text too long to keep is invalid.
        kept: bool,
    },
    /// How many cells in each bin of a column.
    Bins {
        /// The column.
        column: usize,
        /// The bins.
        grid: Grid,
    },
    /// The least cell.
    Min {
        /// The column.
        column: usize,
    },
    /// The greatest cell.
    Max {
        /// The column.
        column: usize,
    },
    /// The oldest valid cell by (time, position).
    Oldest {
        /// The column.
        column: usize,
    },
    /// The newest valid cell by (time, position): for windows that do not see all that was folded.
    Newest {
        /// The column.
        column: usize,
    },
    /// The newest time, for such windows.
    NewestTime,
    /// The different cells up to a bound, for such windows.
    Different {
        /// The column.
        column: usize,
        /// The greatest bound.
        bound: usize,
    },
    /// Valid cells that are not null, up to a number.
    Cells {
        /// The column.
        column: usize,
        /// How many at most.
        kept: usize,
        /// Which of them.
        which: Which,
    },
    /// How many cells lie between each two edges.
    Buckets {
        /// The column.
        column: usize,
        /// Rising.
        edges: Arc<[Cell]>,
    },
    /// How often each cell came.
    Frequencies {
        /// The column.
        column: usize,
        /// The most different ones.
        bound: usize,
    },
}

/// How many moments are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The count.
    Count,
    /// Count and sum.
    Sum,
    /// Count, sum and sum of squares.
    Squares,
}

/// What a slot has accumulated.
#[derive(Debug, Clone, PartialEq)]
pub enum Accumulator {
    /// Of [`SlotKind::Events`] and [`SlotKind::Invalid`].
    Count(u64),
    /// Of [`SlotKind::Moments`].
    Moments(Moments),
    /// Of [`SlotKind::Bins`].
    Bins(Bins),
    /// Of [`SlotKind::Min`] and [`SlotKind::Max`]; [`Cell::Null`] over nothing.
    Extreme(Cell),
    /// Of [`SlotKind::NewestTime`].
    Time(Option<i64>),
    /// Of [`SlotKind::Different`]; absent if there are more than the bound.
    Different(Option<BTreeSet<Identity>>),
    /// Of [`SlotKind::Oldest`] and [`SlotKind::Newest`].
    Oldest(Option<Last>),
    /// Of [`SlotKind::Cells`]: as [`Which`] says.
    Cells(Vec<Last>),
    /// Of [`SlotKind::Buckets`]: one more than edges.
    Buckets(Box<[u64]>),
    /// Of [`SlotKind::Frequencies`].
    Frequencies(Frequencies),
}

impl Accumulator {
    /// Bytes on the heap that grow with its events; none where that cannot be.
    pub fn heap(&self) -> Option<usize> {
        match self {
            Self::Bins(bins) => Some(bins.memory()),
            Self::Different(values) => Some(
                values
                    .as_ref()
                    .map_or(0, |values| values.len() * size_of::<Identity>()),
            ),
            Self::Cells(cells) => Some(size_of_val(cells.as_slice())),
            Self::Buckets(counts) => Some(size_of_val(&**counts)),
            Self::Frequencies(values) => Some(values.memory()),
            Self::Count(_) | Self::Moments(_) | Self::Extreme(_) | Self::Time(_) | Self::Oldest(_) => None,
        }
    }

    /// How many, where that is all there is; negative where more were retracted than inserted.
    pub(super) fn count(&self) -> i64 {
        match self {
            Self::Count(count) => signed_number(*count),
            _ => 0,
        }
    }
}

impl SlotKind {
    /// The accumulator of no events.
    pub fn empty(&self) -> Accumulator {
        match self {
            Self::Events | Self::Invalid { .. } => Accumulator::Count(0),
            Self::Moments { .. } => Accumulator::Moments(Moments::default()),
            Self::Bins { .. } => Accumulator::Bins(Bins::default()),
            Self::Min { .. } | Self::Max { .. } => Accumulator::Extreme(Cell::Null),
            Self::Oldest { .. } | Self::Newest { .. } => Accumulator::Oldest(None),
            Self::NewestTime => Accumulator::Time(None),
            Self::Different { .. } => Accumulator::Different(Some(BTreeSet::new())),
            Self::Cells { .. } => Accumulator::Cells(Vec::new()),
            Self::Buckets { edges, .. } => Accumulator::Buckets(vec![0; edges.len() + 1].into()),
            Self::Frequencies { .. } => Accumulator::Frequencies(Frequencies::default()),
        }
    }

    /// Adds an event.
    pub fn insert(&self, into: &mut Accumulator, event: &Event) {
        if event.weight != 1 {
            return signed::insert(self, into, event);
        }
        let cells = &event.cells;
        match (self, into) {
            // Counts are signed where there are retractions: they wrap.
            (Self::Events, Accumulator::Count(count)) => *count = count.wrapping_add(1),
            (Self::Invalid { column, kept }, Accumulator::Count(count)) => {
                *count = count.wrapping_add(u64::from(cells[*column].is_invalid(*kept)));
            }
            (Self::Moments { column, level }, Accumulator::Moments(moments)) => {
                insert_moments(moments, *level, &cells[*column]);
            }
            (Self::Bins { column, grid }, Accumulator::Bins(bins)) => {
                if let Some(units) = cells[*column].units() {
                    bins.insert(*grid, units);
                }
            }
            (Self::Min { column }, Accumulator::Extreme(least)) => {
                replace(least, &cells[*column], Ordering::Less);
            }
            (Self::Max { column }, Accumulator::Extreme(greatest)) => {
                replace(greatest, &cells[*column], Ordering::Greater);
            }
            (Self::NewestTime, Accumulator::Time(newest)) => *newest = (*newest).max(Some(event.t)),
            (Self::Different { column, bound }, Accumulator::Different(different)) => {
                if let Some(identity) = cells[*column].identity() {
                    add_different(different, [identity], *bound);
                }
            }
            (Self::Newest { column }, Accumulator::Oldest(newest)) => {
                let newer = newest
                    .as_ref()
                    .is_none_or(|own| (own.t, own.position) < event.order());
                if newer && !cells[*column].is_invalid(true) {
                    *newest = Some(Last {
                        t: event.t,
                        position: event.position,
                        cell: cells[*column].clone(),
                    });
                }
            }
            (Self::Oldest { column }, Accumulator::Oldest(oldest)) => {
                let older = oldest
                    .as_ref()
                    .is_none_or(|own| event.order() < (own.t, own.position));
                if older && !cells[*column].is_invalid(true) {
                    *oldest = Some(Last {
                        t: event.t,
                        position: event.position,
                        cell: cells[*column].clone(),
                    });
                }
            }
            (Self::Cells { column, kept, which }, Accumulator::Cells(own)) => {
                recent::insert_event(own, *which, event, *column, *kept);
            }
            (Self::Buckets { column, edges }, Accumulator::Buckets(counts)) => {
                insert_bucket(counts, edges, &cells[*column]);
            }
            (Self::Frequencies { column, bound }, Accumulator::Frequencies(frequencies)) => {
                frequencies.insert(&cells[*column], *bound);
            }
            _ => {}
        }
    }

    /// Adds all events of another accumulator of this slot.
    pub fn merge(&self, into: &mut Accumulator, other: &Accumulator) {
        match (into, other) {
            (Accumulator::Count(count), Accumulator::Count(other)) => *count = count.wrapping_add(*other),
            (Accumulator::Moments(moments), Accumulator::Moments(other)) => moments.merge(other),
            (Accumulator::Bins(bins), Accumulator::Bins(other)) => {
                if let Self::Bins { grid, .. } = self {
                    bins.merge(*grid, other);
                }
            }
            (Accumulator::Extreme(extreme), Accumulator::Extreme(other)) => {
                let wanted = if matches!(self, Self::Min { .. }) {
                    Ordering::Less
                } else {
                    Ordering::Greater
                };
                replace(extreme, other, wanted);
            }
            (Accumulator::Time(newest), Accumulator::Time(other)) => *newest = (*newest).max(*other),
            (Accumulator::Different(different), Accumulator::Different(other)) => match (self, other) {
                (Self::Different { bound, .. }, Some(other)) => {
                    add_different(different, other.iter().copied(), *bound);
                }
                _ => *different = None,
            },
            (Accumulator::Oldest(oldest), Accumulator::Oldest(Some(other))) => {
                let newest = matches!(self, Self::Newest { .. });
                let older = oldest.as_ref().is_none_or(|own| {
                    let (own, other) = ((own.t, own.position), (other.t, other.position));
                    if newest { own < other } else { other < own }
                });
                if older {
                    *oldest = Some(other.clone());
                }
            }
            (Accumulator::Cells(own), Accumulator::Cells(other)) => {
                if let Self::Cells { kept, which, .. } = self {
                    for cell in other {
                        recent::insert(own, *which, cell, *kept);
                    }
                }
            }
            (Accumulator::Buckets(counts), Accumulator::Buckets(other)) => {
                for (count, other) in counts.iter_mut().zip(other) {
                    *count = count.wrapping_add(*other);
                }
            }
            (Accumulator::Frequencies(frequencies), Accumulator::Frequencies(other)) => {
                if let Self::Frequencies { bound, .. } = self {
                    frequencies.merge(other, *bound);
                }
            }
            _ => {}
        }
    }

    /// The most bytes that writing takes, for real numbers of events (below 2^48).
    pub(super) fn longest(&self, columns: &[KeptColumn]) -> usize {
        const COUNT: usize = 7;
        const SUM: usize = 24;
        const SQUARES: usize = 40;
        match self {
            Self::Events | Self::Invalid { .. } => COUNT,
            Self::Moments { level, .. } => match level {
                Level::Count => COUNT,
                Level::Sum => COUNT + SUM,
                Level::Squares => COUNT + SUM + SQUARES,
            },
            Self::Bins { grid, .. } => grid.longest(),
            Self::Min { column } | Self::Max { column } => {
                Cell::longest(columns[*column].kind, columns[*column].keep_text)
            }
            Self::NewestTime => 1 + 6,
            Self::Different { bound, .. } => 3 + bound * (1 + Identity::LONGEST),
            Self::Oldest { column } | Self::Newest { column } => {
                // Whether there is one.
                1 + recent::longest(&columns[*column])
            }
            Self::Cells { column, kept, .. } => 3 + kept * recent::longest(&columns[*column]),
            Self::Buckets { edges, .. } => (edges.len() + 1) * COUNT,
            Self::Frequencies { column, bound } => {
                3 + bound * (COUNT + Cell::longest(columns[*column].kind, columns[*column].keep_text))
            }
        }
    }

    /// Writes the accumulator of a tile that begins at `start`.
    pub(super) fn write(&self, accumulator: &Accumulator, start: i64, writer: &mut Writer) {
        match accumulator {
            Accumulator::Count(count) => writer.varint(*count),
            Accumulator::Moments(moments) => {
                writer.varint(moments.count);
                let Self::Moments { level, .. } = self else { return };
                if moments.count > 0 && *level >= Level::Sum {
                    writer.wide(&moments.sum.magnitude(), moments.sum.is_negative());
                }
                if moments.count > 0 && *level >= Level::Squares {
                    writer.wide(&moments.squares, false);
                }
            }
            Accumulator::Bins(bins) => bins.write(writer),
            Accumulator::Extreme(cell) => cell.write(writer),
            Accumulator::Oldest(None) | Accumulator::Time(None) | Accumulator::Different(None) => {
                writer.byte(0);
            }
            Accumulator::Time(Some(t)) => {
                writer.byte(1);
                writer.gap(*t, start);
            }
            Accumulator::Different(Some(different)) => {
                writer.count(different.len() + 1);
                for identity in different {
                    identity.write(writer);
                }
            }
            Accumulator::Oldest(Some(oldest)) => {
                writer.byte(1);
                writer.gap(oldest.t, start);
                writer.varint(oldest.position.epoch);
                writer.varint(oldest.position.offset);
                oldest.cell.write(writer);
            }
            Accumulator::Cells(own) => {
                if let Self::Cells { which, .. } = self {
                    recent::write_tile(own, *which, start, writer);
                }
            }
            Accumulator::Buckets(counts) => write_counts(counts, writer),
            Accumulator::Frequencies(frequencies) => frequencies.write(writer),
        }
    }

    /// Reads the accumulator of a tile that begins at `start`, and merges it.
    pub(super) fn absorb(
        &self,
        into: &mut Accumulator,
        reader: &mut Reader<'_>,
        columns: &[KeptColumn],
        start: i64,
    ) -> Result<(), BytesError> {
        match (self, into) {
            (Self::Events | Self::Invalid { .. }, Accumulator::Count(count)) => {
                *count = count.wrapping_add(reader.varint_up_to(MOST_EVENTS)?);
            }
            (Self::Moments { level, .. }, Accumulator::Moments(moments)) => {
                absorb_moments(moments, reader, *level)?;
            }
            (Self::Min { column }, Accumulator::Extreme(least)) => {
                absorb_extreme(least, reader, columns[*column].kind, Ordering::Less)?;
            }
            (Self::Max { column }, Accumulator::Extreme(greatest)) => {
                absorb_extreme(greatest, reader, columns[*column].kind, Ordering::Greater)?;
            }
            (_, into) => self.merge(into, &self.read(reader, columns, start)?),
        }
        Ok(())
    }

    /// Passes over the accumulator of a tile that begins at `start`, as strict as reading; gives the time that must lie
    /// in the tile, if there is one.
    pub(super) fn pass(
        &self,
        reader: &mut Reader<'_>,
        columns: &[KeptColumn],
        start: i64,
    ) -> Result<Option<i64>, BytesError> {
        match self {
            Self::Events | Self::Invalid { .. } => {
                reader.varint_up_to(MOST_EVENTS)?;
            }
            Self::Moments { level, .. } => {
                let count = reader.varint_up_to(MOST_EVENTS)?;
                // A sum has room for its sign, and squares have none.
                if count > 0 && *level >= Level::Sum && reader.pass_wide::<3>()?.1 {
                    return Err(BytesError::NotCanonical);
                }
                if count > 0 && *level >= Level::Squares && reader.pass_wide::<5>()?.0 {
                    return Err(BytesError::NotCanonical);
                }
            }
            Self::Min { column } | Self::Max { column } => match columns[*column].kind {
                Type::Int64 => Cell::read_ordered(reader, Reader::zigzag).map(|_| ())?,
                Type::Float64 => Cell::read_ordered(reader, read_double).map(|_| ())?,
                kind => read_extreme(reader, kind).map(|_| ())?,
            },
            _ => {
                return self.read(reader, columns, start).map(|read| match read {
                    Accumulator::Oldest(Some(Last { t, .. })) | Accumulator::Time(Some(t)) => Some(t),
                    _ => None,
                });
            }
        }
        Ok(None)
    }

    /// Reads the accumulator of a tile that begins at `start`.
    pub(super) fn read(
        &self,
        reader: &mut Reader<'_>,
        columns: &[KeptColumn],
        start: i64,
    ) -> Result<Accumulator, BytesError> {
        match self {
            Self::Events | Self::Invalid { .. } => reader.varint_up_to(MOST_EVENTS).map(Accumulator::Count),
            Self::Moments { level, .. } => read_moments(reader, *level).map(Accumulator::Moments),
            Self::Bins { grid, .. } => Bins::read(reader, *grid).map(Accumulator::Bins),
            Self::Min { column } | Self::Max { column } => {
                read_extreme(reader, columns[*column].kind).map(Accumulator::Extreme)
            }
            Self::NewestTime => {
                if !reader.flag()? {
                    return Ok(Accumulator::Time(None));
                }
                let t = start.checked_add_unsigned(reader.varint()?);
                Ok(Accumulator::Time(Some(t.ok_or(BytesError::NotCanonical)?)))
            }
            Self::Different { bound, .. } => read_different(reader, *bound).map(Accumulator::Different),
            Self::Oldest { column } | Self::Newest { column } => {
                if !reader.flag()? {
                    return Ok(Accumulator::Oldest(None));
                }
                let t = start.checked_add_unsigned(reader.varint()?);
                let position = EventPosition {
                    epoch: reader.varint()?,
                    offset: reader.varint()?,
                };
                let cell = Cell::read(reader, columns[*column].kind)?;
                if cell.is_invalid(true) {
                    return Err(BytesError::NotCanonical);
                }
                let t = t.ok_or(BytesError::NotCanonical)?;
                Ok(Accumulator::Oldest(Some(Last { t, position, cell })))
            }
            Self::Cells { column, kept, which } => {
                let kind = columns[*column].kind;
                recent::read_tile(reader, *which, start, kind, *kept).map(Accumulator::Cells)
            }
            Self::Buckets { edges, .. } => read_counts(reader, edges.len() + 1).map(Accumulator::Buckets),
            Self::Frequencies { column, bound } => {
                Frequencies::read(reader, columns[*column].kind, *bound).map(Accumulator::Frequencies)
            }
        }
    }
}

fn add_different(
    different: &mut Option<BTreeSet<Identity>>,
    identities: impl IntoIterator<Item = Identity>,
    bound: usize,
) {
    let Some(own) = different else { return };
    own.extend(identities);
    if own.len() > bound {
        *different = None;
    }
}

fn read_different(reader: &mut Reader<'_>, bound: usize) -> Result<Option<BTreeSet<Identity>>, BytesError> {
    let Some(count) = reader.varint()?.checked_sub(1) else {
        return Ok(None);
    };
    if count > bound as u64 {
        return Err(BytesError::NotCanonical);
    }
    let mut different = BTreeSet::new();
    for _ in 0..count {
        let identity = Identity::read(reader)?;
        if different.last().is_some_and(|last| *last >= identity) {
            return Err(BytesError::NotCanonical);
        }
        different.insert(identity);
    }
    Ok(Some(different))
}

fn insert_moments(moments: &mut Moments, level: Level, cell: &Cell) {
    if level == Level::Count {
        if cell.is_counted() {
            moments.insert_count();
        }
        return;
    }
    match (cell.units(), level) {
        (Some(units), Level::Squares) => moments.insert_with_square(units),
        (Some(units), _) => moments.insert(units),
        // A count of a column of texts never stands beside a sum of it.
        (None, _) => {}
    }
}

/// Takes the cell if it may stand in an extreme and comes before (or after) the one that stands there.
fn replace(extreme: &mut Cell, cell: &Cell, wanted: Ordering) {
    let wins = match (&*extreme, cell) {
        // Most are numbers.
        (Cell::Float(own), Cell::Float(other)) => other.total_cmp(own) == wanted,
        (Cell::Int(own), Cell::Int(other)) => other.cmp(own) == wanted,
        (own, other) => other.is_ordered() && (matches!(own, Cell::Null) || other.order(own) == wanted),
    };
    if wins {
        *extreme = cell.clone();
    }
}

/// Reads an extreme and merges it. Numbers, of which there are many, become no cell before they win.
fn absorb_extreme(
    extreme: &mut Cell,
    reader: &mut Reader<'_>,
    kind: Type,
    wanted: Ordering,
) -> Result<(), BytesError> {
    match (kind, &*extreme) {
        (Type::Int64, Cell::Int(own)) => {
            let other = Cell::read_ordered(reader, Reader::zigzag)?;
            if let Some(other) = other.filter(|other| other.cmp(own) == wanted) {
                *extreme = Cell::Int(other);
            }
        }
        (Type::Float64, Cell::Float(own)) => {
            let other = Cell::read_ordered(reader, read_double)?;
            if let Some(other) = other.filter(|other| other.total_cmp(own) == wanted) {
                *extreme = Cell::Float(other);
            }
        }
        _ => replace(extreme, &read_extreme(reader, kind)?, wanted),
    }
    Ok(())
}

fn read_extreme(reader: &mut Reader<'_>, kind: Type) -> Result<Cell, BytesError> {
    let cell = Cell::read(reader, kind)?;
    if cell.is_ordered() || matches!(cell, Cell::Null) {
        Ok(cell)
    } else {
        Err(BytesError::NotCanonical)
    }
}

fn read_moments(reader: &mut Reader<'_>, level: Level) -> Result<Moments, BytesError> {
    let mut moments = Moments::default();
    absorb_moments(&mut moments, reader, level)?;
    Ok(moments)
}

#[inline]
fn absorb_moments(into: &mut Moments, reader: &mut Reader<'_>, level: Level) -> Result<(), BytesError> {
    let count = reader.varint_up_to(MOST_EVENTS)?;
    into.count = into.count.wrapping_add(count);
    if count > 0 && level >= Level::Sum {
        let (magnitude, negative) = reader.wide::<3>()?;
        if magnitude.is_negative() {
            return Err(BytesError::NotCanonical);
        }
        if negative {
            into.sum.sub(&magnitude);
        } else {
            into.sum.add(&magnitude);
        }
    }
    if count > 0 && level >= Level::Squares {
        let (squares, negative) = reader.wide::<5>()?;
        if negative {
            return Err(BytesError::NotCanonical);
        }
        into.squares.add(&squares);
    }
    Ok(())
}
