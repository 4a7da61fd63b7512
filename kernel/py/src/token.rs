//! As-of tokens for Python.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use skewless_core::state::Position;
use skewless_core::token::{self, Knowledge, TokenError, TokenView, ViewKind};

use crate::errors::{InputError, StateError};

/// What an answer knew. See `_native.pyi` for the attributes.
#[pyclass(frozen, module = "skewless_kernel")]
pub(crate) struct Token {
    /// The request time, microseconds.
    #[pyo3(get)]
    request_time_us: i64,
    /// Per view the first 16 bytes of its meaning's hash, and its kind.
    #[pyo3(get)]
    views: Py<PyList>,
    /// Row by row, one entry per view.
    #[pyo3(get)]
    positions: Py<PyList>,
}

/// Knowledge as Python has it: epoch, partition and next offset; or a run.
#[derive(FromPyObject, IntoPyObject)]
enum Known {
    Stream((u64, u32, u64)),
    Run(u64),
}

impl From<Knowledge> for Known {
    fn from(knowledge: Knowledge) -> Self {
        match knowledge {
            Knowledge::Stream(position) => {
                Self::Stream((position.epoch, position.partition, position.next_offset))
            }
            Knowledge::Run(run_seq) => Self::Run(run_seq),
        }
    }
}

impl From<Known> for Knowledge {
    fn from(known: Known) -> Self {
        match known {
            Known::Stream((epoch, partition, next_offset)) => Self::Stream(Position {
                epoch,
                partition,
                next_offset,
            }),
            Known::Run(run_seq) => Self::Run(run_seq),
        }
    }
}

/// Reads a token. Raises `StateError` for damaged bytes, and for a version that this kernel does not read.
#[pyfunction]
fn read_token(py: Python<'_>, token: &[u8]) -> PyResult<Token> {
    let read = py.detach(|| token::read(token));
    let read = read.map_err(|error| StateError::of(py, error.reason(), error.to_string()))?;
    let views = read.views.iter();
    let views = views.map(|view| (PyBytes::new(py, &view.meaning), view.kind.name()));
    let row = |row| {
        let known = (0..read.views.len()).map(|view| read.known(row, view).map(Known::from));
        PyList::new(py, known.collect::<Vec<_>>())
    };
    let rows = (0..read.rows).map(row).collect::<PyResult<Vec<_>>>()?;
    Ok(Token {
        request_time_us: read.request_time,
        views: PyList::new(py, views.collect::<Vec<_>>())?.unbind(),
        positions: PyList::new(py, rows)?.unbind(),
    })
}

/// The bytes of a token. Raises `InputError` for knowledge of another kind than its view's.
#[pyfunction]
// The lists are Python's.
#[allow(clippy::needless_pass_by_value)]
fn write_token<'py>(
    py: Python<'py>,
    request_time_us: i64,
    views: Vec<(Bound<'py, PyBytes>, String)>,
    positions: Vec<Vec<Option<Known>>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let views = views.iter().map(view).collect::<PyResult<Vec<_>>>()?;
    let rows = positions.len();
    if positions.iter().any(|row| row.len() != views.len()) {
        return Err(unwritten(py, TokenError::WrongShape));
    }
    let known = positions.into_iter().flatten();
    let token = token::Token {
        request_time: request_time_us,
        known: known.map(|known| known.map(Knowledge::from)).collect(),
        views,
        rows,
    };
    let bytes = py.detach(|| token::write(&token));
    let bytes = bytes.map_err(|error| unwritten(py, error))?;
    Ok(PyBytes::new(py, &bytes))
}

/// Adds the class and the functions.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Token>()?;
    module.add_function(wrap_pyfunction!(read_token, module)?)?;
    module.add_function(wrap_pyfunction!(write_token, module)?)
}

fn unwritten(py: Python<'_>, error: TokenError) -> PyErr {
    InputError::of(py, error.reason(), error.to_string())
}

fn view((meaning, kind): &(Bound<'_, PyBytes>, String)) -> PyResult<TokenView> {
    let meaning = meaning.as_bytes().try_into().map_err(|_| {
        let length = meaning.as_bytes().len();
        InputError::new_err(format!(
            "a view is named by 16 bytes of its meaning's hash, not {length}"
        ))
    })?;
    let kind = ViewKind::from_name(kind).ok_or_else(|| {
        let kinds = ViewKind::ALL.map(ViewKind::name).join(", ");
        InputError::new_err(format!("{kind:?} is no kind of a view; there are {kinds}"))
    })?;
    Ok(TokenView { meaning, kind })
}
