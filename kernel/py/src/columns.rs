//! Arrow columns as the kernel reads them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal32Type, Decimal64Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{
    Array, BooleanArray, Float64Array, GenericListArray, Int64Array, LargeStringArray, OffsetSizeTrait,
    RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, TimeUnit};
use pyo3::prelude::*;
use skewless_core::decimal::Decimal;
use skewless_core::definition::limits::LIST_GIVEN;
use skewless_core::expr::{Cell, Columns, Numbers};
use skewless_core::latest::wire::normalized;
use skewless_core::schema::Schema;
use skewless_core::value::{Type, Value};

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
    /// Lists of items of a type.
    Lists(&'static Type, Vec<Option<Arc<[Value]>>>),
    /// Units of a decimal type.
    Decimal(Int64Array, Decimal),
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
            (Type::List(of), DataType::List(_)) => Self::Lists(of, lists(name, array.as_list::<i32>(), of)?),
            (Type::List(of), DataType::LargeList(_)) => {
                Self::Lists(of, lists(name, array.as_list::<i64>(), of)?)
            }
            (Type::Decimal(kind), DataType::Decimal32(_, scale)) => {
                let units = array
                    .as_primitive::<Decimal32Type>()
                    .iter()
                    .map(|own| own.map(i128::from));
                Self::Decimal(decimals(name, units, *scale, kind)?, kind)
            }
            (Type::Decimal(kind), DataType::Decimal64(_, scale)) => {
                let units = array
                    .as_primitive::<Decimal64Type>()
                    .iter()
                    .map(|own| own.map(i128::from));
                Self::Decimal(decimals(name, units, *scale, kind)?, kind)
            }
            (Type::Decimal(kind), DataType::Decimal128(_, scale)) => {
                let units = array.as_primitive::<Decimal128Type>().iter();
                Self::Decimal(decimals(name, units, *scale, kind)?, kind)
            }
            (_, other) => {
                let advice = match kind {
                    Type::Decimal(_) => "; give decimals of Arrow",
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
            Self::Decimal(column, kind) => valid(column, row, |row| Cell::Decimal(column.value(row), *kind)),
            Self::Lists(of, column) => match &column[row] {
                Some(items) => Cell::List(of, items),
                None => Cell::Null,
            },
        }
    }
}

/// The units of a column of decimals, each taken exactly.
fn decimals(
    name: &str,
    units: impl Iterator<Item = Option<i128>>,
    scale: i8,
    kind: Decimal,
) -> PyResult<Int64Array> {
    let fitting = units.enumerate().map(|(row, units)| {
        let Some(units) = units else { return Ok(None) };
        kind.rescale(units, i16::from(scale)).map(Some).ok_or_else(|| {
            InputError::new_err(format!(
                "column {name:?}, row {row}: {units}e{} is no {} exactly; round it before it is given",
                -i16::from(scale),
                kind.name()
            ))
        })
    });
    fitting.collect()
}

/// The lists of a column, their items read once.
fn lists<O: OffsetSizeTrait>(
    name: &str,
    array: &GenericListArray<O>,
    of: &'static Type,
) -> PyResult<Vec<Option<Arc<[Value]>>>> {
    let items = Column::read(&format!("{name}[]"), array.values(), *of)?;
    let ends = array.value_offsets();
    let list = |row: usize| {
        if array.is_null(row) {
            return Ok(None);
        }
        let places = ends[row].as_usize()..ends[row + 1].as_usize();
        if places.len() > LIST_GIVEN {
            return Err(InputError::new_err(format!(
                "column {name:?}, row {row}: the list has {} items; at most {LIST_GIVEN} are allowed",
                places.len()
            )));
        }
        let item = |place: usize| match normalized(items.cell(place)).to_value() {
            Value::Null => Err(InputError::new_err(format!(
                "column {name:?}, row {row}: the list has an item that is null, or no finite number; leave it out"
            ))),
            item => Ok(item),
        };
        places.map(item).collect::<PyResult<_>>().map(Some)
    };
    (0..array.len()).map(list).collect()
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

    fn numbers(&self, place: usize) -> Option<Numbers<'_>> {
        match self.0[place].as_ref()? {
            Column::Int(column) if column.null_count() == 0 => Some(Numbers::Ints(column.values())),
            Column::Float(column) if column.null_count() == 0 => Some(Numbers::Floats(column.values())),
            _ => None,
        }
    }
}
