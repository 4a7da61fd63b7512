//! On-demand views for Python: all features of many rows at once.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::UInt8Builder;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use skewless_core::definition::{self, Definition, compile};
use skewless_core::expr::{Cell, Columns};
use skewless_core::fault::Fault;
use skewless_core::functions::{Calls, Outcome};
use skewless_core::ondemand::{self, Inputs};
use skewless_core::status::Status;
use skewless_core::value::Type;

use crate::arrow::{ArrowBatch, all_batches, one_array};
use crate::columns::{BatchColumns, Column};
use crate::errors::{InputError, definition_error};
use crate::stream::output::{ColumnBuilder, arrow_type};

/// Feature, module, name, source hash, type, budget in microseconds.
type FunctionTuple<'py> = (String, String, String, Bound<'py, PyBytes>, &'static str, i64);

/// A compiled on-demand view.
#[pyclass(frozen, module = "skewless_kernel")]
pub(crate) struct OnDemandView {
    view: definition::OnDemandView,
    /// The places of the columns that any feature reads.
    used: Vec<usize>,
}

#[pymethods]
impl OnDemandView {
    #[new]
    fn new(py: Python<'_>, meaning_json: &[u8]) -> PyResult<Self> {
        let Definition::OnDemand(view) =
            compile(meaning_json).map_err(|faults| definition_error(py, &faults))?
        else {
            let fault = Fault::new("$.kind", "UNEXPECTED_KIND", "an on-demand view is needed here");
            return Err(definition_error(py, &[fault]));
        };
        let used = view
            .features
            .iter()
            .flat_map(definition::OnDemandFeature::columns);
        let used = used.copied().collect();
        Ok(Self { view, used })
    }

    /// SHA-256 of the meaning document.
    #[getter]
    fn meaning_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.view.meaning)
    }

    /// The features that are Python functions.
    #[getter]
    fn functions<'py>(&self, py: Python<'py>) -> Vec<FunctionTuple<'py>> {
        let functions = self.view.features.iter().filter_map(|feature| {
            let function = feature.function()?;
            Some((
                feature.name.clone(),
                function.module.clone(),
                function.name.clone(),
                PyBytes::new(py, &function.source),
                feature.kind.name(),
                function.budget_us,
            ))
        });
        functions.collect()
    }

    /// The arguments of a function for all rows, and their digests; absent where no row is called.
    fn arguments<'py>(
        &self,
        py: Python<'py>,
        feature: &str,
        columns: &Bound<'_, PyAny>,
        request_times_us: &Bound<'_, PyAny>,
    ) -> PyResult<(Option<Bound<'py, PyBytes>>, Bound<'py, PyBytes>)> {
        let batch = all_batches(columns)?;
        let times = one_array(request_times_us)?;
        let (arguments, any) = py.detach(|| {
            let times = request_times(&times, batch.num_rows())?;
            let inputs = InputColumns::read(&self.view, &batch, &self.used)?;
            let place = self.view.feature(feature);
            let function = place.and_then(|place| self.view.features[place].function());
            let calls = place.and_then(|place| Calls::of(&self.view, place, &inputs, times.len()));
            let (Some(function), Some(calls)) = (function, calls) else {
                return Err(InputError::new_err(format!(
                    "{feature:?} is no Python function of the view"
                )));
            };
            let arguments = calls.arguments(&self.view, function, &inputs, &times);
            Ok((arguments, calls.any()))
        })?;
        let text = any.then(|| PyBytes::new(py, arguments.text.as_bytes()));
        Ok((text, PyBytes::new(py, arguments.digests.as_flattened())))
    }

    /// The features of each row at its own request time.
    #[pyo3(signature = (columns, request_times_us, results = None))]
    fn evaluate(
        &self,
        py: Python<'_>,
        columns: &Bound<'_, PyAny>,
        request_times_us: &Bound<'_, PyAny>,
        results: Option<HashMap<String, Vec<u8>>>,
    ) -> PyResult<ArrowBatch> {
        let batch = all_batches(columns)?;
        let times = one_array(request_times_us)?;
        let results = results.unwrap_or_default();
        py.detach(|| {
            let times = request_times(&times, batch.num_rows())?;
            let inputs = InputColumns::read(&self.view, &batch, &self.used)?;
            self.columns(&inputs, &times, &results)
                .map_err(InputError::of_arrow)
        })
        .map(ArrowBatch)
    }
}

