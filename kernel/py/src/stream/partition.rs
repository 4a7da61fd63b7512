//! The cached states of one log partition.

use std::sync::Arc;

use arrow_array::RecordBatch;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use skewless_core::expr::Columns;
use skewless_core::latest::stream::LatestState;
use skewless_core::partition::{
    CachedWindow, Flushed, FoldError, LogEvent, LogRow, StatePartition as States,
};
use skewless_core::schema::Schema;
use skewless_core::state::StateError;
use skewless_core::value::{Type, Value};

use super::events::{column, instant, text};
use super::view::Kind;
use crate::arrow::all_batches;
use crate::columns::{BatchColumns, Column};
use crate::errors::{InputError, state_error};
use crate::locks::unlocked;

/// Entity id, head, body if it changed, expiry in Unix milliseconds.
type PyFlushed<'py> = (
    String,
    Bound<'py, PyBytes>,
    Option<Bound<'py, PyBytes>>,
    Option<i64>,
);

/// The states of either kind of view.
enum Either {
    Window(States<CachedWindow>),
    Latest(States<LatestState>),
}

/// Calls a method of the states, whichever kind they are.
macro_rules! states {
    ($either:expr, $states:ident => $call:expr) => {
        match $either {
            Either::Window($states) => $call,
            Either::Latest($states) => $call,
        }
    };
}

/// The cached states of one view for one partition of its input log.
#[pyclass(module = "skewless_kernel")]
pub(crate) struct StatePartition {
    states: Either,
    columns: Arc<Schema>,
    used: Arc<[usize]>,
}

/// What became of the rows of a batch.
#[pyclass(frozen, get_all, module = "skewless_kernel")]
pub(crate) struct FoldReport {
    folded: u64,
    late: u64,
    below_horizon: u64,
    known: u64,
    filtered: u64,
    without_entity: u64,
    refused: u64,
}

#[pymethods]
impl FoldReport {
    fn __repr__(&self) -> String {
        format!(
            "FoldReport(folded={}, late={}, below_horizon={}, known={}, filtered={}, without_entity={}, refused={})",
            self.folded,
            self.late,
            self.below_horizon,
            self.known,
            self.filtered,
            self.without_entity,
            self.refused
        )
    }
}

impl StatePartition {
    pub(super) fn new(
        kind: &Kind,
        (columns, used): (Arc<Schema>, Arc<[usize]>),
        epoch: u64,
        partition: u32,
        run: u64,
    ) -> Self {
        let states = match kind {
            Kind::Window(view) => Either::Window(States::new(Arc::clone(view), epoch, partition, run)),
            Kind::Latest(view) => Either::Latest(States::new(Arc::clone(view), epoch, partition, run)),
        };
        Self {
            states,
            columns,
            used,
        }
    }
}

#[pymethods]
impl StatePartition {
    /// The writer's clock in microseconds; None before any event.
    #[getter]
    fn clock_us(&self) -> Option<i64> {
        states!(&self.states, states => states.clock())
    }

    /// How many states are cached.
    #[getter]
    fn cached(&self) -> usize {
        states!(&self.states, states => states.cached())
    }

    /// How many states have unwritten changes.
    #[getter]
    fn dirty(&self) -> usize {
        states!(&self.states, states => states.dirty())
    }

    /// About how much memory the states take, in bytes.
    #[getter]
    fn bytes(&self) -> usize {
        states!(&self.states, states => states.memory())
    }

    /// Those of the entities whose states are not cached, in the order given, each once.
    // The list is Python's.
    #[allow(clippy::needless_pass_by_value)]
    fn missing(&self, entity_ids: Vec<String>) -> Vec<String> {
        let mut seen = std::collections::HashSet::new();
        let holds = |id: &str| states!(&self.states, states => states.holds(id));
        entity_ids
            .into_iter()
            .filter(|id| !holds(id) && seen.insert(id.clone()))
            .collect()
    }

    /// Caches the stored state of an entity; None for both if the store has none.
    #[pyo3(signature = (entity_id, head, body))]
    fn load(
        &mut self,
        py: Python<'_>,
        entity_id: &str,
        head: Option<&[u8]>,
        body: Option<&[u8]>,
    ) -> PyResult<()> {
        let loaded = states!(&mut self.states, states => states.load(entity_id, head, body));
        loaded.map_err(|error: StateError| state_error(py, &error))
    }

