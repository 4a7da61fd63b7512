//! When the interpreter's lock is let go.

use pyo3::marker::Ungil;
use pyo3::prelude::*;

/// Up to so many rows, a step is over before another thread would have been woken and this one again.
const QUICK_ROWS: usize = 256;

/// Runs a step that touches no Python object; other threads run meanwhile if it is worth it.
pub(crate) fn unlocked<T: Ungil>(py: Python<'_>, rows: usize, step: impl FnOnce() -> T + Ungil) -> T {
    if rows <= QUICK_ROWS {
        step()
    } else {
        py.detach(step)
    }
}