impl OnDemandView {
    fn columns(
        &self,
        inputs: &InputColumns,
        times: &[i64],
        results: &HashMap<String, Vec<u8>>,
    ) -> Result<RecordBatch, ArrowError> {
        let mut fields = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for (place, feature) in self.view.features.iter().enumerate() {
            let mut values = ColumnBuilder::new(feature.kind, times.len());
            let mut statuses = UInt8Builder::with_capacity(times.len());
            if let Some(outcomes) = self.outcomes(place, inputs, times.len(), results) {
                for outcome in &outcomes {
                    values.append(Cell::from(&outcome.value));
                    statuses.append_value(outcome.status.code());
                }
            } else {
                let answers = ondemand::eval_batch(&self.view, place, inputs, times);
                for (value, status) in answers.into_iter().flatten() {
                    values.append(value);
                    statuses.append_value(status.code());
                }
            }
            fields.push(Field::new(&feature.name, arrow_type(feature.kind), true));
            fields.push(Field::new(
                format!("{}__status", feature.name),
                DataType::UInt8,
                false,
            ));
            arrays.push(values.finish());
            arrays.push(Arc::new(statuses.finish()));
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
    }

    /// What came of a Python function; absent for an expression.
    fn outcomes(
        &self,
        place: usize,
        inputs: &InputColumns,
        rows: usize,
        results: &HashMap<String, Vec<u8>>,
    ) -> Option<Vec<Outcome>> {
        let calls = Calls::of(&self.view, place, inputs, rows)?;
        Some(match results.get(&self.view.features[place].name) {
            Some(results) => calls.outcomes(results),
            None => calls.not_computed("the function was not called"),
        })
    }
}

/// Request fields and stored features by their places, with the statuses of the latter.
struct InputColumns {
    cells: BatchColumns,
    /// By place among the inputs; empty for one that no feature reads.
    statuses: Vec<Vec<Status>>,
}

impl InputColumns {
    fn read(view: &definition::OnDemandView, batch: &RecordBatch, used: &[usize]) -> PyResult<Self> {
        let cells = BatchColumns::read(batch, &view.row, used)?;
        let fields = view.request.len();
        let inputs = view.inputs.iter().enumerate();
        let statuses = inputs.map(|(place, input)| {
            if used.contains(&(fields + place)) {
                statuses(batch, &format!("{}__status", input.name))
            } else {
                Ok(Vec::new())
            }
        });
        Ok(Self {
            cells,
            statuses: statuses.collect::<PyResult<_>>()?,
        })
    }
}

impl Columns for InputColumns {
    fn cell(&self, row: usize, place: usize) -> Cell<'_> {
        self.cells.cell(row, place)
    }
}

impl Inputs for InputColumns {
    fn status(&self, row: usize, input: usize) -> Status {
        let column = self.statuses.get(input).and_then(|column| column.get(row));
        column.copied().unwrap_or(Status::Unavailable)
    }
}

fn statuses(batch: &RecordBatch, name: &str) -> PyResult<Vec<Status>> {
    let array = batch
        .column_by_name(name)
        .ok_or_else(|| InputError::new_err(format!("the batch lacks the column {name:?}")))?;
    let codes = array
        .as_primitive_opt::<UInt8Type>()
        .ok_or_else(|| InputError::new_err(format!("column {name:?} must be uint8")))?;
    let status = |(row, code): (usize, Option<u8>)| {
        code.and_then(Status::from_code)
            .ok_or_else(|| InputError::new_err(format!("column {name:?}, row {row}: {code:?} is no status")))
    };
    codes.iter().enumerate().map(status).collect()
}

fn request_times(array: &dyn Array, rows: usize) -> PyResult<Vec<i64>> {
    if array.len() != rows {
        let message = format!("{} request times for {rows} rows", array.len());
        return Err(InputError::new_err(message));
    }
    let column = Column::read("request_times_us", array, Type::Timestamp)?;
    let time = |row| match column.cell(row) {
        Cell::Timestamp(time) => Ok(time),
        _ => Err(InputError::new_err(format!("row {row} has no request time"))),
    };
    (0..rows).map(time).collect()
}
