//! Arrow columns as the kernel reads them.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, BooleanArray, Float64Array, Int64Array, LargeStringArray, RecordBatch, StringArray,
    StringViewArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, TimeUnit};
use pyo3::prelude::*;
use skewless_core::expr::{Cell, Columns};
use skewless_core::schema::Schema;
use skewless_core::value::Type;

use crate::errors::InputError;

/// One column, its type decided once. Instants may come as int64 microseconds or as Arrow timestamps in UTC.
pub(crate) enum Column {
    Int(Int64Array),
    Float(Float64Array),
    Bool(BooleanArray),
    Text(StringArray),
    LargeText(LargeStringArray),
    TextView(StringViewArray),
    Instant(TimestampMicrosecondArray),
    InstantNumber(Int64Array),
}

impl Column {
    /// The column as one of `kind`.
    pub(crate) fn read(name: &str, array: &dyn Array, kind: Type) -> PyResult<Self> {
        Ok(match (kind, array.data_type()) {
            (Type::Int64, DataType::Int64) => Self::Int(array.as_primitive::<Int64Type>().clone()),
            (Type::Float64, DataType::Float64) => Self::Float(array.as_primitive::<Float64Type>().clone()),
            (Type::Bool, DataType::Boolean) => Self::Bool(array.as_boolean().clone()),
            (Type::String, DataType::Utf8) => Self::Text(array.as_string::<i32>().clone()),
            (Type::String, DataType::LargeUtf8) => Self::LargeText(array.as_string::<i64>().clone()),
            (Type::String, DataType::Utf8View) => Self::TextView(array.as_string_view().clone()),
            (Type::Timestamp, DataType::Int64) => {
                Self::InstantNumber(array.as_primitive::<Int64Type>().clone())
            }
            // An Arrow timestamp without a zone is a naive one: its instant is not known.
            (Type::Timestamp, DataType::Timestamp(TimeUnit::Microsecond, Some(_))) => {
                Self::Instant(array.as_primitive::<TimestampMicrosecondType>().clone())
            }
            (_, other) => {
                let advice = match kind {
                    Type::Timestamp => "; give int64 microseconds or timestamp[us] with a zone",
                    _ => "",
                };
                return Err(InputError::new_err(format!(
                    "column {name:?} must be {kind}, and is {other}{advice}"
                )));
            }
        })
    }

    /// The cell of a row.
    pub(crate) fn cell(&self, row: usize) -> Cell<'_> {
        match self {
            Self::Int(column) => valid(column, row, |row| Cell::Int(column.value(row))),
            Self::Float(column) => valid(column, row, |row| Cell::Float(column.value(row))),
            Self::Bool(column) => valid(column, row, |row| Cell::Bool(column.value(row))),
            Self::Text(column) => valid(column, row, |row| Cell::Text(column.value(row))),
            Self::LargeText(column) => valid(column, row, |row| Cell::Text(column.value(row))),
            Self::TextView(column) => valid(column, row, |row| Cell::Text(column.value(row))),
            Self::Instant(column) => valid(column, row, |row| Cell::Timestamp(column.value(row))),
            Self::InstantNumber(column) => valid(column, row, |row| Cell::Timestamp(column.value(row))),
        }
    }
}

fn valid<'a>(array: &impl Array, row: usize, value: impl FnOnce(usize) -> Cell<'a>) -> Cell<'a> {
    if array.is_valid(row) {
        value(row)
    } else {
        Cell::Null
    }
}

/// The columns of a schema, found in a batch by name. A column that is not used may be absent.
pub(crate) struct BatchColumns(Vec<Option<Column>>);

impl BatchColumns {
    /// Those of `used` (places in the schema), each present and of its type.
    pub(crate) fn read(batch: &RecordBatch, schema: &Schema, used: &[usize]) -> PyResult<Self> {
        let mut columns: Vec<Option<Column>> = std::iter::repeat_with(|| None).take(schema.len()).collect();
        for (place, column) in schema.columns().iter().enumerate() {
            if !used.contains(&place) {
                continue;
            }
            let array = batch.column_by_name(&column.name).ok_or_else(|| {
                InputError::new_err(format!("the batch lacks the column {:?}", column.name))
            })?;
            columns[place] = Some(Column::read(&column.name, array, column.kind)?);
        }
        Ok(Self(columns))
    }
}

impl Columns for BatchColumns {
    fn cell(&self, row: usize, place: usize) -> Cell<'_> {
        self.0[place]
            .as_ref()
            .map_or(Cell::Null, |column| column.cell(row))
    }
}
