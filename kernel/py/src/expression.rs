//! Expressions for Python: checking one, evaluating one over a batch, and the table of functions.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, UInt8Builder};
use arrow_array::{ArrayRef, RecordBatch};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use skewless_core::expr::{Cell, Expr, FUNCTIONS, Overflow};
use skewless_core::fault::Fault;
use skewless_core::schema::{Column, Schema};
use skewless_core::status::Status;
use skewless_core::value::Type;

use crate::arrow::{ArrowBatch, all_batches};
use crate::columns::BatchColumns;
use crate::errors::{InputError, definition_error};
use crate::stream::output::ColumnBuilder;

type Results<'a> = Vec<Result<Cell<'a>, Overflow>>;

/// The type of an expression's result. `columns`: name to type. Raises `DefinitionError` with all faults.
#[pyfunction]
pub(crate) fn check_expression(
    py: Python<'_>,
    ir_json: &[u8],
    columns: &Bound<'_, PyDict>,
) -> PyResult<&'static str> {
    let schema = schema(columns)?;
    let expr = compile(ir_json, &schema).map_err(|faults| definition_error(py, &faults))?;
    Ok(expr.result_type().name())
}

/// An expression over each row of a batch at its own request time (microseconds): a batch of `value` (timestamps as
/// int64 microseconds) and `status` (uint8).
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // the list is Python's
pub(crate) fn evaluate_expression(
    py: Python<'_>,
    ir_json: &[u8],
    columns: &Bound<'_, PyDict>,
    batch: &Bound<'_, PyAny>,
    request_times: Vec<i64>,
) -> PyResult<ArrowBatch> {
    let schema = schema(columns)?;
    let expr = compile(ir_json, &schema).map_err(|faults| definition_error(py, &faults))?;
    let batch = all_batches(batch)?;
    if request_times.len() != batch.num_rows() {
        return Err(InputError::new_err(format!(
            "{} request times for {} rows",
            request_times.len(),
            batch.num_rows()
        )));
    }
    let cells = BatchColumns::read(&batch, &schema, expr.columns())?;
    py.detach(|| {
        let results = expr.eval_batch(&cells, &request_times);
        RecordBatch::try_from_iter_with_nullable([
            ("value", values(&results, expr.result_type()), true),
            ("status", statuses(&results), false),
        ])
    })
    .map(ArrowBatch)
    .map_err(InputError::of_arrow)
}

/// Adds the functions, and their table as `EXPRESSION_FUNCTIONS`.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(check_expression, module)?)?;
    module.add_function(wrap_pyfunction!(evaluate_expression, module)?)?;
    module.add("TZDATA_VERSION", skewless_core::expr::zone::tzdata_version())?;
    let names: Vec<&str> = FUNCTIONS.iter().map(|function| function.name).collect();
    module.add("EXPRESSION_FUNCTIONS", names)
}

fn compile(ir_json: &[u8], schema: &Schema) -> Result<Expr, Vec<Fault>> {
    let document = serde_json::from_slice(ir_json).map_err(|error| {
        vec![Fault::new(
            "$",
            "MALFORMED_EXPRESSION",
            format!("not JSON: {error}"),
        )]
    })?;
    Expr::compile(&document, schema)
}

fn schema(columns: &Bound<'_, PyDict>) -> PyResult<Schema> {
    let mut found = Vec::with_capacity(columns.len());
    for (name, kind) in columns {
        let (name, kind): (String, String) = (name.extract()?, kind.extract()?);
        let Some(kind) = Type::from_name(&kind) else {
            return Err(InputError::new_err(format!(
                "column {name:?} has the unknown type {kind:?}; there are int64, float64, bool, string, timestamp, decimal(P,S)"
            )));
        };
        found.push(Column {
            name,
            kind,
            nullable: true,
        });
    }
    Ok(Schema::new(found))
}

/// The cells as an Arrow column of a type; a cell of another type cannot come from a compiled expression.
fn values(results: &Results<'_>, kind: Type) -> ArrayRef {
    macro_rules! column {
        ($builder:ident, $($variant:pat => $value:expr),+) => {{
            let mut builder = $builder::new();
            for result in results {
                builder.append_option(match result {
                    $(Ok($variant) => Some($value),)+
                    _ => None,
                });
            }
            Arc::new(builder.finish())
        }};
    }
    match kind {
        Type::Int64 | Type::Timestamp => {
            column!(Int64Builder, Cell::Int(x) => *x, Cell::Timestamp(x) => *x)
        }
        Type::Float64 => column!(Float64Builder, Cell::Float(x) => *x),
        Type::Bool => column!(BooleanBuilder, Cell::Bool(x) => *x),
        Type::String => column!(StringBuilder, Cell::Text(x) => *x),
        Type::List(_) | Type::Decimal(_) => {
            let mut builder = ColumnBuilder::new(kind, results.len());
            for result in results {
                builder.append(result.unwrap_or(Cell::Null));
            }
            builder.finish()
        }
    }
}

fn statuses(results: &Results<'_>) -> ArrayRef {
    let mut builder = UInt8Builder::with_capacity(results.len());
    for result in results {
        let status = match result {
            Ok(Cell::Null) => Status::Null,
            Ok(_) => Status::Present,
            Err(Overflow) => Status::Overflow,
        };
        builder.append_value(status.code());
    }
    Arc::new(builder.finish())
}
