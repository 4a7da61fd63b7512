//! Payload bytes into typed rows and verdicts.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema as ArrowSchema};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use skewless_core::definition::{EntityKey, Source, compile_source};
use skewless_core::payload::{Decoded, Decoder};
use skewless_core::value::{Type, Value};

use super::output::{ColumnBuilder, arrow_type};
use crate::arrow::ArrowBatch;
use crate::errors::{InputError, definition_error};
use crate::locks::unlocked;

/// Payload bytes into typed rows and verdicts: the only place where a stream record gets its verdict.
#[pyclass(frozen, module = "skewless_kernel")]
pub(crate) struct StreamDecoder {
    decoder: Decoder,
    schema: Arc<ArrowSchema>,
}

/// A decoded batch, and what a writer must know of it before it can fold it.
#[pyclass(extends = ArrowBatch, frozen, module = "skewless_kernel")]
pub(crate) struct DecodedBatch {
    entity_ids: Vec<String>,
    #[pyo3(get)]
    newest_us: Option<i64>,
    #[pyo3(get)]
    refused: usize,
}

#[pymethods]
impl DecodedBatch {
    /// Whom the accepted rows are about, each once, in the order of first appearance.
    #[getter]
    fn entity_ids(&self) -> Vec<&str> {
        self.entity_ids.iter().map(String::as_str).collect()
    }

    /// Whom each row is about, in order; None where it is not accepted and for an event without an entity.
    fn row_entities(slf: &Bound<'_, Self>) -> Vec<Option<String>> {
        let batch = &slf.as_super().get().0;
        let ids = batch
            .column_by_name("entity_id")
            .and_then(|ids| ids.as_string_opt::<i32>());
        ids.map_or_else(Vec::new, |ids| {
            ids.iter().map(|id| id.map(str::to_owned)).collect()
        })
    }
}

/// What `DecodedBatch` tells, while rows come.
#[derive(Default)]
struct Summary {
    entity_ids: Vec<String>,
    seen: HashSet<String>,
    newest: Option<i64>,
    refused: usize,
}

impl Summary {
    fn note(&mut self, record: &Decoded) {
        if record.refusal.is_some() {
            self.refused += 1;
            return;
        }
        self.newest = self.newest.max(record.event_time);
        if let Some(id) = record.entity_id.as_deref() {
            if !self.seen.contains(id) {
                self.seen.insert(id.to_owned());
                self.entity_ids.push(id.to_owned());
            }
        }
    }
}

#[pymethods]
impl StreamDecoder {
    #[new]
    #[pyo3(signature = (source_meaning_json, entity_keys, direct))]
    // The list is Python's.
    #[allow(clippy::needless_pass_by_value)]
    fn new(
        py: Python<'_>,
        source_meaning_json: &[u8],
        entity_keys: Vec<(String, String)>,
        direct: bool,
    ) -> PyResult<Self> {
        let source = compile_source(source_meaning_json).map_err(|faults| definition_error(py, &faults))?;
        let Source::Stream(source) = source else {
            return Err(InputError::new_err(format!(
                "{:?} is a table; records are decoded of streams",
                source.name()
            )));
        };
        let keys = entity_keys.iter().map(|(name, kind)| {
            let kind = Type::from_name(kind)
                .ok_or_else(|| InputError::new_err(format!("{kind:?} is no type of a key column")))?;
            Ok(EntityKey {
                name: name.clone(),
                kind,
            })
        });
        let keys = keys.collect::<PyResult<Vec<_>>>()?;
        let schema = schema(&source);
        let decoder = Decoder::new(source, &keys, direct).ok_or_else(|| {
            InputError::new_err(format!(
                "the entity's key columns {entity_keys:?} must be columns of the source, with the same types"
            ))
        })?;
        Ok(Self {
            decoder,
            schema: Arc::new(schema),
        })
    }

    /// The records as a batch, one row each, in the order given.
    // The lists are Python's.
    #[allow(clippy::needless_pass_by_value)]
    fn decode<'py>(
        &self,
        py: Python<'py>,
        keys: Vec<Option<PyBackedBytes>>,
        values: Vec<Option<PyBackedBytes>>,
        append_times_us: Vec<i64>,
    ) -> PyResult<Bound<'py, DecodedBatch>> {
        if keys.len() != values.len() || keys.len() != append_times_us.len() {
            return Err(InputError::new_err(format!(
                "{} keys, {} values and {} append times; there must be one of each per record",
                keys.len(),
                values.len(),
                append_times_us.len()
            )));
        }
        let (batch, summary) = unlocked(py, keys.len(), || {
            let records = keys.iter().zip(&values).zip(&append_times_us);
            let decoded = records.map(|((key, value), time)| {
                let (key, value) = (key.as_deref(), value.as_deref());
                self.decoder.decode(key, value, *time)
            });
            self.batch(decoded, keys.len())
        })
        .map_err(InputError::of_arrow)?;
        let decoded = DecodedBatch {
            entity_ids: summary.entity_ids,
            newest_us: summary.newest,
            refused: summary.refused,
        };
        Bound::new(
            py,
            PyClassInitializer::from(ArrowBatch(batch)).add_subclass(decoded),
        )
    }
}

/// verdict, reason, detail, `event_time_us`, `entity_id`, then the source's columns as `c_<name>`.
fn schema(source: &skewless_core::definition::StreamSource) -> ArrowSchema {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let mut fields = vec![
        text("verdict", false),
        text("reason", true),
        text("detail", true),
        Field::new("event_time_us", DataType::Int64, true),
        text("entity_id", true),
    ];
    let columns = source.columns.columns().iter();
    fields.extend(
        columns.map(|column| Field::new(format!("c_{}", column.name), arrow_type(column.kind), true)),
    );
    ArrowSchema::new(fields)
}

impl StreamDecoder {
    fn batch(
        &self,
        decoded: impl Iterator<Item = Decoded>,
        rows: usize,
    ) -> Result<(RecordBatch, Summary), arrow_schema::ArrowError> {
        let mut summary = Summary::default();
        let columns = self.decoder.source().columns.columns();
        let mut verdicts = StringBuilder::with_capacity(rows, rows * 8);
        let mut reasons = StringBuilder::new();
        let mut details = StringBuilder::new();
        let mut times = Int64Builder::with_capacity(rows);
        let mut entities = StringBuilder::with_capacity(rows, rows * 16);
        let mut cells: Vec<ColumnBuilder> = columns
            .iter()
            .map(|column| ColumnBuilder::new(column.kind, rows))
            .collect();
        for record in decoded {
            summary.note(&record);
            verdicts.append_value(record.verdict.name());
            reasons.append_option(record.refusal.as_ref().map(|refusal| refusal.reason));
            details.append_option(record.refusal.as_ref().map(|refusal| refusal.detail.as_str()));
            times.append_option(record.event_time);
            entities.append_option(record.entity_id.as_deref());
            for (place, builder) in cells.iter_mut().enumerate() {
                builder.append(record.row.get(place).unwrap_or(&Value::Null).into());
            }
        }
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(verdicts.finish()),
            Arc::new(reasons.finish()),
            Arc::new(details.finish()),
            Arc::new(times.finish()),
            Arc::new(entities.finish()),
        ];
        arrays.extend(cells.into_iter().map(ColumnBuilder::finish));
        RecordBatch::try_new(Arc::clone(&self.schema), arrays).map(|batch| (batch, summary))
    }
}
