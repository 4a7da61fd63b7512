//! Cells into Arrow columns.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Decimal128Builder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder, UInt8Builder,
};
use arrow_array::{
    ArrayRef, Decimal128Array, Float64Array, Int64Array, ListArray, RecordBatch, TimestampMicrosecondArray,
    UInt8Array,
};
use arrow_buffer::{BooleanBuffer, NullBuffer, NullBufferBuilder, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use skewless_core::decimal::Decimal;
use skewless_core::expr::Cell;
use skewless_core::status::Status;
use skewless_core::value::{Type, Value};
use skewless_core::window::{FrameColumn, FrameValues};

const ZONE: &str = "UTC";

/// The Arrow type of a column of this type.
pub(crate) fn arrow_type(kind: Type) -> DataType {
    match kind {
        Type::Int64 => DataType::Int64,
        Type::Float64 => DataType::Float64,
        Type::Bool => DataType::Boolean,
        Type::String => DataType::Utf8,
        Type::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some(ZONE.into())),
        Type::Decimal(kind) => DataType::Decimal128(kind.precision(), arrow_scale(kind)),
        Type::List(of) => DataType::List(item(*of)),
    }
}

/// At most 18.
#[allow(clippy::cast_possible_wrap)]
const fn arrow_scale(kind: Decimal) -> i8 {
    kind.scale() as i8
}

/// The field of a list's items.
fn item(of: Type) -> Arc<Field> {
    Arc::new(Field::new_list_field(arrow_type(of), true))
}

/// A column that is being built.
pub(crate) enum ColumnBuilder {
    Int(Int64Builder),
    Float(Float64Builder),
    Bool(BooleanBuilder),
    Text(StringBuilder),
    Instant(TimestampMicrosecondBuilder),
    List(ListBuilder),
    Decimal(Decimal128Builder),
}

/// Lists that are being built.
pub(crate) struct ListBuilder {
    of: Type,
    items: Box<ColumnBuilder>,
    lengths: Vec<usize>,
    valid: NullBufferBuilder,
}

impl ListBuilder {
    fn append(&mut self, items: Option<&[Value]>) {
        self.lengths.push(items.map_or(0, <[Value]>::len));
        self.valid.append(items.is_some());
        for item in items.unwrap_or_default() {
            self.items.append(Cell::from(item));
        }
    }

    fn finish(mut self) -> ArrayRef {
        Arc::new(ListArray::new(
            item(self.of),
            OffsetBuffer::from_lengths(self.lengths),
            self.items.finish(),
            self.valid.finish(),
        ))
    }
}

impl ColumnBuilder {
    pub(crate) fn new(kind: Type, rows: usize) -> Self {
        match kind {
            Type::Int64 => Self::Int(Int64Builder::with_capacity(rows)),
            Type::Float64 => Self::Float(Float64Builder::with_capacity(rows)),
            Type::Bool => Self::Bool(BooleanBuilder::with_capacity(rows)),
            Type::String => Self::Text(StringBuilder::with_capacity(rows, rows * 8)),
            Type::Timestamp => {
                Self::Instant(TimestampMicrosecondBuilder::with_capacity(rows).with_timezone(ZONE))
            }
            Type::Decimal(_) => {
                Self::Decimal(Decimal128Builder::with_capacity(rows).with_data_type(arrow_type(kind)))
            }
            Type::List(of) => Self::List(ListBuilder {
                of: *of,
                items: Box::new(Self::new(*of, rows)),
                lengths: Vec::with_capacity(rows),
                valid: NullBufferBuilder::new(rows),
            }),
        }
    }

    /// Appends a cell of the column's type; any other is null.
    pub(crate) fn append(&mut self, cell: Cell<'_>) {
        match (self, cell) {
            (Self::Int(builder), Cell::Int(value)) => builder.append_value(value),
            (Self::Float(builder), Cell::Float(value)) => builder.append_value(value),
            (Self::Bool(builder), Cell::Bool(value)) => builder.append_value(value),
            (Self::Text(builder), Cell::Text(value)) => builder.append_value(value),
            (Self::Instant(builder), Cell::Timestamp(value)) => builder.append_value(value),
            (Self::List(builder), Cell::List(_, items)) => builder.append(Some(items)),
            (Self::Decimal(builder), Cell::Decimal(units, _)) => builder.append_value(i128::from(units)),
            (Self::Decimal(builder), _) => builder.append_null(),
            (Self::Int(builder), _) => builder.append_null(),
            (Self::Float(builder), _) => builder.append_null(),
            (Self::Bool(builder), _) => builder.append_null(),
            (Self::Text(builder), _) => builder.append_null(),
            (Self::Instant(builder), _) => builder.append_null(),
            (Self::List(builder), _) => builder.append(None),
        }
    }

