//! The exceptions of the door. One function per error of the core crate turns it into its class.

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use skewless_core::fault::Fault;

create_exception!(
    skewless_kernel,
    KernelError,
    PyException,
    "The base of what the kernel refuses."
);
create_exception!(
    skewless_kernel,
    DefinitionError,
    KernelError,
    "A definition or an expression has faults; `faults` lists (JSON path, reason, message)."
);
create_exception!(
    skewless_kernel,
    StateError,
    KernelError,
    "A stored state or a token could not be read."
);
create_exception!(
    skewless_kernel,
    InputError,
    KernelError,
    "Rows or arguments are not what was asked for."
);

impl InputError {
    /// One with a stable reason.
    pub(crate) fn of(py: Python<'_>, reason: &'static str, message: String) -> PyErr {
        with_reason(py, Self::new_err(message), reason)
    }

    /// What Arrow refused.
    // By value: it is the argument of `map_err`.
    #[allow(clippy::needless_pass_by_value)]
    pub(crate) fn of_arrow(error: arrow_schema::ArrowError) -> PyErr {
        Self::new_err(error.to_string())
    }
}

impl StateError {
    /// One with a stable reason.
    pub(crate) fn of(py: Python<'_>, reason: &'static str, message: String) -> PyErr {
        with_reason(py, Self::new_err(message), reason)
    }
}

/// All faults of a definition as one exception.
pub(crate) fn definition_error(py: Python<'_>, faults: &[Fault]) -> PyErr {
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let error = DefinitionError::new_err(lines.join("\n"));
    let listed: Vec<(&str, &str, &str)> = faults
        .iter()
        .map(|fault| (fault.path.as_str(), fault.reason, fault.message.as_str()))
        .collect();
    let value = error.value(py);
    let first = faults.first();
    let set = value
        .setattr("faults", listed)
        .and_then(|()| value.setattr("reason", first.map(|fault| fault.reason)))
        .and_then(|()| value.setattr("path", first.map(|fault| &fault.path)));
    match set {
        Ok(()) => error,
        Err(other) => other,
    }
}

/// A stored state that cannot be used, with its stable reason.
pub(crate) fn state_error(py: Python<'_>, error: &skewless_core::state::StateError) -> PyErr {
    StateError::of(py, error.reason(), error.to_string())
}

fn with_reason(py: Python<'_>, error: PyErr, reason: &'static str) -> PyErr {
    match error.value(py).setattr("reason", reason) {
        Ok(()) => error,
        Err(other) => other,
    }
}

/// Adds the classes to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    // What an error without a reason or a path of its own has.
    let base = py.get_type::<KernelError>();
    base.setattr("reason", "KERNEL_ERROR")?;
    base.setattr("path", py.None())?;
    py.get_type::<InputError>().setattr("reason", "BAD_INPUT")?;
    module.add("KernelError", base)?;
    module.add("DefinitionError", py.get_type::<DefinitionError>())?;
    module.add("StateError", py.get_type::<StateError>())?;
    module.add("InputError", py.get_type::<InputError>())
}
