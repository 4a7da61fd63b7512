//! A compiled view over a stream.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyList, PyType};
use skewless_core::answer::Answer;
use skewless_core::definition::{Definition, LatestView, WindowView, compile};
use skewless_core::expr::Expr;
use skewless_core::fault::Fault;
use skewless_core::latest;
use skewless_core::latest::frame::{Asked, Known, LogPosition};
use skewless_core::schema::{Column, Schema};
use skewless_core::value::Value;
use skewless_core::window::{self, FrameTimes, Origin};

use super::events::{AskedRows, Events, known};
use super::output::{FeatureColumns, time_column};
use super::partition::StatePartition;
use crate::arrow::{ArrowBatch, all_batches};
use crate::errors::{InputError, definition_error, state_error};

/// Value (timestamps as microseconds), status, event time.
pub(crate) type PyAnswer<'py> = (Bound<'py, PyAny>, u8, Option<i64>);

/// Either kind of view over a stream.
#[derive(Clone)]
pub(super) enum Kind {
    Window(Arc<WindowView>),
    Latest(Arc<LatestView>),
}

/// A compiled window view, or latest view over a stream.
#[pyclass(frozen, module = "skewless_kernel")]
pub(crate) struct StreamView {
    kind: Kind,
    /// The source's columns as batches name them (`c_<name>`).
    columns: Arc<Schema>,
    /// The places of those that the view reads.
    used: Arc<[usize]>,
}

#[pymethods]
impl StreamView {
    #[new]
    fn new(py: Python<'_>, meaning_json: &[u8]) -> PyResult<Self> {
        let kind = match compile(meaning_json).map_err(|faults| definition_error(py, &faults))? {
            Definition::Window(view) => Kind::Window(Arc::new(view)),
            Definition::Latest(view) if view.is_stream() => Kind::Latest(Arc::new(view)),
            _ => {
                let message = "a window view, or a latest view over a stream, is needed here";
                return Err(definition_error(
                    py,
                    &[Fault::new("$.kind", "UNEXPECTED_KIND", message)],
                ));
            }
        };
        let (columns, used) = match &kind {
            Kind::Window(view) => {
                let kept = view.layout.columns.iter().filter_map(|column| match column.from {
                    Origin::Row(place) => Some(place),
                    Origin::Condition(_) => None,
                });
                let conditions = view.layout.conditions.iter().map(|condition| &*condition.expr);
                let operation = view.source.operation.iter().map(|operation| operation.column);
                (
                    &view.source.columns,
                    used(kept.chain(operation), view.filter.iter().chain(conditions)),
                )
            }
            Kind::Latest(view) => {
                let kept = view.features.iter().map(|feature| feature.column);
                let kept = kept.chain(view.operation().map(|operation| operation.column));
                (view.source.columns(), used(kept, view.filter.iter()))
            }
        };
        let columns = columns.columns().iter().map(|column| Column {
            name: format!("c_{}", column.name),
            ..column.clone()
        });
        Ok(Self {
            columns: Arc::new(Schema::new(columns.collect())),
            used: used.into(),
            kind,
        })
    }

    /// SHA-256 of the meaning document.
    #[getter]
    fn meaning_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let hash = match &self.kind {
            Kind::Window(view) => &view.meaning,
            Kind::Latest(view) => &view.meaning,
        };
        PyBytes::new(py, hash)
    }

    /// The columns of events (`c_<name>`) that answers are made from, in the order of the source.
    #[getter]
    fn columns(&self) -> Vec<&str> {
        let columns = self.columns.columns();
        self.used.iter().map(|place| &*columns[*place].name).collect()
    }

    /// From which event time on events matter to any request at or after this time; None: from the start.
    fn earliest_needed(&self, earliest_request_us: i64) -> Option<i64> {
        match &self.kind {
            Kind::Window(view) => view.layout.earliest_needed(earliest_request_us),
            Kind::Latest(_) => None,
        }
    }

    /// The writer's half: the states of one log partition.
    fn open_partition(&self, epoch: u64, partition: u32, run: u64) -> StatePartition {
        let columns = (Arc::clone(&self.columns), Arc::clone(&self.used));
        StatePartition::new(&self.kind, columns, epoch, partition, run)
    }

    /// The answer of a stored state at a request time, one per feature.
    #[pyo3(signature = (head, body, request_time_us))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        head: Option<&[u8]>,
        body: Option<&[u8]>,
        request_time_us: i64,
    ) -> PyResult<Vec<PyAnswer<'py>>> {
        let answers = match &self.kind {
            Kind::Window(view) => {
                window::read(view, head, body, request_time_us).map(|reading| reading.answers)
            }
            Kind::Latest(view) => latest::stream::read(view, head, request_time_us).and_then(|reading| {
                (0..view.features.len())
                    .map(|feature| reading.answer(view, feature))
                    .collect()
            }),
        };
        let answers = answers.map_err(|error| state_error(py, &error))?;
        answers.into_iter().map(|answer| py_answer(py, answer)).collect()
    }

    /// The features of many rows at once, straight from the events of the log.
    fn frame(
        &self,
        py: Python<'_>,
        events: &Bound<'_, PyAny>,
        rows: &Bound<'_, PyAny>,
    ) -> PyResult<ArrowBatch> {
        let (events, rows) = (all_batches(events)?, all_batches(rows)?);
        py.detach(|| {
            let events = Events::read(&events, &self.columns, &self.used)?;
            let rows = AskedRows::read(&rows)?;
            self.frame_columns(&events, &rows)
        })
        .map(ArrowBatch)
    }

    /// The events that a feature rests on for one entity, with the columns as given, by (t, position).
    #[pyo3(signature = (feature, events, entity_id, request_time_us, partition, next_offset))]
    // The signature is the door's.
    #[allow(clippy::too_many_arguments)]
    fn contributing(
        &self,
        py: Python<'_>,
        feature: &str,
        events: &Bound<'_, PyAny>,
        entity_id: &str,
        request_time_us: i64,
        partition: Option<i64>,
        next_offset: Option<i64>,
    ) -> PyResult<ArrowBatch> {
        let place = match &self.kind {
            Kind::Window(view) => view.feature(feature),
            Kind::Latest(view) => view.feature(feature),
        };
        let place =
            place.ok_or_else(|| InputError::new_err(format!("the view has no feature {feature:?}")))?;
        let known = known(partition, next_offset).map_err(InputError::new_err)?;
        let batch = all_batches(events)?;
        py.detach(|| {
            let events = Events::read(&batch, &self.columns, &self.used)?;
            let places = self.contributing_places(place, &events, entity_id, request_time_us, known);
            let places: Vec<u64> = places.into_iter().map(|row| row as u64).collect();
            let taken = arrow_select::take::take_record_batch(&batch, &UInt64Array::from(places));
            taken.map_err(InputError::of_arrow)
        })
        .map(ArrowBatch)
    }
}

