//! Events and asked rows from Arrow.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, Int32Array, Int64Array, RecordBatch};
use arrow_schema::DataType;
use pyo3::prelude::*;
use skewless_core::expr::{Cell, Numbers};
use skewless_core::latest::frame::{Asked, Known, LogPosition, StreamRow};
use skewless_core::schema::Schema;
use skewless_core::value::Type;
use skewless_core::window::Log;

use crate::columns::{BatchColumns, Column};
use crate::errors::InputError;

/// A column that must be there, as one of `kind`.
pub(super) fn column(batch: &RecordBatch, name: &str, kind: Type) -> PyResult<Column> {
    let array = batch
        .column_by_name(name)
        .ok_or_else(|| InputError::new_err(format!("the batch lacks the column {name:?}")))?;
    Column::read(name, array, kind)
}

/// The text of a cell.
pub(super) fn text(column: &Column, row: usize) -> Option<&str> {
    match column.cell(row) {
        Cell::Text(text) => Some(text),
        _ => None,
    }
}

/// The instant of a cell.
pub(super) fn instant(column: &Column, row: usize) -> Option<i64> {
    match column.cell(row) {
        Cell::Timestamp(t) => Some(t),
        _ => None,
    }
}

/// A column of whole numbers of either width; `None` where the batch has no such column.
fn integers(batch: &RecordBatch, name: &str) -> PyResult<Option<Vec<Option<i64>>>> {
    let Some(array) = batch.column_by_name(name) else {
        return Ok(None);
    };
    match array.data_type() {
        DataType::Int32 => Ok(Some(
            array
                .as_primitive::<Int32Type>()
                .iter()
                .map(|value| value.map(i64::from))
                .collect(),
        )),
        DataType::Int64 => Ok(Some(array.as_primitive::<Int64Type>().iter().collect())),
        DataType::Null => Ok(Some(vec![None; array.len()])),
        other => Err(InputError::new_err(format!(
            "column {name:?} must be int32 or int64, and is {other}"
        ))),
    }
}

/// A column of whole numbers of either width, none of them negative.
enum Whole {
    Narrow(Int32Array),
    Wide(Int64Array),
}

impl Whole {
    fn read(batch: &RecordBatch, name: &str) -> PyResult<Self> {
        let array = batch
            .column_by_name(name)
            .ok_or_else(|| InputError::new_err(format!("the events lack the column {name:?}")))?;
        match array.data_type() {
            DataType::Int32 => Ok(Self::Narrow(array.as_primitive::<Int32Type>().clone())),
            DataType::Int64 => Ok(Self::Wide(array.as_primitive::<Int64Type>().clone())),
            DataType::Null => Ok(Self::Wide(Int64Array::new_null(array.len()))),
            other => Err(InputError::new_err(format!(
                "column {name:?} must be int32 or int64, and is {other}"
            ))),
        }
    }

    /// Whether there is a number of at most so much in every row.
    fn is_whole(&self, most: i64) -> bool {
        match self {
            Self::Narrow(array) => array.null_count() == 0 && array.values().iter().all(|value| *value >= 0),
            Self::Wide(array) => {
                array.null_count() == 0 && array.values().iter().all(|value| (0..=most).contains(value))
            }
        }
    }

    fn get(&self, row: usize) -> Option<u64> {
        let value = match self {
            Self::Narrow(array) => array.is_valid(row).then(|| i64::from(array.value(row))),
            Self::Wide(array) => array.is_valid(row).then(|| array.value(row)),
        };
        value.and_then(|value| u64::try_from(value).ok())
    }
}

/// A column of instants, in either form.
struct Instants(Int64Array);

impl Instants {
    fn read(batch: &RecordBatch, name: &str) -> PyResult<Self> {
        Ok(Self(match column(batch, name, Type::Timestamp)? {
            Column::Instant(array) => array.reinterpret_cast::<Int64Type>(),
            Column::InstantNumber(array) => array,
            _ => return Err(InputError::new_err(format!("column {name:?} holds no instants"))),
        }))
    }
}

/// The events of an input log: `entity_id`, `event_time_us`, partition, offset, and the columns `c_*` that the view
/// reads. Events without an entity are passed over.
pub(super) struct Events {
    entities: Column,
    times: Instants,
    partitions: Whole,
    offsets: Whole,
    cells: BatchColumns,
    rows: usize,
}

impl Events {
    /// `schema` are the source's columns by their names in the batch, `used` the places of those that are read.
    pub(super) fn read(batch: &RecordBatch, schema: &Schema, used: &[usize]) -> PyResult<Self> {
        let events = Self {
            entities: column(batch, "entity_id", Type::String)?,
            times: Instants::read(batch, "event_time_us")?,
            partitions: Whole::read(batch, "partition")?,
            offsets: Whole::read(batch, "offset")?,
            cells: BatchColumns::read(batch, schema, used)?,
            rows: batch.num_rows(),
        };
        let is_whole = events.partitions.is_whole(i64::from(u32::MAX))
            && events.offsets.is_whole(i64::MAX)
            && events.times.0.null_count() == 0;
        let unsure = if is_whole { 0..0 } else { 0..events.rows };
        for row in unsure {
            let partition = events.partitions.get(row).and_then(|p| u32::try_from(p).ok());
            let is_whole =
                partition.is_some() && events.offsets.get(row).is_some() && events.times.0.is_valid(row);
            if !is_whole && text(&events.entities, row).is_some() {
                return Err(InputError::new_err(format!(
                    "event {row} has no event time, or its partition or offset is null or negative"
                )));
            }
        }
        Ok(events)
    }

