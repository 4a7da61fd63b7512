//! Meaning documents for Python: their identity, their faults, and how large a state of theirs becomes.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use skewless_core::definition::{self, Definition};
use skewless_core::fault::Fault;

use crate::errors::definition_error;

/// SHA-256 of a meaning document's bytes. Raises `DefinitionError` unless they are canonical JSON (RFC 8785).
#[pyfunction]
fn meaning_hash<'py>(py: Python<'py>, meaning_json: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let hash = py
        .detach(|| definition::meaning_hash(meaning_json))
        .map_err(|fault| definition_error(py, &[fault]))?;
    Ok(PyBytes::new(py, &hash))
}

/// All faults of a meaning document at once, as (JSON path, reason, message); none when it can be used.
#[pyfunction]
fn check_meaning(py: Python<'_>, meaning_json: &[u8]) -> Vec<(String, &'static str, String)> {
    match py.detach(|| definition::compile(meaning_json)) {
        Ok(_) => Vec::new(),
        Err(faults) => faults
            .into_iter()
            .map(|fault| (fault.path, fault.reason, fault.message))
            .collect(),
    }
}

/// The most bytes that the stored state of one entity takes, all its keys together.
#[pyfunction]
fn worst_case_bytes(py: Python<'_>, meaning_json: &[u8]) -> PyResult<usize> {
    py.detach(|| {
        let fault = |kind: &str| {
            let message = format!("{kind} keeps no state; only window views and latest views do");
            vec![Fault::new("$.kind", "NO_STATE", message)]
        };
        match definition::compile(meaning_json)? {
            Definition::Window(view) => Ok(view.worst_case_bytes()),
            Definition::Latest(view) => Ok(view.worst_case_bytes()),
            Definition::Entity(_) => Err(fault("an entity")),
            Definition::Source(_) => Err(fault("a source")),
            Definition::OnDemand(_) => Err(fault("an on-demand view")),
            Definition::Service(_) => Err(fault("a feature service")),
        }
    })
    .map_err(|faults| definition_error(py, &faults))
}

/// Adds the functions.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(meaning_hash, module)?)?;
    module.add_function(wrap_pyfunction!(check_meaning, module)?)?;
    module.add_function(wrap_pyfunction!(worst_case_bytes, module)?)
}
