//! Stream views for Python: decoding records, folding them into states, reading states, frames over the log.

mod decoder;
mod events;
pub(crate) mod output;
mod partition;
pub(crate) mod view;

use pyo3::prelude::*;

/// Adds the classes.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<decoder::StreamDecoder>()?;
    module.add_class::<decoder::DecodedBatch>()?;
    module.add_class::<view::StreamView>()?;
    module.add_class::<partition::StatePartition>()?;
    module.add_class::<partition::FoldReport>()
}