    pub(crate) fn finish(self) -> ArrayRef {
        match self {
            Self::Int(mut builder) => Arc::new(builder.finish()),
            Self::Float(mut builder) => Arc::new(builder.finish()),
            Self::Bool(mut builder) => Arc::new(builder.finish()),
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Instant(mut builder) => Arc::new(builder.finish()),
            Self::Decimal(mut builder) => Arc::new(builder.finish()),
            Self::List(builder) => builder.finish(),
        }
    }
}

/// Event times of a frame, and where there is one.
pub(crate) fn time_column((times, present): (Vec<i64>, Vec<bool>)) -> ArrayRef {
    Arc::new(Int64Array::new(times.into(), Some(NullBuffer::from(present))))
}

/// The columns of features: per feature its values, `<name>__status` and `<name>__event_time_us`.
pub(crate) struct FeatureColumns {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl FeatureColumns {
    pub(crate) fn new() -> Self {
        Self {
            fields: Vec::new(),
            arrays: Vec::new(),
        }
    }

    /// Adds a feature with its answers, one per row.
    pub(crate) fn add<'a>(
        &mut self,
        name: &str,
        kind: Type,
        answers: impl ExactSizeIterator<Item = (Cell<'a>, Status, Option<i64>)>,
    ) {
        let mut values = ColumnBuilder::new(kind, answers.len());
        let mut statuses = UInt8Builder::with_capacity(answers.len());
        let mut times = Int64Builder::with_capacity(answers.len());
        for (value, status, time) in answers {
            values.append(value);
            statuses.append_value(status.code());
            times.append_option(time);
        }
        self.push(
            name,
            kind,
            [
                values.finish(),
                Arc::new(statuses.finish()),
                Arc::new(times.finish()),
            ],
        );
    }

    /// Adds a feature with the columns of a frame; numbers are taken over as they are.
    pub(crate) fn add_frame(&mut self, name: &str, kind: Type, column: FrameColumn, times: ArrayRef) {
        let rows = column.statuses.len();
        let has_value = |row: usize| Status::from_code(column.statuses[row]).is_some_and(Status::has_value);
        let valid = || Some(NullBuffer::from(BooleanBuffer::collect_bool(rows, has_value)));
        let values: ArrayRef = match column.values {
            FrameValues::Ints(values) if kind == Type::Timestamp => {
                Arc::new(TimestampMicrosecondArray::new(values.into(), valid()).with_timezone(ZONE))
            }
            FrameValues::Ints(values) if matches!(kind, Type::Decimal(_)) => {
                let units = values.into_iter().map(i128::from).collect();
                Arc::new(Decimal128Array::new(units, valid()).with_data_type(arrow_type(kind)))
            }
            FrameValues::Ints(values) => Arc::new(Int64Array::new(values.into(), valid())),
            FrameValues::Floats(values) => Arc::new(Float64Array::new(values.into(), valid())),
            FrameValues::Others(values) => {
                let mut builder = ColumnBuilder::new(kind, rows);
                for value in &values {
                    builder.append(Cell::from(value));
                }
                builder.finish()
            }
        };
        let statuses = UInt8Array::from(column.statuses);
        self.push(name, kind, [values, Arc::new(statuses), times]);
    }

    fn push(&mut self, name: &str, kind: Type, [values, statuses, times]: [ArrayRef; 3]) {
        let status = Field::new(format!("{name}__status"), DataType::UInt8, false);
        let time = Field::new(format!("{name}__event_time_us"), DataType::Int64, true);
        self.fields
            .extend([Field::new(name, arrow_type(kind), true), status, time]);
        self.arrays.extend([values, statuses, times]);
    }

    pub(crate) fn finish(self) -> Result<RecordBatch, ArrowError> {
        RecordBatch::try_new(Arc::new(Schema::new(self.fields)), self.arrays)
    }
}