impl StreamView {
    fn frame_columns(&self, events: &Events, rows: &AskedRows) -> PyResult<RecordBatch> {
        let asked = rows.rows();
        let mut columns = FeatureColumns::new();
        match &self.kind {
            Kind::Window(view) => {
                let found = window::frame(view, events, &asked);
                let frame = found.map_err(|error| InputError::new_err(error.to_string()))?;
                let times: Vec<_> = frame.times.into_iter().map(FrameTimes::into_parts).collect();
                let times: Vec<ArrayRef> = times.into_iter().map(time_column).collect();
                for (feature, column) in view.features.iter().zip(frame.columns) {
                    let own = Arc::clone(&times[column.times]);
                    columns.add_frame(&feature.name, feature.kind, column, own);
                }
            }
            Kind::Latest(view) => {
                let events = events.of_entities();
                let newest = latest::frame::stream(view, &events.list(), &events, &asked);
                for feature in &view.features {
                    let own = newest.iter().map(|newest| {
                        let (cell, status) = newest.cell(&events, feature.column);
                        (cell, status, newest.event_time)
                    });
                    columns.add(&feature.name, feature.kind, own);
                }
            }
        }
        columns.finish().map_err(InputError::of_arrow)
    }

    /// The rows of the batch that hold them.
    fn contributing_places(
        &self,
        feature: usize,
        events: &Events,
        entity_id: &str,
        request_time: i64,
        known: Known<LogPosition>,
    ) -> Vec<usize> {
        let asked = Asked {
            entity_id: Some(entity_id),
            request_time,
            known,
        };
        match &self.kind {
            Kind::Window(view) => window::contributing(view, feature, events, &asked),
            Kind::Latest(view) => {
                let events = events.of_entities();
                let newest = latest::frame::stream(view, &events.list(), &events, &[asked]);
                let rows = newest.into_iter().filter_map(|newest| newest.row);
                rows.map(|event| events.row_of(event)).collect()
            }
        }
    }
}

fn used<'e>(kept: impl Iterator<Item = usize>, conditions: impl Iterator<Item = &'e Expr>) -> Vec<usize> {
    let asked = conditions.flat_map(|condition| condition.columns().iter().copied());
    let used: BTreeSet<usize> = kept.chain(asked).collect();
    used.into_iter().collect()
}

pub(crate) fn py_answer(py: Python<'_>, answer: Answer) -> PyResult<PyAnswer<'_>> {
    let value = py_value(py, answer.value)?;
    Ok((value, answer.status.code(), answer.event_time))
}

fn py_value(py: Python<'_>, value: Value) -> PyResult<Bound<'_, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Int(integer) | Value::Timestamp(integer) => integer.into_pyobject(py)?.into_any(),
        Value::Float(double) => double.into_pyobject(py)?.into_any(),
        Value::Bool(flag) => flag.into_pyobject(py)?.to_owned().into_any(),
        Value::String(text) => text.as_ref().into_pyobject(py)?.into_any(),
        Value::Decimal(units, kind) => {
            static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
            let class = CLASS.import(py, "decimal", "Decimal")?;
            class.call1((kind.text(units),))?
        }
        Value::List(_, items) => {
            let items = items.iter().map(|item| py_value(py, item.clone()));
            PyList::new(py, items.collect::<PyResult<Vec<_>>>()?)?.into_any()
        }
    })
}