    /// The events that have an entity, and their columns by the same places.
    pub(super) fn of_entities(&self) -> OfEntities<'_> {
        let rows = (0..self.rows).filter(|row| self.entity_id(*row).is_some());
        OfEntities {
            events: self,
            rows: rows.collect(),
        }
    }
}

impl skewless_core::expr::Columns for Events {
    fn cell(&self, row: usize, place: usize) -> Cell<'_> {
        self.cells.cell(row, place)
    }

    fn numbers(&self, place: usize) -> Option<Numbers<'_>> {
        self.cells.numbers(place)
    }
}

impl Log for Events {
    fn len(&self) -> usize {
        self.rows
    }

    fn entity_id(&self, row: usize) -> Option<&str> {
        text(&self.entities, row)
    }

    fn t(&self, row: usize) -> i64 {
        self.times.0.value(row)
    }

    fn position(&self, row: usize) -> (u32, u64) {
        let partition = self.partitions.get(row).and_then(|p| u32::try_from(p).ok());
        (
            partition.unwrap_or_default(),
            self.offsets.get(row).unwrap_or_default(),
        )
    }
}

/// The events that have an entity, by their places among those.
pub(super) struct OfEntities<'e> {
    events: &'e Events,
    rows: Vec<usize>,
}

impl OfEntities<'_> {
    /// Each of them.
    pub(super) fn list(&self) -> Vec<StreamRow<'_>> {
        let row = |row: &usize| {
            let (partition, offset) = self.events.position(*row);
            StreamRow {
                entity_id: self.events.entity_id(*row).unwrap_or_default(),
                t: self.events.t(*row),
                partition,
                offset,
            }
        };
        self.rows.iter().map(row).collect()
    }

    /// The row of the batch that an event stands in.
    pub(super) fn row_of(&self, event: usize) -> usize {
        self.rows[event]
    }
}

impl skewless_core::expr::Columns for OfEntities<'_> {
    fn cell(&self, row: usize, place: usize) -> Cell<'_> {
        self.events.cells.cell(self.rows[row], place)
    }
}

/// The rows of a frame: `entity_id`, `request_time_us`, and what each knows (`partition`, `next_offset`).
pub(super) struct AskedRows {
    entities: Column,
    asked: Vec<(i64, Known<LogPosition>)>,
}

impl AskedRows {
    pub(super) fn read(batch: &RecordBatch) -> PyResult<Self> {
        let entities = column(batch, "entity_id", Type::String)?;
        let times = column(batch, "request_time_us", Type::Timestamp)?;
        let nothing = || vec![None; batch.num_rows()];
        let partitions = integers(batch, "partition")?.unwrap_or_else(nothing);
        let offsets = integers(batch, "next_offset")?.unwrap_or_else(nothing);
        let asked = (0..batch.num_rows()).map(|row| {
            let t = instant(&times, row)
                .ok_or_else(|| InputError::new_err(format!("row {row} has no request time")))?;
            Ok((
                t,
                known(partitions[row], offsets[row])
                    .map_err(|why| InputError::new_err(format!("row {row}: {why}")))?,
            ))
        });
        let asked = asked.collect::<PyResult<_>>()?;
        Ok(Self { entities, asked })
    }

    pub(super) fn rows(&self) -> Vec<Asked<'_, LogPosition>> {
        let row = |(row, (t, known)): (usize, &(i64, Known<LogPosition>))| Asked {
            entity_id: text(&self.entities, row),
            request_time: *t,
            known: *known,
        };
        self.asked.iter().enumerate().map(row).collect()
    }
}

/// What a row knows: everything where nothing is said, nothing where the state was absent (-1).
pub(super) fn known(partition: Option<i64>, next_offset: Option<i64>) -> Result<Known<LogPosition>, String> {
    match (partition, next_offset) {
        (None, None) => Ok(Known::Everything),
        (_, Some(-1)) => Ok(Known::Nothing),
        (Some(partition), Some(next_offset)) => {
            let position = u32::try_from(partition).ok().zip(u64::try_from(next_offset).ok());
            position
                .map(|(partition, next_offset)| {
                    Known::Upto(LogPosition {
                        partition,
                        next_offset,
                    })
                })
                .ok_or_else(|| format!("partition {partition}, next offset {next_offset} is no position"))
        }
        _ => Err("partition and next_offset must both be given or both be null".into()),
    }
}
