//! Events and asked rows from Arrow.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use pyo3::prelude::*;
use skewless_core::expr::Cell;
use skewless_core::latest::frame::{Asked, Known, LogPosition, StreamRow};
use skewless_core::schema::Schema;
use skewless_core::value::Type;

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

/// The events of an input log: `entity_id`, `event_time_us`, partition, offset, and the columns `c_*` that the view
/// reads. Events without an entity are passed over.
pub(super) struct Events {
    entities: Column,
    /// Per event that has an entity: its row in the batch, time, partition, offset.
    rows: Vec<(usize, i64, u32, u64)>,
    cells: BatchColumns,
}

impl Events {
    /// `schema` are the source's columns by their names in the batch, `used` the places of those that are read.
    pub(super) fn read(batch: &RecordBatch, schema: &Schema, used: &[usize]) -> PyResult<Self> {
        let entities = column(batch, "entity_id", Type::String)?;
        let times = column(batch, "event_time_us", Type::Timestamp)?;
        let lacks = |name: &str| InputError::new_err(format!("the events lack the column {name:?}"));
        let partitions = integers(batch, "partition")?.ok_or_else(|| lacks("partition"))?;
        let offsets = integers(batch, "offset")?.ok_or_else(|| lacks("offset"))?;
        let mut rows = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            if text(&entities, row).is_none() {
                continue;
            }
            let position = partitions[row].zip(offsets[row]);
            let position = position.and_then(|(p, o)| Some((u32::try_from(p).ok()?, u64::try_from(o).ok()?)));
            let (Some(t), Some((partition, offset))) = (instant(&times, row), position) else {
                return Err(InputError::new_err(format!(
                    "event {row} has no event time, or its partition or offset is null or negative"
                )));
            };
            rows.push((row, t, partition, offset));
        }
        let cells = BatchColumns::read(batch, schema, used)?;
        Ok(Self {
            entities,
            rows,
            cells,
        })
    }

    /// The events, and their columns by the same places.
    pub(super) fn rows(&self) -> (Vec<StreamRow<'_>>, Placed<'_>) {
        let row = |(row, t, partition, offset): &(usize, i64, u32, u64)| StreamRow {
            entity_id: text(&self.entities, *row).unwrap_or_default(),
            t: *t,
            partition: *partition,
            offset: *offset,
        };
        (self.rows.iter().map(row).collect(), Placed(self))
    }

    /// The row of the batch that an event stands in.
    pub(super) fn row_of(&self, event: usize) -> usize {
        self.rows[event].0
    }
}

/// The cells of events, by their places among those with an entity.
pub(super) struct Placed<'e>(&'e Events);

impl skewless_core::expr::Columns for Placed<'_> {
    fn cell(&self, row: usize, place: usize) -> Cell<'_> {
        self.0.cells.cell(self.0.rows[row].0, place)
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
