//! Latest views over tables for Python: rows to store, stored rows read, frames over all rows.

use arrow_array::RecordBatch;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use skewless_core::definition::{self, Definition, compile};
use skewless_core::expr::{Cell, Columns};
use skewless_core::fault::Fault;
use skewless_core::latest::frame::{self, Asked, Known, TableRow};
use skewless_core::latest::table::{self, RowTimes, TIMELESS};
use skewless_core::latest::{Reading, outlived_at};
use skewless_core::schema::{Column, Schema};
use skewless_core::value::Type;

use crate::arrow::{ArrowBatch, all_batches};
use crate::columns::BatchColumns;
use crate::errors::{InputError, definition_error, state_error};
use crate::stream::output::FeatureColumns;
use crate::stream::view::{PyAnswer, py_answer};

/// Entity id, value, expiry in milliseconds.
type Stored<'py> = (String, Bound<'py, PyBytes>, Option<i64>);

/// A compiled latest view over a table.
#[pyclass(frozen, module = "skewless_kernel")]
pub(crate) struct LatestView {
    view: definition::LatestView,
    /// What batches of its rows hold; the features stand first, in declared order.
    columns: Schema,
}

#[pymethods]
impl LatestView {
    #[new]
    fn new(py: Python<'_>, meaning_json: &[u8]) -> PyResult<Self> {
        let view = match compile(meaning_json).map_err(|faults| definition_error(py, &faults))? {
            Definition::Latest(view) if !view.is_stream() => view,
            _ => {
                let message = "a latest view over a batch source is needed here";
                let fault = Fault::new("$.kind", "UNEXPECTED_KIND", message);
                return Err(definition_error(py, &[fault]));
            }
        };
        let features = view.features.iter();
        let features = features.map(|feature| (format!("f_{}", feature.name), feature.kind));
        let own = [
            ("entity_id", Type::String),
            ("event_time_us", Type::Timestamp),
            ("created_time_us", Type::Timestamp),
            ("run_seq", Type::Int64),
            ("deleted", Type::Bool),
        ];
        let columns = features.chain(own.map(|(name, kind)| (name.to_owned(), kind)));
        Ok(Self {
            columns: schema(columns),
            view,
        })
    }

    /// SHA-256 of the meaning document.
    #[getter]
    fn meaning_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.view.meaning)
    }

    /// What to store for each row.
    fn encode<'py>(&self, py: Python<'py>, rows: &Bound<'py, PyAny>) -> PyResult<Vec<Stored<'py>>> {
        let rows = all_batches(rows)?;
        let stored = py.detach(|| {
            let table = self.table(&rows)?;
            let rows = (0..rows.num_rows()).map(|place| self.stored(&table, place));
            rows.collect::<PyResult<Vec<_>>>()
        })?;
        let stored = stored
            .into_iter()
            .map(|(id, value, expiry)| (id, PyBytes::new(py, &value), expiry));
        Ok(stored.collect())
    }

    /// The answer of a stored value at a request time, one per feature.
    #[pyo3(signature = (value, request_time_us))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        value: Option<&[u8]>,
        request_time_us: i64,
    ) -> PyResult<Vec<PyAnswer<'py>>> {
        let answers = table::read(&self.view, value, request_time_us).and_then(|reading: Reading<'_>| {
            let features = 0..self.view.features.len();
            features
                .map(|feature| reading.answer(&self.view, feature))
                .collect::<Result<Vec<_>, _>>()
        });
        let answers = answers.map_err(|error| state_error(py, &error))?;
        answers.into_iter().map(|answer| py_answer(py, answer)).collect()
    }

    /// The features of many asked rows at once, straight from all rows of the table.
    fn frame(
        &self,
        py: Python<'_>,
        table: &Bound<'_, PyAny>,
        rows: &Bound<'_, PyAny>,
    ) -> PyResult<ArrowBatch> {
        let (table, rows) = (all_batches(table)?, all_batches(rows)?);
        py.detach(|| self.frame_columns(&table, &rows)).map(ArrowBatch)
    }
}

impl LatestView {
    /// The cells of rows; only the created time may be absent as a whole.
    fn table(&self, rows: &RecordBatch) -> PyResult<BatchColumns> {
        let optional = rows.column_by_name("created_time_us").is_none();
        let used: Vec<usize> = (0..self.columns.len())
            .filter(|place| !(optional && *place == self.created_time()))
            .collect();
        BatchColumns::read(rows, &self.columns, &used)
    }