    /// Folds the rows of a decoded batch, in offset order.
    #[pyo3(signature = (batch, offsets, wall_us))]
    // The list is Python's.
    #[allow(clippy::needless_pass_by_value)]
    fn fold(
        &mut self,
        py: Python<'_>,
        batch: &Bound<'_, PyAny>,
        offsets: Vec<i64>,
        wall_us: i64,
    ) -> PyResult<FoldReport> {
        let rows = Rows::read(&all_batches(batch)?, &self.columns, &self.used, &offsets)?;
        let states = &mut self.states;
        let report = unlocked(py, rows.offsets.len(), || {
            let rows = rows.of_log();
            states!(states, states => states.fold(rows, wall_us))
        });
        let report = report.map_err(|error: FoldError| fold_error(py, &error))?;
        Ok(FoldReport {
            folded: report.folded,
            late: report.late,
            below_horizon: report.below_horizon,
            known: report.known,
            filtered: report.filtered,
            without_entity: report.without_entity,
            refused: report.refused,
        })
    }

    /// The states with unwritten changes, at most `limit`, by entity id.
    #[pyo3(signature = (next_offset, limit=None))]
    fn flush<'py>(&mut self, py: Python<'py>, next_offset: u64, limit: Option<usize>) -> Vec<PyFlushed<'py>> {
        let dirty = states!(&self.states, states => states.dirty());
        let states = &mut self.states;
        let flushed = unlocked(
            py,
            dirty,
            || states!(states, states => states.flush(next_offset, limit)),
        );
        let tuple = |state: Flushed| {
            let body = state.body.map(|body| PyBytes::new(py, &body));
            (
                state.entity_id.to_string(),
                PyBytes::new(py, &state.head),
                body,
                state.expire_at_ms,
            )
        };
        flushed.into_iter().map(tuple).collect()
    }

    /// Forgets cached states, unwritten changes too; all of them if no entities are given.
    #[pyo3(signature = (entity_ids=None))]
    // The list is Python's.
    #[allow(clippy::needless_pass_by_value)]
    fn drop(&mut self, entity_ids: Option<Vec<String>>) {
        match entity_ids {
            None => states!(&mut self.states, states => states.forget_all()),
            Some(ids) => {
                for id in &ids {
                    states!(&mut self.states, states => states.forget(id));
                }
            }
        }
    }
}

/// The columns of a decoded batch that folding reads.
struct Rows {
    verdicts: Column,
    times: Column,
    entities: Column,
    cells: BatchColumns,
    offsets: Vec<u64>,
    used: Arc<[usize]>,
    width: usize,
}

impl Rows {
    fn read(batch: &RecordBatch, columns: &Schema, used: &Arc<[usize]>, offsets: &[i64]) -> PyResult<Self> {
        if offsets.len() != batch.num_rows() {
            return Err(InputError::new_err(format!(
                "{} offsets for {} rows",
                offsets.len(),
                batch.num_rows()
            )));
        }
        let offsets = offsets.iter().map(|offset| {
            u64::try_from(*offset).map_err(|_| InputError::new_err(format!("offset {offset} is negative")))
        });
        Ok(Self {
            verdicts: column(batch, "verdict", Type::String)?,
            times: column(batch, "event_time_us", Type::Timestamp)?,
            entities: column(batch, "entity_id", Type::String)?,
            cells: BatchColumns::read(batch, columns, used)?,
            offsets: offsets.collect::<PyResult<_>>()?,
            used: Arc::clone(used),
            width: columns.len(),
        })
    }

    fn of_log(&self) -> Vec<LogRow<'_>> {
        let row = |(row, offset): (usize, &u64)| LogRow {
            offset: *offset,
            event: self.event(row),
        };
        self.offsets.iter().enumerate().map(row).collect()
    }

    fn event(&self, row: usize) -> Option<LogEvent<'_>> {
        if text(&self.verdicts, row) != Some("accepted") {
            return None;
        }
        let mut cells = vec![Value::Null; self.width];
        for place in self.used.iter() {
            cells[*place] = self.cells.cell(row, *place).to_value();
        }
        Some(LogEvent {
            t: instant(&self.times, row)?,
            entity_id: text(&self.entities, row),
            row: cells,
        })
    }
}

fn fold_error(py: Python<'_>, error: &FoldError) -> PyErr {
    let reason = match error {
        FoldError::NotLoaded { .. } => "STATE_NOT_LOADED",
        FoldError::OutOfOrder { .. } => "OFFSETS_OUT_OF_ORDER",
    };
    InputError::of(py, reason, error.to_string())
}
