//! Keys for Python: ids of entities, where their states lie, and the scripts that write these states.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyString};
use skewless_core::keys::{self, KeyError, KeyPart};
use skewless_core::slots;
use skewless_core::state::{WRITE_LATEST_ROW, WRITE_STREAM_STATE};

use crate::errors::InputError;

/// The canonical text of an entity from the parts of its key, in declared order.
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // the list is Python's
fn entity_id(parts: Vec<Bound<'_, PyAny>>) -> PyResult<String> {
    let parts = parts.iter().map(key_part).collect::<PyResult<Vec<_>>>()?;
    keys::entity_id(&parts).map_err(to_python)
}

/// The key of an entity's state; the body of a window state lies at this key with `:b` behind it.
#[pyfunction]
fn state_key(project: &str, entity: &str, entity_id: &str, view: &str, version: &str) -> PyResult<String> {
    keys::state_key(project, entity, entity_id, view, version).map_err(to_python)
}

/// The partition, of so many, that holds an entity.
#[pyfunction]
fn partition_of(entity_id: &str, partitions: u32) -> PyResult<u32> {
    keys::partition_of(entity_id, partitions).map_err(to_python)
}

/// Per hash slot of a store cluster a text that lies in it; the sentinel of a view in that slot has the key
/// `{text}:` and the view's sentinel key.
#[pyfunction]
fn slot_tags() -> Vec<String> {
    slots::tags()
}

/// Adds the functions and the scripts.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(entity_id, module)?)?;
    module.add_function(wrap_pyfunction!(state_key, module)?)?;
    module.add_function(wrap_pyfunction!(partition_of, module)?)?;
    module.add_function(wrap_pyfunction!(slot_tags, module)?)?;
    module.add("WRITE_STREAM_STATE", WRITE_STREAM_STATE)?;
    module.add("WRITE_LATEST_ROW", WRITE_LATEST_ROW)
}

fn key_part<'a>(part: &'a Bound<'_, PyAny>) -> PyResult<KeyPart<'a>> {
    if let Ok(text) = part.cast::<PyString>() {
        return Ok(KeyPart::Text(text.to_str()?));
    }
    // In Python a bool is an int; as a key it is a mistake.
    if !part.is_instance_of::<PyInt>() || part.is_instance_of::<PyBool>() {
        let message = format!(
            "a part of a key is a str or an int, not {}",
            part.get_type().name()?
        );
        return Err(PyTypeError::new_err(message));
    }
    let integer = part.extract().map_err(|_| {
        let message = format!("the key {part} does not fit 64 bits");
        InputError::of(part.py(), "KEY_OUT_OF_RANGE", message)
    })?;
    Ok(KeyPart::Int(integer))
}

/// One arm per error of the core's keys.
// By value: it is the argument of `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn to_python(error: KeyError) -> PyErr {
    let reason = match error {
        KeyError::NoParts => "KEY_WITHOUT_PARTS",
        KeyError::PartTooLong { .. } => "KEY_PART_TOO_LONG",
        KeyError::BadVersion { .. } => "BAD_VERSION",
        KeyError::NoPartitions => "NO_PARTITIONS",
    };
    Python::attach(|py| InputError::of(py, reason, error.to_string()))
}