    /// Where the created time stands: behind the features, the entity id and the event time.
    fn created_time(&self) -> usize {
        self.view.features.len() + 2
    }

    fn row<'a>(&self, cells: &'a BatchColumns, place: usize) -> PyResult<TableRow<'a>> {
        let own = self.view.features.len();
        let (Cell::Text(entity_id), Cell::Timestamp(event_time), Cell::Int(run_seq), Cell::Bool(deleted)) = (
            cells.cell(place, own),
            cells.cell(place, own + 1),
            cells.cell(place, own + 3),
            cells.cell(place, own + 4),
        ) else {
            return Err(InputError::new_err(format!(
                "row {place}: entity_id, event_time_us, run_seq and deleted must not be null"
            )));
        };
        let run_seq = u64::try_from(run_seq).ok().filter(|run| *run > 0);
        let run_seq =
            run_seq.ok_or_else(|| InputError::new_err(format!("row {place}: run_seq must be positive")))?;
        let created_time = match cells.cell(place, self.created_time()) {
            Cell::Timestamp(created) => Some(created),
            _ => None,
        };
        let event_time = if self.view.is_timeless() {
            TIMELESS
        } else {
            event_time
        };
        let times = RowTimes {
            event_time,
            created_time,
            run_seq,
        };
        Ok(TableRow {
            entity_id,
            times,
            deleted,
        })
    }

    fn stored(&self, table: &BatchColumns, place: usize) -> PyResult<(String, Vec<u8>, Option<i64>)> {
        let row = self.row(table, place)?;
        let features = 0..self.view.features.len();
        let cells = (!row.deleted).then(|| features.map(|feature| table.cell(place, feature)));
        let value = table::encode(row.times, cells, row.times.run_seq);
        let expiry = outlived_at(&self.view, row.times.event_time).map(milliseconds_after);
        Ok((row.entity_id.to_owned(), value, expiry))
    }

    fn frame_columns(&self, table: &RecordBatch, rows: &RecordBatch) -> PyResult<RecordBatch> {
        let cells = self.table(table)?;
        let table = (0..table.num_rows())
            .map(|place| self.row(&cells, place))
            .collect::<PyResult<Vec<_>>>()?;
        let asked_columns = [
            ("entity_id", Type::String),
            ("request_time_us", Type::Timestamp),
            ("run_seq", Type::Int64),
        ];
        let asked_columns = schema(asked_columns.map(|(name, kind)| (name.to_owned(), kind)));
        let asked_cells = BatchColumns::read(rows, &asked_columns, &[0, 1, 2])?;
        let asked = (0..rows.num_rows())
            .map(|place| asked_row(&asked_cells, place))
            .collect::<PyResult<Vec<_>>>()?;
        let newest = frame::table(&self.view, &table, &cells, &asked);
        let mut columns = FeatureColumns::new();
        for (place, feature) in self.view.features.iter().enumerate() {
            let answers = newest.iter().map(|newest| {
                let (cell, status) = newest.cell(&cells, place);
                (cell, status, newest.event_time)
            });
            columns.add(&feature.name, feature.kind, answers);
        }
        columns.finish().map_err(InputError::of_arrow)
    }
}

fn schema(columns: impl IntoIterator<Item = (String, Type)>) -> Schema {
    let column = |(name, kind)| Column {
        name,
        kind,
        nullable: true,
    };
    Schema::new(columns.into_iter().map(column).collect())
}

/// `entity_id`, `request_time_us`, and the run up to which the row knows: null for all, less than one for none.
fn asked_row(cells: &BatchColumns, place: usize) -> PyResult<Asked<'_, u64>> {
    let Cell::Timestamp(request_time) = cells.cell(place, 1) else {
        return Err(InputError::new_err(format!("row {place} has no request time")));
    };
    let entity_id = match cells.cell(place, 0) {
        Cell::Text(entity_id) => Some(entity_id),
        _ => None,
    };
    let known = match cells.cell(place, 2) {
        Cell::Int(run_seq) => match u64::try_from(run_seq) {
            Ok(run_seq @ 1..) => Known::Upto(run_seq),
            _ => Known::Nothing,
        },
        _ => Known::Everything,
    };
    Ok(Asked {
        entity_id,
        request_time,
        known,
    })
}

/// The first whole millisecond that is not before an instant in microseconds.
fn milliseconds_after(instant: i64) -> i64 {
    instant.div_euclid(1000) + i64::from(instant.rem_euclid(1000) > 0)
}
